"""Declared rules of child tables hold with dates, categories and keys, with and without privacy and conditions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth import Privacy
from tabsynth.errors import SchemaError
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import satisfies
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

PEOPLE = 120
DEPARTMENTS = {"eye": "A", "heart": "B", "skin": "A"}

RULES: list[dict[str, Any]] = [
    {"kind": "order", "sequence": ["start", "seen", "stop"], "greatest": 20.0},
    {"kind": "if_then", "when": 'ward == "eye"', "then": "stop - start <= 3"},
    {"kind": "expression", "rule": 'where(ward == "skin", start >= 18400, True)'},
    {"kind": "missing", "column": "report", "when": 'ward == "eye"'},
    {"kind": "lookup", "column": "department", "by": "ward", "values": DEPARTMENTS},
    {"kind": "combinations", "of": ["ward", "room"]},
    {"kind": "unique", "of": ["ward", "invoice"]},
]

COLUMNS: dict[str, Any] = {
    "person": {"kind": "identifier"},
    **{name: {"kind": "datetime", "low": "2020-01-01", "high": "2023-12-31"} for name in ("start", "seen", "stop")},
    "report": {"kind": "datetime", "low": "2020-01-01", "high": "2024-12-31", "nullable": True},
    "ward": {"kind": "categorical", "values": list(DEPARTMENTS)},
    "department": {"kind": "categorical", "values": ["A", "B"]},
    "room": {"kind": "categorical", "values": ["1", "2", "3", "4"]},
    "invoice": {"kind": "numeric", "low": 0, "high": 99_999, "decimals": 0},
}


def hospital(rules: list[dict[str, Any]] = RULES) -> tuple[dict[str, pd.DataFrame], DatabaseSchema]:
    """Patients with stays that obey the rules."""
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"id": range(PEOPLE), "sex": rng.choice(["f", "m"], PEOPLE)})
    owner = np.repeat(np.arange(PEOPLE), 2 + rng.poisson(3, PEOPLE))
    n = len(owner)
    start = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1400, n), "D")
    late = start >= pd.Timestamp("1970-01-01") + pd.Timedelta(18400, "D")
    ward = np.where(late, rng.choice(["eye", "heart", "skin"], n), rng.choice(["eye", "heart"], n))
    first = rng.integers(0, np.where(ward == "eye", 2, 20), n)
    second = rng.integers(0, np.where(ward == "eye", 2, 20), n)
    stays = pd.DataFrame(
        {
            "person": owner,
            "start": start,
            "seen": start + pd.to_timedelta(first, "D"),
            "stop": start + pd.to_timedelta(first + second, "D"),
            "report": (start + pd.to_timedelta(40, "D")).where(pd.Series(ward) != "eye"),
            "ward": ward,
            "department": [DEPARTMENTS[name] for name in ward],
            "room": np.where(ward == "eye", rng.choice(["1", "2"], n), rng.choice(["3", "4"], n)),
            "invoice": rng.permutation(100_000)[:n],
        }
    )
    dates = {name: {**COLUMNS[name], "resolution": "D"} for name in ("start", "seen", "stop", "report")}
    schema = DatabaseSchema(
        {
            "people": Schema.from_dict(
                {"columns": {"id": {"kind": "identifier"}, "sex": {"kind": "categorical", "values": ["f", "m"]}}}
            ),
            "stays": Schema.from_dict({"columns": COLUMNS | dates, "constraints": rules}),
        },
        {"people": "id"},
        (ForeignKey("stays", "person", "people"),),
        {"stays": "start"},
    )
    return {"people": people, "stays": stays}, schema


def broken(stays: pd.DataFrame, schema: DatabaseSchema) -> dict[str, int]:
    own = schema.tables["stays"]
    counts = {rule.describe(): int((~satisfies(rule, stays, own)).sum()) for rule in own.constraints}
    return {rule: count for rule, count in counts.items() if count}


@pytest.fixture(scope="module")
def model() -> RelationalSynthesizer:
    tables, schema = hospital()
    assert broken(tables["stays"], schema) == {}
    return RelationalSynthesizer(epochs=1, min_group=2).fit(tables, schema=schema, seed=0)


@pytest.mark.parametrize("given", [None, {"stays": {"ward": "eye"}}, {"stays": {"department": "A"}}])
def test_rules_hold(model: RelationalSynthesizer, given: Any) -> None:
    stays = model.sample(400, given=given, seed=1)["stays"]
    assert broken(stays, model.schema_) == {}
    for column, wanted in (given or {}).get("stays", {}).items():
        assert (stays[column] == wanted).all()
    assert stays.groupby("person")["start"].is_monotonic_increasing.all()


def test_combinations_of_the_training_rows_are_learned(model: RelationalSynthesizer) -> None:
    stays = model.sample(400, seed=2)["stays"]
    assert ((stays["ward"] == "eye") == stays["room"].isin(["1", "2"])).all()


def test_contradictions_are_named_before_training() -> None:
    tables, schema = hospital()
    late = [*RULES[:1], {"kind": "order", "sequence": ["stop", "start"], "strict": True}]
    stays = Schema.from_dict({**schema.tables["stays"].to_dict(), "constraints": late})
    contradictory = replace(schema, tables={**schema.tables, "stays": stays})
    with pytest.raises(SchemaError, match=r"table 'stays': no row can satisfy .*stop < start"):
        RelationalSynthesizer().fit(tables, schema=contradictory, seed=0)


def test_rules_hold_under_privacy() -> None:
    tables, schema = hospital(rules=[rule for rule in RULES if rule["kind"] != "combinations"])
    privacy = Privacy(2.0, 1e-6, unit="id", rows_per_person=4, n_public=PEOPLE)
    model = RelationalSynthesizer(max_children={"stays": 8}).fit(tables, schema=schema, privacy=privacy)
    stays = model.sample(400, seed=1)["stays"]
    assert len(stays) > 100
    assert broken(stays, schema) == {}
