"""What every mechanism must do: charge, then read, once; refuse what exceeds the budget; note what it produced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tabsynth.errors import PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.domains import quantiles
from tabsynth.privacy.mechanisms.dp_sgd import DpSgdConfig
from tabsynth.privacy.mechanisms.exponential import exponential
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noisy_counts import noisy_count_vectors, noisy_counts
from tabsynth.privacy.mechanisms.partition_selection import discover

COUNTS = np.arange(12, dtype=np.int64)


def descend(ledger: PrivacyLedger, noise: Noise, before: Callable[[], None]) -> Any:
    net = torch.nn.Linear(3, 1)

    def read() -> tuple[torch.Tensor, None]:
        before()
        return torch.ones(9, 3), None

    def losses(module: Any, /, tokens: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        out: torch.Tensor = module(tokens).squeeze(1) ** 2
        return out

    paid = DpSgdConfig(3, 0.5, 4.0, 1.0, 10).charge(ledger, purpose="p", columns=["a"], noise=noise)
    paid.train(net, losses, read, learning_rate=lambda step: 0.1)
    return net.weight.detach().numpy()


def reading(value: Any, before: Callable[[], None]) -> Callable[[], Any]:
    def read() -> Any:
        before()
        return value

    return read


WAYS: dict[str, Callable[[PrivacyLedger, Noise, Callable[[], None]], Any]] = {
    "noisy_counts": lambda ledger, noise, before: noisy_counts(
        reading(COUNTS, before), sigma=9.0, sensitivity=1, ledger=ledger, purpose="p", columns=["a"], noise=noise
    ),
    "noisy_many": lambda ledger, noise, before: noisy_count_vectors(
        [reading(COUNTS, before)], sigmas=[9.0], sensitivity=1, ledger=ledger, purpose="p", columns=["a"], noise=noise
    ),
    "exponential": lambda ledger, noise, before: exponential(
        reading(COUNTS, before), rho=0.005, sensitivity=1, ledger=ledger, purpose="p", columns=["a"], noise=noise
    ),
    "discover": lambda ledger, noise, before: discover(
        reading(pd.Series(["x"] * 500), before), rho=0.005, delta=1e-7, ledger=ledger, column="a", noise=noise
    ),
    "quantiles": lambda ledger, noise, before: quantiles(
        reading(COUNTS, before), [0.5], COUNTS, rho=0.005, ledger=ledger, columns=["a"], noise=noise
    ),
    "descent": descend,
}


@pytest.fixture(params=list(WAYS))
def mechanism(request: pytest.FixtureRequest) -> Callable[[PrivacyLedger, Noise, Callable[[], None]], Any]:
    return WAYS[request.param]


def test_it_charges_and_then_reads_once(mechanism: Any) -> None:
    ledger, seen = PrivacyLedger(50.0, 1e-6), []
    mechanism(ledger, Noise.secure(), lambda: seen.append(len(ledger)))
    assert seen == [1]
    assert ledger.entries[0].columns == ("a",)
    assert 0 < ledger.epsilon() < 50


def test_it_notes_what_it_produced(mechanism: Any) -> None:
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        ledger = PrivacyLedger(50.0, 1e-6)
        mechanism(ledger, Noise.insecure(seed), lambda: None)
        outputs.append(ledger.entries[0].output)
        assert len(outputs[-1] or "") == 64
        assert not ledger.secure
    assert outputs[0] == outputs[1]


def test_over_budget_it_never_reads(mechanism: Any) -> None:
    ledger = PrivacyLedger(0.01, 1e-6)

    def never() -> None:
        pytest.fail("it read without having paid")

    with pytest.raises(PrivacyError, match="budget"):
        mechanism(ledger, Noise.secure(), never)
    assert len(ledger) == 0


def test_a_read_that_fails_stays_charged(mechanism: Any) -> None:
    ledger = PrivacyLedger(50.0, 1e-6)

    def fails() -> None:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        mechanism(ledger, Noise.secure(), fails)
    assert len(ledger) == 1


def test_nothing_global_is_random(mechanism: Any) -> None:
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - it is watched, not used
    mechanism(PrivacyLedger(50.0, 1e-6), Noise.secure(), lambda: None)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
