"""Composed epsilons: our curve of sampled Gaussians is the library's, and one composition serves every delta."""

from __future__ import annotations

import numpy as np
import pytest
from dp_accounting import dp_event, pld, rdp

from tabsynth.privacy.accounting.accountant import SUBSAMPLED_RENYI_ORDERS, compose_epsilon, event_to_data
from tabsynth.privacy.accounting.explanation import profile_of
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.accounting.subsampled_gaussian import sampled_gaussian_curve
from tabsynth.privacy.mechanisms.noise_search import least_noise

STEPS = dp_event.SelfComposedDpEvent(dp_event.PoissonSampledDpEvent(0.02, dp_event.GaussianDpEvent(0.9)), 100)


@pytest.mark.parametrize("rate", [0.0, 1e-4, 0.02, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("multiplier", [0.3, 1.0, 4.0, 60.0])
def test_the_curve_of_a_sampled_gaussian_is_that_of_dp_accounting(rate: float, multiplier: float) -> None:
    """Orders whose series does not converge are infinite in both."""
    orders = np.asarray(SUBSAMPLED_RENYI_ORDERS)[::6]
    reference = rdp.RdpAccountant(orders)
    reference.compose(dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(multiplier)))
    assert sampled_gaussian_curve(rate, multiplier, orders) == pytest.approx(reference.rdp, rel=1e-9, abs=1e-14)


def test_steps_and_other_events_compose_as_dp_accounting_composes_them() -> None:
    events = [STEPS, dp_event.ZCDpEvent(0.01), dp_event.GaussianDpEvent(5.0), dp_event.GaussianDpEvent(5.0)]
    reference = rdp.RdpAccountant(SUBSAMPLED_RENYI_ORDERS)
    reference.compose(dp_event.ComposedDpEvent(events))
    data = [event_to_data(event) for event in events]
    # The library rounds the conversion at one order differently; its smallest epsilon is never below ours.
    assert compose_epsilon(data, 1e-6, quick=True) == pytest.approx(reference.get_epsilon(1e-6), rel=1e-6)
    assert compose_epsilon(data, 1e-6, quick=True) > compose_epsilon(data[:1], 1e-6, quick=True) > 0


def test_losses_are_composed_once_for_all_deltas(monkeypatch: pytest.MonkeyPatch) -> None:
    composed = []
    compose = pld.PLDAccountant.compose

    def counting(self: pld.PLDAccountant, event: dp_event.DpEvent, count: int = 1) -> pld.PLDAccountant:
        composed.append(event)
        return compose(self, event, count)

    monkeypatch.setattr(pld.PLDAccountant, "compose", counting)
    ledger = PrivacyLedger(100.0, 1e-6)
    ledger.charge(STEPS, purpose="steps", columns=["a"], sensitivity=1.0)
    profile = profile_of(ledger)
    assert len(composed) == 1
    assert [epsilon for epsilon, _ in profile] == sorted((epsilon for epsilon, _ in profile), reverse=True)
    alone = compose(pld.PLDAccountant(value_discretization_interval=5e-4), STEPS)
    for epsilon, delta in profile[:3]:
        assert epsilon == pytest.approx(alone.get_epsilon(delta), rel=1e-9)


@pytest.mark.parametrize("power", [-1.0, -1.7, -6.0])
def test_the_least_noise_is_found_within_a_thousandth_in_few_steps(power: float) -> None:
    asked = []

    def epsilon(multiplier: float) -> float:
        asked.append(multiplier)
        return float(multiplier**power + 0.5 * multiplier**-12)

    for true in (0.81, 0.9, 0.98):
        budget = epsilon(true)
        asked.clear()
        found = least_noise(epsilon, budget, 0.8, (1.0, 1.5))
        assert epsilon(found) <= budget
        assert 0.9999 * true <= found <= 1.001 * true
        assert len(asked) <= 9
    assert least_noise(epsilon, 1e9, 0.8, (1.0, 1.5)) == 0.8
