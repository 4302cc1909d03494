"""Differences in the rounding of numbers and dates are findings; real rows give none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tabsynth.evaluation.findings import find_value_faults
from tabsynth.evaluation.inputs import check_inputs
from tabsynth.evaluation.metrics.rounding import rounding_scores
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.evaluation.stats.table_comparison import Comparison
from tabsynth.schema import Schema

N = 1500
KINDS = {"debt": "numeric", "income": "numeric", "ratio": "numeric", "seen": "datetime", "slot": "datetime"}
SCHEMA = Schema.from_dict({"columns": {name: {"kind": kind, "nullable": True} for name, kind in KINDS.items()}})


def people(seed: int) -> pd.DataFrame:
    """Debts of whole dollars with 2 % cents, incomes in hundreds above 1,000, working days, quarters of an hour."""
    rng = np.random.default_rng(seed)
    debt = rng.gamma(2, 5000, N)
    income = rng.gamma(2, 2000, N)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, N), unit="D")
    days += pd.to_timedelta(np.where(days.day_of_week >= 5, 2, 0), unit="D")
    quarters = pd.to_timedelta(15 * rng.integers(32, 72, N), unit="min")
    table = pd.DataFrame(
        {
            "debt": np.where(rng.random(N) < 0.02, debt.round(2), debt.round()),
            "income": np.where((income > 1000) & (rng.random(N) < 0.96), 100 * (income / 100).round(), income.round()),
            "ratio": rng.random(N),
            "seen": days,
            "slot": days + quarters,
        }
    )
    table.loc[rng.random(N) < 0.05, "debt"] = np.nan
    return table


def rounding(synthetic: pd.DataFrame, holdout: bool = True) -> tuple[Score, list[str]]:
    inputs = check_inputs(people(1), synthetic, people(2) if holdout else None, None, SCHEMA)
    encoded = encode_tables([frame for _, frame in inputs.named()], inputs.schema)
    comparison = Comparison.of(encoded[0], encoded[1], encoded[2] if holdout else None, np.random.default_rng(0))
    (score,) = rounding_scores(comparison, inputs.schema)
    findings = find_value_faults(inputs, {score.name: score}, encoded[0], encoded[1])
    return score, [finding.text for finding in findings]


FRESH = people(3)
NOISE = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("column", "change", "text"),
    [
        (
            "debt",
            lambda x: x + NOISE.integers(1, 99, N) / 100,
            "of synthetic values are rounded to 2 decimals, of real",
        ),
        ("debt", lambda x: x + NOISE.random(N), "real values are rounded to 2 decimals, 100% of synthetic not"),
        (
            "income",
            lambda x: x + NOISE.integers(1, 99, N),
            "of synthetic values are whole numbers and multiples of no larger unit, of real ones",
        ),
        ("ratio", lambda x: x.round(2), "of synthetic values are rounded to 2 decimals, of real ones 0.00 %"),
        (
            "seen",
            lambda x: x + pd.to_timedelta(NOISE.integers(0, 7, N), unit="D"),
            "are at midnight on weekends, of real",
        ),
        ("seen", lambda x: x.dt.to_period("M").dt.start_time, "are the first of a month on weekdays, of real ones"),
        (
            "slot",
            lambda x: x + pd.to_timedelta(NOISE.integers(1, 14, N), unit="min"),
            "of synthetic values are at full minutes on weekdays, of real ones 0.00 %",
        ),
    ],
)
def test_another_rounding_is_a_finding(column: str, change: Callable[[pd.Series], pd.Series], text: str) -> None:
    score, findings = rounding(FRESH.assign(**{column: change(FRESH[column])}))
    assert score.detail[0].columns == (column,)
    assert score.detail[0].value > 25
    assert len(findings) == 1
    assert findings[0].startswith(f"{column}: ")
    assert text in findings[0]


@pytest.mark.parametrize("holdout", [True, False])
def test_real_rows_give_no_finding(holdout: bool) -> None:
    for seed in range(3, 6):
        score, findings = rounding(people(seed), holdout)
        assert not findings
        assert score.interval is not None
        assert score.floor is not None
        assert score.interval[0] <= score.floor + 1


def test_the_value_is_the_total_variation_of_the_units() -> None:
    cents = np.where(np.arange(N) < 600, 0.01, 0.0)
    table = pd.DataFrame({"x": 7.0 + 10 * np.arange(N)})
    schema = Schema.from_dict({"columns": {"x": {"kind": "numeric"}}})
    encoded = encode_tables([table, table + cents[:, None]], schema)
    comparison = Comparison.of(encoded[0], encoded[1], None, np.random.default_rng(0))
    (score,) = rounding_scores(comparison, schema)
    assert score.value == pytest.approx(40)


def test_numbers_of_single_precision_have_the_same_rounding() -> None:
    score, _ = rounding(FRESH.astype({"income": "float32", "debt": "float32"}))
    assert {part.name: part.value < 5 for part in score.detail} == dict.fromkeys(set(KINDS) - {"ratio"}, True)


def test_categories_and_constant_rounding_are_not_scored() -> None:
    schema = Schema.from_dict({"columns": {"a": {"kind": "categorical"}, "n": {"kind": "numeric"}}})
    table = pd.DataFrame({"a": ["x", "y"] * 30, "n": [3.0, 7.0] * 30})
    encoded = encode_tables([table, table], schema)
    assert rounding_scores(Comparison.of(encoded[0], encoded[1], None, np.random.default_rng(0)), schema) == []
