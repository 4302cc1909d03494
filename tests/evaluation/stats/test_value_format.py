"""Resolution, decimals and types of single values are findings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.stats.value_format import find_format_faults
from tabsynth.schema import Schema

RNG = np.random.default_rng(0)
N = 200
REAL = pd.DataFrame(
    {
        "visit": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 900, N), unit="D"),
        "logged": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 90_000, N), unit="min"),
        "price": RNG.gamma(2, 30, N).round(1),
        "count": RNG.integers(0, 50, N),
        "amount": [f"{x:.2f}" for x in RNG.gamma(2, 30, N)],
        "measure": RNG.normal(size=N),
    }
)
KINDS = {"visit": "datetime", "logged": "datetime", "price": "numeric", "count": "numeric", "measure": "numeric"}
SCHEMA = Schema.from_dict({"columns": {name: {"kind": kind, "nullable": True} for name, kind in KINDS.items()}})


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        ("visit", REAL["visit"] + pd.to_timedelta(RNG.integers(1, 86_000, N), unit="s"), "at midnight, 100% of"),
        ("logged", REAL["logged"] + pd.to_timedelta(RNG.integers(1, 59, N), unit="s"), "at full minutes, 100% of"),
        ("price", REAL["price"] + RNG.normal(0, 1, N), "rounded to 1 decimal"),
        ("count", REAL["count"] + 0.0, "integers, synthetic ones floating-point"),
        ("count", REAL["count"].astype(str), "integers, synthetic ones text"),
    ],
)
def test_a_changed_format_is_a_finding(column: str, values: pd.Series, text: str) -> None:
    ((name, fault),) = find_format_faults(REAL, REAL.assign(**{column: values}), SCHEMA)
    assert name == column
    assert text in fault


def test_numbers_as_text_become_numbers() -> None:
    schema = Schema.from_dict({"columns": {"amount": {"kind": "numeric"}}})
    ((_, fault),) = find_format_faults(REAL, REAL.assign(amount=REAL["amount"].astype(float)), schema)
    assert "real values are text, synthetic ones floating-point numbers" in fault


def test_the_same_formats_are_no_finding() -> None:
    other = REAL.sample(frac=1, replace=True, random_state=1).reset_index(drop=True)
    assert not find_format_faults(REAL, other, SCHEMA)
    missing = other.assign(count=other["count"].where(other.index % 9 > 0))  # turns integers into floats
    assert not find_format_faults(REAL, missing, SCHEMA)
    assert not find_format_faults(REAL, REAL.astype({"count": "Int64", "price": "float32"}), SCHEMA)


@pytest.mark.parametrize("form", ["{:.2f}", "${:,.2f}"])
def test_text_that_became_numbers_is_a_finding_of_a_report(form: str) -> None:
    numbers = RNG.gamma(3, 900, N).round(2)
    real = pd.DataFrame({"amount": [form.format(x) for x in numbers], "sex": RNG.choice(["f", "m"], N)})
    made = real.assign(amount=numbers)
    found = [finding["text"] for finding in evaluate(real, made, thorough=False, sdmetrics=False).findings]
    assert "amount: real values are text, synthetic ones numbers" in found
    assert not any("text" in f["text"] for f in evaluate(real, real, thorough=False, sdmetrics=False).findings)


def test_a_time_zone_that_only_one_table_has_is_a_finding() -> None:
    zoned = REAL.assign(visit=REAL["visit"].dt.tz_localize("UTC"))
    ((_, fault),) = find_format_faults(REAL, zoned, SCHEMA)
    assert fault == "visit: real values are datetimes, synthetic ones datetimes with a time zone"
