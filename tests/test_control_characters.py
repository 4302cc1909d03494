"""Control characters of names and values are shown escaped in errors, bars, reports, pages and plans."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.cli.main import main
from tabsynth.common.progress import progress_bar
from tabsynth.common.text import readable_json
from tabsynth.errors import CONTROLS, InputError, warn_caller
from tabsynth.evaluation.report import Report
from tabsynth.pipeline.status import RunStatus
from tabsynth.schema.database.database_schema import DatabaseSchema

LONG = "L" * 20_000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "\x1b[31mage": rng.integers(20, 80, 60),
            "s\u202eex\r": rng.choice(["\x07bell", "\u202egnp", "x\x9b1m"], 60),
            "big": rng.choice([LONG, "M" * 20_000], 60),
        }
    )


@pytest.fixture(scope="module")
def report(frame: pd.DataFrame) -> Report:
    return ts.evaluate(frame, frame.sample(60, random_state=1).reset_index(drop=True), quick=True, seed=0)


@pytest.mark.parametrize("suffix", ["html", "md", "json"])
def test_reports(report: Report, suffix: str, tmp_path: Path) -> None:
    report.save(tmp_path / f"r.{suffix}")
    text = (tmp_path / f"r.{suffix}").read_text(encoding="utf-8")
    assert "[31mage" in text
    assert not CONTROLS.search(text)
    if suffix == "json":
        assert json.loads(text) == json.loads(json.dumps(report.to_dict()))
    else:
        assert LONG not in text


def test_a_plan_on_the_terminal(frame: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        frame.iloc[:, :2].to_parquet(tmp_path / f"{name}.parquet")
    tables = [f"{name}={tmp_path / name}.parquet" for name in ("a", "b")]
    plan = str(tmp_path / "plan.yaml")
    assert main(["mix", "suggest", *tables, "--output", plan]) == 0
    assert main(["mix", "review", plan, "--output", str(tmp_path / "review.html")]) == 0
    assert main(["mix", "review", plan]) == 0
    said = capsys.readouterr()
    assert "\\x1b[31mage" in said.out
    for text in (said.out, said.err, (tmp_path / "review.html").read_text()):
        assert not CONTROLS.search(text)


def test_errors_and_bars(capsys: pytest.CaptureFixture[str]) -> None:
    assert str(InputError("column \x1b[31mage\u202e")) == "column \\x1b[31mage\\u202e"
    with pytest.warns(UserWarning, match=re.escape("column \\x1b[31m")) as warned:
        warn_caller(f"column \x1b[31m{LONG}")
    assert len(str(warned[0].message)) < 5000
    with progress_bar(1, f"fitting \x1b]0;title\x07{LONG}", "pass", True) as bar:
        bar.update()
    said = capsys.readouterr().err
    assert "\x1b]0" not in said
    assert "\x07" not in said
    assert LONG not in said


def test_json_files_keep_the_text(tmp_path: Path) -> None:
    data = {"größe\u202e\x9b": "\x1b[31m\n"}
    text = readable_json(data)
    assert "größe" in text
    assert not CONTROLS.search(text)
    assert json.loads(text) == data
    RunStatus(tmp_path, ["fit"]).end("failed", error="column '\u202e\x9b'")
    assert not CONTROLS.search((tmp_path / "status.json").read_text(encoding="utf-8"))


def test_yaml_files_keep_the_text(tmp_path: Path) -> None:
    schema = ts.Schema.from_dict(
        {"columns": {"größe\u202e": {"kind": "categorical", "values": ["\x1b[31m", "x\x9b\n", "plain"]}}}
    )
    schema.to_json(tmp_path / "s.yaml")
    text = (tmp_path / "s.yaml").read_text(encoding="utf-8")
    assert "größe" in text
    assert not CONTROLS.search(text)
    assert ts.Schema.from_json(tmp_path / "s.yaml").to_dict() == schema.to_dict()


def test_the_questions_of_linked_tables_are_comments_of_one_line(tmp_path: Path) -> None:
    parents = pd.DataFrame({"id": [f"P{i}" for i in range(30)]})
    children = pd.DataFrame({"id": np.repeat(parents["id"], 3).to_numpy(), "x": np.arange(90) % 7})
    schema = DatabaseSchema.infer({"parents": parents, "c\x1b\nkey: 1": children})
    schema = replace(schema, questions={"c\x1b\nkey: 1": "why\nso?"})
    schema.to_json(tmp_path / "s.yaml")
    text = (tmp_path / "s.yaml").read_text(encoding="utf-8")
    assert "# question: c\\x1b key: 1: why so?" in text
    assert not CONTROLS.search(text)
    assert set(DatabaseSchema.from_json(tmp_path / "s.yaml").tables) == set(schema.tables)


def test_objects_in_notebooks_and_on_terminals(frame: pd.DataFrame, report: Report) -> None:
    small = frame.iloc[:, :2]
    tables = {"p\x9b1m": small.assign(id=range(60)), "c": pd.DataFrame({"id": np.arange(120) % 60})}
    model = ts.MarginalSynthesizer(components=2).fit(small, seed=0)
    shown = [ts.Table.of(small), model, model.schema_, model.ledger_, report, DatabaseSchema.infer(tables)]
    for one in shown:
        for text in (repr(one), str(one), getattr(one, "_repr_html_", str)()):
            assert not CONTROLS.search(text)
    for one in (model.schema_, model.ledger_):
        assert "\\x1b[31mage" in str(one)
