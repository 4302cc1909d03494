"""Precedents: the last earlier sibling of the same class, in training rows and while rows are drawn."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.synthesizers.relational.occurrences.precedents import (
    Precedents,
    RowClass,
    choose_class_slot,
    choose_class_slots,
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


def test_the_class_has_two_slots_where_neither_alone_tells_precedents_apart() -> None:
    """Each person has two standing orders and two kinds of cash, each of an amount of its own."""
    rng, parents, each = np.random.default_rng(1), 80, 12
    owner = np.repeat(np.arange(parents), each)
    kind, purpose = rng.integers(0, 2, (2, parents * each))
    amount = rng.integers(0, 20, (parents, 2, 2))[owner, kind, purpose]
    tokens, starts = np.stack([amount, kind, purpose], 1), np.arange(0, parents * each + 1, each)
    assert sorted(choose_class_slots(tokens, [1, 2], [20, 2, 2], starts)) == [1, 2]
    same = rng.integers(0, 20, (parents, 2))[owner, kind]  # the purpose does not matter
    assert choose_class_slots(np.stack([same, kind, purpose], 1), [1, 2], [20, 2, 2], starts) == [1]
    assert choose_class_slots(tokens, [1, 2], [20, 20, 20], starts)[1:] == []  # too many classes


def test_classes_have_the_tokens_from_which_they_were_computed() -> None:
    row_class = RowClass.read({"class_slots": [1, 2]}, [9, 4, 3])
    assert row_class == RowClass((1, 2), (4, 3))
    tokens = np.array([[8, first, second] for first in range(4) for second in range(3)])
    classes = row_class.of(tokens)
    assert sorted(classes.tolist()) == list(range(row_class.size))
    for slot in row_class.slots:
        assert np.array_equal(row_class.token(slot, classes), tokens[:, slot])
        assert row_class.token(slot, np.array([row_class.size, -1])).tolist() == [-1, -1]
    assert RowClass.read({"class_slot": 2}, [9, 4, 3]) == RowClass((2,), (3,))
    assert RowClass.read({"class_slot": None}, [9, 4, 3]) is None
    for slots in ([1, 1], [3], [-1], [0, 1]):
        with pytest.raises(ValueError, match="class of a row"):
            RowClass.read({"class_slots": slots}, [90, 4, 3])


def test_drawn_rows_are_like_the_last_of_their_class() -> None:
    tables = {"person": pd.DataFrame({"id": np.arange(120)}), "visits": alternating(120)}
    drawn = RelationalSynthesizer(epochs=12).fit(tables, seed=0).sample(200, seed=1)["visits"]
    before = drawn.groupby(["person_id", "ward"]).tariff.shift()
    assert (drawn.tariff == before)[before.notna()].mean() > 0.9  # chance: 0.25, the visit before: 0.25
