"""Mixing in batches gives the same table, report and checks as mixing in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.cli import main
from tabsynth.data import batch_reader
from tabsynth.errors import DataError, InputError
from tabsynth.mixing.out_of_core import mix_to_file, staging
from tabsynth.mixing.plan.plan import Plan

from ..test_failures import FAILURES, Case, heavy_local_key, nobody_to_weigh, planted


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table of these tests is many batches."""
    for module in (batch_reader, staging, mix_to_file):
        monkeypatch.setattr(module, "BATCH_ROWS", 32)
    monkeypatch.setattr(batch_reader.Batches.frames, "__defaults__", (None, 32))


def patients(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    seen = pd.Timestamp("2019-12-20") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    frame = pd.DataFrame(
        {
            "pid": [f"{i:05d}x" for i in rng.permutation(2 * n)[:n]],
            "age": rng.integers(20, 80, n),
            "weight": (60 + rng.normal(0, 9, n)).round(1),
            "sex": rng.choice(["f", "m"], n),
            "ward": rng.choice([1, 2, 3], n),
            "seen": seen.strftime("%d/%m/%Y"),
        }
    )
    frame.loc[rng.random(n) < 0.1, "weight"] = np.nan
    return frame


def sources(n: int = 200) -> dict[str, pd.DataFrame]:
    """Two hospitals; the second writes other codes, other dates, pounds, and 999 for an unknown age."""
    a, b = patients(n, 0), patients(n, 1)
    b["age"] = b["age"].where(np.arange(n) < n - 3, 999)
    b["weight"] = (b["weight"] / 0.45359237).round(1)
    b["sex"] = b["sex"].map({"f": "F", "m": "M"})
    b["ward"] = b["ward"].map({1: "one", 2: "2", 3: "3"})
    b["seen"] = pd.to_datetime(b["seen"], format="%d/%m/%Y").dt.strftime("%Y-%m-%d")
    b["score"] = np.where(np.arange(n) < n - 1, 1.0, 2.5)
    return {"a": a.assign(big=2**60 + np.arange(n), AGE=a["age"] - 1), "b": b}


KINDS = {
    "pid": "identifier", "age": "numeric", "weight": "numeric", "sex": "categorical", "ward": "categorical",
    "seen": "datetime", "score": "numeric", "big": "identifier", "AGE": "numeric",
}  # fmt: skip

HARMONISE = [
    {"column": "age", "na": {"b": [999]}},
    {"column": "weight", "unit": "kg", "from": {"b": "lb"}},
    {"column": "sex", "values": {"b": {"F": "f", "M": "m"}}},
]


def whole_plan(**parts: Any) -> Case:
    return sources(), KINDS, {"harmonise": HARMONISE, **parts}


EXACT = {"engine": "exact", "fields": ["pid"]}
PLANS: list[dict[str, Any]] = [
    {},
    {"keys": ["pid"]},
    {"link": EXACT},
    {"combine": {"on_missing_column": "drop"}},
    {"link": EXACT, "combine": {"op": "join"}},
    {"link": {"engine": "exact"}, "keys": ["pid"], "combine": {"op": "join"}},
]


@pytest.mark.parametrize("parts", PLANS, ids=lambda parts: " ".join(parts) or "plain")
@pytest.mark.parametrize("suffix", ["parquet", pytest.param("csv", marks=pytest.mark.slow)])
def test_batches_give_the_result_of_one_table(parts: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    plan = planted(tmp_path, whole_plan(**parts))
    mixed = ts.mix(plan)
    mixed.save(tmp_path / f"whole.{suffix}")
    made = ts.mix(plan, output=tmp_path / f"streamed.{suffix}")
    one, other = (ts.read(tmp_path / f"{name}.{suffix}").frame for name in ("whole", "streamed"))
    pd.testing.assert_frame_equal(one, other)
    assert one.attrs == other.attrs
    assert (made.rows, made.plan_hash) == (len(one), mixed.plan_hash)
    assert made.schema == mixed.schema
    for part in ("inputs", "columns", "combine", "privacy", "weights"):
        assert made.report[part] == mixed.report[part], part
    for key in set(made.report["link"]):
        assert made.report["link"][key] == mixed.report["link"][key], key
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_many_rows_of_a_person_join_in_the_same_order(tmp_path: Path) -> None:
    a = patients(60, 0)[["pid", "age"]]
    rng = np.random.default_rng(0)
    b = pd.DataFrame({"pid": rng.choice([*a["pid"][:40], "other1", None], 150), "visit": np.arange(150), "age": 30.5})
    kinds = {"pid": "identifier", "age": "numeric", "visit": "numeric"}
    link = {**EXACT, "one_to_one": False, "alarms": "report"}
    plan = planted(tmp_path, ({"a": a, "b": b}, kinds, {"link": link, "combine": {"op": "join", "cardinality": "1:n"}}))
    mixed = ts.mix(plan)
    made = ts.mix(plan, output=tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(ts.read(tmp_path / "m.parquet").frame, mixed.frame, check_dtype=False)
    assert made.report["privacy"] == mixed.report["privacy"]
    assert made.report["combine"] == mixed.report["combine"]


STREAMED = [case for case in FAILURES if case[0] is not nobody_to_weigh]


@pytest.mark.parametrize(("case", "said"), STREAMED, ids=lambda value: getattr(value, "__name__", ""))
def test_guards_hold_batch_by_batch_and_nothing_is_written(
    case: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = planted(tmp_path, case())
    before = sorted(tmp_path.iterdir())
    assert main(["mix", "apply", str(plan), "--stream", "--output", str(tmp_path / "mixed.parquet")]) == 2
    message = capsys.readouterr().err
    assert said in message or "needs all rows at once" in message
    assert sorted(tmp_path.iterdir()) == before


def test_a_budget_is_that_of_the_whole_source(tmp_path: Path) -> None:
    a = patients(200, 0).astype({"age": object})
    a.loc[190:193, "age"] = "old"  # 4 of 200 are 2 percent, but 4 of the last 8 are half
    for budget, holds in ((0.02, True), (0.01, False)):
        plan = planted(tmp_path, ({"a": a}, {"age": "numeric"}, {"harmonise": [{"column": "age", "budget": budget}]}))
        if holds:
            assert ts.mix(plan, output=tmp_path / "m.parquet").schema["age"].nullable
        else:
            with pytest.raises(DataError, match="4 of 200 values cannot be parsed, more than the budget of 0.01"):
                ts.mix(plan, output=tmp_path / "m.parquet")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"link": {"engine": "splink", "fields": ["age", "sex"]}}, "link: splink"),
        ({"combine": {"op": "fuse"}}, "combine: fuse"),
        ({"combine": {"on_missing_column": "impute"}}, "impute"),
        ({"link": EXACT, "combine": {"op": "join"}, "resolve": {"default": "majority"}}, "resolve: majority"),
        ({"weights": {"method": "rake", "margins": {"sex": {"f": 0.5, "m": 0.5}}}}, "weights"),
        ({"link": {"engine": "exact", "fields": ["sex"]}, "keys": ["pid"]}, "other fields than the keys"),
    ],
)
def test_steps_that_need_all_rows_are_refused(parts: dict[str, Any], said: str, tmp_path: Path) -> None:
    plan = Plan.load(planted(tmp_path, whole_plan(**parts)))
    (tmp_path / "a.csv").unlink()
    with pytest.raises(InputError, match=said):
        ts.mix(plan, output=tmp_path / "m.parquet")


