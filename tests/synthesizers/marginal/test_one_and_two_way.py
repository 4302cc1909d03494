"""Estimates from noisy counts: projection, merging, charges and counts."""

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
from tabsynth.privacy.budget import gaussian_rho
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.synthesizers.marginal.bins.adaptive_bins import merge_cells
from tabsynth.synthesizers.marginal.bins.count_estimates import project_to_simplex, reconcile_blocks, shrink_to_uniform
from tabsynth.synthesizers.marginal.bins.public_bins import numeric_grid
from tabsynth.synthesizers.marginal.count_source import ExactCounts, MeasuredRows, NoisyCounts
from tabsynth.synthesizers.marginal.one_way_marginals import measure_one_ways
from tabsynth.synthesizers.marginal.two_way_marginals import MeasurementPlan, group_tokens, measure

ALL = list(combinations(range(4), 2))

numbers = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=40)


def charged(epsilon: float, seed: int = 0, max_rows_per_unit: int = 1) -> NoisyCounts:
    ledger = PrivacyLedger(epsilon, 1e-6)
    return NoisyCounts(gaussian_rho(epsilon, 1e-6), ledger, Noise.insecure(seed), max_rows_per_unit)


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


def plan_of(sizes: Sequence[int]) -> MeasurementPlan:
    """All pairs, and the triples with the last column, at all tokens."""
    return MeasurementPlan(tuple(map(np.arange, sizes)), tuple(ALL), tuple(pair for pair in ALL if 3 not in pair), 3)


def test_pairs_and_triples_without_noise_are_the_contingency_tables() -> None:
    tokens = table()
    found = measure(plan_of((3, 4, 5, 2)), MeasuredRows(lambda: tokens, len(tokens), ExactCounts(), list("abcd")), 1.0)
    assert [pair for pair, _, _ in found.pairs] == ALL
    expected = np.histogram2d(tokens[:, 0], tokens[:, 2], bins=[range(4), range(6)])[0] / len(tokens)
    np.testing.assert_allclose(found.pairs[1][1], expected, atol=1e-12)
    assert [pair for pair, _, _ in found.triples] == [(0, 1), (0, 2), (1, 2)]
    for group in range(2):
        own = tokens[tokens[:, 3] == group]
        expected = np.histogram2d(own[:, 1], own[:, 2], bins=[range(5), range(6)])[0] / len(tokens)
        np.testing.assert_allclose(found.triples[2][1][group], expected, atol=1e-12)


def test_groups_without_noise_sum_the_cells_of_their_tokens() -> None:
    tokens = table()
    groups = (np.arange(3), np.array([0, 0, 1, 1]), np.array([1, 0, 1, 1, 1]), np.arange(2))
    found = measure(
        MeasurementPlan(groups, ((1, 2),)), MeasuredRows(lambda: tokens, len(tokens), ExactCounts(), list("abcd")), 1.0
    )
    fine = np.histogram2d(tokens[:, 1], tokens[:, 2], bins=[range(5), range(6)])[0] / len(tokens)
    np.testing.assert_allclose(found.pairs[0][1], np.eye(2)[groups[1]].T @ fine @ np.eye(2)[groups[2]], atol=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 9), st.integers(0, 40))
def test_groups_are_few_and_gather_neighbours_or_what_is_rare(mass: list[float], groups: int, ordered: int) -> None:
    own, line = np.array(mass), min(ordered, len(mass))
    found = group_tokens(own, groups, line)
    assert set(found) == set(range(found.max() + 1))
    if len(own) <= groups:
        assert found.tolist() == list(range(len(own)))
    elif line:
        assert (np.diff(found) >= 0).all()
        assert found[line - 1] < groups
        assert len(set(found[line:]) | {found[line - 1]}) == len(own) - line + 1  # what follows the line stays alone
    else:
        assert own[found == groups - 1].max() <= min((own[i] for i in np.flatnonzero(found < groups - 1)), default=1)


def test_a_line_is_cut_into_groups_of_about_equal_mass_and_a_heavy_token_stays_alone() -> None:
    assert np.bincount(group_tokens(np.full(40, 1 / 40), 4, 40)).tolist() == [10] * 4
    assert group_tokens(np.array([0.9, 0.025, 0.025, 0.025, 0.025]), 3, 5).tolist() == [0, 1, 1, 2, 2]


def test_where_noise_exceeds_what_cells_differ_by_they_share_evenly() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        first = shrink_to_uniform(np.array([150.0, 150.0]) + rng.normal(0, 150, 2), 150, 300)[0]
        assert 30 < first < 270  # neither value is lost; the nearest point alone would leave one in 3 of 10
    np.testing.assert_allclose(shrink_to_uniform(np.array([9000.0, 1000.0]), 20, 10_000), [9000, 1000], atol=5)
    even = np.full(12, 25.0)
    shrunk = shrink_to_uniform(even + rng.normal(0, 150, 12), 150, 300)
    assert np.abs(shrunk - shrunk.mean()).mean() < 60


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
    assert five.sigma(0.3) == pytest.approx(5 * one.sigma(0.3), rel=1e-3)
    five.counts([lambda: np.zeros(3, np.int64)], [1.0], "zeros", ["x"])
    assert 0.99 < five.ledger.epsilon() <= 1.0


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0, 10.0])
def test_all_of_the_budget_is_spent_and_no_more(epsilon: float) -> None:
    source, tokens, sizes = charged(epsilon), table(), (3, 4, 5, 2)
    source.counts([lambda: np.bincount(tokens[:, 0], minlength=3)] * 4, [0.05] * 4, "fine", ["a"])
    measure(plan_of(sizes), MeasuredRows(lambda: tokens, len(tokens), source, list("abcd")), 0.8)
    assert 0.99 * epsilon < source.ledger.epsilon() <= epsilon
    with pytest.raises(PrivacyError, match="budget"):
        source.counts([lambda: pytest.fail("read before the charge")], [0.5], "more", ["a"])
