"""Clusters: at most one record of each source, alarms, whole persons, and epsilon per person."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.errors import DataError, InputError
from tabsynth.mixing.linkage.clusters import cluster_pairs, sources_per_entity, split_entities

SIZES = {"a": 6, "b": 5, "c": 4}


def pairs(*found: tuple[str, int, str, int]) -> pd.DataFrame:
    return pd.DataFrame(list(found), columns=["source_a", "row_a", "source_b", "row_b"])


@st.composite
def linked(draw: st.DrawFn) -> pd.DataFrame:
    two = st.sampled_from([("a", "b"), ("a", "c"), ("b", "c")])
    row = st.integers(0, 3)
    return pairs(*((s, i, t, j) for (s, t), i, j in draw(st.lists(st.tuples(two, row, row), max_size=25))))


@given(linked())
@settings(deadline=None)
def test_no_person_has_two_records_of_a_source_and_every_record_one_person(found: pd.DataFrame) -> None:
    entities, report = cluster_pairs(SIZES, found)
    assert all(len(np.unique(entities[s])) == len(entities[s]) == n for s, n in SIZES.items())
    assert sum(size * number for size, number in report["cluster_sizes"].items()) == sum(SIZES.values())
    loose, _ = cluster_pairs(SIZES, found, one_to_one=False)
    for row in found.itertuples():
        assert loose[row.source_a][row.row_a] == loose[row.source_b][row.row_b]


def test_the_surest_pair_wins_and_the_refused_are_counted() -> None:
    entities, report = cluster_pairs(SIZES, pairs(("a", 0, "b", 0), ("a", 1, "b", 0), ("a", 1, "b", 1)))
    assert entities["a"][0] == entities["b"][0]
    assert entities["a"][1] == entities["b"][1] != entities["a"][0]
    assert report["refused"] == 1


def test_a_chain_does_not_bring_two_records_of_a_source_together() -> None:
    chain = pairs(("a", 0, "b", 0), ("b", 0, "c", 0), ("a", 1, "c", 0))
    entities, report = cluster_pairs(SIZES, chain)
    assert entities["a"][0] == entities["b"][0] == entities["c"][0] != entities["a"][1]
    assert report["refused"] == 1


def test_records_that_pile_up_raise_an_alarm() -> None:
    piled = pairs(*(("a", i, "b", j) for i in range(5) for j in range(2)))
    _, report = cluster_pairs(SIZES, piled, one_to_one=False)
    assert (report["overlinked"], report["largest_group"]) == (1, 7)
    _, fine = cluster_pairs(SIZES, pairs(("a", 0, "b", 0)), one_to_one=False)
    assert fine["overlinked"] == 0


def test_a_person_in_several_sources_multiplies_epsilon() -> None:
    found = sources_per_entity({"a": np.array([0, 0, 1]), "b": np.array([0, 2]), "c": np.array([2, 3])})
    assert found.sources == {1: 2, 2: 2}
    assert (found.max_sources, found.max_rows, found.factor) == (2, 3, 3)
    assert "3 times" in str(found)


@given(st.integers(0, 2**31), st.floats(0.2, 0.8))
@settings(deadline=None, max_examples=30)
def test_no_person_is_in_training_and_holdout(seed: int, share: float) -> None:
    rng = np.random.default_rng(3)
    entities = {"a": rng.integers(0, 40, 60), "b": rng.integers(0, 40, 50)}
    out = split_entities(entities, share, seed)
    held = {int(e) for s in entities for e in entities[s][out[s]]}
    kept = {int(e) for s in entities for e in entities[s][~out[s]]}
    assert not held & kept
    assert len(held) == round(share * len(held | kept))


def test_a_split_that_leaves_nobody_is_refused() -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        split_entities({"a": np.arange(5)}, 1.0, 0)
    with pytest.raises(DataError, match="1 persons cannot be split"):
        split_entities({"a": np.zeros(5, int)}, 0.5, 0)
