"""Calibrated bootstrap of a distance between two tables.

A plain bootstrap inflates a distance, because it draws rows twice. So its deviations are added to a shrunk observed
difference, such that the drawn distances have the observed one as their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, issparse, vstack
from scipy.stats import gamma
from scipy.stats import t as student

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.stats.encoded_table import Coded

DRAWS = 100
"""Bootstrap draws; with them an interval's width is known to a fourteenth."""

GROUPS, MOST_GROUPS = 200, 800
"""Groups of rows that are drawn instead of single rows: of the smaller table, and the most of the larger one."""

MOST_ROWS = 20_000
"""Rows of the smaller table that are drawn from; the deviations are scaled to all rows."""

DENSE = 4_000_000
"""Cells of groups by keys up to which counts are kept as a plain array."""

SPARSE = 1_000
"""Keys above which only those that occur are counted."""

RARELY = 0.004
"""Share of pairs of tables of one population of which some part of a score may reach further than is said."""

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

    rows: Integers
    marks: Integers
    weights: Floats

    @classmethod
    def of(cls, n: int, size: int, rng: np.random.Generator) -> Side:
        """Groups of ``size`` rows of a table of n rows, and draws of them."""
        groups = min(max(n // size, 1), MOST_GROUPS)
        rows = rng.permutation(n)[: groups * size]
        marks = np.arange(len(rows)) % groups
        weights = rng.multinomial(groups, np.full(groups, 1 / groups), DRAWS).astype(np.float64)
        return cls(rows, marks, weights)

    def among(self, chosen: npt.NDArray[np.bool_]) -> Side:
        """The same draws for a table that holds the chosen rows only."""
        kept = chosen[self.rows]
        return replace(self, rows=(np.cumsum(chosen) - 1)[self.rows[kept]], marks=self.marks[kept])

    def table(self, keys: Integers, size: int) -> Any:
        """Counts of each key in each group, shape (groups, size); sparse where it would be large."""
        groups, picked = self.weights.shape[1], keys[self.rows]
        if groups * size <= DENSE:
            return np.bincount(self.marks * size + picked, minlength=groups * size).reshape(groups, size).astype(float)
        return csr_matrix((np.ones(len(picked)), (self.marks, picked)), shape=(groups, size))

    def counts(self, keys: Integers, size: int) -> tuple[Floats, Floats]:
        """Counts of each key, shape (size,), and under every draw, shape (DRAWS, size)."""
        table = self.table(keys, size)
        return np.asarray(table.sum(axis=0), dtype=np.float64).ravel(), np.asarray(self.weights @ table)


@dataclass(frozen=True, eq=False)
class Resample:
    """The same draws of two tables for every distance, so that what two distances share is counted.

    Attributes:
        left: Draws of the real table.
        right: Draws of the other one.
        chance: Random partings of all groups into two tables, which is what two tables of one population are: 1 for
            groups of the first, shape (DRAWS, all groups). No row is drawn twice: copies would agree in all columns.
        scale: What turns deviations of the rows drawn from into those of all rows.
    """

    left: Side
    right: Side
    chance: Floats
    scale: float

    @classmethod
    def of(cls, n: int, m: int, rng: np.random.Generator) -> Resample:
        """Draws for tables of n and m rows."""
        size = max(1, -(-min(n, m, MOST_ROWS) // GROUPS))
        left, right = Side.of(n, size, rng), Side.of(m, size, rng)
        used = 1 / len(left.rows) + 1 / len(right.rows)
        groups = [side.weights.shape[1] for side in (left, right)]
        one = (rng.permuted(np.tile(np.arange(sum(groups)), (DRAWS, 1)), axis=1) < groups[0]).astype(np.float64)
        return cls(left, right, one, float(np.sqrt((1 / n + 1 / m) / used)))

    def variation(
        self,
        left: Integers,
        right: Integers,
        size: int,
        times: float = 1.0,
        chance: Floats | None = None,
    ) -> tuple[float, Floats]:
        """Total variation between the shares of keys; and as ``calibrated`` has it, shape (2, DRAWS).

        Args:
            left: Keys of the real rows.
            right: Keys of the other ones.
            size: How many keys there are.
            times: What it is multiplied with.
            chance: The distances by chance alone, shape (DRAWS,), where the keys themselves depend on the real rows.
        """
        if size > SPARSE:
            occurs = (np.bincount(left, minlength=size) + np.bincount(right, minlength=size)) > 0
            place = np.cumsum(occurs) - 1
            left, right, size = place[left], place[right], int(occurs.sum())
        gap = np.bincount(left, minlength=size) / len(left) - np.bincount(right, minlength=size) / len(right)
        value = times * float(half_sum(gap))
        own, by_chance = (each * self.scale for each in self.shift(left, right, size))
        known = times * half_sum(by_chance) if chance is None else chance
        return value, shrunk(own, known, gap, lambda each: times * half_sum(each), value)

    def among(self, left: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> Resample:
        """The same draws for tables that hold the chosen rows of both tables only."""
        return replace(self, left=self.left.among(left), right=self.right.among(right))

    @cached_property
    def parted(self) -> npt.NDArray[np.bool_]:
        """Which of the rows drawn from, the real table's first, fall into the first part, shape (DRAWS, rows)."""
        marks = np.concatenate([self.left.marks, self.right.marks + self.left.weights.shape[1]])
        return np.asarray(self.chance[:, marks] > 0)

    def halves(self, tables: Sequence[Any]) -> tuple[Floats, Floats]:
        """Counts in the two parts of every random parting, shape (DRAWS, size) each, from ``Side.table`` of both."""
        union = vstack(tables).tocsr() if any(map(issparse, tables)) else np.vstack(tables)
        first = np.asarray(self.chance @ union)
        return first, np.asarray(union.sum(axis=0)).reshape(1, -1) - first

    def shift(self, left: Integers, right: Integers, size: int, skip: int = 0) -> tuple[Floats, Floats]:
        """Deviations of the difference of shares, and the differences by chance, shape (DRAWS, size - skip) each.

        The first ``skip`` keys are left out: shares are then of the rows that have another one.
        """
        tables = [self.left.table(left, size), self.right.table(right, size)]
        out = []
        for side, table in zip((self.left, self.right), tables, strict=True):
            whole, drawn = np.asarray(table.sum(axis=0)).reshape(1, -1), np.asarray(side.weights @ table)
            out.append(shares(drawn[:, skip:]) - shares(whole[:, skip:]))
        by_chance = [shares(part[:, skip:]) for part in self.halves(tables)]
        return np.asarray(out[0] - out[1]), np.asarray(by_chance[0] - by_chance[1])

    def change(
        self, left: Integers, right: Integers, size: int, statistic: Callable[[Floats], Floats]
    ) -> tuple[float, Floats]:
        """How far a statistic of the counts of keys differs between the tables; and as ``calibrated`` has it.

        Args:
            left: Keys of the real rows.
            right: Keys of the other ones.
            size: How many keys there are.
            statistic: From counts, shape (b, size), to the statistic, shape (b,).
        """
        gap = difference(left, right, size, statistic)
        tables = [self.left.table(left, size), self.right.table(right, size)]
        sides = zip((self.left, self.right), tables, strict=True)
        drawn = [statistic(np.asarray(side.weights @ table)) for side, table in sides]
        own = drawn[0] - drawn[0].mean() - drawn[1] + drawn[1].mean()
        parted = [statistic(part) for part in self.halves(tables)]
        deviations = (own[:, None], (parted[0] - parted[1])[:, None])
        return abs(gap), self.calibrated(deviations, np.array([gap]), _size, abs(gap))

    def calibrated(
        self,
        deviation: Floats | tuple[Floats, Floats],
        gap: Floats,
        distance: Callable[[Floats], Floats],
        value: float,
    ) -> Floats:
        """Distances under every draw whose mean is the observed one, as near as shrinking the difference makes it.

        Args:
            deviation: Deviations of the difference, shape (DRAWS, k); or these and the differences by chance.
            gap: The observed difference, shape (k,).
            distance: From differences, shape (..., k), to distances, shape (...).
            value: The observed distance.

        Returns: These and the distances by chance alone, shape (2, DRAWS).
        """
        own, by_chance = deviation if isinstance(deviation, tuple) else (deviation, deviation)
        return calibrated(own * self.scale, by_chance * self.scale, gap, distance, value)


def calibrated(
    own: Floats, by_chance: Floats, gap: Floats, distance: Callable[[Floats], Floats], value: float
) -> Floats:
    """What ``Resample.calibrated`` gives, from deviations and differences by chance of all rows."""
    return shrunk(own, distance(by_chance), gap, distance, value)


def shrunk(own: Floats, chance: Floats, gap: Floats, distance: Callable[[Floats], Floats], value: float) -> Floats:
    """The same where the distances by chance alone are known, shape (DRAWS,)."""
    likely = float(chance.mean() + 2 * chance.std())  # up to here a difference is taken for chance alone
    if likely >= value:
        return np.stack([chance, chance])
    low, high = 1, len(STEPS) - 1
    while low < high:  # the mean grows with the share
        middle = (low + high) // 2
        if distance(own + STEPS[middle] * gap).mean() >= value:
            high = middle
        else:
            low = middle + 1
    return np.stack([distance(own + STEPS[low] * gap), chance])


def half_width(draws: Floats) -> float:
    """Half the width of the 95 % interval, from distances under every draw, shape (DRAWS,)."""
    half: float = float(student.ppf(0.975, len(draws) - 1)) * float(draws.std(ddof=1))
    return half


def reachable(mean: Floats, deviation: Floats, rate: float = RARELY) -> Floats:
    """What the largest of p distances reaches by chance in so many of the tables at most, shape (p,).

    A distance by chance is taken for a gamma variable of its mean and deviation, since it is positive and skewed; the
    rate is shared out over the p (Bonferroni).
    """
    varies = (deviation > 0) & (mean > 0)
    spread = np.where(varies, deviation, 1.0) ** 2 / np.where(varies, mean, 1.0)
    shape = np.where(varies, mean, 1.0) / spread
    return np.asarray(np.where(varies, gamma.isf(rate / max(len(mean), 1), shape, scale=spread), mean))


def around(value: float, draws: Floats) -> tuple[float, float]:
    """95 % interval of an error between 0 and 1, in percent.

    Up to two deviations above what chance gives, the spread is that by chance. Beyond, the lower end is judged, as in
    Wilson's interval for a share, by the spread that it would have itself: between that by chance alone, at its mean,
    and that of the draws, at the observed value. Else a distance that is far by chance would get too wide an interval.

    Args:
        value: The error.
        draws: Errors under every draw, and by chance alone, shape (2, DRAWS).
    """
    own, chance = (half_width(each) for each in draws)
    usual, deviation = float(draws[1].mean()), float(draws[1].std())
    if value <= usual + 2 * deviation:
        own, low = chance, value - chance
    else:
        # the end t = value - half(t), where half(t) goes on a line from chance's, at its mean, to the draws' own
        slope = max(own - chance, 0.0) / (value - usual)
        low = (value - chance + slope * usual) / (1 + slope) if slope else value - own
    return 100 * max(0.0, min(low, value)), 100 * min(1.0, value + own)


def difference(left: Integers, right: Integers, size: int, statistic: Callable[[Floats], Floats]) -> float:
    """What a statistic of the counts of keys is on the left, less what it is on the right."""
    one, other = (statistic(np.bincount(keys, minlength=size).astype(np.float64)[None])[0] for keys in (left, right))
    return float(one - other)


def _size(gap: Floats) -> Floats:
    return np.asarray(np.abs(gap[..., 0]))


def half_sum(gap: Floats) -> Floats:
    """Total variation from differences of shares, shape (..., k)."""
    return np.asarray(0.5 * np.abs(gap).sum(axis=-1))


def within(gap: Floats) -> Floats:
    """The same among some of the rows: 1 where one of the tables has none of them, so that the shares do not cancel."""
    return np.where(np.abs(gap.sum(axis=-1)) > 0.5, 1.0, half_sum(gap))


def sampled(real: Coded, most: int, rng: np.random.Generator) -> Coded:
    """At most so many rows of a table."""
    return real if len(real) <= most else real.take(rng.permutation(len(real))[:most])


def shares(counts: Floats) -> Floats:
    """Counts over their sum along the last axis; zero where there are none."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(counts / np.where(total > 0, total, 1.0))