def test_a_join_of_strangers_and_a_workbook_are_refused(tmp_path: Path) -> None:
    plan = planted(tmp_path, whole_plan(combine={"op": "join"}))
    with pytest.raises(InputError, match="linked rows"):
        ts.mix(plan, output=tmp_path / "m.parquet")
    with pytest.raises(InputError, match="Excel sheets are limited"):
        ts.mix(planted(tmp_path, whole_plan()), output=tmp_path / "m.xlsx")


def test_the_command_line_writes_report_and_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables, kinds, parts = heavy_local_key()
    parts["link"]["alarms"] = "report"
    plan = planted(tmp_path, (tables, kinds, parts))
    files = [str(tmp_path / name) for name in ("m.parquet", "m.json", "s.json")]
    line = ["mix", "apply", str(plan), "--stream", "--output", files[0], "--report", files[1], "--schema", files[2]]
    assert main(line) == 0
    assert "alarm: one key of 'a' has 20 rows" in capsys.readouterr().err
    assert json.loads(Path(files[1]).read_text())["link"]["null_keys"] == {"a": 0, "b": 0}
    table = ts.read(files[0], schema=ts.Schema.from_json(files[2]))
    assert len(table) == 350
    assert main([*line, "--lineage", str(tmp_path / "l.csv")]) == 2
    assert "--stream" in capsys.readouterr().err
