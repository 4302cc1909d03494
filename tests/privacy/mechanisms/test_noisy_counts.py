"""Noisy counts: cost, noise and refused arguments of each mechanism."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.gaussian_dp import discrete_gaussian_mu
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.exponential import exponential
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noisy_counts import noisy_count_vectors, noisy_counts

HOW: dict[str, Any] = {"purpose": "p", "columns": ["a"]}


def ledger() -> PrivacyLedger:
    return PrivacyLedger(1e6, 1e-6)


def test_the_noise_is_what_was_charged_for() -> None:
    # The variance of 1e5 draws against the charged scale, two-sided at 1e-6.
    for sigma, sensitivity in ((3.0, 1), (12.5, 4), (7.0, math.sqrt(2))):
        own = ledger()
        zeros = np.zeros(100_000, np.int64)
        drawn = noisy_counts(
            lambda zeros=zeros: zeros, sigma=sigma, sensitivity=sensitivity, ledger=own, noise=Noise.insecure(1), **HOW
        )
        event = own.entries[0].event
        scale = event["noise_multiplier"] * sensitivity
        assert scale == pytest.approx(sigma / (1 + 1 / (24 * sigma**2)), rel=1e-4)
        bound = chi2.ppf([5e-7, 1 - 5e-7], len(drawn)) / len(drawn) * scale**2
        assert bound[0] < (drawn.astype(float) ** 2).mean() < bound[1]


def test_many_vectors_are_one_charge_that_sums_them() -> None:
    own = ledger()
    sigmas = [10.0] * 5 + [20.0, 30.0]
    out = noisy_count_vectors(
        [lambda: np.zeros((2, 3), int)] * 7, sigmas=sigmas, sensitivity=2, ledger=own, noise=Noise.secure(), **HOW
    )
    assert [part.shape for part in out] == [(2, 3)] * 7
    together = ledger()
    from dp_accounting.dp_event import GaussianDpEvent

    mu = 2 * sum(discrete_gaussian_mu(sigma) ** 2 for sigma in sigmas) ** 0.5
    together.charge(GaussianDpEvent(1 / mu), purpose="p", columns=[], sensitivity=2)
    assert len(own) == 1
    assert own.epsilon() == pytest.approx(together.epsilon())


@pytest.mark.parametrize(("monotone", "rate"), [(False, 0.5), (True, 1.0)])
def test_the_exponential_mechanism_draws_by_its_formula(monotone: bool, rate: float) -> None:
    scores, eps, sensitivity, draws = np.array([10, 8, 3, -100]), 0.9, 3, 4000
    own = ledger()
    chosen = [
        exponential(
            lambda: scores,
            epsilon=eps,
            sensitivity=sensitivity,
            monotone=monotone,
            ledger=own if i == 0 else ledger(),
            noise=Noise.insecure(i),
            **HOW,
        )
        for i in range(draws)
    ]
    share = np.exp(rate * eps / sensitivity * scores.astype(float))
    for seen, wanted in zip(np.bincount(chosen, minlength=4), share / share.sum(), strict=True):
        assert binomtest(int(seen), draws, float(wanted)).pvalue > 1e-5
    assert own.entries[0].event["rho"] == pytest.approx(eps**2 / 8)


@pytest.mark.parametrize(
    "plant",
    [
        {"sigma": 0.0},
        {"sigma": math.nan},
        {"sigma": -1.0},
        {"sensitivity": 0},
        {"sensitivity": math.inf},
        {"read": lambda: np.array([0.5])},
    ],
)
def test_what_makes_no_sense_is_refused(plant: dict[str, Any]) -> None:
    facts = {"sigma": 1.0, "sensitivity": 1.0, "read": lambda: np.array([1])} | plant
    with pytest.raises(PrivacyError):
        noisy_counts(facts.pop("read"), ledger=ledger(), noise=Noise.secure(), **facts, **HOW)


def test_counts_of_every_whole_type_are_exact() -> None:
    for kind in (np.int8, np.uint8, np.int64, np.uint64, bool):
        value = np.ones(3, kind)
        out = noisy_counts(
            lambda value=value: value, sigma=0.05, sensitivity=1, ledger=ledger(), noise=Noise.secure(), **HOW
        )
        assert out.dtype == np.int64
        assert out.tolist() == [1, 1, 1]
    huge = np.array([2**64 - 1], np.uint64)
    out = noisy_counts(lambda: huge, sigma=0.05, sensitivity=1, ledger=ledger(), noise=Noise.secure(), **HOW)
    assert out.tolist() == [2**61]
