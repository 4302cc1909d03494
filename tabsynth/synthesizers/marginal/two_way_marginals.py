"""Noisy counts of pairs of columns, and of triples with the target, at one resolution.

A resolution groups the tokens of every column. Tables of few groups have less noise; tables of all tokens have more
detail. ``pair_selection`` chooses which pairs are counted at which resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers, Tokens
from tabsynth.synthesizers.marginal.count_source import MeasuredRows, Reader

Pair = tuple[int, int]

BUDGET_EXPONENT = 2 / 3
"""Shares of the budget are proportional to the cells to this power, which minimises the sum of all cells' errors."""


def group_tokens(marginal: Floats, groups: int, n_ordered: int, families: Sequence[Integers] = ()) -> Integers:
    """Group the tokens of a column; return each token's group, ascending from 0 without gaps, shape (tokens,).

    Neighbouring ordered tokens are grouped such that the sum of the groups' squared masses is minimal; tokens after
    them (missing values) keep groups of their own. Unordered tokens are grouped by family, if any; the rarest families
    or tokens are pooled.

    Args:
        marginal: The distribution of the column.
        groups: Maximum groups of the ordered, or of the unordered tokens.
        n_ordered: Number of leading tokens that are ordered.
        families: Public partitions of unordered tokens, such as the coarse codes of fine ones: the family of each
            token, partitions with fewer families first.
    """
    size = len(marginal)
    if size <= groups:
        return np.arange(size)
    if not n_ordered and families:
        fit = [family for family in families if family.max() < groups]
        family = np.unique(fit[-1] if fit else families[0], return_inverse=True)[1]
        return group_tokens(np.bincount(family, weights=marginal).astype(np.float64), groups, 0)[family]
    if not n_ordered:
        rank = np.empty(size, np.int64)
        rank[np.argsort(-marginal, kind="stable")] = np.arange(size)
        return np.minimum(rank, groups - 1)
    group = _partition(marginal[:n_ordered], min(groups, n_ordered))
    return np.concatenate([group, group[-1] + 1 + np.arange(size - n_ordered)])


def _partition(mass: Floats, groups: int) -> Integers:
    """Return the partition ordered tokens into runs with the minimal sum of squared masses, by dynamic programming."""
    ends = np.concatenate([[0.0], np.cumsum(mass)])
    cost = (ends[None, :] - ends[:, None]) ** 2
    cost[np.tril_indices(len(ends))] = np.inf
    best, cuts = cost[0], list[Integers]()
    for _ in range(groups - 1):
        every = best[:, None] + cost
        cuts.append(every.argmin(0))
        best = every.min(0)
    out, end = np.zeros(len(mass), np.int64), len(mass)
    for group, cut in zip(range(groups - 1, 0, -1), reversed(cuts), strict=True):
        out[int(cut[end]) : end] = group
        end = int(cut[end])
    return out


@dataclass(frozen=True, eq=False)
class MeasurementPlan:
    """The tables to count at one resolution.

    Attributes:
        groups: The group of each token of each column.
        pairs: Pairs of columns.
        triples: Pairs of columns that are counted within each group of the target.
        target: The target column, if any.
    """

    groups: tuple[Integers, ...]
    pairs: tuple[Pair, ...]
    triples: tuple[Pair, ...] = ()
    target: int | None = None

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Groups of each column."""
        return tuple(int(groups.max()) + 1 for groups in self.groups)

    @property
    def n_parts(self) -> int:
        """Number of groups of the target, within which triples are counted."""
        return 0 if self.target is None or not self.triples else self.sizes[self.target]

    def cells(self) -> Integers:
        """Return the number of cells of every pair, then of every triple."""
        pairs = [self.sizes[a] * self.sizes[b] for a, b in self.pairs]
        return np.array(pairs + [self.n_parts * self.sizes[a] * self.sizes[b] for a, b in self.triples], np.int64)

    def weights(self) -> Floats:
        """Return the relative share of the budget of every pair, then of every triple."""
        # Rounded to half-powers of two, so that the ledger has few different scales of noise.
        return np.asarray(np.exp2(np.round(2 * BUDGET_EXPONENT * np.log2(self.cells())) / 2))

    def reader(self, tokens: Reader, pair: Pair, *, within_target: bool = False) -> Reader:
        """Return a reader of a pair's counts in row-major order, optionally within each group of the target."""
        a, b = pair
        sizes, target = self.sizes, self.target if within_target else None

        def read() -> npt.NDArray[np.int64]:
            rows: Tokens = tokens()
            cell = self.groups[a][rows[:, a]] * sizes[b] + self.groups[b][rows[:, b]]
            size = sizes[a] * sizes[b]
            if target is None:
                return np.bincount(cell, minlength=size)
            return np.bincount(self.groups[target][rows[:, target]] * size + cell, minlength=size * sizes[target])

        return read


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measured tables as shares of all rows.

    Attributes:
        plan: The tables.
        shares: Pairs of shape (groups, groups), triples of shape (target groups, groups, groups).
        variances: Variance of each table's shares, one number or an array; infinite for unknown shares.
    """

    plan: MeasurementPlan
    shares: tuple[Floats, ...]
    variances: tuple[float | Floats, ...]

    @property
    def pairs(self) -> list[tuple[Pair, Floats, float | Floats]]:
        """Return each pair with its shares and their variance."""
        return list(zip(self.plan.pairs, self.shares, self.variances, strict=False))

    @property
    def triples(self) -> list[tuple[Pair, Floats, float | Floats]]:
        """Return each triple as a pair within the target's groups, with its shares and their variance."""
        start = len(self.plan.pairs)
        return list(zip(self.plan.triples, self.shares[start:], self.variances[start:], strict=True))


def measure(plan: MeasurementPlan, measured: MeasuredRows, share: float) -> Measurements:
    """Count pairs and triples in one charge; a row falls in one cell of each table.

    Args:
        plan: The tables.
        measured: The rows to count.
        share: Share of the budget to spend.
    """
    weight = plan.weights()
    shares = (share * weight / weight.sum()).tolist()
    reads = [plan.reader(measured.tokens, pair) for pair in plan.pairs]
    reads += [plan.reader(measured.tokens, pair, within_target=True) for pair in plan.triples]
    what = [f"{len(plan.pairs)} pairs"] * bool(plan.pairs) + [f"{len(plan.triples)} triples"] * bool(plan.triples)
    purpose = f"{' and '.join(what)} of columns at up to {max(plan.sizes)} groups"
    counts = measured.counts(reads, shares, purpose) if reads else []
    shapes = [(plan.sizes[a], plan.sizes[b]) for a, b in (*plan.pairs, *plan.triples)]
    tables = [count.reshape(-1, *shape) / measured.rows for count, shape in zip(counts, shapes, strict=True)]
    tables[: len(plan.pairs)] = [table[0] for table in tables[: len(plan.pairs)]]
    return Measurements(plan, tuple(tables), tuple(measured.relative_sigma(part) ** 2 for part in shares))


def mutual_information(table: Floats) -> float:
    """Compute the mutual information of a pair in nats from its unnormalised table."""
    joint = np.maximum(table / table.sum(), 1e-12)
    apart = np.outer(joint.sum(1), joint.sum(0))
    return float((joint * np.log(joint / apart)).sum())
