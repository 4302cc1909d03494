"""Columns whose values all differ in a row are found, and differ in rows whose columns were shuffled independently."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from tabsynth.codec import Codec
from tabsynth.data import Table
from tabsynth.relations.categories.distinct_values import DistinctRule
from tabsynth.relations.enforcement import Relations

ITEMS, CHOICES = ["price", "speed", "size", "taste"], ["pick1", "pick2", "pick3"]


def survey(rows: int = 600) -> pd.DataFrame:
    """A ranking of four items, three of five colours of which the last may be missing, and two of twelve teams."""
    rng = np.random.default_rng(0)
    ranks = np.argsort(rng.random((rows, 4)) + np.array([0, 0.3, 0.5, 0.6]), axis=1).argsort(axis=1) + 1
    frame = pd.DataFrame(ranks, columns=ITEMS)
    colours = np.array(["red", "green", "blue", "black", "white"], dtype=object)
    chosen = colours[np.argsort(rng.random((rows, 5)), axis=1)[:, :3]]
    chosen[rng.random(rows) < 0.3, 2] = None
    frame[CHOICES] = chosen
    home = rng.integers(0, 12, rows)
    teams = np.array([f"team {number}" for number in range(12)], dtype=object)
    frame["home"], frame["guest"] = teams[home], teams[(home + rng.integers(1, 12, rows)) % 12]
    return frame


def repeats(frame: pd.DataFrame, columns: list[str]) -> int:
    own = frame[columns]
    return int((own.nunique(axis=1) < own.notna().sum(axis=1)).sum())


def distinct_rules(frame: pd.DataFrame) -> list[DistinctRule]:
    table = Table.of(frame)
    return [rule for rule in Relations.discover(table, Codec.measure(table)).rules if isinstance(rule, DistinctRule)]


def test_values_differ_in_rows_whose_columns_were_shuffled():
    frame = survey()
    table = Table.of(frame)
    codec = Codec.measure(table)
    config, arrays = Relations.discover(table, codec).state()
    relations = Relations.from_state(json.loads(json.dumps(config)), arrays)
    sets = [list(rule.columns) for rule in relations.rules if isinstance(rule, DistinctRule)]
    assert sets == [ITEMS, CHOICES, ["home", "guest"]]
    rng = np.random.default_rng(1)
    shuffled = np.stack([rng.permutation(own) for own in codec.encode(frame).T], axis=1)
    rows = relations.decode(codec, shuffled, rng)
    assert [repeats(rows, columns) for columns in sets] == [0, 0, 0]
    assert repeats(codec.decode(shuffled, rng), ITEMS) > 300
    for name in [*CHOICES, "home"]:  # the values that are drawn keep their frequencies
        shares = [own[name].value_counts(normalize=True) for own in (rows, frame)]
        assert (shares[0] - shares[1]).abs().max() < 0.06
    assert rows["pick3"].isna().sum() == frame["pick3"].isna().sum()


def test_given_cells_are_kept():
    frame = survey()[["home", "guest"]]
    table = Table.of(frame)
    codec = Codec.measure(table)
    relations = Relations.discover(table, codec)
    tokens = np.repeat(codec.encode(frame[frame["home"] == "team 3"])[:1, :1], 40, axis=0).repeat(2, axis=1)
    fixed = np.zeros(tokens.shape, bool)
    fixed[:, codec.positions("home")] = True
    rows = relations.decode(codec, tokens, np.random.default_rng(0), fixed_tokens=fixed)
    assert (rows["home"] == "team 3").all()
    assert (rows["guest"] != "team 3").all()


def test_one_equal_pair_refutes_the_rule():
    frame = survey()[ITEMS].copy()
    frame.loc[5, ITEMS] = [2, 2, 1, 3]
    assert not any({"price", "speed"} <= set(rule.columns) for rule in distinct_rules(frame))


def test_nothing_is_found_in_random_tables():
    found = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        rows, levels = int(rng.choice([150, 300])), int(rng.integers(3, 9))
        latent = rng.normal(size=(rows, 4)) * rng.uniform(0.05, 1) + rng.normal(size=(rows, 1)) * rng.choice([-1, 1], 4)
        codes = pd.DataFrame(latent).rank(pct=True).mul(levels).clip(upper=levels - 0.01).astype(int)
        found += len(distinct_rules(codes.add_prefix("grade") + 1))
    assert found == 0
