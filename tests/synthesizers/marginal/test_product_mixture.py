"""The mixture and the tree: closed forms against enumeration, fits against the counts, draws against conditions."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest

from tabsynth.common.arrays import Floats
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import zcdp_rho
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.synthesizers.marginal.budget_allocation import MixtureConfig
from tabsynth.synthesizers.marginal.count_source import ExactCounts, NoisyCounts
from tabsynth.synthesizers.marginal.product_mixture import Mixture, fit_mixture
from tabsynth.synthesizers.marginal.tree import Tree, grow
from tabsynth.synthesizers.marginal.two_way_marginals import MeasurementPlan, measure

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


def mixture() -> Mixture:
    rng = np.random.default_rng(4)
    return Mixture(tuple(rng.dirichlet(np.ones(size), 6).astype(np.float32) for size in SIZES))


def tree(rows: int = 4000) -> Tree:
    tokens = chain(rows)
    return grow(marginals_of(tokens), lambda: tokens, rows, ExactCounts(), 1.0, list("abcd"))


def every() -> npt.NDArray[np.int32]:
    """All rows that there can be."""
    return np.array(list(product(*map(range, SIZES))), np.int32)


@pytest.mark.parametrize("model", [mixture(), tree()], ids=["mixture", "tree"])
def test_the_likelihood_is_a_distribution_and_marginals_are_its_sums(model: Mixture | Tree) -> None:
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
@pytest.mark.parametrize("model", [mixture(), tree()], ids=["mixture", "tree"])
def test_draws_follow_the_likelihood(model: Mixture | Tree, stratify: bool) -> None:
    """Chi-square of 48 cells at 20,000 draws; a false alarm in a million, and the seed is fixed."""
    n = 20_000
    drawn = model.draw(np.full((n, 4), -1, np.int32), [None] * 4, np.random.default_rng(0), stratify=stratify)
    expected = n * np.exp(model.log_likelihood(every()))
    cell = np.ravel_multi_index(tuple(drawn.T), SIZES)
    seen = np.bincount(cell, minlength=48)
    big = expected > 1
    assert ((seen[big] - expected[big]) ** 2 / expected[big]).sum() < 48 + 5 * np.sqrt(2 * 48)
    assert seen[~big].sum() < expected[~big].sum() + 30


@pytest.mark.parametrize("model", [mixture(), tree()], ids=["mixture", "tree"])
def test_conditions_are_kept_and_the_rest_follows_from_them(model: Mixture | Tree) -> None:
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
    measured = measure(
        MeasurementPlan.of(marginals_of(tokens), target, ALL), lambda: tokens, 5000, ExactCounts(), 1.0, list("abcd")
    )
    effort = MixtureConfig(components=64, steps=400, rate=0.2, penalty=1e-4)
    model = fit_mixture(marginals_of(tokens), measured, 5000, effort, seed=0)
    probabilities, rows = np.exp(model.log_likelihood(every())), every()
    for a, b in ((0, 1), (0, 2), (1, 3), (2, 3)):
        own = np.histogram2d(rows[:, a], rows[:, b], bins=[SIZES[a], SIZES[b]], weights=probabilities)[0]
        real = np.histogram2d(tokens[:, a], tokens[:, b], bins=[SIZES[a], SIZES[b]])[0] / 5000
        assert np.abs(own - real).sum() / 2 < 0.005


def test_the_mixture_says_of_a_tree_what_the_tree_says() -> None:
    """The tree is an oracle: where it is the truth, the mixture comes close to its distribution of whole rows."""
    tokens, rows = chain(20_000), every()
    plan = MeasurementPlan.of(marginals_of(tokens), 3, ALL)
    measured = measure(plan, lambda: tokens, 20_000, ExactCounts(), 1.0, list("abcd"))
    model = fit_mixture(
        marginals_of(tokens), measured, 20_000, MixtureConfig(components=64, steps=400, rate=0.2, penalty=0.01), seed=0
    )
    oracle = np.exp(tree(20_000).log_likelihood(rows))
    assert np.abs(np.exp(model.log_likelihood(rows)) - oracle).sum() / 2 < 0.03


def test_the_tree_finds_the_chain_under_privacy() -> None:
    tokens = chain(20_000)
    ledger = PrivacyLedger(1.0, 1e-6)
    source = NoisyCounts(zcdp_rho(1.0, 1e-6), ledger, Noise.insecure(0))
    found = grow(marginals_of(tokens), lambda: tokens, 20_000, source, 1.0, list("abcd"))
    assert {frozenset(edge) for edge in found.edges} == {frozenset(pair) for pair in ((0, 1), (1, 2), (2, 3))}
    assert 0.99 < ledger.epsilon() <= 1.0
    oracle = np.exp(tree(20_000).log_likelihood(every()))
    assert np.abs(np.exp(found.log_likelihood(every())) - oracle).sum() / 2 < 0.03
