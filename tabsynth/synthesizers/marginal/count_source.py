"""Where counts come from: charged to a ledger and with noise, or exact for a fit without privacy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noisy_counts import noisy_count_vectors

Reader = Callable[[], npt.NDArray[Any]]

SPENDABLE_SHARE = 1 - 1e-9
"""Share of the budget that is given out, so that rounding never brings the charges over it."""

EXACT_RHO = 4.0
"""The rho as whose noise exact counts are trusted: they are still counts of a sample."""


class CountSource(Protocol):
    """What gives counts."""

    @property
    def rho(self) -> float:
        """The zCDP budget of the whole fit."""

    @property
    def max_rows_per_unit(self) -> int:
        """How many rows a unit has at most."""

    def counts(
        self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]
    ) -> list[Floats]:
        """Counts of histograms in which every row falls in one cell, each for a share of the budget."""

    def sigma(self, share: float) -> float:
        """Standard deviation of the noise that a share of the budget buys."""


@dataclass(frozen=True)
class NoisyCounts:
    """Counts with discrete Gaussian noise, charged before they are read.

    Attributes:
        rho: The zCDP budget of the whole fit.
        ledger: What is charged.
        noise: Where noise comes from.
        max_rows_per_unit: How many rows a unit has at most; they may all fall into one cell.
    """

    rho: float
    ledger: PrivacyLedger
    noise: Noise
    max_rows_per_unit: int = 1

    def counts(
        self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]
    ) -> list[Floats]:
        """Noisy counts, one charge for all."""
        noisy = noisy_count_vectors(
            reads,
            sigmas=[self.sigma(share) for share in shares],
            sensitivity=self.max_rows_per_unit,
            ledger=self.ledger,
            purpose=purpose,
            columns=columns,
            noise=self.noise,
        )
        return [counts.astype(np.float64) for counts in noisy]

    def sigma(self, share: float) -> float:
        """Noise of sensitivity^2 / (2 sigma^2) = share * rho."""
        return self.max_rows_per_unit / math.sqrt(2 * SPENDABLE_SHARE * share * self.rho)


@dataclass(frozen=True)
class ExactCounts:
    """Counts as they are: no privacy."""

    rho: float = EXACT_RHO
    max_rows_per_unit: int = 1

    def counts(
        self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]
    ) -> list[Floats]:
        """Exact counts."""
        return [read().astype(np.float64) for read in reads]

    def sigma(self, share: float) -> float:
        """How far the counts are trusted."""
        return 1 / math.sqrt(2 * share * self.rho)
