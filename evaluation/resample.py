"""How far a distance would move with other rows: a bootstrap of both tables, centred where the tables stand.

A plain bootstrap adds distance of its own (rows drawn twice), and a jackknife takes a distance near zero for a smooth
one. So the deviations that the bootstrap finds are added to the observed difference shrunk by as much as makes the
distances drawn have the distance observed for their mean: by nothing where the tables differ widely, wholly where they
differ by chance alone. The interval is for the distance to expect of fresh rows in these numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import t as student

from tabsynth.evaluation.coded import Coded, Floats, Ints

DRAWS = 100
"""Bootstrap draws; with them an interval's width is known to a fourteenth."""

GROUPS = 250
"""Groups of rows that are drawn instead of single rows."""

MOST_ROWS = 20_000
"""Rows a side that are drawn from; the deviations are scaled to all rows."""

DENSE = 4_000_000
"""Cells of groups by keys up to which counts are kept as a plain array."""

SPARSE = 1_000
"""Keys above which only those that occur are counted."""

STEPS = np.linspace(0.0, 1.0, 9)
"""Shares of the observed difference that are tried."""


@dataclass(frozen=True, eq=False)
class Side:
    """The rows of one table that are drawn from: their numbers, the group of each, and how often each group is drawn.

    Attributes:
        rows: Row numbers, shape (r,).
        marks: Group of each, shape (r,).
        weights: Draws of each group, shape (DRAWS, groups).
    """

    rows: Ints
    marks: Ints
    weights: Floats

    @classmethod
    def of(cls, n: int, rng: np.random.Generator) -> Side:
        """Groups and draws for a table of n rows."""
        rows = rng.permutation(n)[:MOST_ROWS]
        groups = min(GROUPS, len(rows))
        marks = np.arange(len(rows)) % groups
        weights = rng.multinomial(groups, np.full(groups, 1 / groups), DRAWS).astype(np.float64)
        return cls(rows, marks, weights)

    def counts(self, keys: Ints, size: int) -> tuple[Floats, Floats]:
        """Counts of each key, shape (size,), and under every draw, shape (DRAWS, size)."""
        groups = self.weights.shape[1]
        picked = keys[self.rows]
        whole = np.bincount(picked, minlength=size).astype(np.float64)
        if groups * size <= DENSE:
            table = np.bincount(self.marks * size + picked, minlength=groups * size).reshape(groups, size)
            return whole, self.weights @ table.astype(np.float64)
        sparse = csr_matrix((np.ones(len(picked)), (picked, self.marks)), shape=(size, groups))
        return whole, np.asarray(sparse @ self.weights.T).T

    def sums(self, each: Floats) -> tuple[Floats, Floats]:
        """Sums of what each row holds, shape (...), and under every draw, shape (DRAWS, ...)."""
        groups = self.weights.shape[1]
        picked = each[self.rows].reshape(len(self.rows), -1)
        table = np.stack([picked[self.marks == g].sum(axis=0) for g in range(groups)])
        return table.sum(axis=0).reshape(each.shape[1:]), (self.weights @ table).reshape(-1, *each.shape[1:])


@dataclass(frozen=True, eq=False)
class Resample:
    """The same draws of two tables for every distance, so that what two distances share is counted.

    Attributes:
        left: Draws of the real table.
        right: Draws of the other one.
        scale: What turns deviations of the rows drawn from into those of all rows.
    """

    left: Side
    right: Side
    scale: float

    @classmethod
    def of(cls, n: int, m: int, rng: np.random.Generator) -> Resample:
        """Draws for tables of n and m rows."""
        left, right = Side.of(n, rng), Side.of(m, rng)
        used = 1 / len(left.rows) + 1 / len(right.rows)
        return cls(left, right, float(np.sqrt((1 / n + 1 / m) / used)))

    def variation(self, left: Ints, right: Ints, size: int) -> tuple[float, Floats]:
        """Total variation between the shares of keys, and under every draw, shape (DRAWS,)."""
        if size > SPARSE:
            occurs = (np.bincount(left, minlength=size) + np.bincount(right, minlength=size)) > 0
            place = np.cumsum(occurs) - 1
            left, right, size = place[left], place[right], int(occurs.sum())
        gap = np.bincount(left, minlength=size) / len(left) - np.bincount(right, minlength=size) / len(right)
        value = 0.5 * float(np.abs(gap).sum())
        return value, self.calibrated(self.shift(left, right, size), gap, half_sum, value)

    def shift(self, left: Ints, right: Ints, size: int, skip: int = 0) -> Floats:
        """Deviations of the difference of shares under every draw, shape (DRAWS, size - skip).

        The first ``skip`` keys are left out: shares are then of the rows that have another one.
        """
        out = []
        for side, keys in ((self.left, left), (self.right, right)):
            whole, drawn = side.counts(keys, size)
            out.append(_shares(drawn[:, skip:]) - _shares(whole[None, skip:]))
        return np.asarray(out[0] - out[1])

    def calibrated(
        self, deviation: Floats, gap: Floats, distance: Callable[[Floats], Floats], value: float | Floats
    ) -> Floats:
        """Distances under every draw whose mean is the observed one, as near as shrinking the difference makes it.

        Args:
            deviation: Deviations of the difference, shape (DRAWS, k).
            gap: The observed difference, shape (k,).
            distance: From differences, shape (..., k), to distances, shape (...) or (..., p).
            value: The observed distance, shape () or (p,).

        Returns:
            Shape (DRAWS,) or (DRAWS, p).
        """
        scaled = deviation * self.scale
        chance = distance(scaled)
        likely = chance.mean(axis=0) + chance.std(axis=0)  # up to here a difference is taken for chance alone
        if np.ndim(value):
            tried = np.stack([chance, *(distance(scaled + share * gap) for share in STEPS[1:])])
            enough = tried.mean(axis=1) >= np.asarray(value)
            enough[0] |= likely >= np.asarray(value)
            first = np.where(enough.any(axis=0), np.argmax(enough, axis=0), len(STEPS) - 1)
            return np.asarray(np.take_along_axis(tried, first[None, None, :], axis=0)[0])
        if float(likely) >= float(value):
            return chance
        low, high = 0, len(STEPS) - 1
        while low < high:  # the mean grows with the share
            middle = (low + high) // 2
            if distance(scaled + STEPS[middle] * gap).mean() >= value:
                high = middle
            else:
                low = middle + 1
        return distance(scaled + STEPS[low] * gap)


def half_width(draws: Floats) -> float:
    """Half the width of the 95 % interval, from distances under every draw, shape (DRAWS,)."""
    half: float = float(student.ppf(0.975, len(draws) - 1)) * float(draws.std(ddof=1))
    return half


def around(value: float, draws: Floats) -> tuple[float, float]:
    """95 % interval of an error between 0 and 1, in percent."""
    half = half_width(draws)
    return 100 * max(0.0, value - half), 100 * min(1.0, value + half)


def half_sum(gap: Floats) -> Floats:
    """Total variation from differences of shares, shape (..., k)."""
    return np.asarray(0.5 * np.abs(gap).sum(axis=-1))


def sampled(real: Coded, most: int, rng: np.random.Generator) -> Coded:
    """At most so many rows of a table."""
    return real if len(real) <= most else real.take(rng.permutation(len(real))[:most])


def _shares(counts: Floats) -> Floats:
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(counts / np.where(total > 0, total, 1.0))
