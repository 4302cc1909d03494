"""Gaussian DP of discrete noise: at least the exact privacy loss, and hardly more."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import ndtri_exp
from scipy.stats import norm

from tabsynth.common.arrays import Floats
from tabsynth.privacy.accounting.accountant import compose_epsilon
from tabsynth.privacy.accounting.gaussian_dp import (
    discrete_gaussian_mu,
    discrete_gaussian_sigma,
    gdp_delta,
    gdp_epsilon,
)


def log_cdf(sigma: float, deepest: float = 500.0) -> Floats:
    """Return log P(noise <= t) for t up to 0, from a tail of probability exp(-deepest) on."""
    reach = int(sigma * np.sqrt(2 * deepest)) + 40
    logs = -((np.arange(-2 * reach, 1) / sigma) ** 2) / 2
    below = np.logaddexp.accumulate(logs)
    return np.asarray((below - np.logaddexp(below[-1], below[-2]))[reach:])


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.3, 0.5, 0.9, 1.0, 1.7, 2.0, 2.3, 5.0, 21.0, 144.0, 1000.0])
def test_no_threshold_tells_neighbours_apart_better_than_the_stated_mu(sigma: float) -> None:
    """A threshold t has the type II error of mu-GDP, or more, if quantiles of neighbouring thresholds are near."""
    steps = np.diff(ndtri_exp(log_cdf(sigma)))
    mu = discrete_gaussian_mu(sigma)
    assert steps.max() <= mu * (1 + 1e-9)
    assert steps[-1] == pytest.approx(mu, rel=1e-9), "attained by the threshold at zero"
    assert discrete_gaussian_sigma(mu) == pytest.approx(sigma, rel=1e-12)


def pmf(sigma: float, reach: int) -> Floats:
    weights = np.exp(-((np.arange(-reach, reach + 1) / sigma) ** 2) / 2)
    return np.asarray(weights / weights.sum())


def exact_delta(epsilon: float, cells: list[tuple[float, int]], reach: int = 30) -> float:
    """Return the delta of counts with noise, given each cell's scale and change, by summing over all outputs."""
    p, q = np.ones(1), np.ones(1)
    for sigma, change in cells:
        noise = pmf(sigma, reach)
        shifted = np.pad(noise, (abs(change), abs(change)))
        p = np.outer(p, shifted).ravel()
        q = np.outer(q, np.roll(shifted, change)).ravel()
    return float(np.maximum(p - np.exp(epsilon) * q, 0).sum())


@pytest.mark.parametrize(
    "cells",
    [
        [(1.0, 1)],
        [(0.6, 1), (1.3, 1)],
        [(2.0, 2)],
        [(2.0, 1), (2.0, 1), (3.0, 1)],
        [(2.5, 2), (2.5, -1)],
        [(1.5, 3), (4.0, 2)],
    ],
)
def test_exact_composition_costs_at_most_what_is_charged(cells: list[tuple[float, int]]) -> None:
    mu = np.sqrt(sum((change * discrete_gaussian_mu(sigma)) ** 2 for sigma, change in cells))
    for epsilon in np.linspace(0, 3 * mu, 7):
        exact = exact_delta(float(epsilon), cells)
        assert exact <= gdp_delta(float(epsilon), float(mu)) + 1e-12


def test_the_stated_mu_is_the_smallest() -> None:
    """At epsilon 0 a count that changes by one has exactly the delta of its mu: the probability of no noise."""
    for sigma in (0.4, 1.0, 2.0, 7.0):
        assert exact_delta(0.0, [(sigma, 1)], 90) == pytest.approx(
            gdp_delta(0.0, discrete_gaussian_mu(sigma)), rel=1e-9
        )


@pytest.mark.parametrize("mu", [1e-4, 0.01, 0.2369, 1.0, 5.0, 60.0])
def test_scale_and_mu_are_inverse(mu: float) -> None:
    assert discrete_gaussian_mu(discrete_gaussian_sigma(mu)) == pytest.approx(mu, rel=1e-12)


def test_gaussian_events_compose_to_one() -> None:
    gaussians = [{"type": "GaussianDpEvent", "noise_multiplier": scale} for scale in (3.0, 4.0, 4.0)]
    twice = {"type": "SelfComposedDpEvent", "count": 2, "event": gaussians[1]}
    nested = {"type": "ComposedDpEvent", "events": [gaussians[0], twice]}
    exact = gdp_epsilon((1 / 9 + 2 / 16) ** 0.5, 1e-6)
    assert compose_epsilon(gaussians, 1e-6) == compose_epsilon([nested], 1e-6) == pytest.approx(exact, rel=1e-12)
    zcdp = {"type": "ZCDpEvent", "rho": 0.01, "xi": 0.0}
    mixed = compose_epsilon([*gaussians, zcdp], 1e-6)
    assert exact < mixed
    for order in itertools.permutations([nested, zcdp]):
        assert compose_epsilon(list(order), 1e-6) == pytest.approx(mixed, rel=1e-12)


def test_an_epsilon_of_gaussian_noise_is_that_of_its_tail() -> None:
    """At the epsilon of a delta, the privacy loss N(mu^2 / 2, mu^2) exceeds epsilon with probability above delta."""
    for mu in (0.05, 0.24, 1.0, 4.0):
        epsilon = gdp_epsilon(mu, 1e-6)
        assert norm.sf((epsilon - mu**2 / 2) / mu) >= 1e-6
        assert gdp_delta(epsilon, mu) <= 1e-6
