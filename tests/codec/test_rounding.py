"""Numbers and times are rounded as often as in the training table."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from tabsynth.data import Table
from tabsynth.schema.rounding import nearest_multiple, roundest_number

from .round_trips import numeric, round_trip, schema_of


def multiples(values: np.ndarray, unit: float) -> float:
    """The share of numbers that are multiples of a unit."""
    inverse = np.rint(1 / unit) if unit < 1 else 1 / unit
    return float((np.rint(values * inverse) / inverse == values).mean())


def rounded_columns(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    amount = rng.lognormal(6, 1.5, rows)
    income = rng.lognormal(8, 1, rows)
    long = np.round(rng.normal(0, 1, rows), 2)
    long[7] = 0.92248062015503
    hundreds = np.where(income > 1000, np.round(income, -2), np.round(income))
    return {
        "few cents": np.where(rng.random(rows) < 0.019, np.round(amount, 2), np.round(amount)),
        "hardly any cents": np.where(rng.random(rows) < 0.002, np.round(amount, 2), np.round(amount)),
        "hundreds above a thousand": np.where(rng.random(rows) < 0.036, np.round(income), hundreds),
        "one of many decimals": long,
        "quarters among cents": np.where(rng.random(rows) < 0.3, np.round(amount * 4) / 4, np.round(amount, 2)),
        "fifties among ones": np.where(rng.random(rows) < 0.3, np.round(amount / 50) * 50, np.round(amount)),
        "cents": np.round(rng.uniform(0, 10_000, rows), 2),
    }


@pytest.mark.parametrize("rows", [1000, 20_000])
@pytest.mark.parametrize("name", rounded_columns(10))
def test_numbers_are_rounded_as_often_as_real_ones(name: str, rows: int) -> None:
    values = rounded_columns(rows)[name]
    back = round_trip(pd.DataFrame({"x": values}), schema_of(x=numeric()))["x"].to_numpy()
    for unit in (100, 10, 1, 0.25, 0.1, 0.01, 0.001):
        assert multiples(back, unit) == pytest.approx(multiples(values, unit), abs=0.035), unit
    finest = 0.01 if "cents" in name or "decimals" in name else 1
    assert multiples(back, finest) >= multiples(values, finest)
    grid = np.sort(values)
    ks = np.abs(np.searchsorted(grid, grid, "right") - np.searchsorted(np.sort(back), grid, "right")).max() / rows
    assert ks < 2 * 5 / rows + 0.004


def test_times_are_rounded_as_often_as_real_ones() -> None:
    rng = np.random.default_rng(0)
    seconds = pd.to_timedelta(rng.integers(0, 3 * 10**7, 3000), unit="s")
    exact = pd.Series(pd.Timestamp("2020-01-01") + seconds)
    kind = rng.choice(3, 3000, p=[0.1, 0.6, 0.3])
    values = exact.where(kind == 0, exact.dt.floor("15min")).where(kind < 2, exact.dt.floor("D"))
    back = round_trip(pd.DataFrame({"t": values}), schema_of(t={"kind": "datetime", "resolution": "s"}))["t"]
    for unit in ("D", "h", "15min", "min"):
        real, new = ((times == times.dt.floor(unit)).mean() for times in (values, back))
        assert new == pytest.approx(real, abs=0.03), unit


@pytest.mark.parametrize("units", [(1, 2, 5, 10), (5, 10, 50, 100)])
def test_small_tables_keep_the_share_of_round_numbers(units: tuple[int, ...]) -> None:
    spread = 2 * units[-1]
    change = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        values = np.abs(rng.normal(13 * units[-1], spread, 300))
        unit = rng.choice(units, 300)
        values = np.rint(values / unit) * unit
        back = round_trip(pd.DataFrame({"x": values}), schema_of(x=numeric()))["x"].to_numpy()
        change.append([multiples(back, own) - multiples(values, own) for own in units[1:]])
    assert np.abs(np.mean(change, axis=0)).max() < 0.012


def test_the_rarest_numbers_do_not_come_back_as_one_round_number() -> None:
    values = np.round(np.random.default_rng(0).normal(1000, 300, 300), 4)
    back = round_trip(pd.DataFrame({"x": values}), schema_of(x=numeric()))["x"]
    assert back.value_counts().max() < 3


def test_a_unit_of_too_few_persons_is_not_kept() -> None:
    rng = np.random.default_rng(0)
    values = np.round(rng.lognormal(6, 1.5, 1000))
    values[:40] = np.round(rng.uniform(100, 200, 40), 6)
    frame = pd.DataFrame({"who": [*["p"] * 40, *(f"q{i}" for i in range(960))], "x": values})
    schema = schema_of(who={"kind": "identifier", "role": "person"}, x=numeric())
    assert multiples(round_trip(frame, schema)["x"].to_numpy(), 1) == 1


@pytest.mark.parametrize("rows", [6000, 60_000])
def test_sparse_integer_codes_keep_to_known_values(rows: int) -> None:
    rng = np.random.default_rng(0)
    codes = np.sort(rng.choice(9000, 261, replace=False)) + 170
    share = rng.dirichlet(np.full(261, 0.7))
    values = rng.choice(codes, rows, p=share)
    frame = pd.DataFrame({"industry": values})
    table = Table.of(frame)
    assert "code" in table.schema["industry"].question
    back = round_trip(frame, table.schema)["industry"]
    assert set(back) <= set(codes)
    counts = pd.Series(values).value_counts()
    assert set(back) == set(counts[counts >= 5].index)


def test_no_number_is_finer_than_the_step_of_its_column() -> None:
    rng = np.random.default_rng(0)
    single = (rng.normal(8.5e9, 5e8, 400) // 1e7 * 1e7).astype(np.float32)  # whole numbers, multiples of 512
    noisy = np.round(rng.normal(75, 13, 400), 4)
    noisy[::100] += 1e-14
    frame = pd.DataFrame({"single": single.astype(float), "noisy": noisy, "sum": np.round(noisy, 1) + 0.1 + 0.2})
    back = round_trip(frame, schema_of(single=numeric(), noisy=numeric(), sum=numeric()))
    assert (back["single"] % 1 == 0).all()
    assert (back["noisy"].round(4) == back["noisy"]).all()
    assert np.isclose(back["sum"].round(1), back["sum"], rtol=1e-12).all()


@pytest.mark.parametrize("unit", [0.3, 0.25, 1e-5, 1.5, 512.0])
def test_nearest_multiples_are_as_exact_as_floats(unit: float) -> None:
    expected = np.array([float(Fraction(repr(unit)) * k) for k in range(-50, 50)])
    assert (nearest_multiple(expected + unit / 5, unit) == expected).all()


@pytest.mark.parametrize("decimals", [2, 4])
def test_numbers_of_32_bit_floats_come_back_as_such(decimals: int) -> None:
    rng = np.random.default_rng(0)
    values = np.round(rng.lognormal(9, 0.5, 2000), decimals).astype(np.float32).astype(np.float64)
    back = round_trip(pd.DataFrame({"x": values}), schema_of(x=numeric()))["x"].to_numpy()
    inner = back[(back > back.min()) & (back < back.max())]  # ends are moved inward to round numbers
    assert (inner.astype(np.float32) == inner).all()
    assert (np.round(inner, decimals).astype(np.float32) == inner).mean() > 0.99


def test_days_that_were_stored_as_years_are_whole() -> None:
    days = np.random.default_rng(0).integers(9000, 17_000, 800)
    years = 1970 + days / 365.25
    values = (years - 1970) * 365.25
    assert (values % 1 != 0).any()
    back = round_trip(pd.DataFrame({"x": values}), schema_of(x=numeric()))["x"]
    assert (back % 1 == 0).all()


def test_the_least_numbers_of_float64_have_a_roundest_number():
    assert 5e-324 <= roundest_number(5e-324, 5e-323) < 5e-323
