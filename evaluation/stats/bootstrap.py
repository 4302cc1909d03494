"""Calibrated bootstrap of a distance between two tables.

A plain bootstrap inflates a distance, because it repeats rows. The deviations of its draws are therefore added to a
shrunk
observed difference, with the shrinkage that makes the mean distance of the draws equal to the observed distance.
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
from tabsynth.evaluation.stats.encoded_table import EncodedTable

N_DRAWS = 100
"""Number of bootstrap draws, for a relative error of an interval's width of about 7 %."""

N_GROUPS, MAX_GROUPS = 200, 800
"""Number of groups of rows, the units of the bootstrap: of the smaller table, and maximum of the larger table."""

MAX_ROWS = 20_000
"""Maximum rows of the smaller table in the bootstrap; deviations are scaled to all rows."""

MAX_DENSE_CELLS = 4_000_000
"""Maximum number of cells (groups by keys) of a dense array of counts."""

MAX_DENSE_KEYS = 1_000
"""Maximum number of keys without removal of keys that do not occur."""

FAMILYWISE_RATE = 0.004
"""Family-wise error rate of the parts of a score."""

SHRINKAGE_STEPS = np.linspace(0.0, 1.0, 9)
"""Candidate shrinkage factors of the observed difference."""


@dataclass(frozen=True, eq=False)
class BootstrapSide:
    """Bootstrap draws of one table.

    Attributes:
        rows: Row numbers, shape (r,).
        row_groups: Group of each row, shape (r,).
        weights: Number of times that each group occurs in each draw, shape (N_DRAWS, groups).
    """

    rows: Integers
    row_groups: Integers
    weights: Floats

    @classmethod
    def of(cls, n: int, size: int, rng: np.random.Generator) -> BootstrapSide:
        """Divide a table of n rows into groups of ``size`` rows, and draw groups."""
        groups = min(max(n // size, 1), MAX_GROUPS)
        rows = rng.permutation(n)[: groups * size]
        row_groups = np.arange(len(rows)) % groups
        weights = rng.multinomial(groups, np.full(groups, 1 / groups), N_DRAWS).astype(np.float64)
        return cls(rows, row_groups, weights)

    def restrict(self, chosen: npt.NDArray[np.bool_]) -> BootstrapSide:
        """Return the same draws for a table with the chosen rows only."""
        chosen_rows = chosen[self.rows]
        return replace(
            self, rows=(np.cumsum(chosen) - 1)[self.rows[chosen_rows]], row_groups=self.row_groups[chosen_rows]
        )

    def table(self, keys: Integers, size: int) -> Any:
        """Count each key in each group, shape (groups, size); sparse if large."""
        groups, row_keys = self.weights.shape[1], keys[self.rows]
        if groups * size <= MAX_DENSE_CELLS:
            return (
                np.bincount(self.row_groups * size + row_keys, minlength=groups * size)
                .reshape(groups, size)
                .astype(float)
            )
        return csr_matrix((np.ones(len(row_keys)), (self.row_groups, row_keys)), shape=(groups, size))

    def counts(self, keys: Integers, size: int) -> tuple[Floats, Floats]:
        """Return the counts of each key, shape (size,), and those of every draw, shape (N_DRAWS, size)."""
        table = self.table(keys, size)
        return np.asarray(table.sum(axis=0), dtype=np.float64).ravel(), np.asarray(self.weights @ table)


@dataclass(frozen=True, eq=False)
class Resample:
    """Bootstrap draws of two tables, common to all distances, so that correlations between distances are preserved.

    Attributes:
        left: Draws of the real table.
        right: Draws of the other table.
        chance: Permutations of all groups between the tables: 1 for groups of the first part, shape (N_DRAWS, groups).
            Unlike in the bootstrap, no row is repeated.
        scale: Ratio of deviations of all rows to those of the resampled rows.
    """

    left: BootstrapSide
    right: BootstrapSide
    chance: Floats
    scale: float

    @classmethod
    def of(cls, n: int, m: int, rng: np.random.Generator) -> Resample:
        """Draw for tables of n and m rows."""
        size = max(1, -(-min(n, m, MAX_ROWS) // N_GROUPS))
        left, right = BootstrapSide.of(n, size, rng), BootstrapSide.of(m, size, rng)
        used = 1 / len(left.rows) + 1 / len(right.rows)
        groups = [side.weights.shape[1] for side in (left, right)]
        one = (rng.permuted(np.tile(np.arange(sum(groups)), (N_DRAWS, 1)), axis=1) < groups[0]).astype(np.float64)
        return cls(left, right, one, float(np.sqrt((1 / n + 1 / m) / used)))

    def total_variation(
        self,
        left: Integers,
        right: Integers,
        size: int,
        times: float = 1.0,
        chance: Floats | None = None,
    ) -> tuple[float, Floats]:
        """Return the total variation of keys 0 to size - 1, times a factor, and its calibrated draws, (2, N_DRAWS).

        ``chance`` replaces the null distances, shape (N_DRAWS,), if the keys themselves depend on the real rows.
        """
        if size > MAX_DENSE_KEYS:
            occurs = (np.bincount(left, minlength=size) + np.bincount(right, minlength=size)) > 0
            place = np.cumsum(occurs) - 1
            left, right, size = place[left], place[right], int(occurs.sum())
        gap = np.bincount(left, minlength=size) / len(left) - np.bincount(right, minlength=size) / len(right)
        value = times * float(half_l1_norm(gap))
        own, by_chance = (each * self.scale for each in self.share_deviations(left, right, size))
        known = times * half_l1_norm(by_chance) if chance is None else chance
        return value, recentre(own, known, gap, lambda each: times * half_l1_norm(each), value)

    def restrict(self, left: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> Resample:
        """Return the same draws for tables with the chosen rows only."""
        return replace(self, left=self.left.restrict(left), right=self.right.restrict(right))

    @cached_property
    def permuted(self) -> npt.NDArray[np.bool_]:
        """Indicators of the first part of each permutation over the pooled rows, real first, shape (N_DRAWS, rows)."""
        row_groups = np.concatenate([self.left.row_groups, self.right.row_groups + self.left.weights.shape[1]])
        return np.asarray(self.chance[:, row_groups] > 0)

    def permuted_counts(self, tables: Sequence[Any]) -> tuple[Floats, Floats]:
        """Return counts in the two parts of every permutation, (N_DRAWS, size) each, from ``BootstrapSide.table``."""
        union = vstack(tables).tocsr() if any(map(issparse, tables)) else np.vstack(tables)
        first = np.asarray(self.chance @ union)
        return first, np.asarray(union.sum(axis=0)).reshape(1, -1) - first

    def share_deviations(self, left: Integers, right: Integers, size: int, skip: int = 0) -> tuple[Floats, Floats]:
        """Return deviations and null values of the difference of shares, shape (N_DRAWS, size - skip) each.

        The first ``skip`` keys are excluded; shares are those of the rows with other keys.
        """
        tables = [self.left.table(left, size), self.right.table(right, size)]
        out = []
        for side, table in zip((self.left, self.right), tables, strict=True):
            whole, drawn = np.asarray(table.sum(axis=0)).reshape(1, -1), np.asarray(side.weights @ table)
            out.append(normalise(drawn[:, skip:]) - normalise(whole[:, skip:]))
        by_chance = [normalise(part[:, skip:]) for part in self.permuted_counts(tables)]
        return np.asarray(out[0] - out[1]), np.asarray(by_chance[0] - by_chance[1])

    def statistic_change(
        self, left: Integers, right: Integers, size: int, statistic: Callable[[Floats], Floats]
    ) -> tuple[float, Floats]:
        """Return the absolute difference of a statistic between the tables, and its calibrated draws, (2, N_DRAWS).

        ``statistic`` maps counts of the keys, shape (b, size), to shape (b,).
        """
        gap = statistic_difference(left, right, size, statistic)
        tables = [self.left.table(left, size), self.right.table(right, size)]
        sides = zip((self.left, self.right), tables, strict=True)
        drawn = [statistic(np.asarray(side.weights @ table)) for side, table in sides]
        own = drawn[0] - drawn[0].mean() - drawn[1] + drawn[1].mean()
        permuted = [statistic(part) for part in self.permuted_counts(tables)]
        deviations = (own[:, None], (permuted[0] - permuted[1])[:, None])
        return abs(gap), self.calibrate(deviations, np.array([gap]), _absolute, abs(gap))

    def calibrate(
        self,
        deviation: Floats | tuple[Floats, Floats],
        gap: Floats,
        distance: Callable[[Floats], Floats],
        value: float,
    ) -> Floats:
        """Return draws of a distance whose mean is close to the observed distance, and null distances.

        Args:
            deviation: Deviations of the difference, shape (N_DRAWS, k); or these and null differences.
            gap: The observed difference, shape (k,).
            distance: Maps differences, shape (..., k), to distances, shape (...).
            value: The observed distance.

        Returns:
            Draws and null distances, shape (2, N_DRAWS).
        """
        own, by_chance = deviation if isinstance(deviation, tuple) else (deviation, deviation)
        return calibrate_draws(own * self.scale, by_chance * self.scale, gap, distance, value)


def calibrate_draws(
    own: Floats, by_chance: Floats, gap: Floats, distance: Callable[[Floats], Floats], value: float
) -> Floats:
    """Calibrate draws as ``Resample.calibrate`` does, from deviations and null differences of all rows."""
    return recentre(own, distance(by_chance), gap, distance, value)


def recentre(own: Floats, chance: Floats, gap: Floats, distance: Callable[[Floats], Floats], value: float) -> Floats:
    """Calibrate draws as ``Resample.calibrate`` does, from deviations and null distances, shape (N_DRAWS,)."""
    likely = float(chance.mean() + 2 * chance.std())  # up to this value a distance is attributed to chance
    if likely >= value:
        return np.stack([chance, chance])
    low, high = 1, len(SHRINKAGE_STEPS) - 1
    while low < high:  # the mean increases with the shrinkage factor
        middle = (low + high) // 2
        if distance(own + SHRINKAGE_STEPS[middle] * gap).mean() >= value:
            high = middle
        else:
            low = middle + 1
    return np.stack([distance(own + SHRINKAGE_STEPS[low] * gap), chance])


def half_width(draws: Floats) -> float:
    """Return half the width of the 95 % interval, from draws of shape (N_DRAWS,)."""
    half: float = float(student.ppf(0.975, len(draws) - 1)) * float(draws.std(ddof=1))
    return half


def familywise_bound(mean: Floats, deviation: Floats, rate: float = FAMILYWISE_RATE) -> Floats:
    """Return family-wise upper bounds of p null distances, shape (p,).

    Null distances are modelled as gamma variables with the given mean and standard deviation, because they are positive
    and skewed; the rate is divided by p (Bonferroni).
    """
    varies = (deviation > 0) & (mean > 0)
    spread = np.where(varies, deviation, 1.0) ** 2 / np.where(varies, mean, 1.0)
    shape = np.where(varies, mean, 1.0) / spread
    return np.asarray(np.where(varies, gamma.isf(rate / max(len(mean), 1), shape, scale=spread), mean))


def error_interval(value: float, draws: Floats) -> tuple[float, float]:
    """Return the 95 % interval, in percent, of an error between 0 and 1.

    Up to two standard deviations above the mean null error, the width is that of the null distribution. Beyond, the
    lower end t uses, as Wilson's interval for a share does, the half width at t, interpolated between that of the null
    distribution at its mean and that of the draws at the observed value.

    Args:
        value: The error.
        draws: Draws and null errors, shape (2, N_DRAWS).
    """
    own, chance = (half_width(each) for each in draws)
    usual, deviation = float(draws[1].mean()), float(draws[1].std())
    if value <= usual + 2 * deviation:
        own, low = chance, value - chance
    else:
        # Solve t = value - half(t), with half(t) linear between the null mean and the value.
        slope = max(own - chance, 0.0) / (value - usual)
        low = (value - chance + slope * usual) / (1 + slope) if slope else value - own
    return 100 * max(0.0, min(low, value)), 100 * min(1.0, value + own)


def statistic_difference(left: Integers, right: Integers, size: int, statistic: Callable[[Floats], Floats]) -> float:
    """Return the difference of a statistic of key counts between the two tables."""
    one, other = (statistic(np.bincount(keys, minlength=size).astype(np.float64)[None])[0] for keys in (left, right))
    return float(one - other)


def _absolute(gap: Floats) -> Floats:
    return np.asarray(np.abs(gap[..., 0]))


def half_l1_norm(gap: Floats) -> Floats:
    """Return the total variation from differences of shares, shape (..., k)."""
    return np.asarray(0.5 * np.abs(gap).sum(axis=-1))


def conditional_variation(gap: Floats) -> Floats:
    """Return the total variation among some of the rows; 1 if one table has none (the shares do not sum to zero)."""
    return np.where(np.abs(gap.sum(axis=-1)) > 0.5, 1.0, half_l1_norm(gap))


def subsample(real: EncodedTable, max_rows: int, rng: np.random.Generator) -> EncodedTable:
    """Return a random sample of at most ``max_rows`` rows."""
    return real if len(real) <= max_rows else real.take(rng.permutation(len(real))[:max_rows])


def normalise(counts: Floats) -> Floats:
    """Divide counts by their sum along the last axis; zero if there are none."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(counts / np.where(total > 0, total, 1.0))
