"""Audits of tables with several rows of a person."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.errors import DataError

PERSONS, VISITS = 60, 8
SCHEMA = ts.Schema.from_dict(
    {
        "columns": {
            "patient": {"kind": "identifier", "role": "person"},
            "age": {"kind": "numeric"},
            "town": {"kind": "categorical"},
            "job": {"kind": "categorical"},
            "pressure": {"kind": "numeric"},
        }
    }
)


def visits(seed: int, persons: int = PERSONS) -> pd.DataFrame:
    """Return visits that differ between persons much more than within them."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(persons), VISITS)
    return pd.DataFrame(
        {
            "patient": [f"{seed}-{person}" for person in owner],
            "age": rng.integers(20, 90, persons)[owner],
            "town": [f"t{town}" for town in rng.integers(0, 60, persons)[owner]],
            "job": [f"j{job}" for job in rng.integers(0, 80, persons)[owner]],
            "pressure": (rng.normal(130, 15, persons)[owner] + rng.normal(0, 3, len(owner))).round(),
        }
    )


def test_visits_of_other_persons_reveal_nobody() -> None:
    """Rows of a person are alike: tests that take them for independent find leaks in visits of new persons."""
    rows = SCHEMA.replace("patient", role=None)
    alarms = 0
    for seed in range(0, 6, 3):
        tables = visits(seed), visits(seed + 1), visits(seed + 2)
        report = ts.audit(*tables, schema=SCHEMA)
        assert report.verdict == "INCONCLUSIVE"
        assert f"{PERSONS} of {PERSONS * VISITS} training rows" in " ".join(report.notes)
        try:
            alarms += ts.audit(*tables, schema=rows).verdict == "VIOLATION"
        except DataError:  # the holdout seems to be recognised
            alarms += 1
    assert alarms > 0


def test_copied_visits_are_found_and_named_by_their_row() -> None:
    train, holdout = visits(0), visits(1)
    report = ts.audit(train, train.assign(patient="x"), holdout, schema=SCHEMA)
    assert report.verdict == "VIOLATION"
    worst = train.loc[[record["row"] for record in report.worst]]
    assert worst["patient"].is_unique
    assert (worst.index >= PERSONS).any()


def test_rows_are_the_records_if_persons_were_not_held_out_as_a_whole() -> None:
    table = visits(0, 2 * PERSONS).sample(frac=1, random_state=0)
    half = len(table) // 2
    report = ts.audit(table[:half], visits(2), table[half:], schema=SCHEMA)
    assert "persons have training rows and held-out rows" in " ".join(report.notes)


def test_too_few_persons_are_refused_by_number() -> None:
    with pytest.raises(DataError, match="the holdout has 3 persons"):
        ts.audit(visits(0), visits(1), visits(2, 3), schema=SCHEMA)
