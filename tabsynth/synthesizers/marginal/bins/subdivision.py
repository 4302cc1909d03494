"""Finer cells where a numeric column's rows fall into few cells of a declared range that is much wider than the data.

Which cells are divided follows from noisy counts alone, and how is public, so the finer cells are post-processing.
"""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.marginal.bins.public_bins import Grid

MAX_CELLS = 16
"""Rows in more cells than these need no finer ones."""

N_FINER_CELLS = 64
"""Approximate number of cells into which those of the rows are divided."""


MIN_SHARE = 0.5
"""Minimum share of the rows in intervals rather than at single numbers, whose first counts are worth keeping."""


def subdivide(grid: Grid, counts: Floats, stretch: tuple[int, int]) -> tuple[Grid, Integers] | None:
    """Divide the intervals of a stretch of cells; return the finer grid, and the former cell of each of its cells.

    None if the stretch has cells enough, or if most of its rows are at single numbers.

    Args:
        grid: The cells of a numeric column.
        counts: Estimated rows of each cell.
        stretch: The first cell that exceeds noise, and one past the last.
    """
    n_ordered = len(grid.low)
    # It is uncertain where the stretch ends.
    first, last = max(stretch[0] - 1, 0), min(stretch[1] + 1, n_ordered)
    wide = grid.high > grid.low
    inside = wide & (np.arange(n_ordered) >= first) & (np.arange(n_ordered) < last)
    if (
        not inside.any()
        or inside.sum() > MAX_CELLS
        or counts[:n_ordered][inside].sum() < MIN_SHARE * counts[first:last].sum()
    ):
        return None
    parts = -(-N_FINER_CELLS // int(inside.sum()))
    lows, highs, cells = list[Floats](), list[Floats](), list[Integers]()
    for cell in range(n_ordered):
        low, high = _parts(grid, cell, parts) if inside[cell] else (grid.low[[cell]], grid.high[[cell]])
        lows.append(low)
        highs.append(high)
        cells.append(np.full(len(low), cell))
    former = np.append(np.concatenate(cells), [n_ordered] * grid.nullable).astype(np.int64)
    finer = Grid((), np.concatenate(lows), np.concatenate(highs), grid.decimals, grid.nullable, grid.blocks[former])
    return finer, former


def expand(counts: Floats, former: Integers) -> Floats:
    """Spread the counts of former cells evenly over the finer ones."""
    return np.asarray(counts[former] / np.bincount(former)[former])


def _parts(grid: Grid, cell: int, parts: int) -> tuple[Floats, Floats]:
    """Return the ends of equal parts of an interval, whole steps of a column that has decimals."""
    low, high = float(grid.low[cell]), float(grid.high[cell])
    if grid.decimals is None:
        ends = np.linspace(low, high, parts + 1)
        return ends[:-1], ends[1:]
    step = 10.0**-grid.decimals
    numbers = round((high - low) / step) + 1
    starts = np.unique(np.linspace(0, numbers, parts + 1)[:-1].astype(np.int64))
    stops = np.append(starts[1:], numbers) - 1
    return np.round(low + starts * step, grid.decimals), np.round(low + stops * step, grid.decimals)
