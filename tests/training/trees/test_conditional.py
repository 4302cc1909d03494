"""Tree conditionals estimate the probability of a slot's tokens given all others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tabsynth.training.networks.layout import Layout
from tabsynth.training.trees.conditional import TreeConditional
from tabsynth.training.trees.token_forest import features

SIZES = (4, 3, 2)
THREE = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.05, 0.15, 0.8]])
"""Slot 1 given slot 0."""

TWO = np.array([[0.9, 0.5, 0.2], [0.1, 0.6, 0.3], [0.5, 0.8, 0.4], [0.2, 0.3, 0.7]])
"""Chance of a one in slot 2 given slots 0 and 1."""

Array = npt.NDArray[np.int64]


def table(rows: int, seed: int) -> Array:
    """Rows of known conditionals."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 4, rows)
    second = (rng.random((rows, 1)) > THREE[first].cumsum(1)).sum(1)
    third = rng.random(rows) < TWO[first, second]
    return np.stack([first, second, third], 1).astype(np.int64)


def true(slot: int) -> npt.NDArray[np.float64]:
    """The probability of each token of a slot given the others, by Bayes' rule, shape (4, 3, 2)."""
    joint = THREE[:, :, None] * np.stack([1 - TWO, TWO], 2)
    return np.asarray(joint / joint.sum(slot, keepdims=True))


def fit(slot: int, tokens: Array, weights: npt.NDArray[np.float64] | None = None, seed: int = 0) -> TreeConditional:
    layout = Layout(SIZES, (4, 0, 0), tuple(np.bincount(tokens[:, i], minlength=n) for i, n in enumerate(SIZES)))
    rows = features(torch.from_numpy(tokens), layout)
    return TreeConditional.fit(layout, slot, rows, tokens[:, slot], seed=seed, weights=weights)


def predict(trees: TreeConditional, tokens: Array) -> npt.NDArray[np.float32]:
    """What trees say of rows, shape (rows, size)."""
    return trees.read(torch.from_numpy(tokens))[0].exp().numpy()


EVERY = np.stack(np.unravel_index(np.arange(24), SIZES), 1)
"""Each row that there can be, once."""


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_probabilities_are_the_known_conditionals(slot: int) -> None:
    """Slots of four, three and two tokens; of 40,000 rows the rarest kind has 170, known to within .04 (one s.d.)."""
    said = predict(fit(slot, table(40_000, 0)), EVERY)
    assert said.shape == (24, SIZES[slot])
    np.testing.assert_allclose(said.sum(1), 1, atol=1e-4)
    distribution = np.moveaxis(true(slot), slot, -1)
    others = [EVERY[:, other] for other in range(3) if other != slot]
    off = np.abs(said - distribution[tuple(others)])
    assert off.mean() < 0.015
    assert off.max() < 0.08


def test_the_slot_itself_is_not_read() -> None:
    trees, rows = fit(2, table(5000, 0)), table(100, 1)
    turned = rows.copy()
    turned[:, 2] = 1 - turned[:, 2]
    np.testing.assert_array_equal(predict(trees, rows), predict(trees, turned))


def test_weights_count() -> None:
    """Rows with a one in slot 2 count three times: odds three times as high."""
    tokens = table(40_000, 0)
    for rows in (tokens, tokens[:3900]):
        plain = predict(fit(2, rows), EVERY)
        heavy = predict(fit(2, rows, np.where(rows[:, 2] == 1, 3.0, 1.0)), EVERY)
        ratio = (heavy[:, 1] / heavy[:, 0]) / (plain[:, 1] / plain[:, 0])
        assert abs(np.median(ratio) - 3) < 0.5


@pytest.mark.parametrize("rows", [500, 5000])
def test_a_seed_gives_the_same_trees(rows: int) -> None:
    """Ten slots, of which each tree may use some only."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 3, (rows, 10))
    tokens[:, 9] = (tokens[:, 0] + tokens[:, 1] * tokens[:, 2] + (rng.random(rows) < 0.3)) % 3
    layout = Layout((3,) * 10, (3,) * 10, tuple(np.bincount(column, minlength=3) for column in tokens.T))
    seen = features(torch.from_numpy(tokens), layout)
    one, again, other = (TreeConditional.fit(layout, 9, seen, tokens[:, 9], seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.forest.nodes, again.forest.nodes)
    np.testing.assert_array_equal(predict(one, tokens), predict(again, tokens))
    assert not np.array_equal(predict(one, tokens), predict(other, tokens))


def test_no_token_is_impossible() -> None:
    """Slot 2 follows from slot 1 in every row; trees may be sure, but not beyond what a logarithm bears."""
    tokens = table(20_000, 0)
    tokens[:, 2] = tokens[:, 1] == 1
    said = predict(fit(2, tokens), EVERY)
    sure = EVERY[:, 1] == 1
    assert (said[sure, 1] > 0.999).all()
    assert (said[~sure, 0] > 0.999).all()
    assert said.min() >= 0.99e-6
