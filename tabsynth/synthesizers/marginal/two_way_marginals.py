"""Noisy counts of pairs of columns, and of triples with the target, at one resolution.

A resolution gathers the tokens of every column in groups; a table of few groups is less noisy, one of all tokens has
the detail. ``pair_selection`` says which pairs are counted at which resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers, Tokens
from tabsynth.synthesizers.marginal.count_source import CountSource, Reader

Pair = tuple[int, int]

BUDGET_EXPONENT = 2 / 3
"""Shares of the budget go by the number of cells to this power, which makes the sum of all cells' errors least."""


def group_tokens(marginal: Floats, groups: int, n_ordered: int) -> Integers:
    """The group of each token of a column, ascending from 0 without gaps, shape (tokens,).

    Neighbours on a line are gathered so that the squares of the groups' masses sum to the least; what follows the line
    (missing values) stays alone. Of unordered tokens the rarest are gathered.

    Args:
        marginal: The distribution of the column.
        groups: Most groups of the line, or of the unordered tokens.
        n_ordered: How many of the leading tokens lie on a line.
    """
    size = len(marginal)
    if size <= groups:
        return np.arange(size)
    if not n_ordered:
        rank = np.empty(size, np.int64)
        rank[np.argsort(-marginal, kind="stable")] = np.arange(size)
        return np.minimum(rank, groups - 1)
    line = _partition(marginal[:n_ordered], min(groups, n_ordered))
    return np.concatenate([line, line[-1] + 1 + np.arange(size - n_ordered)])


def _partition(mass: Floats, groups: int) -> Integers:
    """Cut a line into stretches whose squared masses sum to the least, by dynamic programming."""
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
    """What is counted.

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
        return tuple(int(own.max()) + 1 for own in self.groups)

    @property
    def n_parts(self) -> int:
        """Groups of the target, within which triples are counted."""
        return 0 if self.target is None or not self.triples else self.sizes[self.target]

    def cells(self) -> Integers:
        """Number of cells of every pair, then of every triple."""
        pairs = [self.sizes[a] * self.sizes[b] for a, b in self.pairs]
        return np.array(pairs + [self.n_parts * self.sizes[a] * self.sizes[b] for a, b in self.triples], np.int64)

    def weights(self) -> Floats:
        """What part of a budget every pair, then every triple gets, up to a factor."""
        # Rounded to half-powers of two, so that the ledger has few different scales of noise.
        return np.asarray(np.exp2(np.round(2 * BUDGET_EXPONENT * np.log2(self.cells())) / 2))

    def reader(self, tokens: Reader, pair: Pair, *, within_target: bool = False) -> Reader:
        """Reads the counts of a pair, row by row of the first column; within each group of the target if asked."""
        a, b = pair
        sizes, target = self.sizes, self.target if within_target else None

        def read() -> npt.NDArray[np.int64]:
            own: Tokens = tokens()
            cell = self.groups[a][own[:, a]] * sizes[b] + self.groups[b][own[:, b]]
            size = sizes[a] * sizes[b]
            if target is None:
                return np.bincount(cell, minlength=size)
            return np.bincount(self.groups[target][own[:, target]] * size + cell, minlength=size * sizes[target])

        return read


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was counted, as shares of all rows.

    Attributes:
        plan: Which tables.
        shares: The shares of each table: pairs of shape (groups, groups), triples with the target's group before.
        variances: The variance of each table's shares.
    """

    plan: MeasurementPlan
    shares: tuple[Floats, ...]
    variances: tuple[float, ...]

    @property
    def pairs(self) -> list[tuple[Pair, Floats, float]]:
        """Each pair with its shares and their variance."""
        return list(zip(self.plan.pairs, self.shares, self.variances, strict=False))

    @property
    def triples(self) -> list[tuple[Pair, Floats, float]]:
        """Each pair within the target's groups, with its shares and their variance."""
        start = len(self.plan.pairs)
        return list(zip(self.plan.triples, self.shares[start:], self.variances[start:], strict=True))


def measure(
    plan: MeasurementPlan, tokens: Reader, rows: float, source: CountSource, share: float, names: Sequence[str]
) -> Measurements:
    """Count pairs and triples, in one charge; a row is in one cell of each.

    Args:
        plan: Which.
        tokens: Reads the tokens of all rows, shape (n, columns).
        rows: The noisy number of rows.
        source: Where counts come from.
        share: The share of the budget to spend.
        names: The columns' names, for the ledger.
    """
    weight = plan.weights()
    shares = (share * weight / weight.sum()).tolist()
    reads = [plan.reader(tokens, pair) for pair in plan.pairs]
    reads += [plan.reader(tokens, pair, within_target=True) for pair in plan.triples]
    what = [f"{len(plan.pairs)} pairs"] * bool(plan.pairs) + [f"{len(plan.triples)} triples"] * bool(plan.triples)
    purpose = f"{' and '.join(what)} of columns at up to {max(plan.sizes)} groups"
    counts = source.counts(reads, shares, purpose, list(names)) if reads else []
    shapes = [(plan.sizes[a], plan.sizes[b]) for a, b in (*plan.pairs, *plan.triples)]
    tables = [count.reshape(-1, *shape) / rows for count, shape in zip(counts, shapes, strict=True)]
    tables[: len(plan.pairs)] = [table[0] for table in tables[: len(plan.pairs)]]
    return Measurements(plan, tuple(tables), tuple((source.sigma(part) / rows) ** 2 for part in shares))


def mutual_information(table: Floats) -> float:
    """Mutual information of a pair in nats, from its table up to a factor."""
    joint = np.maximum(table / table.sum(), 1e-12)
    apart = np.outer(joint.sum(1), joint.sum(0))
    return float((joint * np.log(joint / apart)).sum())
