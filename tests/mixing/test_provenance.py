"""Provenance of a mixed table is kept in its frame and file, the model's card and file, and the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.cli import main
from tabsynth.data import split
from tabsynth.errors import DataError, PrivacyError
from tabsynth.mixing.plan.plan import Plan
from tabsynth.mixing.result import Mixed
from tabsynth.pipeline import run
from tabsynth.synthesizers.registry import load

from .test_checks import people, plan_of, same


def plan(**parts: Any) -> Plan:
    tables = {"a": people(120, 0), "b": people(80, 1)}
    kinds = {"pid": "identifier", "age": "numeric", "sex": "categorical"}
    link = {"engine": "exact", "fields": ["pid"]}
    return plan_of(tables, [same(name, tables, kind) for name, kind in kinds.items()], link=link, **parts)


@pytest.fixture(scope="module")
def mixed() -> Mixed:
    return ts.mix(plan())


def holds(card: Any, made: Mixed) -> bool:
    entry = card["mixed"]
    wanted = {"plan_hash": made.plan_hash, "sources": {"a": 120, "b": 80}, "rows": len(made.frame)}
    return wanted.items() <= entry.items()


def test_a_model_of_the_frame_or_of_a_part_of_it_names_the_plan(mixed: Mixed, tmp_path: Path) -> None:
    part = mixed.frame[~mixed.split(0.25)].reset_index(drop=True).drop(columns="pid")
    for data, schema in ((mixed.frame, mixed.schema), (part, None), (mixed.table(), None)):
        model = ts.MarginalSynthesizer().fit(data, schema=schema, seed=0)
        assert holds(model.card(), mixed)
    model.save(tmp_path / "m.tabsynth")
    assert holds(load(tmp_path / "m.tabsynth").card(), mixed)
    plain = model.fit(people(50, 3), seed=0)
    assert plain.card()["mixed"] is None
    assert not plain.sample(10, seed=0).attrs


@pytest.mark.parametrize("name", ["mixed.parquet", "mixed.csv", "mixed.csv.gz"])
def test_a_model_of_the_file_names_the_plan(name: str, mixed: Mixed, tmp_path: Path) -> None:
    mixed.save(tmp_path / name)
    model = tmp_path / "m.tabsynth"
    assert main(["fit", str(tmp_path / name), "--model", "marginal", "--output", str(model), "--seed", "0"]) == 0
    assert holds(load(model).card(), mixed)


def test_an_edited_file_loses_its_provenance(mixed: Mixed, tmp_path: Path) -> None:
    mixed.save(tmp_path / "m.csv")
    text = (tmp_path / "m.csv").read_text()
    (tmp_path / "m.csv").write_text(text + text.splitlines()[-1] + "\n")
    with pytest.raises(DataError, match="has changed since it was mixed"):
        ts.read(tmp_path / "m.csv")
    (tmp_path / "m.csv.mixed.json").unlink()
    assert len(ts.read(tmp_path / "m.csv")) == 201


def test_the_report_of_a_pipeline_names_the_plan(mixed: Mixed, tmp_path: Path) -> None:
    mixed.save(tmp_path / "m.parquet", schema=tmp_path / "s.json", person=True)
    job = {
        "version": 1,
        "input": str(tmp_path / "m.parquet"),
        "schema": str(tmp_path / "s.json"),
        "output": str(tmp_path / "out"),
        "holdout": 0.25,
        "model": {"kind": "marginal"},
        "sample": {},
        "evaluate": {},
    }
    run(job)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert holds(report["provenance"]["card"], mixed)


def test_persons_stay_whole_by_the_column_that_a_file_may_have(mixed: Mixed, tmp_path: Path) -> None:
    mixed.save(tmp_path / "m.parquet", schema=tmp_path / "s.json", person=True)
    table = ts.read(tmp_path / "m.parquet", schema=ts.Schema.from_json(tmp_path / "s.json"))
    train, held = split(table, 0.25, seed=0)
    assert not set(train.frame["pid"]) & set(held.frame["pid"])
    assert len(train) + len(held) == 200


def test_weights_reach_a_fit_through_the_file(tmp_path: Path) -> None:
    made = ts.mix(plan(weights={"method": "rake", "margins": {"sex": {"f": 0.2, "m": 0.8}}}))
    made.save(tmp_path / "m.parquet", schema=tmp_path / "s.json")
    table = ts.read(tmp_path / "m.parquet", schema=ts.Schema.from_json(tmp_path / "s.json"))
    assert np.average(table.frame["sex"] == "f", weights=table.frame["_weight"]) == pytest.approx(0.2, abs=1e-3)
    assert table.schema.with_role("weight") == ["_weight"]
    assert "_weight" not in made.frame


TARGET = ts.Schema.from_dict(
    {
        "columns": {
            "pid": {"kind": "identifier"},
            "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
            "sex": {"kind": "categorical", "values": ["f", "m"]},
        }
    }
)


def private(made: Mixed, person: bool) -> ts.MarginalSynthesizer:
    table = made.table(person)
    unit: dict[str, Any] = {"unit": "_entity", "rows_per_person": 1} if person else {}
    asked = ts.Privacy(epsilon=2.0, delta=1e-6, insecure_seed=0, **unit)
    return ts.MarginalSynthesizer().fit(table.frame, schema=table.schema, privacy=asked)


@pytest.mark.parametrize("person", [False, True])
def test_a_private_model_card_does_not_depend_on_the_rows(person: bool) -> None:
    """Adding a person changes the plan's hash and the counts; the card may contain neither."""
    cards = []
    for rows in (120, 121):
        tables = {"a": people(rows, 0), "b": people(80, 1)}
        kinds = {"pid": "identifier", "age": "numeric", "sex": "categorical"}
        link = {"engine": "exact", "fields": ["pid"]}
        made = plan_of(tables, [same(name, tables, kind) for name, kind in kinds.items()], link=link)
        cards.append(private(ts.mix(replace(made, schema=TARGET)), person).card()["mixed"])
    assert cards[0] == cards[1]
    assert cards[0]["sources"] == ["a", "b"]
    assert ("by person" in cards[0]["person"]) == person
    assert "not charged" in cards[0]["uncharged"]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"combine": {"op": "join"}, "resolve": {"default": "em"}}, "resolve: em"),
        ({"combine": {"op": "fuse"}, "link": {"engine": "none"}}, "other people's rows"),
    ],
)
def test_steps_that_mix_rows_void_the_guarantee(parts: dict[str, Any], said: str) -> None:
    data = {**plan().to_dict(), **parts}
    tables = {"a": people(120, 0), "b": people(80, 1)}
    if parts["combine"]["op"] == "join":
        tables["c"] = people(60, 2)
        data["inputs"]["c"] = plan_of({"c": tables["c"]}, []).to_dict()["inputs"]["c"]
        for item in data["map"]:
            item["from"]["c"] = item["to"]
    else:
        tables["b"] = tables["b"].assign(weight=np.arange(80.0))
        data["inputs"] = plan_of(tables, []).to_dict()["inputs"]
        data["map"].append({"to": "weight", "kind": "numeric", "from": {"b": "weight"}, "status": "accepted"})
    target = TARGET.to_dict()
    target["columns"]["weight"] = {"kind": "numeric", "low": 0, "high": 100}
    made = ts.mix(Plan.from_dict({**data, "target": target}, tables=tables))
    schema = made.schema.replace("_source", values=["a", "b", "c"])
    with pytest.raises(PrivacyError, match=said):
        ts.MarginalSynthesizer().fit(made.frame, schema=schema, privacy=ts.Privacy(epsilon=1.0))


def test_the_plan_alone_knows_the_target(tmp_path: Path, toy: pd.DataFrame) -> None:
    toy.iloc[:250].to_csv(tmp_path / "a.csv", index=False)
    toy.iloc[250:].rename(columns={"age": "AGE", "outcome": "Outcome"}).to_csv(tmp_path / "b.csv", index=False)
    target = ts.Schema.infer(toy).replace("age", low=0, high=120, decimals=0).replace("outcome", role="target")
    known = ts.suggest({"a": tmp_path / "a.csv", "b": tmp_path / "b.csv"}, target).accept()
    known.save(tmp_path / "plan.yaml")
    again = Plan.load(tmp_path / "plan.yaml")
    assert again.schema == target
    assert again.hash == known.hash
    assert replace(again, schema=None).hash != known.hash
    schema = ts.mix(tmp_path / "plan.yaml").schema
    assert (schema["age"], schema["outcome"].role) == (target["age"], "target")
