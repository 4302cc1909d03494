"""Bins of a numeric column's second count: about equal mass by the first counts, and tails that contain only noise.

Most public cells of the first count contain few rows. The second count uses bins chosen from the first one, so that its
noise is small relative to the counts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.marginal.bins.public_bins import Grid

TAIL_SIGMAS = 3.0
"""Standard deviations of noise that the rows of a tail must exceed to be kept; a larger value would cut heavy tails."""

TAIL_DRIFT = 2.0
"""Standard deviations of noise that the count of a cell at an end of the range must exceed to be kept."""

MAX_SINGLE_SHARE = 0.95
"""Maximum expected share of a bin's rows at single numbers, if the bin contains intervals too."""


def kept_stretch(noisy: Floats, sigma: float, *, hidden: bool = False) -> tuple[int, int]:
    """Return the first cell that exceeds noise, and one past the last.

    From each end, counts are cumulated until they exceed their noise. The boundary is where the cumulated sum, minus a
    drift for each cell, has its preceding minimum (CUSUM).

    Args:
        noisy: Noisy counts of neighbouring cells.
        sigma: Standard deviation of their noise.
        hidden: If so many cells are noise that no sum from an end exceeds it, look for the neighbouring cells with the
            largest sum, minus a standard deviation for each, and keep one more on each side; by default keep all.
    """
    ends = []
    for counts in (noisy, noisy[::-1]):
        total = np.concatenate([[0.0], np.cumsum(counts)])
        beyond = np.flatnonzero(total > TAIL_SIGMAS * sigma * np.sqrt(np.arange(len(total))))
        if not len(beyond):
            first, last = _heaviest_range(noisy - sigma) if hidden else (0, len(noisy))
            is_noise = noisy[first:last].sum() <= TAIL_SIGMAS * sigma * np.sqrt(last - first)
            return (0, len(noisy)) if is_noise else (max(first - 1, 0), min(last + 1, len(noisy)))
        # Without a drift, the minimum of a sum of noise may be anywhere.
        ends.append(int(np.argmin((total - TAIL_DRIFT * sigma * np.arange(len(total)))[: beyond[0]])))
    first, last = ends[0], len(noisy) - ends[1]
    return (first, last) if first < last else (0, len(noisy))


def _heaviest_range(values: Floats) -> tuple[int, int]:
    """Return the first and one past the last of the neighbouring values with the largest sum (Kadane 1984)."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    lowest = np.minimum.accumulate(total[:-1])
    last = int(np.argmax(total[1:] - lowest)) + 1
    return int(np.argmin(total[:last])), last


def merge_cells(counts: Floats, bins: int, min_rows: float) -> Integers:
    """Merge cells into tokens; return the token of each cell, ascending from 0 without gaps.

    Cells with fewer than ``min_rows`` rows are merged with their successors, so that every token exceeds the noise.

    Args:
        counts: Rows of each cell in order.
        bins: Approximate number of tokens of a column without heavy cells.
        min_rows: Minimum rows of a token.
    """
    share = counts.sum() / bins
    light = counts[counts < share].sum() / max(counts.sum(), 1e-9)
    # If most rows are in heavy cells, the others get more tokens than their share of the rows.
    share = max(min_rows, share * np.sqrt(light))
    out = np.zeros(len(counts), np.int64)
    token, token_rows = 0, 0.0
    for cell, count in enumerate(counts.tolist()):
        if cell and (token_rows >= share or (count >= share and token_rows >= min_rows)):
            token, token_rows = token + 1, 0.0
        out[cell] = token
        token_rows = share if count >= share else token_rows + count
    if token_rows < min_rows and token:
        out[out == token] = token - 1
    return out


def second_bins(grid: Grid, counts: Floats, stretch: tuple[int, int], bins: int, min_rows: float) -> Integers:
    """Return each cell's bin in the second count, ascending; each tail is one bin, and missing values another.

    Args:
        grid: The public cells.
        counts: Estimated rows of each cell by the first count.
        stretch: First cell that is in no tail, and one past the last.
        bins: Approximate number of bins between the tails.
        min_rows: Minimum rows of a bin.
    """
    n_ordered, (first, last) = len(grid.low), stretch
    out = np.zeros(grid.size, np.int64)
    out[first:last] = (first > 0) + merge_cells(counts[first:last], bins, min_rows)
    out[last:n_ordered] = out[last - 1] + 1
    out[n_ordered:] = out[n_ordered - 1] + 1
    return out


def cell_widths(grid: Grid, counts: Floats, bins: Integers, density: Floats | None = None) -> Floats:
    """Return the expected relative share of each cell within its bin, shape (cells,).

    Single numbers get the average share of single numbers in all bins of several cells; intervals share the rest in
    proportion to their width. Beyond one interquartile range from the median, the expected density falls with the third
    power of the distance, so that the few rows of a wide outer bin are not spread to the end of the declared range.

    Args:
        grid: The cells of a numeric column.
        counts: Estimated rows of each cell.
        bins: The bin of each cell, ascending.
        density: Expected density in each numeric cell, if it is known better.
    """
    step = 0.0 if grid.decimals is None else 10.0**-grid.decimals
    n_ordered = len(grid.low)
    bin_of_cell = bins[:n_ordered]
    single = grid.low == grid.high
    middle = (grid.low + grid.high) / 2
    order = np.cumsum(counts[:n_ordered])
    first, median, third = middle[
        np.minimum(np.searchsorted(order, order[-1] * np.array([0.25, 0.5, 0.75])), n_ordered - 1)
    ]
    reach = np.maximum(np.abs(middle - median), max(third - first, step, 1e-12 * grid.span))
    density = (reach / reach.max()) ** -3.0 if density is None else density
    if single.all():
        return np.append(density, np.ones(grid.size - n_ordered))
    width = grid.high - grid.low + step
    shared = (np.bincount(bin_of_cell) > 1)[bin_of_cell]
    rows = counts[:n_ordered]
    natural = width[single & shared].sum() / max(width[shared].sum(), 1e-300)
    share = rows[single & shared].sum() / max(rows[shared].sum(), 1e-300)
    share = float(np.clip(share, natural, MAX_SINGLE_SHARE))
    out = np.ones(grid.size)
    for kind, part in ((single, share), (~single, 1 - share)):
        weight = np.where(kind, density * np.where(single, 1.0, width), 0.0)
        out[:n_ordered] = np.where(
            kind, part * weight / np.maximum(np.bincount(bin_of_cell, weight)[bin_of_cell], 1e-300), out[:n_ordered]
        )
    return np.maximum(out, 1e-12)


def tail_mask(bins: Integers, n_ordered: int, stretch: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return which cells are in the tails; missing values are not."""
    inside = (bins >= stretch[0]) & (bins < stretch[1])
    return ~inside & (np.arange(len(bins)) < n_ordered)
