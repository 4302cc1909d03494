"""Cells resampled by trees: their distribution, limits, and model files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from tabsynth.errors import ModelFileError
from tabsynth.synthesizers.sampling.slot_sampler import RowOptions, SlotSampler
from tabsynth.synthesizers.sampling.tree_refinement import (
    TreeConditionals,
    refine_rows,
)
from tabsynth.training.networks.layout import Layout
from tabsynth.training.trees.conditional import TreeConditional
from tabsynth.training.trees.token_forest import features


@pytest.fixture(scope="module")
def learned() -> tuple[Layout, TreeConditional]:
    """Trees of a slot that equals the one before in .7 of the rows; a quarter of them holds each of four tokens."""
    rng = np.random.default_rng(0)
    cause = rng.integers(0, 4, 20_000)
    effect = np.where(rng.random(20_000) < 0.6, cause, rng.integers(0, 4, 20_000))
    tokens = np.stack([cause, effect, rng.integers(0, 5, 20_000)], 1)
    layout = Layout((4, 4, 5), (0, 0, 5), tuple(np.bincount(column) for column in tokens.T))
    rows = features(torch.from_numpy(tokens), layout)
    return layout, TreeConditional.fit(layout, 1, rows, tokens[:, 1], seed=0)


def off(rows: int) -> torch.Tensor:
    """Drawn rows in which causes come in wrong shares and effects at random."""
    rng = np.random.default_rng(1)
    cause = rng.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1])
    return torch.from_numpy(np.stack([cause, rng.integers(0, 4, rows), rng.integers(0, 5, rows)], 1))


def slot_sampler(
    layout: Layout,
    calibrate: bool,
    stratify: bool,
    limit: list[float] | None = None,
    calibration_weights: Mapping[int, torch.Tensor] | None = None,
) -> SlotSampler:
    emit = [np.ones(size, bool) for size in layout.sizes]
    limits = [None, None if limit is None else np.array(limit), None]
    noise = torch.Generator().manual_seed(0)
    options = RowOptions(limits, noise, calibrate, stratify)
    return SlotSampler(layout, [[], [], []], emit, options, {} if calibration_weights is None else calibration_weights)


@pytest.mark.parametrize("stratify", [False, True])
def test_redrawn_cells_follow_their_row(learned: tuple[Layout, TreeConditional], stratify: bool) -> None:
    """.7 equal the cause, with a standard error of .005; other slots stay, and so do tokens that were given."""
    layout, trees = learned
    tokens = off(10_000)
    before, free = tokens.clone(), torch.ones(10_000, 3, dtype=torch.bool)
    out = refine_rows(tokens, free, [trees], slot_sampler(layout, False, stratify))
    assert torch.equal(tokens, before)
    assert torch.equal(out[:, [0, 2]], tokens[:, [0, 2]])
    assert abs(float((out[:, 1] == out[:, 0]).double().mean()) - 0.7) < 0.025
    free[:4000, 1] = False
    out = refine_rows(tokens, free, [trees], slot_sampler(layout, False, stratify))
    assert torch.equal(out[:4000], tokens[:4000])
    assert float((out[4000:, 1] == out[4000:, 0]).double().mean()) > 0.67


def test_redrawn_rows_keep_the_training_shares(learned: tuple[Layout, TreeConditional]) -> None:
    """A quarter each, though causes are .4 to .1, calibrated or by weights; else effects have the causes' shares."""
    layout, trees = learned
    tokens, free, first = off(10_000), torch.ones(10_000, 3, dtype=torch.bool), slot_sampler(layout, True, True)
    for own, wanted in (
        (first, [0.25] * 4),
        (slot_sampler(layout, False, True, calibration_weights=first.fitted_weights), [0.25] * 4),
        (slot_sampler(layout, False, True), [0.34, 0.28, 0.22, 0.16]),
    ):
        shares = refine_rows(tokens, free, [trees], own)[:, 1].bincount(minlength=4) / 10_000
        assert float((shares - torch.tensor(wanted)).abs().max()) < 0.015


