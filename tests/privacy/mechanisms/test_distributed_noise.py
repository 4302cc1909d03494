"""The accounting of a sum of discrete Gaussians, against its exact Renyi divergence."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.distributed_noise import (
    charge_summed_counts,
    noisy_parts,
    summed_gaussian_rho,
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
@pytest.mark.parametrize("scale", [0.5, 0.6, 0.8, 1.5])
@pytest.mark.parametrize("shift", [1, 2])
def test_the_charge_bounds_the_exact_divergence(parts: int, scale: float, shift: int) -> None:
    sigma = scale * math.sqrt(parts)
    distribution = sum_of_parts(sigma, parts)
    rho = summed_gaussian_rho(shift, sigma, parts, 1)
    here = distribution[shift:] > 1e-250
    first, second = distribution[:-shift][here], distribution[shift:][here]
    both = (first > 1e-250) & (second > 1e-250)
    for order in (1.5, 2.0, 4.0, 8.0):
        logs = order * np.log(first[both]) + (1 - order) * np.log(second[both])
        divergence = (logs.max() + np.log(np.exp(logs - logs.max()).sum())) / (order - 1)
        assert divergence <= order * rho * (1 + 1e-6)


def test_parts_of_scale_three_cost_what_one_gaussian_costs() -> None:
    assert summed_gaussian_rho(2, 3 * math.sqrt(7), 7, 10_000) == pytest.approx(4 / (2 * 63), rel=1e-12)
    assert summed_gaussian_rho(1, 0.6 * math.sqrt(3), 3, 10_000) > 1 / (2 * 1.08)


@pytest.mark.parametrize("rho", [1e-4, 0.05, 0.3, 2.0, 40.0])
@pytest.mark.parametrize("parts", [1, 3, 9])
def test_the_noise_of_a_budget_costs_no_more_and_hardly_less(rho: float, parts: int) -> None:
    sigma = summed_gaussian_sigma(2.0, rho, parts)
    assert summed_gaussian_rho(2.0, sigma, parts, 1 << 20) <= rho * (1 + 1e-9)
    if (parts == 1 and sigma > 0.5) or rho == 1e-4:
        assert sigma == pytest.approx(2 / math.sqrt(2 * rho))


def test_parts_that_are_too_small_are_refused_before_anything_is_charged() -> None:
    ledger = PrivacyLedger(50.0, 1e-6)
    with pytest.raises(PrivacyError, match="use a smaller epsilon"):
        charge_summed_counts(
            sigmas=[0.7], sizes=[4], parts=3, sensitivity=1, ledger=ledger, purpose="x", columns=["a"], rng=""
        )
    assert len(ledger) == 0


def test_the_parts_add_up_to_the_noise_that_was_charged() -> None:
    ledger, noise, size = PrivacyLedger(5.0, 1e-6), Noise.insecure(3), 20_000
    facts = {"sigmas": [9.0], "sizes": [size], "ledger": ledger}
    entry = charge_summed_counts(**facts, parts=3, sensitivity=1, purpose="x", columns=["a"], rng=noise.kind)
    parts = [
        noisy_parts([lambda: np.zeros(size, np.int64)], charged=entry, parts=3, noise=noise, **facts)[0]
        for _ in range(3)
    ]
    assert np.std(sum(parts)) == pytest.approx(9.0, rel=0.03)
    assert len(ledger) == 1


def test_a_vector_of_another_size_is_refused() -> None:
    ledger, noise = PrivacyLedger(5.0, 1e-6), Noise.insecure(3)
    facts = {"sigmas": [9.0], "sizes": [4], "ledger": ledger}
    entry = charge_summed_counts(**facts, parts=3, sensitivity=1, purpose="x", columns=["a"], rng=noise.kind)
    with pytest.raises(PrivacyError, match="differs from the agreed size"):
        noisy_parts([lambda: np.zeros(5, np.int64)], charged=entry, parts=3, noise=noise, **facts)
