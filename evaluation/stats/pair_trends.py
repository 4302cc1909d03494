"""Errors of all pairs of columns, with floors and a closed-form interval of their mean.

Every pair is counted once; floor and interval follow from the counts, without resampling. The variance of the mean
distance comes from the first two terms of Hoeffding's decomposition (van der Vaart, "Asymptotic Statistics", 1998,
section 11.4): each row's influence on the differences of cell shares, and the joint effect of two rows in one cell,
which alone remains where shares differ by chance. In between, the difference of a cell is shrunk such that the expected
distance equals the observed one, and both terms are weighted accordingly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erf
from scipy.stats import norm

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.stats.bootstrap import N_DRAWS, SHRINKAGE_STEPS, Resample, familywise_bound
from tabsynth.evaluation.stats.distances import (
    contingency_tables,
    correlation_distance,
    correlations_from_moments,
    pairwise_correlations,
    pairwise_moments,
    standardise,
    total_variation,
)
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.null_distance import NullDistribution

N_FIRST_ORDER_ROWS, N_SECOND_ORDER_ROWS = 4_000, 300
"""Maximum rows of each table for the first-order term, and of both tables for the second-order term."""

N_SPLITS = 3
"""Number of random halvings for the floor of correlations; that of contingency tables is over all halvings."""

MAX_BLOCK_COLUMNS = 100
"""Maximum number of columns in a block; pairs are compared within random blocks of columns."""

SQRT_HALF_PI = float(np.sqrt(np.pi / 2))


@dataclass(frozen=True, eq=False)
class PairTrends:
    """Errors of all pairs as fractions.

    Attributes:
        errors: Errors of the pairs, shape (d, d), symmetric, zero on the diagonal.
        floors: Errors of real rows, shape (d, d).
        bound: Family-wise bounds of the errors, shape (d, d).
        half: Half the width of the 95 % interval of the mean over the pairs.
        pairs: The compared pairs, in order.
    """

    errors: Floats
    floors: Floats
    bound: Floats
    half: float
    pairs: tuple[tuple[int, int], ...]


@dataclass(eq=False)
class _VarianceTerms:
    """Terms of the variance of the mean error, as sums over pairs for a sample of rows.

    Attributes:
        rows: Numbers of the sampled rows in the concatenated tables, the real one first, shape (r,).
        real: Number of real rows among them.
        second_order_rows: Positions of the rows for the second-order term.
        first: First-order contribution of each row, shape (r,).
        second: Second-order contribution of each pair of ``second_order_rows``.
        numeric_second: Part of ``second`` from pairs of numbers.
        permuted: Sum over the pairs of numbers whose correlations differ by chance alone, under each permutation.
    """

    rows: Integers
    real: int
    second_order_rows: Integers
    first: Floats
    second: Floats
    numeric_second: Floats
    permuted: Floats

    @classmethod
    def of(cls, n: int, m: int, rng: np.random.Generator) -> _VarianceTerms:
        rows = np.r_[rng.permutation(n)[:N_FIRST_ORDER_ROWS], n + rng.permutation(m)[:N_FIRST_ORDER_ROWS]]
        real = min(n, N_FIRST_ORDER_ROWS)
        # Proportional to the sizes of the tables, which have the same distribution where this term matters.
        share = round(N_SECOND_ORDER_ROWS * n / (n + m))
        second_order_rows = np.r_[
            np.arange(min(real, max(share, 1))),
            real + np.arange(min(len(rows) - real, max(N_SECOND_ORDER_ROWS - share, 1))),
        ]
        none = np.zeros((len(second_order_rows), len(second_order_rows)))
        return cls(rows, real, second_order_rows, np.zeros(len(rows)), none, none.copy(), np.zeros(N_DRAWS))

    def variance(self, n: int, m: int) -> float:
        """Return the variance of the sum over the pairs."""
        one, other = self.first[: self.real], self.first[self.real :]
        unit = 2 * (1 / n + 1 / m) ** 2
        second = unit * (
            _second_order_variance(self.second + self.numeric_second) - _second_order_variance(self.numeric_second)
        ) + float(self.permuted.var(ddof=1))
        return n * float(one.var()) + m * float(other.var()) + max(second, 0.0)


def _second_order_variance(second: Floats) -> float:
    """Return the mean square of the joint effects of two different rows minus their separate effects."""
    centred = second - second.mean(axis=0) - second.mean(axis=1)[:, None] + second.mean()
    t = len(second)
    return float((centred**2).sum() - (np.diag(centred) ** 2).sum()) / max(t * (t - 1), 1)


def compare_pairs(
    real: EncodedTable, other: EncodedTable, held_out: EncodedTable | None, rng: np.random.Generator
) -> PairTrends:
    """Compare all pairs of two tables.

    Args:
        real: The real table.
        other: The other table.
        held_out: Held-out real rows for the floor; without them it is the mean over all halvings of ``real`` (over
            ``N_SPLITS`` for correlations).
        rng: Generator of samples and halves.
    """
    n, m = len(real), len(other)
    d = len(real.encoding.names)
    errors, floors, null_mean, null_std = out = np.zeros((4, d, d))
    compared = np.zeros((d, d), dtype=bool)
    parts = _VarianceTerms.of(n, m, rng)
    blocks = _column_blocks(d, rng)
    has_numbers = int(real.encoding.continuous.sum()) > 1
    splits = [rng.permutation(n) for _ in range(N_SPLITS)] if has_numbers and held_out is None and n > 3 else []
    resample = Resample.of(n, m, rng) if has_numbers else None
    chance = NullDistribution.of(n, m), NullDistribution.of(n // 2, n - n // 2) if n > 1 else None
    for block in blocks:
        tables = [table.select(block) for table in (real, other, held_out) if table is not None]
        each = np.zeros((4, len(block), len(block)))
        if resample is not None:
            _add_numeric_pairs(tables, each, parts, splits, resample)
        _add_contingency_pairs(tables, each, parts, chance)
        at = np.ix_(block, block)
        for whole, part in zip(out, each, strict=True):
            whole[at] = part
        compared[at] = True
    upper = np.nonzero(np.triu(compared, 1))
    bound = np.zeros((d, d))
    bound[upper] = familywise_bound(null_mean[upper], null_std[upper])
    half = float(norm.ppf(0.975)) * float(np.sqrt(parts.variance(n, m))) / max(len(upper[0]), 1)
    pairs = tuple(zip(upper[0].tolist(), upper[1].tolist(), strict=True))
    return PairTrends(np.clip(errors, 0.0, 1.0), np.clip(floors, 0.0, 1.0), bound, half, pairs)


def _column_blocks(d: int, rng: np.random.Generator) -> list[Integers]:
    """Return all columns as one block, or random blocks of at most ``MAX_BLOCK_COLUMNS``."""
    if d <= MAX_BLOCK_COLUMNS:
        return [np.arange(d)]
    return [np.sort(part) for part in np.array_split(rng.permutation(d), -(-d // MAX_BLOCK_COLUMNS))]


def _add_contingency_pairs(
    tables: list[EncodedTable],
    out: Floats,
    parts: _VarianceTerms,
    chance: tuple[NullDistribution, NullDistribution | None],
) -> None:
    """Fill the four tables of ``out`` for the pairs with a category; the third table, if any, is the held-out one."""
    errors, floors, null_mean, null_std = out
    n, m = len(tables[0]), len(tables[1])
    for (a, b), keys, counts in contingency_tables(tables):
        left, right = counts[:2]
        errors[a, b] = errors[b, a] = error = total_variation(left, right, n, m)
        if len(tables) > 2:
            floor = total_variation(left, counts[2], n, len(tables[2]))
        else:
            floor = 0.5 * float(chance[1].mean[left].sum()) if chance[1] is not None else 0.0
        floors[a, b] = floors[b, a] = floor
        null_mean[a, b], null_std[a, b] = _add_contingency_pair(parts, keys, left, right, (n, m), error, chance[0])


def _add_contingency_pair(
    parts: _VarianceTerms,
    keys: Integers,
    left: Integers,
    right: Integers,
    rows: tuple[int, int],
    error: float,
    chance: NullDistribution,
) -> tuple[float, float]:
    """Add the variance terms of a pair of columns, and return the mean and standard deviation of its null error."""
    n, m = rows
    whole = left + right
    cells = np.flatnonzero(whole)
    k = whole[cells]
    null_mean, varies = chance.mean[k], chance.variance[k]
    gap = left[cells] / n - right[cells] / m
    direction, noise_share = _shrinkage_weights(gap, null_mean, varies, error)
    pooled = 0.5 * noise_share * (null_mean - chance.mean[k - 1])
    curve = np.zeros(len(whole))
    curve[cells] = 0.5 * noise_share * np.sqrt(varies / 2) / np.maximum(varies + null_mean**2, 1e-300)
    at = keys[parts.rows]
    for side, size, sign in ((slice(0, parts.real), n, 1.0), (slice(parts.real, None), m, -1.0)):
        each = np.zeros(len(whole))
        each[cells] = 0.5 * sign * direction / size + pooled
        parts.first[side] += each[at[side]]
    two = at[parts.second_order_rows]
    parts.second += np.where(two[:, None] == two, curve[two], 0.0)
    return 0.5 * float(null_mean.sum()), 0.5 * float(np.sqrt(varies.sum()))


def _shrinkage_weights(gap: Floats, null_mean: Floats, varies: Floats, error: float) -> tuple[Floats, Floats]:
    """Return weights of the first-order term, from -1 to 1, and of the second-order term, from 0 to 1."""
    if error <= 0.5 * float(null_mean.sum()) + float(np.sqrt(varies.sum())):  # two deviations: due to chance alone
        return np.zeros(len(gap)), np.ones(len(gap))
    ratio = gap / np.maximum(SQRT_HALF_PI * null_mean, 1e-300)
    low, high = 1, len(SHRINKAGE_STEPS) - 1
    while low < high:
        middle = (low + high) // 2
        share = float(SHRINKAGE_STEPS[middle])
        t = share * ratio
        expected = 0.5 * float((null_mean * np.exp(-(t**2) / 2) + share * gap * erf(t / np.sqrt(2))).sum())
        if expected >= error:
            high = middle
        else:
            low = middle + 1
    t = float(SHRINKAGE_STEPS[low]) * ratio
    return erf(t / np.sqrt(2)), np.exp(-(t**2) / 2)


def _add_numeric_pairs(
    tables: list[EncodedTable], out: Floats, parts: _VarianceTerms, splits: list[Integers], resample: Resample
) -> None:
    """Fill the four tables of ``out`` for the pairs of two numbers: half the difference of their correlations."""
    errors, floors, null_mean, null_std = out
    real, other = tables[:2]
    at = np.flatnonzero(real.encoding.continuous)
    if len(at) < 2:
        return
    scaled = [standardise(table.values) for table in (real, other)]
    r, s = (correlations_from_moments(pairwise_moments(values)) for values in scaled)
    gap = correlation_distance(r, s)
    errors[np.ix_(at, at)] = gap
    if len(tables) > 2:
        floors[np.ix_(at, at)] = correlation_distance(r, pairwise_correlations(tables[2].values))
    elif splits:
        each = []
        for order in splits:
            sides = (order[: len(order) // 2], order[len(order) // 2 :])
            each.append(
                correlation_distance(*(correlations_from_moments(pairwise_moments(scaled[0][side])) for side in sides))
            )
        floors[np.ix_(at, at)] = np.mean(each, axis=0)
    n, m = len(real), len(other)
    some = [scaled[0][parts.rows[: parts.real]], scaled[1][parts.rows[parts.real :] - n]]
    uncertain = np.zeros(r.shape, dtype=bool)
    for a in range(len(at) - 1):
        known = ~(np.isnan(r[a, a + 1 :]) | np.isnan(s[a, a + 1 :]))
        influence = [_influence(rows, a, each) * known for rows, each in zip(some, (r, s), strict=True)]
        both = np.vstack(influence)
        spread = np.sqrt(influence[0].var(axis=0) / n + influence[1].var(axis=0) / m)
        difference = np.nan_to_num(r - s)[a, a + 1 :] * known
        certain = np.abs(difference) > spread / SQRT_HALF_PI + 2 * spread * np.sqrt(1 - 2 / np.pi)
        uncertain[a, a + 1 :] = known & ~certain
        direction = 0.5 * np.sign(difference) * certain
        parts.first[: parts.real] += influence[0] @ (direction / n)
        parts.first[parts.real :] -= influence[1] @ (direction / m)
        # The expected null distance depends on the rows as well, mainly on outlying ones.
        each = both**2 / np.maximum((both**2).mean(axis=0), 1e-300) - 1
        parts.first += each @ (0.25 * spread / SQRT_HALF_PI * ~certain) / (n + m)
        curve = 0.5 * ~certain * np.sqrt((1 - 2 / np.pi) / 2) / np.where(spread > 0, spread, np.inf)
        two = both[parts.second_order_rows]
        parts.numeric_second += (two * curve) @ two.T
    drawn = _permuted_correlation_gaps(scaled, resample)
    parts.permuted += drawn[:, uncertain].sum(axis=1)
    null_mean[np.ix_(at, at)], null_std[np.ix_(at, at)] = drawn.mean(axis=0), drawn.std(axis=0)


def _permuted_correlation_gaps(scaled: list[Floats], resample: Resample) -> Floats:
    """Return half the differences of correlations under permutations of the rows, shape (N_DRAWS, c, c).

    Permutations include the effect of outlying rows on the variance of a correlation, which influences do not.
    """
    groups = []
    for values, side in zip(scaled, (resample.left, resample.right), strict=True):
        rows = values[side.rows[np.argsort(side.row_groups, kind="stable")]]  # contiguous groups of equal sizes
        groups.append(pairwise_moments(rows.reshape(side.weights.shape[1], -1, rows.shape[1])))
    each = np.concatenate(groups)
    parts = (resample.chance, 1 - resample.chance)
    drawn = [correlations_from_moments((w @ each.reshape(len(each), -1)).reshape(-1, *each.shape[1:])) for w in parts]
    return np.asarray(0.5 * resample.scale * np.abs(np.nan_to_num(drawn[0] - drawn[1])))


def _influence(rows: Floats, a: int, correlation: Floats) -> Floats:
    """Return each row's influence on the correlations of column a with later columns, shape (r, columns after a)."""
    one, others = rows[:, a : a + 1], rows[:, a + 1 :]
    present = ~(np.isnan(one) | np.isnan(others))
    moved = one * others - 0.5 * np.nan_to_num(correlation[a, a + 1 :]) * (one**2 + others**2)
    share = np.maximum(present.mean(axis=0), 1e-12)
    return np.asarray(np.where(present, moved, 0.0) / share)
