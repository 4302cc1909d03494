"""The marginal pipeline under canaries: its counts reveal no more of one row than the budget allows.

The white box is everything that the private fit ever reads: the noisy counts of all columns and pairs, with their
scales. All else of a fit is made from these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.common.arrays import Floats
from tabsynth.privacy.audit import canaries
from tabsynth.privacy.audit.canary import CanaryReport
from tabsynth.privacy.budget import Privacy, gaussian_rho
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal.bins.public_bins import column_grid
from tabsynth.synthesizers.marginal.count_source import MeasuredRows, NoisyCounts, Reader
from tabsynth.synthesizers.marginal.one_way_marginals import measure_one_ways
from tabsynth.synthesizers.marginal.two_way_marginals import MeasurementPlan, measure

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "k": {"kind": "categorical", "values": ["a", "b", "c"]},
            "flag": {"kind": "boolean"},
        }
    }
)
TABLE = pd.DataFrame({"k": ["a", "a", "b"], "flag": [True, True, False]})
CANARY = {"k": "c", "flag": False}
GRIDS = {name: column_grid(column) for name, column in SCHEMA.items()}
CLAIM = Privacy(epsilon=6.0, delta=1e-6)  # a fault shows in the fewer runs the larger the claim
RHO = gaussian_rho(6.0, 1e-6)
MU = math.sqrt(2 * RHO)

Seen = list[tuple[Floats, float, Reader]]


class Watched:
    """A source of counts that keeps what it gave, with the noise's scale and how the counts are made."""

    def __init__(self, source: NoisyCounts) -> None:
        self.source, self.seen = source, list[Any]()
        self.rho, self.max_rows_per_unit = source.rho, source.max_rows_per_unit

    def counts(self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]) -> Any:
        out = self.source.counts(reads, shares, purpose, columns)
        self.seen += zip(out, map(self.source.sigma, shares), strict=True)
        return out

    def sigma(self, share: float) -> float:
        return self.source.sigma(share)


def private_counts(frame: pd.DataFrame, source: Any) -> None:
    """The two charged reads of a private fit, on the public grids."""
    cells = {name: grid.encode(SCHEMA[name], frame[name]) for name, grid in GRIDS.items()}
    single = measure_one_ways(GRIDS, lambda name: cells[name], source, 0.3)
    plan = MeasurementPlan(tuple(np.arange(GRIDS[name].size) for name in GRIDS), ((0, 1),))
    tokens = np.column_stack([cells[name] for name in GRIDS]).astype(np.int32)
    measure(plan, MeasuredRows(lambda: tokens, single.rows, source, list(GRIDS)), 0.7)


def pipeline(factor: float) -> Callable[[pd.DataFrame, int], Any]:
    """The reads with a budget that is ``factor`` times the one that is claimed."""

    def fit(frame: pd.DataFrame, seed: int) -> Any:
        privacy = Privacy(epsilon=40.0, delta=1e-6, insecure_seed=seed).opened()
        source = Watched(NoisyCounts(factor * RHO, privacy.open_ledger, privacy.noise()))
        private_counts(frame, source)
        return source.seen

    return fit


class _Counted:
    """Exact counts in the order in which the pipeline asks for them."""

    rho, max_rows_per_unit = 1.0, 1

    def __init__(self) -> None:
        self.seen: list[Floats] = []

    def counts(self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]) -> Any:
        out = [read().astype(float) for read in reads]
        self.seen += out
        return out

    def sigma(self, share: float) -> float:
        return 1.0


def likelihood() -> Callable[[Any], float]:
    """The log likelihood ratio of the canary, up to a constant: the best score that there is."""
    canary, own = pd.DataFrame([CANARY]), _Counted()
    private_counts(canary, own)

    def score(seen: Any) -> float:
        return float(
            sum((noisy * count).sum() / sigma**2 for (noisy, sigma), count in zip(seen, own.seen, strict=True))
        )

    return score


def audited(factor: float, runs: int, seed: int = 0) -> CanaryReport:
    return canaries(pipeline(factor), TABLE, CLAIM, canary=CANARY, score=likelihood(), mu=MU, runs=runs, seed=seed)


@pytest.mark.slow
def test_the_counts_of_the_marginal_fit_keep_their_budget() -> None:
    """The estimate is within four standard errors: a false alarm in 10,000."""
    report = audited(1.0, 100)
    assert report.verdict != "VIOLATION"
    assert report.mu is not None
    assert report.mu["estimate"] == pytest.approx(MU, abs=4 * math.sqrt((2 + MU**2 / 4) / 100))


@pytest.mark.slow
def test_half_the_noise_is_a_violation() -> None:
    report = audited(4.0, 100)  # half of sigma is four times rho
    assert report.verdict == "VIOLATION"
