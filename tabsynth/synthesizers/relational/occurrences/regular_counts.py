"""Classes of children whose number follows from the length of the history, such as one payment of interest a month.

A model of a few hundred parents learns these numbers only approximately. A history whose planned numbers do not fit its
length ends with months without a salary, or with several in one month. Sampled numbers of these classes are therefore
corrected, and the number of all children with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from tabsynth.common.arrays import Arrays, Floats, Integers
from tabsynth.synthesizers.relational.occurrences.nested_shares import NestedShares

MIN_PARENTS, MIN_SPREAD = 20, 2.0
"""Minimum number of parents with children of the class, and minimum standard deviation of the lengths of their
histories in units of the calendar."""

MAX_RANGE, LEVELS = 1, (0.05, 0.95)
"""Maximum range of the difference between number and length in a regular class, between these quantiles."""


def calendar_lengths(first: Integers, last: Integers) -> Integers:
    """Return the number of ends of months, months and weeks from one day to another, shape (parents, 3).

    Args:
        first: Number of the first day, shape (parents,).
        last: Number of the last day, shape (parents,).
    """
    start, end, after = (
        days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) for days in (first, last, last + 1)
    )
    return np.stack([after - start, end - start, (last - first) // 7], axis=1)


@dataclass(frozen=True, eq=False)
class RegularCounts:
    """Regular classes among the planned ones.

    Attributes:
        units: Column of ``calendar_lengths`` to which the number of each class is equal, apart from a difference; -1
            for classes that are not regular, shape (classes,).
        low, high: Range of the difference, shape (classes,).
    """

    units: Integers
    low: Integers
    high: Integers

    @classmethod
    def none(cls, classes: int = 0) -> Self:
        """Return classes that are not regular."""
        nothing = np.zeros(classes, np.int64)
        return cls(nothing - 1, nothing, nothing)

    @classmethod
    def fit(cls, totals: Floats, lengths: Integers, min_group: int) -> Self:
        """Find the regular classes.

        Args:
            totals: Number of children of each class, shape (parents, classes).
            lengths: Result of ``calendar_lengths``, shape (parents, 3).
            min_group: Minimum number of parents with children of a regular class.
        """
        out = cls.none(totals.shape[1])
        for at, own in enumerate(totals.T):
            held = own > 0
            if held.sum() < max(MIN_PARENTS, min_group):
                continue
            least = MAX_RANGE + 1
            for unit in np.flatnonzero(lengths[held].std(0) >= MIN_SPREAD):
                low, high = np.quantile(own[held] - lengths[held, unit], LEVELS, method="nearest").tolist()
                if high - low < least:
                    least = high - low
                    out.units[at], out.low[at], out.high[at] = unit, low, high
        return out

    def corrected(
        self, counts: Integers, totals: Floats, lengths: Integers, nesting: NestedShares
    ) -> tuple[Integers, Floats]:
        """Return the numbers of all children and of each class that fit the lengths of the histories.

        A class without children in a history stays without.

        Args:
            counts: Number of all children, shape (parents,).
            totals: Number of children of each class, shape (parents, classes).
            lengths: Result of ``calendar_lengths``, shape (parents, 3).
            nesting: How the classes exclude and contain each other.
        """
        counts, totals = counts.copy(), totals.copy()
        free = self.units < 0
        for at in np.flatnonzero(~free):
            own, length = totals[:, at], lengths[:, self.units[at]]
            wanted = np.maximum(np.clip(own, length + self.low[at], length + self.high[at]), 1)
            change = np.where(own > 0, wanted - own, 0)
            totals[:, (nesting.inside[:, at] & free) | (np.arange(len(free)) == at)] += change[:, None]
            counts += change.astype(np.int64)
        return counts, totals

    def state(self) -> Arrays:
        """Return arrays for ``from_state``."""
        return {"regular": np.stack([self.units, self.low, self.high])}

    @classmethod
    def from_state(cls, arrays: Arrays, classes: int) -> Self:
        """Rebuild from a state."""
        return cls(*arrays["regular"]) if "regular" in arrays else cls.none(classes)
