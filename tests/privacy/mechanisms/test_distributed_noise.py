"""The accounting of a sum of discrete Gaussians, against its exact privacy loss."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtri_exp

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.gaussian_dp import discrete_gaussian_mu, gdp_delta
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.distributed_noise import (
    charge_summed_counts,
    noisy_parts,
    summed_gaussian_mu,
    summed_gaussian_sigma,
)
from tabsynth.privacy.mechanisms.noise import Noise


def sum_of_parts(sigma: float, parts: int) -> np.ndarray:
    """The distribution of a sum of discrete Gaussians, by exact convolution."""
    scale = sigma / math.sqrt(parts)
    reach = math.ceil(25 * scale) + 5
    one = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * scale**2))
    total = one / one.sum()
    for _ in range(parts - 1):
        total = np.convolve(total, one / one.sum())
    return total


@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("scale", [0.5, 0.6, 0.8, 1.5, 3.0])
def test_no_threshold_distinguishes_neighbours_better_than_the_charged_mu(parts: int, scale: float) -> None:
    """A threshold has the type II error of mu-GDP, or more, if quantiles of neighbouring thresholds are near."""
    sigma = scale * math.sqrt(parts)
    below = np.cumsum(sum_of_parts(sigma, parts))
    steps = np.diff(ndtri_exp(np.log(below[(below > 1e-200) & (below < 0.99)])))
    assert steps.max() <= summed_gaussian_mu(sigma, parts) * (1 + 1e-6)


@pytest.mark.parametrize("changes", [(1,), (2,), (1, -1), (2, 1)])
@pytest.mark.parametrize("scale", [0.6, 1.0])
def test_exact_composition_costs_at_most_what_is_charged(changes: tuple[int, ...], scale: float) -> None:
    sigma = scale * math.sqrt(3)
    noise = np.trim_zeros(np.where((total := sum_of_parts(sigma, 3)) < 1e-18, 0, total))
    p, q = np.ones(1), np.ones(1)
    for change in changes:
        padded = np.pad(noise, (abs(change), abs(change)))
        p, q = np.outer(p, padded).ravel(), np.outer(q, np.roll(padded, change)).ravel()
    mu = summed_gaussian_mu(sigma, 3) * math.sqrt(sum(change**2 for change in changes))
    for epsilon in np.linspace(0, 3 * mu, 7):
        assert np.maximum(p - np.exp(epsilon) * q, 0).sum() <= gdp_delta(float(epsilon), mu) + 1e-12


def test_parts_of_scale_three_cost_what_one_gaussian_costs() -> None:
    sigma = 3 * math.sqrt(7)
    assert summed_gaussian_mu(sigma, 7) == pytest.approx(discrete_gaussian_mu(sigma), rel=1e-12)
    assert summed_gaussian_mu(0.6 * math.sqrt(3), 3) > 1.01 * discrete_gaussian_mu(0.6 * math.sqrt(3))


@pytest.mark.parametrize("mu", [0.01, 0.2, 0.8, 2.0, 9.0])
@pytest.mark.parametrize("parts", [1, 3, 9])
def test_the_noise_of_a_budget_costs_no_more_and_hardly_less(mu: float, parts: int) -> None:
    sigma = summed_gaussian_sigma(mu, parts)
    assert summed_gaussian_mu(sigma, parts) <= mu * (1 + 1e-9)
    if sigma > 0.501 * math.sqrt(parts):
        assert summed_gaussian_mu(sigma * 0.999, parts) > mu


def test_parts_that_are_too_small_are_refused_before_anything_is_charged() -> None:
    ledger = PrivacyLedger(50.0, 1e-6)
    with pytest.raises(PrivacyError, match="use a smaller epsilon"):
        charge_summed_counts(sigmas=[0.7], parts=3, sensitivity=1, ledger=ledger, purpose="x", columns=["a"], rng="")
    assert len(ledger) == 0


def test_the_parts_add_up_to_the_noise_that_was_charged() -> None:
    ledger, noise, size = PrivacyLedger(5.0, 1e-6), Noise.insecure(3), 20_000
    facts = {"sigmas": [9.0], "parts": 3, "ledger": ledger}
    entry = charge_summed_counts(**facts, sensitivity=1, purpose="x", columns=["a"], rng=noise.kind)
    parts = [
        noisy_parts([lambda: np.zeros(size, np.int64)], charged=entry, sizes=[size], noise=noise, **facts)[0]
        for _ in range(3)
    ]
    assert np.std(sum(parts)) == pytest.approx(9.0, rel=0.03)
    assert len(ledger) == 1


def test_a_vector_of_another_size_is_refused() -> None:
    ledger, noise = PrivacyLedger(5.0, 1e-6), Noise.insecure(3)
    facts = {"sigmas": [9.0], "parts": 3, "ledger": ledger}
    entry = charge_summed_counts(**facts, sensitivity=1, purpose="x", columns=["a"], rng=noise.kind)
    with pytest.raises(PrivacyError, match="differs from the agreed size"):
        noisy_parts([lambda: np.zeros(5, np.int64)], charged=entry, sizes=[4], noise=noise, **facts)
