"""Shares of classes that exclude or contain each other, relative to the rows that earlier classes leave.

If shares of all rows were sampled separately, they would not add up: the types of one column could sum to more than 1,
or the number of debits could differ from the sum of the numbers of their types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from tabsynth.common.arrays import Arrays, Bools, Floats, Integers


@dataclass(frozen=True, eq=False)
class NestedShares:
    """Exclusion and inclusion among classes.

    Attributes:
        columns: Number of each class's column, shape (classes,).
        inside: Whether all rows of the second class are of the first, shape (classes, classes).
        apart: Whether no row is of both, shape (classes, classes).
    """

    columns: Integers
    inside: Bools
    apart: Bools

    @classmethod
    def of(cls, rows: Sequence[Bools], columns: Sequence[str]) -> Self:
        """Compare classes.

        Args:
            rows: Mask of the rows of each class, shape (n,) each.
            columns: The column of each class.
        """
        inside = np.array([[not (one & ~other).any() for one in rows] for other in rows], bool)
        apart = np.array([[not (one & other).any() for one in rows] for other in rows], bool)
        shape = (len(rows), len(rows))
        numbers = np.unique(list(columns), return_inverse=True)[1] if columns else np.zeros(0)
        return cls(numbers.astype(np.int64), inside.reshape(shape), apart.reshape(shape))

    @classmethod
    def none(cls, classes: int = 0) -> Self:
        """Return classes that neither exclude nor contain each other."""
        nothing = np.zeros((classes, classes), bool)
        return cls(np.zeros(classes, np.int64), nothing, nothing)

    def shares(self, totals: Floats, counts: Integers) -> Floats:
        """Return each class's share of the rows that it can have, NaN if there are none, shape (parents, classes).

        Args:
            totals: Number of rows of each class, shape (parents, classes).
            counts: Number of all rows, shape (parents,).
        """
        out = np.full(totals.shape, np.nan)
        for at in range(totals.shape[1]):
            low, high = self._bounds(totals, counts, at)
            np.divide(totals[:, at] - low, high - low, out=out[:, at], where=high > low)
        return out

    def totals(self, shares: Floats, counts: Integers) -> Floats:
        """Return the number of rows of each class: the inverse of ``shares``, in whole rows.

        A share between 0 and 1 is rounded to neither none nor all rows if there are several. Otherwise many short
        histories would have no row of a class that they should have.
        """
        out = np.zeros(shares.shape)
        for at in range(shares.shape[1]):
            low, high = self._bounds(out, counts, at)
            share, rows = np.nan_to_num(shares[:, at]), high - low
            held = np.where(share < 1, np.minimum(np.round(share * rows), rows - 1), rows)
            held = np.where(share > 0, np.maximum(held, 1), held)
            out[:, at] = low + np.clip(held, 0, rows)
        return out

    def _bounds(self, totals: Floats, counts: Integers, at: int) -> tuple[Floats, Floats]:
        """Return the least and the largest number of rows of a class, given the numbers of the earlier classes."""
        before = np.arange(at)
        apart, parts = before[self.apart[at, before]], before[self.inside[at, before]]
        low, high = self._largest(totals, parts), counts - self._largest(totals, apart)
        for whole in before[self.inside[before, at]]:
            high = np.minimum(high, totals[:, whole] - self._largest(totals, apart[self.inside[whole, apart]]))
        return low, np.maximum(high, low)

    def _largest(self, totals: Floats, classes: Integers) -> Floats:
        """Return the largest sum of the totals of classes without common rows, shape (parents,).

        The sums are those of the classes of each column, and of classes of all columns, the first ones preferred.
        """
        across: list[int] = []
        for one in classes.tolist():
            if self.apart[one, across].all():
                across.append(one)
        groups = [classes[self.columns[classes] == column] for column in np.unique(self.columns[classes])]
        sums = [totals[:, own].sum(1) for own in [*groups, np.array(across, np.int64)]]
        return np.asarray(np.max(sums, axis=0), np.float64)

    def state(self) -> Arrays:
        """Return arrays for ``from_state``."""
        return {"nested.columns": self.columns, "nested.inside": self.inside, "nested.apart": self.apart}

    @classmethod
    def from_state(cls, arrays: Arrays, classes: int) -> Self:
        """Rebuild from a state."""
        if "nested.columns" not in arrays:
            return cls.none(classes)
        return cls(arrays["nested.columns"], arrays["nested.inside"], arrays["nested.apart"])
