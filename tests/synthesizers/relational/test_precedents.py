"""Precedents: the last earlier sibling of the same class, in training rows and while rows are drawn."""

import itertools

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.synthesizers.relational.occurrences.precedents import (
    Precedents,
    RowClass,
    choose_class_slot,
    precedents_of,
)
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

SIZES = np.array([4, 3])


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=9), min_size=1, max_size=5)
)
def test_training_rows_have_the_precedents_that_drawn_rows_have(histories: list[list[tuple[int, int]]]) -> None:
    tokens = np.array([row for one in histories for row in one])
    starts = np.cumsum([0, *map(len, histories)])
    found = precedents_of(tokens, RowClass.at([0], SIZES.tolist()), SIZES, starts)
    for begin, end in itertools.pairwise(starts.tolist()):
        memory = Precedents(1, RowClass.at([0], SIZES.tolist()), SIZES)
        for row in range(begin, end):
            assert memory.read(tokens[row, :1]).tolist() == [found[row].tolist()]
            memory.update(tokens[row : row + 1])


def alternating(parents: int, each: int = 8) -> pd.DataFrame:
    """Visits of two wards in turn; a person always has the same doctor and tariff in a ward."""
    rng = np.random.default_rng(0)
    owner, ward = np.repeat(np.arange(parents), each), np.tile([0, 1], parents * each // 2)
    tariff, doctor = (rng.choice(list("abcd"), (parents, 2))[owner, ward] for _ in range(2))
    wards = np.array(["eye", "heart"])[ward]
    return pd.DataFrame({"person_id": owner, "tariff": tariff, "ward": wards, "doctor": doctor})


def test_the_class_is_the_slot_whose_precedents_are_most_alike() -> None:
    frame = alternating(60)
    tokens = np.stack([pd.factorize(frame[name])[0] for name in ("tariff", "ward", "doctor")], 1)
    starts = np.arange(0, len(frame) + 1, 8)
    assert choose_class_slot(tokens, [0, 1, 2], starts) == 1
    assert choose_class_slot(tokens, [], starts) is None
    chance = np.random.default_rng(0).integers(0, 3, (480, 2))
    assert choose_class_slot(chance, [0, 1], starts) is None


def test_drawn_rows_are_like_the_last_of_their_class() -> None:
    tables = {"person": pd.DataFrame({"id": np.arange(120)}), "visits": alternating(120)}
    drawn = RelationalSynthesizer(epochs=12).fit(tables, seed=0).sample(200, seed=1)["visits"]
    before = drawn.groupby(["person_id", "ward"]).tariff.shift()
    assert (drawn.tariff == before)[before.notna()].mean() > 0.9  # chance: 0.25, the visit before: 0.25
