"""Which pairs of a wide table are counted: those farthest from independence, by the exponential mechanism."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats
from tabsynth.marginals.spending import Read, Source

ALL = 30
"""Up to this many columns, all pairs are counted."""

CHOSEN = 4
"""In a wider table as many pairs as this for each column are chosen, beside those with the target."""

CHOICE = 0.1
"""Share of the budget that goes to the choice."""

Pair = tuple[int, int]


def planned(columns: int, target: bool) -> int:
    """How many pairs, and triples with the target, will be counted in a table of so many columns."""
    with_target = columns - 1 if target else 0
    pairs = columns * (columns - 1) // 2 if columns <= ALL else CHOSEN * columns + with_target
    return 2 * pairs - with_target if target else pairs


class Distances:
    """How far pairs of columns are from independence, in whole rows: one row changes a distance by one at most."""

    def __init__(self, marginals: Sequence[Floats], tokens: Read, rows: float) -> None:
        self._marginals, self._tokens, self._rows = marginals, tokens, rows
        self._known: dict[Pair, int] = {}

    def read(self, pairs: Sequence[Pair], discount: Sequence[int] | None = None) -> Read:
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
            counts = count_pair(self._tokens, pair, (len(a), len(b)))()
            self._known[pair] = int(np.abs(counts - expected).sum())
        return self._known[pair]


def count_pair(tokens: Read, pair: Pair, sizes: Pair) -> Read:
    """Reads the counts of a pair of columns, row by row of the first."""

    def read() -> npt.NDArray[np.int64]:
        own = tokens()
        return np.bincount(own[:, pair[0]].astype(np.int64) * sizes[1] + own[:, pair[1]], minlength=math.prod(sizes))

    return read


def chosen_pairs(
    marginals: Sequence[Floats],
    target: int | None,
    tokens: Read,
    rows: float,
    source: Source,
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
    if len(marginals) <= ALL:
        return every, share
    out = [pair for pair in every if target in pair]
    left = [pair for pair in every if target not in pair]
    wanted = min(CHOSEN * len(marginals), len(left))
    counted = (1 - CHOICE) * share
    # A pair of many cells has to be that much farther from independence as noise alone would carry it (McKenna et al.,
    # "AIM", arXiv 2201.12677, section 4.2).
    sigma = source.sigma(counted / (len(out) + wanted))
    cells = {(a, b): len(marginals[a]) * len(marginals[b]) for a, b in left}
    noise = {pair: round(math.sqrt(2 / math.pi) * sigma * size) for pair, size in cells.items()}
    distances = Distances(marginals, tokens, rows)
    for _ in range(wanted):
        read = distances.read(left, [noise[pair] for pair in left])
        out.append(left.pop(source.choose(read, CHOICE * share / wanted, "a pair to count", list(names))))
    return out, counted