def test_redrawn_rows_are_balanced_over_the_trees_leaves(learned: tuple[Layout, TreeConditional]) -> None:
    """Effects of a cause fit their share to a fifth of what independent draws may be off by, and only if asked."""
    layout, trees = learned
    tokens, free = off(10_000), torch.ones(10_000, 3, dtype=torch.bool)
    probabilities = trees.read(tokens)[0].exp()
    same = torch.stack([tokens[:, 0] == cause for cause in range(4)]).float()
    independent = float((same @ (probabilities * (1 - probabilities))).mean())
    left = []
    for stratify in (True, False):
        drawn = refine_rows(tokens, free, [trees], slot_sampler(layout, False, stratify))
        left.append(float((same @ (torch.eye(4)[drawn[:, 1]] - probabilities)).square().mean()) / independent)
    assert left[0] < 0.04
    assert left[1] > 0.2  # of sixteen squares whose mean is one


def test_redrawn_cells_stay_within_limits(learned: tuple[Layout, TreeConditional]) -> None:
    layout, trees = learned
    tokens, free = off(5000), torch.ones(5000, 3, dtype=torch.bool)
    out = refine_rows(tokens, free, [trees], slot_sampler(layout, False, True, [0.0, 1.0, 0.0, 1.0]))
    assert set(out[:, 1].tolist()) == {1, 3}
    known = (out[:, 0] == 1) | (out[:, 0] == 3)
    assert float((out[known, 1] == out[known, 0]).double().mean()) > 0.84


@pytest.fixture(scope="module")
def pair() -> tuple[TreeConditional, TreeConditional]:
    """Trees of the second slot, which equals the first in .7 of the rows, and of the third, which follows it so."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (20_000, 3))
    for slot in (1, 2):
        tokens[:, slot] = np.where(rng.random(20_000) < 0.6, tokens[:, slot - 1], tokens[:, slot])
    layout = Layout((4, 4, 4), (0, 0, 0), tuple(np.bincount(column) for column in tokens.T))
    rows = features(torch.from_numpy(tokens), layout)
    second, third = (TreeConditional.fit(layout, slot, rows, tokens[:, slot], seed=0) for slot in (1, 2))
    return second, third


def test_a_redrawn_cell_counts_for_the_next(pair: tuple[TreeConditional, TreeConditional]) -> None:
    """The third slot follows the second as it was redrawn, not as it was."""
    rows = torch.from_numpy(np.random.default_rng(2).integers(0, 4, (5000, 3)))
    out = refine_rows(
        rows, torch.ones_like(rows, dtype=torch.bool), pair, slot_sampler(pair[0].forest.layout, False, True)
    )
    assert abs(float((out[:, 2] == out[:, 1]).double().mean()) - 0.7) < 0.035


def test_trees_come_back_in_the_order_in_which_they_are_drawn(pair: tuple[TreeConditional, TreeConditional]) -> None:
    columns = TreeConditionals(pair[::-1], {0: torch.tensor([1.0, 0.5, 2.0, 1.0])}, {2: torch.ones(4)})
    read, other = TreeConditionals.from_arrays(
        columns.arrays() | {"weight": np.ones(3)}, pair[0].forest.layout, [2, 0, 1]
    )
    assert [trees.slot for trees in read.trees] == [2, 1]
    for one, other_trees in zip(read.trees, columns.trees, strict=True):
        np.testing.assert_array_equal(one.forest.nodes, other_trees.forest.nodes)
    kept = [columns.calibration_weights[0], columns.refined_weights[2]]
    assert all(
        torch.equal(*both) for both in zip([read.calibration_weights[0], read.refined_weights[2]], kept, strict=True)
    )
    assert list(other) == ["weight"]


@pytest.mark.parametrize("kept", ["", ".nodes", ".leaves"])
def test_trees_that_are_not_whole_are_refused(pair: tuple[TreeConditional, TreeConditional], kept: str) -> None:
    """As are those of files that held text."""
    arrays = TreeConditionals(pair).arrays()
    part = {f"trees.1{kept}": arrays.get(f"trees.1{kept}", np.frombuffer(b"tree", np.uint8))}
    with pytest.raises(ModelFileError, match="fit the model again"):
        TreeConditionals.from_arrays(part, pair[0].forest.layout, [2, 0, 1])
