"""Noisy counts of pairs and triples of columns, and which of them to measure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers, Tokens
from tabsynth.synthesizers.marginal.count_source import CountSource, Reader

MAX_COLUMNS_ALL_PAIRS = 30
"""Up to this many columns, all pairs are counted."""


N_PAIRS_PER_COLUMN = 4
"""In a wider table as many pairs as this for each column are chosen, beside those with the target."""


SELECTION_SHARE = 0.1
"""Share of the budget that goes to the choice."""


Pair = tuple[int, int]


def n_marginals(columns: int, target: bool) -> int:
    """How many pairs, and triples with the target, will be counted in a table of so many columns."""
    with_target = columns - 1 if target else 0
    pairs = (
        columns * (columns - 1) // 2 if columns <= MAX_COLUMNS_ALL_PAIRS else N_PAIRS_PER_COLUMN * columns + with_target
    )
    return 2 * pairs - with_target if target else pairs


class IndependenceDistances:
    """How far pairs of columns are from independence, in whole rows: one row changes a distance by one at most."""

    def __init__(self, marginals: Sequence[Floats], tokens: Reader, rows: float) -> None:
        self._marginals, self._tokens, self._rows = marginals, tokens, rows
        self._known: dict[Pair, int] = {}

    def read(self, pairs: Sequence[Pair], discount: Sequence[int] | None = None) -> Reader:
        """Reads the distances of some pairs, less a public discount."""

        def read() -> npt.NDArray[np.int64]:
            found = np.array([self._of((min(pair), max(pair))) for pair in pairs], np.int64)
            return found if discount is None else found - np.array(discount, np.int64)

        return read

    def _of(self, pair: Pair) -> int:
        if pair not in self._known:
            a, b = (self._marginals[column] for column in pair)
            # What independence lets expect is rounded, so that the sum is of whole numbers and exact.
            expected = np.rint(self._rows * np.outer(a, b)).astype(np.int64).ravel()
            counts = pair_reader(self._tokens, pair, (len(a), len(b)))()
            self._known[pair] = int(np.abs(counts - expected).sum())
        return self._known[pair]


def pair_reader(tokens: Reader, pair: Pair, sizes: Pair) -> Reader:
    """Reads the counts of a pair of columns, row by row of the first."""

    def read() -> npt.NDArray[np.int64]:
        own = tokens()
        return np.bincount(own[:, pair[0]].astype(np.int64) * sizes[1] + own[:, pair[1]], minlength=math.prod(sizes))

    return read


def select_pairs(
    marginals: Sequence[Floats],
    target: int | None,
    tokens: Reader,
    rows: float,
    source: CountSource,
    share: float,
    names: Sequence[str],
) -> tuple[list[Pair], float]:
    """The pairs to count, and the share of the budget that is left for them.

    Args:
        marginals: The distribution of each column.
        target: Position of the target; its pairs are all counted.
        tokens: Reads the tokens of all rows, shape (n, columns).
        rows: The noisy number of rows.
        source: What is charged.
        share: The share of the budget for the choice and the counts.
        names: The columns' names, for the ledger.
    """
    every = list(combinations(range(len(marginals)), 2))
    if len(marginals) <= MAX_COLUMNS_ALL_PAIRS:
        return every, share
    out = [pair for pair in every if target in pair]
    left = [pair for pair in every if target not in pair]
    wanted = min(N_PAIRS_PER_COLUMN * len(marginals), len(left))
    counted = (1 - SELECTION_SHARE) * share
    # A pair of many cells has to be that much farther from independence as noise alone would carry it (McKenna et al.,
    # "AIM", arXiv 2201.12677, section 4.2).
    sigma = source.sigma(counted / (len(out) + wanted))
    cells = {(a, b): len(marginals[a]) * len(marginals[b]) for a, b in left}
    noise = {pair: round(math.sqrt(2 / math.pi) * sigma * size) for pair, size in cells.items()}
    distances = IndependenceDistances(marginals, tokens, rows)
    for _ in range(wanted):
        read = distances.read(left, [noise[pair] for pair in left])
        out.append(left.pop(source.choose(read, SELECTION_SHARE * share / wanted, "a pair to count", list(names))))
    return out, counted


MAX_TARGET_GROUPS = 4
"""The target's tokens are gathered in at most this many groups for triples."""

BUDGET_EXPONENT = 2 / 3
"""Shares of the budget go by the number of cells to this power, which makes the sum of all cells' errors least."""


@dataclass(frozen=True, eq=False)
class PairShares:
    """Noisy shares of pairs of cells, the cells of all columns side by side; symmetric.

    Attributes:
        shares: What was measured, as shares of all rows, shape (cells, cells).
        weights: One over four times the variance of each share, zero where nothing was measured: every pair of cells
            stands in two places.
    """

    shares: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]

    @classmethod
    def none(cls, cells: int) -> PairShares:
        """Nothing is measured."""
        return cls(np.zeros((cells, cells), np.float32), np.zeros((cells, cells), np.float32))


@dataclass(frozen=True, eq=False)
class Measurements:
    """All that is known of the pairs.

    Attributes:
        pairs: The pairs in all rows.
        groups: Which cells (of the target) part the rows into groups; each is a list of positions among all cells.
        within: The pairs within each group.
    """

    pairs: PairShares
    groups: tuple[Integers, ...] = ()
    within: tuple[PairShares, ...] = ()


