"""The one-run bound: it exceeds the truth no more often than stated, and its stated power is right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from tabsynth.privacy.accounting.gaussian_dp import gdp_auc, gdp_delta, gdp_epsilon, gdp_mu, gdp_mu_from_auc
from tabsynth.privacy.audit.one_run import (
    epsilon_from_guesses,
    epsilon_from_scores,
    max_epsilon_from_guesses,
    p_value_of_guesses,
    power_against,
)


def test_a_randomised_response_of_known_epsilon_is_not_overstated() -> None:
    rng = np.random.default_rng(0)
    truth, trials = 1.0, 1000
    right = rng.binomial(400, 1 / (1 + math.exp(-truth)), trials)
    kinds, place = np.unique(right, return_inverse=True)
    bounds = np.array([epsilon_from_guesses(int(k), 400, 400, 0.0) for k in kinds])[place]
    assert (bounds > truth).sum() <= binom.ppf(0.999, trials, 0.05)
    assert np.median(bounds) > 0.7
    assert p_value_of_guesses(0, 400, 400, truth, 0.0) == 1.0


def test_guessing_measures_nothing() -> None:
    rng = np.random.default_rng(1)
    bounds = [epsilon_from_scores(rng.normal(size=400), rng.random(400) < 0.5, 1e-6)[0] for _ in range(300)]
    assert sum(bound > 0 for bound in bounds) <= binom.ppf(0.999, 300, 0.05)


def test_the_most_that_one_run_can_show_grows_with_its_records() -> None:
    assert max_epsilon_from_guesses(100, 100, 1e-6) < max_epsilon_from_guesses(10_000, 10_000, 1e-6)
    assert max_epsilon_from_guesses(100, 100, 0.0) == pytest.approx(-math.log(0.05 ** (-1 / 100) - 1), abs=1e-6)


def test_one_run_has_little_power_at_epsilon_one() -> None:
    assert power_against(1.0, 1e-6, 2000, gdp_mu(2.0, 1e-6), trials=50) < 0.2
    assert power_against(1.0, 1e-6, 2000, 8.0, trials=50) == 1.0


def test_gaussian_conversions_agree_with_each_other() -> None:
    for epsilon in (0.1, 1.0, 8.0):
        mu = gdp_mu(epsilon, 1e-6)
        assert gdp_delta(epsilon, mu) == pytest.approx(1e-6, rel=1e-4)
        assert gdp_epsilon(mu, 1e-6) == pytest.approx(epsilon, rel=1e-6)
        assert gdp_mu_from_auc(gdp_auc(mu)) == pytest.approx(mu, rel=1e-6)
    assert gdp_mu_from_auc(0.4) == 0.0
