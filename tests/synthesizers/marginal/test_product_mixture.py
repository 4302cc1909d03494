"""The mixture: closed forms against enumeration, fits against counts, samples against conditions."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tabsynth.common.arrays import Floats
from tabsynth.synthesizers.marginal.budget_allocation import MixtureConfig
from tabsynth.synthesizers.marginal.count_source import ExactCounts, MeasuredRows
from tabsynth.synthesizers.marginal.mixture_fit import _DensePairs, _SparsePairs, fit_mixture
from tabsynth.synthesizers.marginal.product_mixture import Mixture
from tabsynth.synthesizers.marginal.two_way_marginals import MeasurementPlan, Measurements, measure

SIZES = (3, 2, 4, 2)
ALL = list(combinations(range(4), 2))


def chain(rows: int, seed: int = 0) -> npt.NDArray[np.int32]:
    """Rows of a Markov chain of four columns: a tree can say all of it."""
    rng = np.random.default_rng(seed)
    out = np.empty((rows, 4), np.int32)
    out[:, 0] = rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    out[:, 1] = rng.random(rows) < np.array([0.1, 0.5, 0.9])[out[:, 0]]
    out[:, 2] = np.where(rng.random(rows) < 0.2, rng.integers(0, 4, rows), 2 * out[:, 1])
    out[:, 3] = rng.random(rows) < np.array([0.2, 0.8, 0.4, 0.6])[out[:, 2]]
    return out


def marginals_of(tokens: npt.NDArray[np.int32]) -> list[Floats]:
    return [np.bincount(tokens[:, i], minlength=size) / len(tokens) for i, size in enumerate(SIZES)]


def exact(tokens: npt.NDArray[np.int32], target: int | None) -> list[Measurements]:
    """All pairs, and the triples with the target, without noise."""
    triples = () if target is None else tuple(pair for pair in ALL if target not in pair)
    plan = MeasurementPlan(tuple(map(np.arange, SIZES)), tuple(ALL), triples, target)
    return [measure(plan, MeasuredRows(lambda: tokens, len(tokens), ExactCounts(), list("abcd")), 1.0)]


def mixture() -> Mixture:
    rng = np.random.default_rng(4)
    return Mixture(tuple(rng.dirichlet(np.ones(size), 6).astype(np.float32) for size in SIZES))


def every() -> npt.NDArray[np.int32]:
    """All rows that there can be."""
    return np.array(list(product(*map(range, SIZES))), np.int32)


def test_the_likelihood_is_a_distribution_and_marginals_are_its_sums() -> None:
    model = mixture()
    rows = every()
    probabilities = np.exp(model.log_likelihood(rows))
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    for seen in (0, 1, 2, 3):
        partial = np.full((SIZES[seen], 4), -1, np.int32)
        partial[:, seen] = np.arange(SIZES[seen])
        summed = np.bincount(rows[:, seen], weights=probabilities)
        np.testing.assert_allclose(np.exp(model.log_likelihood(partial)), summed, rtol=1e-4)


def test_the_mixtures_likelihood_is_the_mean_of_products() -> None:
    model, rows = mixture(), every()
    by_hand = [
        np.mean([np.prod([part[k, token] for part, token in zip(model.parts, row, strict=True)]) for k in range(6)])
        for row in rows
    ]
    np.testing.assert_allclose(np.exp(model.log_likelihood(rows)), by_hand, rtol=1e-5)


@pytest.mark.parametrize("stratify", [True, False])
def test_draws_follow_the_likelihood(stratify: bool) -> None:
    """Chi-square of 48 cells at 20,000 draws; a false alarm in a million, and the seed is fixed."""
    model = mixture()
    n = 20_000
    drawn = model.draw(np.full((n, 4), -1, np.int32), [None] * 4, np.random.default_rng(0), stratify=stratify)
    expected = n * np.exp(model.log_likelihood(every()))
    cell = np.ravel_multi_index(tuple(drawn.T), SIZES)
    seen = np.bincount(cell, minlength=48)
    big = expected > 1
    assert ((seen[big] - expected[big]) ** 2 / expected[big]).sum() < 48 + 5 * np.sqrt(2 * 48)
    assert seen[~big].sum() < expected[~big].sum() + 30


def test_conditions_are_kept_and_the_rest_follows_from_them() -> None:
    model = mixture()
    n = 20_000
    fixed = np.full((n, 4), -1, np.int32)
    fixed[: n // 2, 3] = 1
    allowed: list[Floats | None] = [None, None, np.array([0.0, 1.0, 0.5, 0.0]), None]
    drawn = model.draw(fixed, allowed, np.random.default_rng(0))
    assert (drawn[: n // 2, 3] == 1).all()
    assert set(drawn[:, 2]) == {1, 2}
    rows = every()
    weight = np.exp(model.log_likelihood(rows)) * np.array([0.0, 1.0, 0.5, 0.0])[rows[:, 2]]
    for part, own in ((drawn[: n // 2], weight * (rows[:, 3] == 1)), (drawn[n // 2 :], weight)):
        expected = np.bincount(rows[:, 0], weights=own / own.sum())
        np.testing.assert_allclose(np.bincount(part[:, 0], minlength=3) / len(part), expected, atol=0.02)


@pytest.mark.parametrize("target", [None, 3])
def test_a_mixture_fitted_to_exact_counts_has_those_counts(target: int | None) -> None:
    tokens = chain(5000)
    measured = exact(tokens, target)
    effort = MixtureConfig(components=64, steps=400, rate=0.2, penalty=1e-4)
    model = fit_mixture(marginals_of(tokens), measured, 5000, effort, seed=0)
    probabilities, rows = np.exp(model.log_likelihood(every())), every()
    for a, b in ((0, 1), (0, 2), (1, 3), (2, 3)):
        own = np.histogram2d(rows[:, a], rows[:, b], bins=[SIZES[a], SIZES[b]], weights=probabilities)[0]
        real = np.histogram2d(tokens[:, a], tokens[:, b], bins=[SIZES[a], SIZES[b]])[0] / 5000
        assert np.abs(own - real).sum() / 2 < 0.005


def test_a_mixture_fitted_to_the_pairs_of_a_markov_chain_recovers_the_distribution_of_its_rows() -> None:
    tokens, rows = chain(20_000), every()
    measured = exact(tokens, 3)
    model = fit_mixture(
        marginals_of(tokens), measured, 20_000, MixtureConfig(components=64, steps=400, rate=0.2, penalty=0.01), seed=0
    )
    counts = [np.histogram2d(tokens[:, i], tokens[:, i + 1], bins=SIZES[i : i + 2])[0] for i in range(3)]
    oracle = counts[0].sum(1)[rows[:, 0]] / 20_000
    for i, pair in enumerate(counts):
        oracle = oracle * (pair / pair.sum(1, keepdims=True))[rows[:, i], rows[:, i + 1]]
    assert np.abs(np.exp(model.log_likelihood(rows)) - oracle).sum() / 2 < 0.03


def test_coarse_pairs_move_the_tokens_of_their_groups_together() -> None:
    """Groups alone are counted; within a group tokens keep the proportions of their column."""
    tokens = chain(5000)
    groups = (np.array([0, 0, 1]), np.arange(2), np.array([0, 0, 1, 1]), np.arange(2))
    plan = MeasurementPlan(groups, ((0, 1), (1, 2)))
    measured = measure(plan, MeasuredRows(lambda: tokens, 5000, ExactCounts(), list("abcd")), 1.0)
    config = MixtureConfig(components=32, steps=400, rate=0.2, penalty=1e-4, pool=2)
    model = fit_mixture(marginals_of(tokens), [measured], 5000, config, seed=0)
    assert model.components == 64
    parts = [part.astype(float) for part in model.parts]
    joint = parts[1].T @ parts[2] / model.components
    grouped = joint @ np.eye(2)[groups[2]]
    np.testing.assert_allclose(grouped, measured.pairs[1][1], atol=0.005)
    own = marginals_of(tokens)[2]
    np.testing.assert_allclose(joint[:, 0] / joint[:, :2].sum(1), own[0] / own[:2].sum(), atol=0.05)


def test_few_pairs_of_many_columns_are_fitted_as_all_pairs_are() -> None:
    """The padded products and the dense ones are one loss."""
    tokens = chain(2000)
    plan = MeasurementPlan(tuple(map(np.arange, SIZES)), ((0, 2), (1, 3)))
    level = measure(plan, MeasuredRows(lambda: tokens, 2000, ExactCounts(), list("abcd")), 1.0)
    probabilities = torch.from_numpy(np.concatenate(mixture().parts, axis=1))
    dense, sparse = torch.zeros_like(probabilities), torch.zeros_like(probabilities)
    _DensePairs(level).add_gradient(probabilities, dense)
    _SparsePairs(level).add_gradient(probabilities, sparse)
    assert float(dense.abs().max()) > 1
    torch.testing.assert_close(dense, sparse, rtol=1e-3, atol=1e-2)