@dataclass(frozen=True, eq=False)
class MeasurementPlan:
    """What is counted.

    Attributes:
        sizes: Tokens of each column.
        pairs: Pairs of columns.
        triples: Pairs of columns that are counted within each group of the target.
        target: The target column, if any.
        groups: The group of each of the target's tokens.
    """

    sizes: tuple[int, ...]
    pairs: tuple[Pair, ...]
    triples: tuple[Pair, ...] = ()
    target: int | None = None
    groups: Integers | None = None

    @classmethod
    def of(cls, marginals: Sequence[Floats], target: int | None, pairs: Sequence[Pair]) -> MeasurementPlan:
        """Some pairs, and those of them that lack the target as triples with it."""
        sizes, chosen = tuple(len(marginal) for marginal in marginals), tuple(pairs)
        if target is None or sizes[target] < 2:
            return cls(sizes, chosen)
        triples = tuple(pair for pair in chosen if target not in pair)
        return cls(sizes, chosen, triples, target, group_target_tokens(marginals[target]))

    def cells(self) -> Integers:
        """Number of cells of every pair, then of every triple."""
        parts = 0 if self.groups is None else int(self.groups.max()) + 1
        pairs = [self.sizes[a] * self.sizes[b] for a, b in self.pairs]
        return np.array(pairs + [parts * self.sizes[a] * self.sizes[b] for a, b in self.triples], np.int64)

    def weights(self) -> npt.NDArray[np.float64]:
        """What part of a budget every pair, then every triple gets, up to a factor."""
        # Rounded to half-powers of two, so that the ledger has few different scales of noise.
        return np.asarray(np.exp2(np.round(2 * BUDGET_EXPONENT * np.log2(self.cells())) / 2))


def group_target_tokens(marginal: Floats) -> Integers:
    """Group the target's tokens, in order, into at most ``MAX_TARGET_GROUPS`` groups of about equal mass."""
    if len(marginal) <= MAX_TARGET_GROUPS:
        return np.arange(len(marginal))
    middle = (np.cumsum(marginal) - marginal / 2) / marginal.sum()
    return np.unique(np.floor(middle * MAX_TARGET_GROUPS).clip(0, MAX_TARGET_GROUPS - 1), return_inverse=True)[
        1
    ].astype(np.int64)


def measure(
    plan: MeasurementPlan,
    tokens: Reader,
    rows: float,
    source: CountSource,
    share: float,
    names: Sequence[str],
    *,
    discount: float = 1.0,
) -> Measurements:
    """Count pairs and triples, in one charge.

    Args:
        plan: Which.
        tokens: Reads the tokens of all rows, shape (n, columns).
        rows: The noisy number of rows.
        source: Where counts come from.
        share: The share of the budget to spend.
        names: The columns' names, for the ledger.
        discount: What a pair gets, beside what a triple of as many cells gets.
    """
    starts = np.concatenate([[0], np.cumsum(plan.sizes)])
    parts = 0 if plan.groups is None else int(plan.groups.max()) + 1
    weight = plan.weights()
    weight[: len(plan.pairs)] *= discount
    shares = share * weight / weight.sum()
    reads = [_histogram_reader(tokens, plan, pair, None) for pair in plan.pairs]
    reads += [_histogram_reader(tokens, plan, pair, plan.groups) for pair in plan.triples]
    what = f"{len(plan.pairs)} pairs and {len(plan.triples)} triples of columns"
    counts = source.counts(reads, shares.tolist(), what, list(names)) if reads else []
    pairs = PairShares.none(int(starts[-1]))
    within = tuple(PairShares.none(int(starts[-1])) for _ in range(parts if plan.triples else 0))
    wanted = zip((*plan.pairs, *plan.triples), counts, shares.tolist(), strict=True)
    for place, ((a, b), count, part) in enumerate(wanted):
        weight_of = rows**2 / (4 * source.sigma(part) ** 2)
        first, second = slice(starts[a], starts[a + 1]), slice(starts[b], starts[b + 1])
        table = count.reshape(-1, plan.sizes[a], plan.sizes[b]) / rows
        for known, layer in zip((pairs,) if place < len(plan.pairs) else within, table, strict=True):
            known.shares[first, second], known.shares[second, first] = layer, layer.T
            known.weights[first, second] = known.weights[second, first] = weight_of
    if not within or plan.target is None or plan.groups is None:
        return Measurements(pairs)
    groups = tuple(starts[plan.target] + np.flatnonzero(plan.groups == group) for group in range(parts))
    return Measurements(pairs, groups, within)


def _histogram_reader(tokens: Reader, plan: MeasurementPlan, pair: Pair, groups: Integers | None) -> Reader:
    """Reads one histogram."""
    a, b = pair
    if groups is None or plan.target is None:
        return pair_reader(tokens, pair, (plan.sizes[a], plan.sizes[b]))
    size, parts, target = plan.sizes[a] * plan.sizes[b], int(groups.max()) + 1, plan.target

    def read() -> Integers:
        own: Tokens = tokens()
        cell = own[:, a].astype(np.int64) * plan.sizes[b] + own[:, b]
        return np.bincount(groups[own[:, target]] * size + cell, minlength=size * parts)

    return read
