"""Bounds of numbers by group are found, and hold in rows whose columns were shuffled independently."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.categories.group_bounds import GroupBoundsRule
from tabsynth.relations.enforcement import Relations

BOXES = ["latitude", "longitude", "listed"]


def houses(rows: int = 3000, postcodes: int = 30) -> pd.DataFrame:
    """Houses in the box of their postcode, each sold by an agent who was active for a few weeks."""
    rng = np.random.default_rng(0)
    area = rng.choice(postcodes, rows, p=rng.dirichlet(np.full(postcodes, 5.0)))
    north, east, size = rng.uniform(47, 48, postcodes), rng.uniform(-122, -121, postcodes), rng.uniform(0.02, 0.06, 30)
    listed = pd.Timestamp("2014-01-01") + pd.to_timedelta(area * 11 + rng.integers(0, 25, rows), "D")
    return pd.DataFrame(
        {
            "postcode": pd.Series(area).map("A{:02d}".format),
            "latitude": np.round(north[area] + size[area] * rng.uniform(-1, 1, rows), 4),
            "longitude": np.round(east[area] + size[area] * rng.beta(2, 2, rows) * 2, 3),
            "listed": listed,
            "price": np.round(rng.lognormal(13, 0.5, rows), -2),
        }
    )


def relations_of(frame: pd.DataFrame) -> tuple[Codec, Relations]:
    table = Table.of(frame)
    codec = Codec.measure(table)
    return codec, Relations.discover(table, codec)


def bounded(frame: pd.DataFrame) -> list[str]:
    return [rule.column for rule in relations_of(frame)[1].rules if isinstance(rule, GroupBoundsRule)]


def outside(rows: pd.DataFrame, real: pd.DataFrame, column: str) -> float:
    ends = real.groupby("postcode")[column].agg(["min", "max"]).loc[rows["postcode"]]
    own = rows[column].to_numpy()
    return float(((own < ends["min"].to_numpy()) | (own > ends["max"].to_numpy())).mean())


def test_numbers_are_inside_the_box_of_their_group_in_shuffled_rows():
    frame = houses()
    codec, found = relations_of(frame)
    config, arrays = found.state()
    relations = Relations.from_state(json.loads(json.dumps(config)), arrays)
    assert [rule.column for rule in relations.rules if isinstance(rule, GroupBoundsRule)] == BOXES
    assert relations.hold(frame, codec).all()
    rng = np.random.default_rng(1)
    shuffled = np.stack([rng.permutation(own) for own in codec.encode(frame).T], axis=1)
    rows = relations.decode(codec, shuffled, rng)
    before = codec.decode(shuffled, rng)
    for column in BOXES:
        assert outside(before, frame, column) > 0.5
        # A new row of a group of n rows is outside their range with probability 2 / (n + 1).
        assert outside(rows, frame, column) < 0.04
    assert rows["latitude"].nunique() > 1000
    pd.testing.assert_series_equal(rows["postcode"].value_counts(), before["postcode"].value_counts())


def test_the_bounds_do_not_follow_the_outermost_rows():
    frame = houses()[["postcode", "latitude"]]
    moved = frame.copy()
    moved.loc[frame.groupby("postcode")["latitude"].idxmin(), "latitude"] -= 0.0003
    (rule,), (other,) = (relations_of(own)[1].rules for own in (frame, moved))
    assert rule.first == other.first
    assert np.mean(np.array(rule.lower) == np.array(other.lower)) > 0.7


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_groups_that_overlap_have_no_bounds(spread):
    rng = np.random.default_rng(2)
    group = rng.integers(0, 20, 1500)
    number = np.round(rng.normal(size=20)[group] + spread * rng.normal(size=1500), 2)
    assert bounded(pd.DataFrame({"group": pd.Series(group).map("g{}".format), "number": number})) == []


def test_few_rows_per_group_are_no_evidence():
    rng = np.random.default_rng(3)
    group = rng.permutation(1800) % 180
    frame = pd.DataFrame({"group": pd.Series(group).map("g{}".format), "number": np.round(group + rng.random(1800), 2)})
    assert bounded(frame) == []
