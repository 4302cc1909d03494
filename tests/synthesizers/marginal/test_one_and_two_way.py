"""From noisy counts to estimates: what is projected, merged, charged and counted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabsynth.common.arrays import Floats
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import zcdp_rho
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.synthesizers.marginal.count_source import ExactCounts, NoisyCounts
from tabsynth.synthesizers.marginal.one_way_marginals import (
    measure_one_ways,
    merge_cells,
    project_to_simplex,
    reconcile_blocks,
)
from tabsynth.synthesizers.marginal.public_bins import numeric_grid
from tabsynth.synthesizers.marginal.two_way_marginals import (
    MAX_TARGET_GROUPS,
    MeasurementPlan,
    group_target_tokens,
    measure,
)

ALL = list(combinations(range(4), 2))

numbers = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=40)


def charged(epsilon: float, seed: int = 0, max_rows_per_unit: int = 1) -> NoisyCounts:
    ledger = PrivacyLedger(epsilon, 1e-6)
    return NoisyCounts(zcdp_rho(epsilon, 1e-6), ledger, Noise.insecure(seed), max_rows_per_unit)


@given(numbers, st.floats(1.0, 1e5))
def test_the_projection_is_the_nearest_point(noisy: list[float], total: float) -> None:
    found = project_to_simplex(np.array(noisy), total)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(total)
    # First-order optimality: what is positive was moved by one amount, what is zero by no more.
    moved = np.array(noisy) - found
    level = moved[found > 0].max()
    assert (moved <= level + 1e-6).all()


def test_blocks_of_their_own_mend_a_noisy_sum() -> None:
    rng = np.random.default_rng(3)
    blocks = np.repeat(np.arange(4), 250)
    truth = np.repeat([4.0, 12.0, 16.0, 0.0], 250)
    sums = np.array([1000.0, 3000.0, 4000.0, 0.0])
    alone: list[float] = []
    helped: list[float] = []
    for _ in range(20):
        fine, coarse = truth + rng.normal(0, 50, 1000), sums + rng.normal(0, 50, 4)
        for found, kind in (
            (reconcile_blocks(fine, 50, blocks, coarse, 50, 8000), helped),
            (project_to_simplex(fine, 8000), alone),
        ):
            kind.append(np.abs(np.bincount(blocks, weights=found) - sums).sum())
    assert np.mean(helped) < np.mean(alone) / 5


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=200), st.integers(1, 40), st.floats(0, 500))
def test_merged_tokens_are_in_order_and_heavy_enough(counts: list[int], bins: int, least: float) -> None:
    rows = np.array(counts, float)
    token = merge_cells(rows, bins, least)
    assert token[0] == 0
    assert set(np.diff(token)) <= {0, 1}
    held = np.bincount(token, weights=rows)
    assert len(held) == 1 or held.min() >= least - 1e-9
    share = rows.sum() / bins
    heavy = [i for i in np.flatnonzero(rows >= max(share, least, 1e-9)) if i and rows[i - 1] >= max(least, share)]
    assert all(token[i] != token[i - 1] for i in heavy)  # two heavy neighbours are never one token


def test_exact_counts_give_the_rows_themselves() -> None:
    grids = {"x": numeric_grid(0, 9, 0, False), "y": numeric_grid(0, 100_000, 0, False)}
    cells = {name: np.arange(1000) % grid.size for name, grid in grids.items()}
    found = measure_one_ways(grids, cells.__getitem__, ExactCounts(rho=1e12), 1.0)
    assert found.rows == pytest.approx(1000)
    for name, grid in grids.items():
        np.testing.assert_allclose(found.counts[name], np.bincount(cells[name], minlength=grid.size), atol=1e-6)


def table(rows: int = 3000) -> npt.NDArray[np.int32]:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 3, rows)
    return np.stack([a, (a + rng.integers(0, 2, rows)) % 4, rng.integers(0, 5, rows), a > 0], 1).astype(np.int32)


def marginals_of(tokens: npt.NDArray[np.int32], sizes: Sequence[int]) -> list[Floats]:
    return [np.bincount(tokens[:, i], minlength=size) / len(tokens) for i, size in enumerate(sizes)]


def test_pairs_and_triples_without_noise_are_the_contingency_tables() -> None:
    tokens, sizes = table(), (3, 4, 5, 2)
    plan = MeasurementPlan.of(marginals_of(tokens, sizes), 3, ALL)
    assert len(plan.pairs) == 6
    assert len(plan.triples) == 3
    found = measure(plan, lambda: tokens, len(tokens), ExactCounts(), 1.0, list("abcd"))
    expected = np.histogram2d(tokens[:, 0], tokens[:, 2], bins=[range(4), range(6)])[0] / len(tokens)
    np.testing.assert_allclose(found.pairs.shares[0:3, 7:12], expected, atol=1e-7)
    np.testing.assert_allclose(found.pairs.shares[7:12, 0:3], expected.T, atol=1e-7)
    for group, pairs in enumerate(found.within):
        own = tokens[tokens[:, 3] == group]
        expected = np.histogram2d(own[:, 1], own[:, 2], bins=[range(5), range(6)])[0] / len(tokens)
        np.testing.assert_allclose(pairs.shares[3:7, 7:12], expected, atol=1e-7)
        assert (pairs.weights[12:] == 0).all()  # the target itself is no part of a triple's pair


def test_a_target_of_many_tokens_is_grouped() -> None:
    assert group_target_tokens(np.full(40, 1 / 40)).max() == MAX_TARGET_GROUPS - 1
    assert group_target_tokens(np.array([0.97, 0.01, 0.01, 0.005, 0.005])).max() <= MAX_TARGET_GROUPS - 1
    assert group_target_tokens(np.array([0.5, 0.5])).tolist() == [0, 1]


def test_the_noise_is_that_which_was_charged() -> None:
    """5 sigma of a variance's error at 60,000 draws: a false alarm in a million, and the seed is fixed."""
    source = charged(1.0)
    share, cells = 0.4, 60_000
    noisy = source.counts([lambda: np.zeros(cells, np.int64)], [share], "zeros", ["x"])[0]
    rho = share * source.rho
    expected = 1 / (2 * rho)
    assert noisy.var() == pytest.approx(expected, rel=5 * np.sqrt(2 / cells))
    assert np.array_equal(noisy, np.rint(noisy))
    assert source.ledger.epsilon() < 1.0


def test_persons_of_several_rows_get_as_much_more_noise() -> None:
    one, five = charged(1.0), charged(1.0, max_rows_per_unit=5)
    assert five.sigma(0.3) == pytest.approx(5 * one.sigma(0.3))
    five.counts([lambda: np.zeros(3, np.int64)], [1.0], "zeros", ["x"])
    assert 0.99 < five.ledger.epsilon() <= 1.0


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0, 10.0])
def test_all_of_the_budget_is_spent_and_no_more(epsilon: float) -> None:
    source, tokens, sizes = charged(epsilon), table(), (3, 4, 5, 2)
    source.counts([lambda: np.bincount(tokens[:, 0], minlength=3)] * 4, [0.05] * 4, "fine", ["a"])
    measure(
        MeasurementPlan.of(marginals_of(tokens, sizes), 3, ALL), lambda: tokens, len(tokens), source, 0.8, list("abcd")
    )
    assert 0.99 * epsilon < source.ledger.epsilon() <= epsilon
    with pytest.raises(PrivacyError, match="budget"):
        source.counts([lambda: pytest.fail("read before the charge")], [0.5], "more", ["a"])
