"""Recurring differences survive the round trip through wider tokens."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.enforcement import Relations
from tabsynth.schema import Schema


def schema_of(**kinds: dict[str, object]) -> Schema:
    return Schema.from_dict({"columns": {name: {"origin": "inferred", **facts} for name, facts in kinds.items()}})


def numeric() -> dict[str, object]:
    return {"kind": "numeric", "nullable": False}


def test_differences_that_recur_come_back_exactly() -> None:
    """Visits of a quarter of an hour, where a token is a week wide; payments of the whole bill, beside a heap."""
    rng = np.random.default_rng(0)
    begin = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 10**8, 5000), unit="s")
    minutes = rng.choice([15, 60, 1440], 5000, p=[0.7, 0.2, 0.1])
    bill = np.round(rng.lognormal(8, 1, 5000))
    paid = np.where(rng.random(5000) < 0.3, bill, np.round(rng.lognormal(7, 1, 5000), -2))
    frame = pd.DataFrame(
        {"begin": begin, "end": begin + pd.to_timedelta(minutes, unit="min"), "bill": bill, "paid": paid}
    )
    seconds = {"kind": "datetime", "resolution": "s"}
    table = Table.of(frame, schema_of(begin=seconds, end=seconds, bill=numeric(), paid=numeric()))
    codec = Codec.measure(table)
    relations = Relations.from_state(*Relations.discover(table, codec).state())  # what a model file keeps must suffice
    back = relations.decode(codec, codec.encode(frame), np.random.default_rng(0))
    lasted = (back["end"] - back["begin"]).dt.total_seconds() / 60
    assert {15, 60, 1440} == set(lasted.value_counts().index[:3])
    assert ((lasted == 15).mean(), (lasted == 60).mean()) == pytest.approx((0.7, 0.2), abs=0.03)
    assert (back["bill"] == back["paid"]).mean() == pytest.approx(0.3, abs=0.04)
    independent = codec.decode(codec.encode(frame), np.random.default_rng(0))
    assert (independent["bill"] == independent["paid"]).mean() < 0.1
    # Bills are not round, so payments that copy one lose a tenth of the point mass if the difference is not sampled.
    assert (back["paid"] % 100 == 0).mean() == pytest.approx((independent["paid"] % 100 == 0).mean(), rel=0.12)


def test_columns_that_merely_go_together_are_not_tied() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, 3000)
    table = Table.of(pd.DataFrame({"x": x, "y": x + rng.normal(0, 0.1, 3000)}), schema_of(x=numeric(), y=numeric()))
    assert Relations.discover(table, Codec.measure(table)).differences == {}


def test_round_numbers_whose_differences_recur_by_chance_are_not_tied() -> None:
    rng = np.random.default_rng(0)
    odd, amounts = rng.random((2, 3000)) < 0.04, rng.lognormal(8, 0.5, (2, 3000))
    rent, savings = np.where(odd, amounts.round(), amounts.round(-2))
    table = Table.of(pd.DataFrame({"rent": rent, "savings": savings}))
    assert Relations.discover(table, Codec.measure(table)).differences == {}
