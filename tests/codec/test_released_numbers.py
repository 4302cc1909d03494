"""Numbers that a codec stores are never a single person's value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.codec.quantile_bins import shared_decimals
from tabsynth.data import Table
from tabsynth.relations.enforcement import Relations
from tabsynth.schema import Schema
from tabsynth.schema.rounding import roundest_number


def stored_numbers(table: Table) -> np.ndarray:
    """Every number in the state of a codec and its relations, and the middle of every bin."""
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    found: list[float] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            for own in value.values():
                collect(own)
        elif isinstance(value, (list, tuple, np.ndarray)):
            for own in value:
                collect(own)
        elif isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
            found.append(float(value))

    config, arrays = codec.state()
    for state in (config, arrays, *relations.state()):
        collect(state)
    for coder in codec.numeric_coders.values():
        found += ((coder.low + coder.high) / 2).tolist()
    return np.unique(np.round(found, 9))


def continuous(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(np.exp(rng.normal(size=(rows, 8)) @ rng.normal(size=(8, 8)) / 3)).rename(columns=str)


def with_bands() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    total = np.sort(rng.gamma(2, 20, 600))
    return pd.DataFrame({"total": total, "band": np.repeat(["low", "middle", "high"], 200)})


@pytest.mark.parametrize("frame", [continuous(800, 1), continuous(60, 2), with_bands()], ids=["many", "few", "bands"])
def test_no_continuous_value_of_a_person_is_stored(frame: pd.DataFrame) -> None:
    stored = stored_numbers(Table.of(frame))
    for name in frame.select_dtypes("number"):
        assert not np.isin(np.round(frame[name], 9), stored).any(), name


def test_values_in_cents_are_stored_no_more_often_than_those_of_strangers() -> None:
    """2,000 persons and 2,000 strangers: a difference beyond four standard errors fails (false alarms 1 in 15,000)."""
    rng = np.random.default_rng(4)
    money = np.round(np.exp(rng.normal(7, 1, 4000)), 2)
    members, strangers = np.setdiff1d(money[:2000], money[2000:]), np.setdiff1d(money[2000:], money[:2000])
    stored = stored_numbers(Table.of(pd.DataFrame({"x": money[:2000]})))
    known, chance = np.isin(members, stored).mean(), np.isin(strangers, stored).mean()
    assert known - chance < 4 * np.sqrt(2 * max(chance, 1 / 2000) / 2000)


def test_the_ends_of_a_column_are_not_values_of_single_persons() -> None:
    values = continuous(2000, 5)["0"]
    codec = Codec.measure(Table.of(pd.DataFrame({"x": values})))
    coder = codec.numeric_coders["x"]
    ordered = np.sort(values)
    assert ordered[4] <= coder.low[0] <= ordered[5]
    assert ordered[-6] <= coder.high[-1] <= ordered[-5]
    assert not np.isin([coder.low[0], coder.high[-1]], ordered).any()


def test_an_end_that_enough_persons_share_stays() -> None:
    values = np.append(np.zeros(30), continuous(500, 6)["0"] + 1)
    coder = Codec.measure(Table.of(pd.DataFrame({"x": values}))).numeric_coders["x"]
    assert coder.low[0] == 0.0
    assert coder.mass[0] == 30


@pytest.mark.parametrize(("low", "high", "step", "expected"), [
    (123.4, 131.0, 0.0, 130.0),
    (0.0341, 0.0362, 0.0, 0.035),
    (-131.0, -123.4, 0.0, -130.0),
    (99.0, 101.0, 0.0, 100.0),
    (151.0, 400.0, 75.0, 225.0),
    (-3.0, 2.0, 0.0, 0.0),
])  # fmt: skip
def test_roundest_number(low: float, high: float, step: float, expected: float) -> None:
    assert roundest_number(low, high, step) == pytest.approx(expected)


@pytest.mark.parametrize("extra", [0.5, 0.123456])
@pytest.mark.parametrize("odd", [1, 4])
def test_decimals_of_too_few_persons_leave_no_trace(extra: float, odd: int) -> None:
    whole = np.random.default_rng(0).integers(0, 100, 500).astype(float)
    marked = whole.copy()
    marked[:odd] += extra
    without, with_ = (Codec.measure(Table.of(pd.DataFrame({"x": data}))) for data in (whole, marked))
    assert with_.schema["x"] == without.schema["x"]
    assert with_.numeric_coders["x"].decimals == 0


def test_decimals_of_enough_persons_are_kept() -> None:
    values = np.random.default_rng(0).integers(0, 100, 500) + np.append(np.full(5, 0.25), np.zeros(495))
    assert Codec.measure(Table.of(pd.DataFrame({"x": values}))).schema["x"].to_dict()["decimals"] == 2


def test_a_step_that_too_few_persons_break_is_kept() -> None:
    values = np.random.default_rng(0).integers(0, 12, 500) * 25.0
    marked = values.copy()
    marked[3] = 7
    steps = [Codec.measure(Table.of(pd.DataFrame({"x": x}))).numeric_coders["x"].unit for x in (values, marked)]
    assert steps == [25, 25]


@pytest.mark.parametrize("spacing", [25.0, 100.0])
def test_a_step_that_one_person_breaks_in_many_rows_is_kept(spacing: float) -> None:
    values = np.random.default_rng(0).integers(0, 400, 500) * spacing  # hardly any value repeats
    persons = np.arange(500) // 20
    values[40:60] += np.arange(1, 21)
    schema = Schema.from_dict({"columns": {"who": {"kind": "identifier", "role": "person"}, "x": {"kind": "numeric"}}})
    table = Table(pd.DataFrame({"who": persons, "x": values}), schema)
    assert Codec.measure(table).numeric_coders["x"].unit == spacing


@pytest.mark.parametrize("seconds", [1, 3600, 61.5])
@pytest.mark.parametrize("form", [None, "%Y-%m-%d %H:%M:%S.%f"])
@pytest.mark.parametrize("odd", [1, 4])
def test_a_resolution_of_too_few_persons_leaves_no_trace(seconds: float, form: str | None, odd: int) -> None:
    days = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(np.random.default_rng(0).integers(0, 900, 500), "D"))
    marked = days.copy()
    marked[:odd] += pd.Timedelta(seconds, "s")
    codecs = [
        Codec.measure(Table.of(pd.DataFrame({"d": x if form is None else x.dt.strftime(form)}))) for x in (days, marked)
    ]
    assert codecs[1].schema["d"] == codecs[0].schema["d"]
    assert codecs[1].schema["d"].to_dict()["resolution"] == "D"
    drawn = codecs[1].decode(codecs[1].encode(pd.DataFrame({"d": days})), np.random.default_rng(1))
    assert (pd.to_datetime(drawn["d"]).dt.normalize() == pd.to_datetime(drawn["d"])).all()


def test_a_resolution_of_enough_persons_is_kept() -> None:
    days = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(500), "D"))
    days[:5] += pd.Timedelta(1, "h")
    assert Codec.measure(Table.of(pd.DataFrame({"d": days}))).schema["d"].to_dict()["resolution"] == "h"


def test_shared_decimals_count_persons() -> None:
    data, persons = np.array([0.25, 0.5, 0.125, 1.0, np.nan]), np.array([0, 0, 0, 1, 2])
    assert shared_decimals(data) == 3
    assert shared_decimals(data, persons, 2) == 0
