"""Endings of numbers and times are as frequent as in the training table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec.numbers.number_endings import frequent_endings

from .round_trips import numeric, round_trip, schema_of

ROWS = 3000


def prices(rows: int = ROWS) -> np.ndarray:
    """Prices of which most end in .99 or .95, and few in neither."""
    rng = np.random.default_rng(0)
    usual = rng.choice([99, 95, 0], rows, p=[0.6, 0.3, 0.1])
    cents = np.where(rng.random(rows) < 0.1, rng.integers(0, 100, rows), usual)
    return np.round(np.floor(rng.lognormal(3, 1, rows)) + cents / 100, 2)


def test_prices_end_as_often_in_99_and_95_as_real_ones() -> None:
    real = prices()
    back = round_trip(pd.DataFrame({"price": real}), schema_of(price=numeric()))["price"].to_numpy()
    ends = [np.rint(own * 100) % 100 for own in (real, back)]
    for ending in (99, 95, 0):
        assert np.mean(ends[1] == ending) == pytest.approx(np.mean(ends[0] == ending), abs=0.025)
    others = [np.mean(~np.isin(own, [99, 95, 0])) for own in ends]
    assert others[1] == pytest.approx(others[0], abs=0.02)
    assert (np.round(back, 2) == back).all()
    assert np.abs(np.sort(back) - np.sort(real)).mean() < 0.02 * real.mean()


def test_numbers_in_a_narrow_gap_between_frequent_ones_are_not_lost() -> None:
    rng = np.random.default_rng(1)
    income = rng.lognormal(7.5, 1, ROWS)
    exact = (income < 1000) | (rng.random(ROWS) < 0.04)
    real = np.where(exact, np.round(income), np.round(income, -2))
    back = round_trip(pd.DataFrame({"income": real}), schema_of(income=numeric()))["income"].to_numpy()
    assert np.mean(back % 100 > 0) == pytest.approx(np.mean(real % 100 > 0), abs=0.015)


def test_times_end_at_the_hours_that_real_ones_do() -> None:
    rng = np.random.default_rng(2)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 3000, ROWS), "D")
    minute = np.where(rng.random(ROWS) < 0.2, rng.integers(0, 1440, ROWS), rng.choice([480, 780, 1439], ROWS))
    real = pd.Series(day + pd.to_timedelta(minute, "min"))
    kind = {"kind": "datetime", "resolution": "min"}
    back = round_trip(pd.DataFrame({"t": real}), schema_of(t=kind))["t"]
    for hour in ("08:00", "13:00", "23:59"):
        shares = [np.mean(own.dt.strftime("%H:%M") == hour) for own in (real, back)]
        assert shares[1] == pytest.approx(shares[0], abs=0.03), hour


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).uniform(0, 1000, 2000).round(2),
        np.random.default_rng(0).lognormal(8, 1, 2000).round(),
        np.where(np.arange(2000) % 3, np.random.default_rng(0).normal(0, 90, 2000).round(), 0.5),
        np.random.default_rng(0).normal(0, 50, 2000).round(1),
        (np.random.default_rng(0).uniform(0, 1000, 2000) * 2).round() / 2,
    ],
    ids=["cents", "whole", "one half", "tenths", "halves"],
)
def test_evenly_spread_endings_are_not_frequent(values: np.ndarray) -> None:
    step = 0.01 if (np.round(values, 1) != values).any() else 0.1
    assert frequent_endings(np.sort(values[values != 0.5]), None, 5, step, None) == []


def test_an_ending_of_one_person_is_not_kept() -> None:
    real = prices(600)
    own = np.rint(real * 100) % 100 == 95
    assert (1.0, 0.95) in frequent_endings(real, np.arange(600), 5, 0.01, None)
    assert (1.0, 0.95) not in frequent_endings(real, np.where(own, -1, np.arange(600)), 5, 0.01, None)
