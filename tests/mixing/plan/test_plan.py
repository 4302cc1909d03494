"""The plan file: every key is checked, the hash covers its meaning, and it is displayed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jsonschema import Draft202012Validator

import tabsynth as ts
from tabsynth.cli import main
from tabsynth.errors import InputError, SourceError
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.plan.validation import MESSAGES, check_plan, plan_schema

GOOD: dict[str, Any] = {
    "version": 1,
    "inputs": {"a": {"sha256": "0", "trust": 0.9, "na": {"tc": [0]}}, "b": {"sha256": "1", "key": ["mrn"]}},
    "map": [{"to": "chol", "kind": "numeric", "from": {"a": "tc", "b": ["x", "y"]}, "status": "proposed"}],
    "harmonise": [{"column": "chol", "unit": "mg/dL", "from": {"a": "mmol/L"}, "analyte": "cholesterol"}],
    "combine": {"op": "join", "cardinality": "1:1", "max_growth": 1.0},
}


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    import copy

    data = copy.deepcopy(GOOD)
    at: Any = data
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return data


FAULTS = [
    (("inputz",), {}, "did you mean 'inputs'"),
    (("map", 0, "form"), {}, "did you mean 'from'"),
    (("map", 0, "status"), "maybe", "'maybe' is not one of proposed"),
    (("inputs", "a", "trust"), 2, "trust: 2 is outside 0 to 1"),
    (("inputs", "a", "trust"), True, "expected number, not True"),
    (("map", 0, "from"), {}, "it is empty"),
    (("map", 0, "from", "b"), ["x"], "1 items"),
    (("combine", "max_growth"), 0.5, "max_growth: 0.5 is outside"),
    (("harmonise", 0, "range"), [1, 2, 3], "3 items; there should be 2"),
    (("version",), 0, "must be 1, not 0"),
    (("combine", "op"), "mix", "combine: op: 'mix' is not one of union, join, fuse"),
    (("link",), {"engine": "exact", "feilds": []}, "plan: link: unknown key 'feilds' (did you mean 'fields'?)"),
    (("map", 0), {"to": "chol", "status": "proposed"}, "'from' is missing"),
    (("lineage",), {True: 1}, "keys must be text, not True; put it in quotes"),
]


@pytest.mark.parametrize(("path", "value", "said"), FAULTS)
def test_a_message_names_place_value_and_remedy(path: tuple[Any, ...], value: Any, said: str) -> None:
    check_plan(GOOD)
    with pytest.raises(InputError, match=re.escape(said)):
        check_plan(changed(path, value))


def test_every_keyword_of_the_schema_has_a_message() -> None:
    Draft202012Validator.check_schema(plan_schema())
    used: set[str] = set()

    def collect(rule: Any) -> None:
        if isinstance(rule, dict):
            used.update(rule)
            for name, part in rule.items():
                parts = part.values() if name in ("properties", "$defs") else [part]
                for item in parts:
                    collect(item)

    collect(plan_schema())
    silent = {"$schema", "$ref", "$defs", "title", "properties", "items"}
    assert used - silent <= set(MESSAGES)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("version",), 2, "later than 1: upgrade"),
        (("map", 0, "from"), {"c": "tc"}, "names 'c'; the inputs are 'a', 'b'"),
        (("map",), GOOD["map"] * 2, "two entries define the column 'chol'"),
        (("map", 0, "to"), "_chol", "begins with an underscore"),
        (("harmonise", 0, "column"), "bmi", "no entry of map defines 'bmi'"),
        (("harmonise", 0, "values"), {"a": {True: "yes"}}, "write words such as yes and no in quotes"),
    ],
)
def test_contradictory_plans_are_refused(path: tuple[Any, ...], value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Plan.from_dict(changed(path, value))


def test_a_key_given_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("version: 1\nversion: 1\n")
    with pytest.raises(SourceError, match="given twice"):
        Plan.load(tmp_path / "p.yaml")


def test_the_hash_covers_decisions_but_not_remarks() -> None:
    plan = Plan.from_dict(GOOD)
    assert Plan.from_dict(changed(("inputs", "a", "uri"), "elsewhere.csv")).hash == plan.hash
    assert Plan.from_dict(changed(("map", 0, "question"), "sure?")).hash == plan.hash
    assert Plan.from_dict(changed(("map", 0, "status"), "accepted")).hash != plan.hash
    assert Plan.from_dict(changed(("inputs", "a", "sha256"), "2")).hash != plan.hash
    assert Plan.from_dict(plan.to_dict()).to_dict() == plan.to_dict()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    for name, shift in (("north", 0), ("south", 5)):
        age = rng.integers(20, 80, 120) + shift
        rows = pd.DataFrame({"age": age, "weight_kg": (50 + 0.4 * age + rng.normal(0, 8, 120)).round(1)})
        rows["smoker"] = rng.choice(["yes", "no"], 120)
        if name == "south":
            rows["weight_lb"] = (rows.pop("weight_kg") / 0.45359237).round(1)
            rows["smoker"] = rows["smoker"].map({"yes": "Y", "no": "N"})
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def test_the_command_line_goes_from_files_to_one_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["mix", "suggest", "north=north.csv", "south=south.csv", "--output", "plan.yaml"]) == 0
    assert main(["mix", "apply", "plan.yaml", "--output", "mixed.parquet"]) == 2
    assert "still proposed" in capsys.readouterr().err
    assert not (folder / "mixed.parquet").exists()
    assert main(["mix", "review", "plan.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "- weight_lb\n+ weight_kg [lb → kg?]" in shown
    assert "[Y → yes?, N → no?]" in shown or "[N → no?, Y → yes?]" in shown
    assert main(["mix", "apply", "plan.yaml", "--accept-above", "0.5", "--output", "mixed.parquet"]) == 0
    frame = ts.read("mixed.parquet").frame
    assert list(frame) == ["age", "weight_kg", "smoker", "_source"]
    assert frame.groupby("_source")["weight_kg"].median().diff().abs().iloc[-1] < 8
    assert set(frame["smoker"]) == {"yes", "no"}


def test_a_source_without_a_name_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mix", "suggest", str(folder / "north.csv"), "--output", str(folder / "p.yaml")]) == 2
    assert "a source is NAME=FILE" in capsys.readouterr().err
    assert not (folder / "p.yaml").exists()


def test_the_page_shows_evidence_and_escapes_values(tmp_path: Path) -> None:
    a = pd.DataFrame({"x<script>": [i % 30 + 0.5 for i in range(40)], "sex": ["f", "<b>"] * 20})
    b = pd.DataFrame({"x": [i % 30 + 0.5 for i in range(5, 45)], "gender": ["f", "m"] * 20})
    ts.suggest({"a": a, "b": b}).review(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<script>" not in page
    assert "<b>&lt;b&gt;" not in page.replace("&lt;b&gt;", "")
    assert "<path class" in page
    assert "http" not in page
