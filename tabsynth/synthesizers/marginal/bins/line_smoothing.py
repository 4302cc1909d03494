"""Bins of numeric columns in short tables, and counts that are smoothed as far as noise explains their differences."""

from __future__ import annotations

import itertools

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.marginal.bins.adaptive_bins import merge_cells
from tabsynth.synthesizers.marginal.bins.public_bins import Grid

PENALTIES = 10.0 ** np.arange(6, -3, -1.0)
"""Weights of the roughness, from a log-density that is a parabola to one that follows the counts."""

N_STEPS = 30
"""Steps of Gauss and Newton for each weight."""

MIN_DAMPING = 1e-6
"""Minimum damping of a step, so that its equations have a solution."""

MIN_BINS = 5
"""Fewer bins are not smoothed."""

MAX_TAIL_BINS = 2
"""Maximum number of bins on either side that a smoothed stretch is extended by."""

MAX_RELATIVE_WIDTH = 2.0
"""Maximum width of these bins, relative to the median of those that exceed noise."""

N_EQUAL_BINS = 8
"""Minimum number of bins of the stretch that exceeds noise; its first counts are too noisy to leave any bin wider."""


def short_table_bins(grid: Grid, counts: Floats, stretch: tuple[int, int], bins: int, min_rows: float) -> Integers:
    """Return the bin of each cell for the second count of a short table, missing values in a bin of their own.

    The stretch is split into bins of about equal mass and at most about an eighth of its width. Since it is uncertain
    where it ends, there are bins of doubling width on both sides.

    Args:
        grid: The cells of a numeric column.
        counts: Estimated rows of each cell.
        stretch: The first cell that exceeds noise, and one past the last.
        bins: Approximate number of bins of equal mass.
        min_rows: Minimum estimated rows of a bin of equal mass.
    """
    (first, last), n_ordered = stretch, len(grid.low)
    begins = np.zeros(n_ordered, bool)
    equal = np.append(True, np.diff(merge_cells(counts[first:last], bins, min_rows)) > 0)
    low, high = grid.low[first], grid.high[last - 1]
    width = max(high - low, 1e-9 * grid.span) / N_EQUAL_BINS
    starts = first + np.flatnonzero(equal)
    for start, stop in itertools.pairwise([*starts.tolist(), last]):
        begins[start] = True
        parts = int((grid.high[stop - 1] - grid.low[start]) / width) + 1
        even = np.linspace(grid.low[start], grid.high[stop - 1], parts + 1)[1:-1]
        begins[start + np.searchsorted(grid.low[start : stop - 1], even)] = True
    for cells, distance in (
        (np.arange(last, n_ordered), grid.low[last:] - high),
        (np.arange(first)[::-1], low - grid.high[:first][::-1]),
    ):
        if len(cells):
            doubling = np.floor(np.log2(1 + np.maximum(distance, 0) / width))
            ends = cells[np.flatnonzero(np.append(True, np.diff(doubling) > 0))]
            # Below the stretch, the cell after the first one of a bin begins the bin above it.
            begins[ends if cells[0] >= last else ends + 1] = True
    begins[0] = False
    bin_of_cell = np.cumsum(begins)
    return np.append(bin_of_cell, [bin_of_cell[-1] + 1] * (grid.size - n_ordered)).astype(np.int64)


def bin_widths(grid: Grid, bins: Integers) -> tuple[Floats, Floats]:
    """Return the width of each cell of a numeric column, and of each bin; none is zero."""
    width = grid.high - grid.low + (0.0 if grid.decimals is None else 10.0**-grid.decimals)
    width = np.maximum(width, 1e-9 * width.sum())
    return width, np.bincount(bins[: len(width)], weights=width).astype(np.float64)


def with_narrow_neighbours(stretch: tuple[int, int], widths: Floats) -> tuple[int, int]:
    """Extend a stretch of bins that exceed noise by narrow ones on both sides, over which smoothing extends the tail.

    Wide bins would spread a little noise over the declared range.

    Args:
        stretch: The first bin that exceeds noise, and one past the last.
        widths: Width of each bin.
    """
    first, last = stretch
    widest = MAX_RELATIVE_WIDTH * float(np.median(widths[first:last]))
    for _ in range(MAX_TAIL_BINS):
        first -= first > 0 and widths[first - 1] <= widest
        last += last < len(widths) and widths[last] <= widest
    return first, last


def smooth_counts(counts: Floats, sigma: float, widths: Floats, total: float) -> Floats | None:
    """Fit the smoothest density that noise may explain; None if even the roughest differs by more than noise.

    The log-density is penalised by its third differences over the bins, so that the smoothest density is normal where
    the bins are equally wide. The weight of the penalty is the largest one whose squared residuals are at most what
    noise leaves (Morozov's discrepancy principle).

    Args:
        counts: Noisy counts of bins in order.
        sigma: Standard deviation of their noise.
        widths: Width of each bin.
        total: Number of rows in all bins.
    """
    size = len(counts)
    if size < MIN_BINS or total <= 0:
        return None
    third = np.diff(np.eye(size), n=3, axis=0)
    rough = third.T @ third
    base = np.log(widths / widths.sum())
    log_density = np.log(np.maximum(counts, sigma) / np.maximum(counts, sigma).sum()) - base
    for penalty in PENALTIES:
        log_density, fit = _fit(counts / sigma, base, rough * penalty, total / sigma, log_density)
        if ((counts / sigma - fit) ** 2).sum() <= size:
            return fit * sigma
    return None


def _fit(noisy: Floats, base: Floats, rough: Floats, total: float, start: Floats) -> tuple[Floats, Floats]:
    """Return the penalised log-density and the counts, in units of the noise, by the Levenberg-Marquardt method."""

    def predict(log_density: Floats) -> Floats:
        logits = log_density + base
        raised = np.exp(logits - logits.max())
        return np.asarray(total * raised / raised.sum())

    def loss(log_density: Floats, fit: Floats) -> float:
        return float(((noisy - fit) ** 2).sum() + log_density @ rough @ log_density)

    log_density, damping = start, 1.0
    fit = predict(log_density)
    best = loss(log_density, fit)
    for _ in range(N_STEPS):
        slope = np.diag(fit) - np.outer(fit, fit) / total
        gradient = slope @ (noisy - fit) - rough @ log_density
        step = np.linalg.solve(slope.T @ slope + rough + damping * np.eye(len(log_density)), gradient)
        tried = predict(log_density + step)
        now = loss(log_density + step, tried)
        if now < best:  # not where a step overflows
            gain, damping = best - now, max(damping / 5, MIN_DAMPING)
            log_density, fit, best = log_density + step, tried, now
            if gain < 1e-6 * best:
                break
        else:
            damping *= 10
    return log_density, fit
