"""Sources of counts: noisy and charged to a ledger, or exact in a fit without privacy."""

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
from tabsynth.privacy.mechanisms.noisy_counts import gaussian_scale, noisy_count_vectors

Reader = Callable[[], npt.NDArray[Any]]

SPENDABLE_SHARE = 1 - 1e-9
"""Share of the budget that is allotted; the rest absorbs rounding, so that charges never exceed the budget."""

EXACT_RHO = 4.0
"""Exact counts have sampling error; they are weighted as noisy counts with this rho."""


def noise_sigma(rho: float, share: float, max_rows_per_unit: int) -> float:
    """Return the scale of the noise of a count that costs a share of the budget."""
    return gaussian_scale(SPENDABLE_SHARE * share * rho, max_rows_per_unit)


class CountSource(Protocol):
    """A source of counts."""

    @property
    def rho(self) -> float:
        """The budget of the whole fit, half the squared mu of Gaussian DP, or as zCDP."""

    @property
    def max_rows_per_unit(self) -> int:
        """Maximum number of rows of a unit."""

    def counts(
        self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]
    ) -> list[Floats]:
        """Return histograms in which every row falls in at most one cell, each for its share of the budget."""

    def sigma(self, share: float) -> float:
        """Return the noise standard deviation for a share of the budget."""


@dataclass(frozen=True, eq=False)
class MeasuredRows:
    """Rows of tokens that are read only to count them, and the source that charges each count.

    Attributes:
        tokens: Function that reads the tokens of all rows, shape (n, columns).
        rows: The noisy number of rows.
        source: The source of counts.
        names: The columns' names, for the ledger.
    """

    tokens: Reader
    rows: float
    source: CountSource
    names: Sequence[str]

    def counts(self, reads: Sequence[Reader], shares: Sequence[float], purpose: str) -> list[Floats]:
        """Return histograms for one charge, each for its share of the budget."""
        return self.source.counts(reads, shares, purpose, list(self.names))

    def relative_sigma(self, share: float) -> float:
        """Return the standard deviation of a count's noise as a fraction of all rows."""
        return self.source.sigma(share) / self.rows


@dataclass(frozen=True)
class NoisyCounts:
    """Counts with discrete Gaussian noise, charged before they are read.

    Attributes:
        rho: The budget of the whole fit, half the squared mu of Gaussian DP.
        ledger: The ledger that is charged.
        noise: The source of noise.
        max_rows_per_unit: Maximum number of rows of a unit, which may all fall into one cell.
    """

    rho: float
    ledger: PrivacyLedger
    noise: Noise
    max_rows_per_unit: int = 1

    def counts(
        self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]
    ) -> list[Floats]:
        """Return noisy histograms for one joint charge."""
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
        """Return the noise standard deviation for a share of the budget."""
        return noise_sigma(self.rho, share, self.max_rows_per_unit)


@dataclass(frozen=True)
class ExactCounts:
    """Exact counts, without privacy."""

    rho: float = EXACT_RHO
    max_rows_per_unit: int = 1

    def counts(
        self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]
    ) -> list[Floats]:
        """Return exact histograms."""
        return [read().astype(np.float64) for read in reads]

    def sigma(self, share: float) -> float:
        """Return the nominal standard deviation of exact counts."""
        return 1 / math.sqrt(2 * share * self.rho)
