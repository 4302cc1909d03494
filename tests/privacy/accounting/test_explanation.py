"""Explanations of epsilon: never below what an attack can achieve, and not far above."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from tabsynth.privacy.accounting.accountant import compose_epsilon
from tabsynth.privacy.accounting.explanation import (
    DELTAS,
    explain_claim,
    explain_gaussian,
    explain_ledger,
    max_tpr,
)
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import gaussian_mu


@pytest.mark.parametrize("mu", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("fpr", [0.001, 0.01, 0.1])
def test_the_bound_covers_the_best_attack_on_a_gaussian_mechanism(mu: float, fpr: float) -> None:
    best = float(norm.cdf(norm.ppf(fpr) + mu))
    event = {"type": "GaussianDpEvent", "noise_multiplier": 1 / mu}
    bound = max_tpr([(compose_epsilon([event], delta), delta) for delta in DELTAS], fpr)
    assert best <= bound <= 2 * best
    assert bound <= max_tpr([(compose_epsilon([event], 1e-6), 1e-6)], fpr) + 1e-12


def test_randomised_response_is_met_exactly() -> None:
    for epsilon in (0.1, 1.0, 5.0):
        for fpr in np.linspace(0.001, 1 / (1 + math.exp(epsilon)), 5):
            assert max_tpr([(epsilon, 0.0)], float(fpr)) == pytest.approx(math.exp(epsilon) * fpr)


def test_the_words_follow_the_mechanism() -> None:
    ledger = PrivacyLedger(1.0, 1e-6)
    assert explain_ledger(ledger) == ""
    mu = gaussian_mu(1.0, 1e-6)
    event = {"type": "GaussianDpEvent", "noise_multiplier": 1 / mu}
    ledger.charge(event, purpose="p", columns=["a"], sensitivity=1.0)
    assert explain_ledger(ledger) == explain_gaussian(1.0, 1e-6, mu)
    assert "recognises at most 1.8% of the rows in the training table" in explain_ledger(ledger)
    assert "recognises at most 2.7% of the rows in the training table if 1%" in explain_claim(1.0, 1e-6)
    assert "of the persons in the training table" in explain_claim(1.0, 1e-6, "patient")
    assert explain_ledger(PrivacyLedger.not_private(["a"])) == ""
