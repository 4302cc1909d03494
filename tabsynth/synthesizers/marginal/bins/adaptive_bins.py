"""Where a line is counted again: bins of about equal mass by the first counts, and tails where noise alone is left.

The first counts are of public cells, most of which hold little; what they say of where the rows are decides the bins of
the second, so that their noise is small beside what they count.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.marginal.bins.public_bins import Grid

TAIL_SIGMAS = 3.0
"""A tail is kept from where its rows exceed as many standard deviations of their noise; more would cut heavy tails."""

TAIL_DRIFT = 2.0
"""A cell at the end of a line is kept where it holds more than as many standard deviations of its noise."""

MAX_SINGLE_SHARE = 0.95
"""Most of a bin's rows that may be expected at single numbers, where it has stretches too."""


def kept_stretch(noisy: Floats, sigma: float) -> tuple[int, int]:
    """The first cell of a line that holds more than noise, and one past the last.

    From each end, rows are cumulated until they exceed their noise; the change is placed where the sum, less
    some noise for each cell, is least before.
    """
    ends = []
    for counts in (noisy, noisy[::-1]):
        total = np.concatenate([[0.0], np.cumsum(counts)])
        beyond = np.flatnonzero(total > TAIL_SIGMAS * sigma * np.sqrt(np.arange(len(total))))
        if not len(beyond):
            return 0, len(noisy)
        # Without a drift the least sum of mere noise may lie anywhere.
        ends.append(int(np.argmin((total - TAIL_DRIFT * sigma * np.arange(len(total)))[: beyond[0]])))
    first, last = ends[0], len(noisy) - ends[1]
    return (first, last) if first < last else (0, len(noisy))


def merge_cells(counts: Floats, bins: int, min_rows: float) -> Integers:
    """The token of each cell of a line, ascending from 0 without gaps.

    A stretch of less than ``min_rows`` rows goes with what follows it, so that no token is lost in the noise.

    Args:
        counts: Rows of each cell in order.
        bins: About how many tokens a line without heavy cells is cut into.
        min_rows: Fewest rows of a token.
    """
    share = counts.sum() / bins
    light = counts[counts < share].sum() / max(counts.sum(), 1e-9)
    # Where most rows are in heavy cells, the others are cut finer than their share of the rows alone would have it.
    share = max(min_rows, share * np.sqrt(light))
    out = np.zeros(len(counts), np.int64)
    token, held = 0, 0.0
    for cell, count in enumerate(counts.tolist()):
        if cell and (held >= share or (count >= share and held >= min_rows)):
            token, held = token + 1, 0.0
        out[cell] = token
        held = share if count >= share else held + count
    if held < min_rows and token:
        out[out == token] = token - 1
    return out


def second_bins(grid: Grid, counts: Floats, stretch: tuple[int, int], bins: int, min_rows: float) -> Integers:
    """The bin of each cell in the second count, ascending; each tail is one bin, and missing values another.

    Args:
        grid: The public cells.
        counts: Estimated rows of each cell by the first count.
        stretch: First cell that is in no tail, and one past the last.
        bins: About how many bins the line between the tails is cut into.
        min_rows: Fewest rows of a bin.
    """
    line, (first, last) = len(grid.low), stretch
    out = np.zeros(grid.size, np.int64)
    out[first:last] = (first > 0) + merge_cells(counts[first:last], bins, min_rows)
    out[last:line] = out[last - 1] + 1
    out[line:] = out[line - 1] + 1
    return out


def cell_widths(grid: Grid, counts: Floats, bins: Integers) -> Floats:
    """What share of a bin's rows each cell is expected to hold, up to a factor for each bin, shape (cells,).

    Single numbers share what single numbers hold in all bins of several cells, and stretches the rest by their width.
    Beyond an interquartile range from the median the expected density falls with the third power of the distance: the
    few rows of a wide outer bin are not to be spread to the end of the declared range.
    """
    step = 0.0 if grid.decimals is None else 10.0**-grid.decimals
    line = len(grid.low)
    own = bins[:line]
    single = grid.low == grid.high
    middle = (grid.low + grid.high) / 2
    order = np.cumsum(counts[:line])
    first, median, third = middle[np.minimum(np.searchsorted(order, order[-1] * np.array([0.25, 0.5, 0.75])), line - 1)]
    reach = np.maximum(np.abs(middle - median), max(third - first, step, 1e-12 * (grid.high[-1] - grid.low[0])))
    density = (reach / reach.max()) ** -3.0
    if single.all():
        return np.append(density, np.ones(grid.size - line))
    width = grid.high - grid.low + step
    shared = (np.bincount(own) > 1)[own]
    rows = counts[:line]
    natural = width[single & shared].sum() / max(width[shared].sum(), 1e-300)
    share = rows[single & shared].sum() / max(rows[shared].sum(), 1e-300)
    share = float(np.clip(share, natural, MAX_SINGLE_SHARE))
    out = np.ones(grid.size)
    for kind, part in ((single, share), (~single, 1 - share)):
        weight = np.where(kind, density * np.where(single, 1.0, width), 0.0)
        out[:line] = np.where(kind, part * weight / np.maximum(np.bincount(own, weight)[own], 1e-300), out[:line])
    return np.maximum(out, 1e-12)


def tail_mask(bins: Integers, line: int, stretch: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which cells are outside the stretch of a line's bins; missing values are not."""
    inside = (bins >= stretch[0]) & (bins < stretch[1])
    return ~inside & (np.arange(len(bins)) < line)
