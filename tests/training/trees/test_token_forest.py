"""Token forests predict the same as the trees from which they were built; damaged ones are refused."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest
import torch

from tabsynth.errors import ModelFileError
from tabsynth.training.networks.layout import Layout
from tabsynth.training.trees.token_forest import LEAVES, Forest, features

SIZES = (300, 7, 40, 2, 12)


def rows(count: int, seed: int) -> npt.NDArray[np.int64]:
    """Tokens of five slots, some of them rare."""
    rng = np.random.default_rng(seed)
    return np.stack([np.minimum(rng.geometric(min(4 / size, 0.6), count) - 1, size - 1) for size in SIZES], 1)


@pytest.fixture(scope="module")
def layout() -> Layout:
    """The first and the third slot are lines, with a token beyond the third's."""
    counts = [np.bincount(column, minlength=size) for column, size in zip(rows(5000, 0).T, SIZES, strict=True)]
    return Layout(SIZES, (300, 0, 39, 0, 0), tuple(counts))


def booster(layout: Layout, target: npt.NDArray[np.int64], hidden: float = 0.0, **options: Any) -> lightgbm.Booster:
    """Trees fitted on places of tokens, some cells hidden."""
    seen = features(torch.from_numpy(rows(5000, 0)), layout)
    seen[np.random.default_rng(1).random(seen.shape) < hidden] = np.nan
    plain = {"num_leaves": LEAVES, "num_threads": 1, "verbose": -1, "max_bin": 511}
    return lightgbm.train(plain | options, lightgbm.Dataset(seen, target), 40)


@pytest.fixture(scope="module", params=["two", "three", "hidden", "stumps"])
def fit(layout: Layout, request: pytest.FixtureRequest) -> tuple[lightgbm.Booster, Forest]:
    tokens = rows(5000, 0)
    noise = np.random.default_rng(2).integers(0, 30, 5000)
    separable = tokens[:, 0] + tokens[:, 2] * tokens[:, 3] + noise > 60
    if request.param == "three":
        trees = booster(layout, separable.astype(np.int64) + (tokens[:, 4] > 3), objective="multiclass", num_class=3)
        return trees, Forest.of(trees, layout, range(5), 3)
    least = {"min_data_in_leaf": 4999} if request.param == "stumps" else {}
    hidden = 0.3 if request.param == "hidden" else 0.0
    trees = booster(layout, separable.astype(np.int64), hidden, objective="binary", **least)
    return trees, Forest.of(trees, layout, range(5))


def test_a_forest_says_what_its_trees_say(layout: Layout, fit: tuple[lightgbm.Booster, Forest]) -> None:
    """To single precision, on rows that the trees were not fitted on, and as many as make more than one block."""
    trees, forest = fit
    tokens = torch.from_numpy(rows(15_000, 3))
    said, leaves = forest.read(tokens, 7)
    expected = np.asarray(trees.predict(features(tokens, layout), raw_score=True)).reshape(15_000, -1)
    np.testing.assert_allclose(said.numpy(), expected, atol=1e-5, rtol=1e-5)
    fallen = np.asarray(trees.predict(features(tokens, layout), pred_leaf=True)).reshape(15_000, -1)
    np.testing.assert_array_equal(leaves.numpy(), fallen[:, :7])


def test_only_the_best_rounds_count(layout: Layout) -> None:
    trees = booster(layout, (rows(5000, 0)[:, 0] > 9).astype(np.int64), objective="binary")
    trees.best_iteration = 5
    assert len(Forest.of(trees, layout, range(5)).leaves) == 5


def test_a_forest_comes_back_from_its_arrays(layout: Layout, fit: tuple[lightgbm.Booster, Forest]) -> None:
    forest = fit[1]
    tokens = torch.from_numpy(rows(100, 4))
    again = Forest.from_arrays(forest.arrays("own"), "own", layout, forest.outputs)
    assert torch.equal(again.read(tokens)[0], forest.read(tokens)[0])


@pytest.fixture(scope="module")
def arrays(layout: Layout) -> dict[str, npt.NDArray[Any]]:
    trees = booster(layout, (rows(5000, 0)[:, 0] > 9).astype(np.int64), objective="binary")
    return Forest.of(trees, layout, range(5)).arrays("own")


@pytest.mark.parametrize(
    ("which", "at", "value"),
    [
        ("own.nodes", (0, 0), 40),
        ("own.nodes", (0, 0), -1),
        ("own.nodes", (0, 1), 5),
        ("own.nodes", (0, 2), -2),
        ("own.nodes", (0, 3), 1 << LEAVES),
        ("own.nodes", (0, 4), 0),
        ("own.nodes", (0, slice(3, 5)), 1),
        ("own.leaves", (0, 0), np.nan),
    ],
)
def test_forged_trees_are_refused(
    layout: Layout, arrays: dict[str, npt.NDArray[Any]], which: str, at: tuple[int, int | slice], value: float
) -> None:
    forged = arrays | {which: arrays[which].copy()}
    forged[which][at] = value
    with pytest.raises(ModelFileError, match="damaged"):
        Forest.from_arrays(forged, "own", layout)


def test_arrays_of_another_shape_are_refused(layout: Layout, arrays: dict[str, npt.NDArray[Any]]) -> None:
    nodes, leaves = arrays["own.nodes"], arrays["own.leaves"]
    for forged in (
        {},
        {"own.nodes": nodes},
        {"own.nodes": nodes[:, :4], "own.leaves": leaves},
        {"own.nodes": nodes.astype(np.int64), "own.leaves": leaves},
        {"own.nodes": nodes, "own.leaves": leaves[:, 1:]},
        {"own.nodes": nodes, "own.leaves": leaves[0]},
    ):
        with pytest.raises(ModelFileError, match="damaged"):
            Forest.from_arrays(forged, "own", layout)
    with pytest.raises(ModelFileError, match="damaged"):
        Forest.from_arrays(arrays, "own", layout, 3)


def test_forged_sets_that_leave_no_leaf_do_no_harm(layout: Layout, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Reading rows gives numbers for every content of a file."""
    nodes = arrays["own.nodes"].copy()
    nodes[:, 3:] = [1, 2]
    said, leaves = Forest.from_arrays(arrays | {"own.nodes": nodes}, "own", layout).read(
        torch.from_numpy(rows(50, 0)), 3
    )
    assert bool(said.isfinite().all())
    assert bool(((leaves >= 0) & (leaves < LEAVES)).all())
