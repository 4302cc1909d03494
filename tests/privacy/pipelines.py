"""Private pipelines as canaries see them: each a claim, a tiny table, a canary, and a score of one run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from tabsynth.privacy.accounting.gaussian_dp import gdp_mu
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.audit import canaries
from tabsynth.privacy.audit.canary import CanaryReport
from tabsynth.privacy.budget import Privacy, gaussian_mu, gaussian_rho
from tabsynth.privacy.mechanisms import dp_sgd
from tabsynth.privacy.mechanisms.dp_sgd import DpSgdConfig, DpSgdStep
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.partition_selection import discover
from tabsynth.schema import Schema
from tabsynth.synthesizers.canary_exposure import likelihood_ratio_pipeline, worst_case_tables
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

DELTA = 1e-6
COUNTED = Schema.from_dict(
    {"columns": {"k": {"kind": "categorical", "values": ["a", "b", "c"]}, "flag": {"kind": "boolean"}}}
)
DECLARED = Schema.from_dict(
    {
        "columns": {
            "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
            "sex": {"kind": "categorical", "values": ["f", "m"]},
            "same": {"kind": "categorical", "values": ["x", "y"]},
        }
    }
)
SMALL = pd.DataFrame({"age": [30, 40, 50, 60], "sex": ["f", "m", "f", "m"], "same": ["x"] * 4})
USUAL = {"age": 45, "sex": "f", "same": "x"}


@dataclass(frozen=True)
class Audited:
    """What is to be handed to ``canaries``."""

    fit: Callable[[pd.DataFrame, int], Any]
    table: pd.DataFrame
    canary: dict[str, Any]
    privacy: Privacy
    mu: float | None
    runs: int

    def report(self) -> CanaryReport:
        return canaries(self.fit, self.table, self.privacy, canary=self.canary, score=float, mu=self.mu, runs=self.runs)


def counted(runs: int, epsilon: float = 8.0) -> Audited:
    """The noisy counts of a whole private fit, against the epsilon that was asked for."""
    privacy, known = Privacy(epsilon=epsilon, delta=DELTA), worst_case_tables(COUNTED)
    canary = known[1].iloc[0].to_dict()
    return Audited(likelihood_ratio_pipeline(COUNTED, privacy, known), known[0], canary, privacy, _mu(epsilon), runs)


def entered(runs: int) -> Audited:
    """The same against the epsilon that the ledger counted."""
    own = counted(runs, 20.0)
    model = MarginalSynthesizer(components=1).fit(own.table, schema=COUNTED, privacy=own.privacy, progress=False)
    spent = max(float(model.ledger_.epsilon()), 0.01)
    return Audited(own.fit, own.table, own.canary, Privacy(epsilon=spent, delta=DELTA), _mu(spent), runs)


def described(canary: dict[str, Any]) -> Audited:
    """All released facts about a model: the adversary compares it with fits of its own, with and without the canary."""
    privacy = Privacy(epsilon=0.5, delta=DELTA)
    whole = pd.concat([SMALL, pd.DataFrame([canary])], ignore_index=True)
    inside, outside = ([_released_facts(frame, privacy) for _ in range(4)] for frame in (whole, SMALL))
    # what is the same in every fit of a table, and another in those of its neighbour
    informative_keys = [
        key
        for key in inside[0].keys() | outside[0].keys()
        if all(fit.get(key) == side[0].get(key) for side in (inside, outside) for fit in side)
        and inside[0].get(key) != outside[0].get(key)
    ]

    def fit(frame: pd.DataFrame, number: int) -> float:
        released = _released_facts(frame, privacy)
        return float(sum(released.get(key) == inside[0].get(key) for key in informative_keys))

    return Audited(fit, SMALL, canary, privacy, None, 60)


def discovered() -> Audited:
    """Categories found by noisy counts: was the value that one row alone has released?"""
    privacy = Privacy(epsilon=0.5, delta=DELTA)

    def fit(frame: pd.DataFrame, number: int) -> float:
        facts: dict[str, Any] = {"ledger": PrivacyLedger(9.0, 1e-3), "column": "k", "noise": Noise.secure()}
        found = discover(lambda: frame["k"], rho=gaussian_rho(0.5, DELTA / 2), delta=DELTA / 2, **facts)
        return float("rare" in found)

    return Audited(fit, pd.DataFrame({"k": ["usual"] * 3}), {"k": "rare"}, privacy, None, 400)


def descended(others: float, canary: float, steps: int, rate: float, epsilon: float, count: int, runs: int) -> Audited:
    """The noisy gradients of DP-SGD on a module of one weight, whose gradients are the table's numbers."""
    privacy = Privacy(epsilon=epsilon, delta=DELTA)
    config = DpSgdConfig.from_budget(PrivacyLedger(epsilon, DELTA), steps=steps, rate=rate, clip=1.0, rows=10)
    table = pd.DataFrame({"x": np.full(count, others)})

    def fit(frame: pd.DataFrame, number: int) -> float:
        noise, seen = Noise.secure(), list[float]()
        module = torch.nn.Linear(1, 1, bias=False)
        step = DpSgdStep(module, config, noise)
        step.optimiser.attach_step_hook(lambda optimiser: seen.append(float(optimiser.params[0].grad)))
        rows = torch.tensor(frame["x"].to_numpy(), dtype=torch.float32)[:, None]
        for _ in range(steps):
            batch = rows[torch.from_numpy(dp_sgd.sample_poisson(len(rows), rate, noise))]
            step.take((lambda net, batch=batch: (batch * net(torch.ones_like(batch))).sum(1)) if len(batch) else None)
        step.close()
        return math.copysign(1, canary) * sum(seen)

    return Audited(fit, table, {"x": canary}, privacy, gdp_mu(epsilon, DELTA) if rate == 1 else None, runs)


def _mu(epsilon: float) -> float:
    return gaussian_mu(epsilon, DELTA)


def _released_facts(frame: pd.DataFrame, privacy: Privacy) -> dict[str, Any]:
    """What a fit shows beside the rows that it draws."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = MarginalSynthesizer(components=1).fit(frame, schema=DECLARED, privacy=privacy, progress=False)
    return {
        "schema": model.schema_.to_dict(),
        "dtypes": dict(model.codec_.dtypes),
        "rows": model.rows_,
        "said": [str(warning.message) for warning in said],
    } | {f"counts of slot {i}": np.asarray(counts).tolist() for i, counts in enumerate(model.counts_)}
