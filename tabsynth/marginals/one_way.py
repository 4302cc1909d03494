"""The fine one-column counts of a private fit, and the number of rows that they amount to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.marginals.grids import Grid
from tabsynth.marginals.histogram import within_blocks
from tabsynth.marginals.spending import Read, Source

TOTAL = 3.0
"""The number of rows gets a share of the budget as a column of this many cells squared would."""


@dataclass(frozen=True, eq=False)
class OneWays:
    """What is known of the columns one by one.

    Attributes:
        rows: The noisy number of rows, at least 1.
        counts: Estimated rows of each cell of each column; none negative, each column sums to ``rows``.
        sigma: Standard deviation of the noise of each column's cells, or of its blocks where those are measured.
    """

    rows: float
    counts: dict[str, Floats]
    sigma: dict[str, float]


def one_ways(grids: Mapping[str, Grid], cells: Callable[[str], Integers], source: Source, share: float) -> OneWays:
    """Count the cells of every column, in one charge.

    Args:
        grids: The public cells of each column.
        cells: Reads the cell of every row of a column.
        source: Where counts come from.
        share: The share of the budget to spend. Columns get theirs by the square root of their number of cells or, for
            a wide line, of blocks.
    """
    wanted: list[tuple[str, bool, int]] = []
    for name, grid in grids.items():
        wanted.append((name, False, grid.size))
        if grid.blocks[-1] > 1:
            wanted.append((name, True, int(grid.blocks[-1]) + 1))
    # The cells of a wide line would cost more than they tell: they get no more than its blocks.
    parts = [int(grids[name].blocks[-1]) + 1 if grids[name].blocks[-1] > 1 else size for name, _, size in wanted]
    weight = np.append(np.sqrt(parts), TOTAL)
    shares = share * weight / weight.sum()
    reads = [_read(cells, name, grids[name].blocks if blocks else None, size) for name, blocks, size in wanted]
    reads.append(lambda: np.array([len(cells(next(iter(grids))))]))
    *counts, total = source.counts(reads, shares.tolist(), "fine counts of every column, and of all rows", list(grids))
    noisy = {(name, blocks): count for (name, blocks, _), count in zip(wanted, counts, strict=True)}
    sigma = {(name, blocks): source.sigma(part) for (name, blocks, _), part in zip(wanted, shares[:-1], strict=True)}
    # Every histogram sums to the number of rows: their mean by inverse variance costs nothing more.
    precision = [1 / (sigma[name, blocks] ** 2 * size) for name, blocks, size in wanted]
    precision.append(1 / source.sigma(float(shares[-1])) ** 2)
    sums = [*(count.sum() for count in counts), total.sum()]
    rows = max(float(np.average(sums, weights=precision)), 1.0)
    estimates = {
        name: within_blocks(
            noisy[name, False],
            sigma[name, False],
            grid.blocks,
            noisy.get((name, True)),
            sigma.get((name, True), np.inf),
            rows,
        )
        for name, grid in grids.items()
    }
    return OneWays(rows, estimates, {name: min(sigma[name, False], sigma.get((name, True), np.inf)) for name in grids})


def _read(cells: Callable[[str], Integers], name: str, blocks: Integers | None, size: int) -> Read:
    def read() -> Integers:
        own = cells(name)
        return np.bincount(own if blocks is None else blocks[own], minlength=size)

    return read
