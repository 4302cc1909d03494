"""The table bridge to other packages' models: round trips, rates of missing values, wide columns as digits."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tabsynth.data import Table
from tabsynth.schema import Schema
from tabsynth.synthesizers.adapters.table_adapter import TableAdapter

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "start": {"kind": "numeric", "decimals": 1},
            "stop": {"kind": "numeric", "decimals": 1, "nullable": True},
            "group": {"kind": "categorical", "nullable": True},
        }
    }
)


def test_the_bridge_leads_back_where_it_came_from(frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    bridge, plain = TableAdapter.measure(Table.of(frame, SCHEMA), rng, min_group=1)
    assert not plain.isna().any().any()
    assert set(bridge.discrete) <= set(plain.columns)
    pd.testing.assert_frame_equal(bridge.decode(plain, rng), frame)


def test_the_bridge_survives_its_state(frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    bridge, plain = TableAdapter.measure(Table.of(frame, SCHEMA), rng, min_group=5)
    bridge = bridge.calibrate(plain.head(20))
    config, arrays = bridge.state()
    again = TableAdapter.from_state(json.loads(json.dumps(config)), arrays)
    drawn = pd.concat([plain] * 2, ignore_index=True)
    one, two = (back.prepare(drawn, np.random.default_rng(1)) for back in (bridge, again))
    pd.testing.assert_frame_equal(again.decode(two, rng), bridge.decode(one, rng))
    assert again.missing_rates == bridge.missing_rates
    assert again.lines == bridge.lines
    assert again.slots == bridge.slots


def test_columns_of_many_values_cross_as_two_digits() -> None:
    values = [f"v{number:04d}" for number in range(1500)] * 5
    table = Table.of(pd.DataFrame({"code": values}), Schema.from_dict({"columns": {"code": {"kind": "categorical"}}}))
    rng = np.random.default_rng(0)
    bridge, plain = TableAdapter.measure(table, rng, min_group=5)
    assert len(plain.columns) == 2
    assert plain.nunique().max() < 50
    pd.testing.assert_frame_equal(bridge.decode(bridge.prepare(plain, rng), rng), table.frame)
    # Digits that never met make no gap and no unknown value.
    mixed = plain.apply(lambda column: rng.permutation(column))
    drawn = bridge.decode(bridge.prepare(mixed, rng), rng)
    assert set(drawn["code"]) <= set(values)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_gaps_come_back_at_their_rate(frame: pd.DataFrame, shift: float) -> None:
    rng = np.random.default_rng(0)
    bridge, plain = TableAdapter.measure(Table.of(frame, SCHEMA), rng, min_group=5)
    biased = pd.concat([plain] * 40, ignore_index=True)
    gaps = next(name for name in bridge.discrete if name.startswith("m"))
    moved = rng.random(len(biased)) < shift
    biased.loc[moved, gaps] = 1  # a model that draws too many gaps, or nothing else
    biased.loc[moved, "s3"] = 0  # and never a missing group
    calibrate = bridge.calibrate(biased)
    drawn = calibrate.decode(calibrate.prepare(biased, rng), rng)
    np.testing.assert_allclose(drawn.isna().mean(), frame.isna().mean(), atol=0.02)


def test_small_numbers_are_stretched_and_put_back() -> None:
    tiny = pd.DataFrame({"molar": np.random.default_rng(0).lognormal(0, 1, 300) * 1e-9})
    table = Table.of(tiny, Schema.from_dict({"columns": {"molar": {"kind": "numeric"}}}))
    _, plain = TableAdapter.measure(table, np.random.default_rng(0), min_group=5)
    assert plain.iloc[:, 0].std() == pytest.approx(1, rel=0.01)
