"""Privacy parameters are validated and never exceeded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dp_accounting import dp_event

import tabsynth
from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.budget import Privacy, default_delta, gaussian_mu, zcdp_rho
from tabsynth.privacy.mechanisms.dp_sgd import DpSgdConfig


def test_it_is_public() -> None:
    assert tabsynth.Privacy is Privacy


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"epsilon": 0}, "epsilon"),
        ({"epsilon": math.inf}, "epsilon"),
        ({"epsilon": "1"}, "epsilon"),
        ({"epsilon": 1, "delta": 1.0}, "delta"),
        ({"epsilon": 1, "delta": -1e-9}, "delta"),
        ({"epsilon": 1, "rows_per_person": 3}, "needs a person"),
        ({"epsilon": 1, "unit": "patient"}, "rows_per_person"),
        ({"epsilon": 1, "unit": "patient", "rows_per_person": 0}, "rows_per_person"),
        ({"epsilon": 1, "unit": ""}, "unit"),
        ({"epsilon": 1, "n_public": 0}, "n_public"),
        ({"epsilon": 1, "insecure_seed": -1}, "insecure_seed"),
    ],
)
def test_what_makes_no_sense_is_refused(facts: dict[str, Any], says: str) -> None:
    with pytest.raises(PrivacyError, match=says):
        Privacy(**facts)


def test_delta_comes_from_public_rows_alone() -> None:
    assert default_delta(None) == 1e-6
    assert default_delta(50) == 1e-6
    assert default_delta(10**7) == 1e-8
    assert Privacy(1.0, n_public=10**7).resolved_delta == 1e-8
    assert Privacy(1.0, delta=1e-3).resolved_delta == 1e-3


def test_no_gaussian_noise_without_a_delta() -> None:
    with pytest.raises(PrivacyError, match="delta above 0"):
        zcdp_rho(1.0, 0.0)
    with pytest.raises(PrivacyError, match="delta above 0"):
        gaussian_mu(1.0, 0.0)


def test_spent_is_at_most_what_was_asked_for_and_within_one_percent_below() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        epsilon, delta = float(np.exp(rng.uniform(np.log(0.01), np.log(20)))), float(10 ** rng.uniform(-12, -3))
        shares = rng.dirichlet(np.ones(rng.integers(1, 6)))
        rho, mu = zcdp_rho(epsilon, delta), gaussian_mu(epsilon, delta)
        for events in (
            [dp_event.ZCDpEvent(rho=share * rho) for share in shares],
            [dp_event.GaussianDpEvent(1 / (mu * share**0.5)) for share in shares],
        ):
            privacy = Privacy(epsilon, delta).opened()
            for event in events:
                privacy.open_ledger.charge(event, purpose="p", columns=[], sensitivity=1.0)
            assert 0.99 * epsilon <= privacy.open_ledger.epsilon() <= epsilon


@pytest.mark.parametrize(("epsilon", "before"), [(0.3, 0.1), (1.0, 0.0), (8.0, 0.1)])
def test_a_descent_spends_what_is_left(epsilon: float, before: float) -> None:
    ledger = PrivacyLedger(epsilon, 1e-6)
    if before:
        rho = before * zcdp_rho(epsilon, 1e-6)
        ledger.charge(dp_event.ZCDpEvent(rho=rho), purpose="p", columns=[], sensitivity=1.0)
    config = DpSgdConfig.from_budget(ledger, steps=150, rate=0.05, clip=1.0, rows=10_000)
    ledger.charge(config.event, purpose="t", columns=[], sensitivity=1.0)
    assert 0.99 * epsilon <= ledger.epsilon() <= epsilon


def test_a_data_sets_ledger_counts_every_fit(tmp_path: Path) -> None:
    path = tmp_path / "set.ledger"
    rho = zcdp_rho(1.0, 1e-6)
    first = Privacy(1.0, 1e-6, ledger=path).opened()
    first.open_ledger.charge(dp_event.ZCDpEvent(rho=rho), purpose="p", columns=[], sensitivity=1.0)
    second = Privacy(1.0, 1e-6, ledger=path).opened()
    assert second.open_ledger.epsilon() == 0
    with pytest.raises(PrivacyError, match="budget"):
        second.open_ledger.charge(dp_event.ZCDpEvent(rho=rho / 100), purpose="p", columns=[], sensitivity=1.0)
    assert len(second.open_ledger) == 0
    assert len(PrivacyLedger.open(path)) == 1
    with pytest.raises(PrivacyError, match="one unit"):
        Privacy(1.0, 1e-6, unit="patient", rows_per_person=2, ledger=path).opened()
