"""The second look: which pairs it takes, what it adds, and that it never costs more than was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.synthesizers.marginal.adaptive_remeasurement import (
    REMEASUREMENT_SHARE,
    combine_measurements,
    remeasurement_share,
    strongest_pairs,
)
from tabsynth.synthesizers.marginal.count_source import NoisyCounts
from tabsynth.synthesizers.marginal.product_mixture import Mixture
from tabsynth.synthesizers.marginal.two_way_marginals import MeasurementPlan, Measurements, PairShares, measure

EVERY = [(a, b) for a in range(4) for b in range(a + 1, 4)]


def chain() -> Mixture:
    """Four columns of two tokens, each the less like the first the later it comes."""
    parts = []
    for column in range(4):
        likely = 0.5 + np.array([1, -1]) * (0.45 - 0.1 * column)
        parts.append(np.stack([likely, 1 - likely], axis=1).astype(np.float32))
    return Mixture(tuple(parts))


def test_the_first_tree_has_the_most_information_and_the_second_takes_of_the_rest() -> None:
    assert strongest_pairs(chain(), EVERY, 1) == ((0, 1), (0, 2), (0, 3))
    assert strongest_pairs(chain(), EVERY, 2) == ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3))
    assert strongest_pairs(chain(), [(0, 1), (2, 3)], 2) == ((0, 1), (2, 3))


def test_the_mean_of_both_counts_is_that_of_least_variance() -> None:
    one = Measurements(PairShares(np.full((2, 2), 0.1, np.float32), np.array([[0, 1], [1, 0]], np.float32)))
    two = Measurements(PairShares(np.full((2, 2), 0.5, np.float32), np.array([[0, 3], [3, 0]], np.float32)))
    both = combine_measurements(one, two).pairs
    np.testing.assert_allclose(both.shares, [[0, 0.4], [0.4, 0]], rtol=1e-6)
    np.testing.assert_allclose(both.weights, [[0, 4], [4, 0]])


def test_what_is_kept_back_is_of_the_pairs_alone() -> None:
    sizes = (8, 8, 8, 2)
    plain, targeted = (
        MeasurementPlan(sizes, tuple(EVERY)),
        MeasurementPlan.of([np.full(n, 1 / n) for n in sizes], 3, EVERY),
    )
    assert remeasurement_share(plain) == pytest.approx(REMEASUREMENT_SHARE)
    assert 0 < remeasurement_share(targeted) < REMEASUREMENT_SHARE
    assert remeasurement_share(MeasurementPlan((2, 2), ((0, 1),))) == 0.0
    # a triple is counted as well as if no second look were taken
    tokens = np.zeros((50, 4), np.int32)
    noise = {}
    for kept, discount in ((0.0, 1.0), (remeasurement_share(targeted), 1 - REMEASUREMENT_SHARE)):
        source = NoisyCounts(1.0, PrivacyLedger(9.0, 1e-6), Noise.insecure(1))
        found = measure(targeted, lambda: tokens, 50.0, source, 1 - kept, list("abcd"), discount=discount)
        noise[kept] = found.within[0].weights[0, 8], found.pairs.weights[0, 8]
    (triple, pair), (same, less) = noise.values()
    assert same == pytest.approx(triple, rel=1e-5)
    assert less == pytest.approx((1 - REMEASUREMENT_SHARE) * pair, rel=1e-5)
