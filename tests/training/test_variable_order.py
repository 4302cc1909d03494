"""The order of a chain: independent slots first, then each slot after the one on which it depends most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tabsynth.training.networks.layout import Layout
from tabsynth.training.variable_order import (
    chain_order,
    explained_entropy_share,
    mutual_information,
    strongest_predecessors,
)


def layout_of(tokens: npt.NDArray[np.int32], partial: frozenset[int] = frozenset()) -> Layout:
    sizes = tuple(int(column.max()) + 1 for column in tokens.T)
    counts = tuple(
        np.bincount(column[column >= 0], minlength=size) for column, size in zip(tokens.T, sizes, strict=True)
    )
    return Layout(sizes, (0,) * len(sizes), counts, partial)


@pytest.fixture
def tokens() -> npt.NDArray[np.int32]:
    """A fair coin twice, their exclusive or, a noisy copy of that, and a copy of the copy."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 5000))
    both = a ^ b
    copy = np.where(rng.random(5000) < 0.95, both, rng.integers(0, 2, 5000))
    return np.stack([copy, both, np.where(rng.random(5000) < 0.8, copy, 1 - copy), a, b], axis=1).astype(np.int32)


def test_information_is_that_of_the_table(tokens: npt.NDArray[np.int32]) -> None:
    information = mutual_information(tokens, layout_of(tokens))
    assert information.diagonal() == pytest.approx(np.full(5, np.log(2)), abs=0.01)
    assert information[3, 4] < 0.002
    assert information[0, 1] == pytest.approx(np.log(2) - 0.1169, abs=0.02)  # a flip of 1 in 40: H(.025) = .1169
    assert np.allclose(information, information.T)


def test_slots_that_stand_alone_come_first(tokens: npt.NDArray[np.int32]) -> None:
    order = chain_order(mutual_information(tokens, layout_of(tokens)), layout_of(tokens).sizes)
    assert set(order[:2]) == {3, 4}
    assert set(order[2:]) == {0, 1, 2}


def test_slots_that_depend_on_others_come_by_their_entropy() -> None:
    fine = np.random.default_rng(5).integers(0, 30, 5000)
    tokens = np.stack([fine, fine // 15, fine // 5], axis=1).astype(np.int32)
    assert chain_order(mutual_information(tokens, layout_of(tokens)), layout_of(tokens).sizes) == [1, 2, 0]


def test_a_slot_of_many_tokens_that_stands_alone_does_not_come_first(tokens: npt.NDArray[np.int32]) -> None:
    many = np.random.default_rng(3).integers(0, 200, (len(tokens), 1)).astype(np.int32)
    wider = np.concatenate([many, tokens], axis=1)
    order = chain_order(mutual_information(wider, layout_of(wider)), layout_of(wider).sizes)
    assert order[-1] == 0


def test_pairs_tell_all_of_a_copy_and_nothing_of_an_exclusive_or() -> None:
    a, b = np.random.default_rng(4).integers(0, 2, (2, 5000)).astype(np.int32)
    copies, coins = np.stack([a, a], axis=1), np.stack([a, b, a ^ b], axis=1)
    assert explained_entropy_share(mutual_information(copies, layout_of(copies))) == pytest.approx(1, abs=0.001)
    assert explained_entropy_share(mutual_information(coins, layout_of(coins))) == pytest.approx(0, abs=0.001)
    assert explained_entropy_share(np.zeros((0, 0))) == 0


def test_rows_without_a_slot_say_nothing_of_its_dependence() -> None:
    rng = np.random.default_rng(1)
    site, value = rng.integers(0, 2, 4000), rng.integers(0, 2, 4000)
    tokens = np.stack([site, np.where(site == 0, value, -1), np.where(site == 0, 1, 0)], axis=1).astype(np.int32)
    information = mutual_information(tokens, layout_of(tokens, frozenset({1})))
    assert information[0, 1] == pytest.approx(0, abs=0.002)
    assert information[0, 2] == pytest.approx(np.log(2), abs=0.01)


def test_a_table_of_independent_slots_has_an_order_of_all_of_them() -> None:
    tokens = np.random.default_rng(2).integers(0, 4, (3000, 4)).astype(np.int32)
    assert sorted(chain_order(mutual_information(tokens, layout_of(tokens)), layout_of(tokens).sizes)) == [0, 1, 2, 3]
    assert chain_order(np.zeros((0, 0)), []) == []


def test_parents_are_the_strongest_of_those_before(tokens: npt.NDArray[np.int32]) -> None:
    information = mutual_information(tokens, layout_of(tokens))
    order = chain_order(information, layout_of(tokens).sizes)
    parents = strongest_predecessors(information, order, 2)
    assert parents[order[0]] == []
    assert parents[2][0] == 0
    assert all(len(own) <= 2 for own in parents)


def test_the_spanning_tree_order_visits_neighbours() -> None:
    """A Markov chain of four columns is visited from one column to a neighbour of those before it."""
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, 8, 4000)]
    for _ in range(3):
        columns.append(np.where(rng.random(4000) < 0.7, columns[-1], rng.integers(0, 8, 4000)))
    tokens = np.stack(columns, 1).astype(np.int32)
    order = chain_order(mutual_information(tokens, layout_of(tokens)), layout_of(tokens).sizes, nearest_first=True)
    assert sorted(order) == [0, 1, 2, 3]
    for place in range(1, 4):
        assert min(abs(order[place] - before) for before in order[:place]) == 1
