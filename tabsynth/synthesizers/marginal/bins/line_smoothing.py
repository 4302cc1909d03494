"""Bins of numeric columns in short tables, and counts that are smoothed as far as noise explains their differences."""

from __future__ import annotations

import itertools

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.marginal.bins.adaptive_bins import merge_cells
from tabsynth.synthesizers.marginal.bins.density_shapes import Shape, fit_shape
from tabsynth.synthesizers.marginal.bins.public_bins import Grid

PENALTIES = 10.0 ** np.arange(3, -4, -1.0)
"""Weights of the penalty, from a density that is nearly normal to one that follows the counts."""

SIZE_WEIGHT = 0.1
"""Weight of the factor's size in the penalty, relative to its roughness."""

MIN_SHARE = 1e-9
"""Minimum share of a bin before the factor."""

N_STEPS = 30
"""Steps of Gauss and Newton for each weight."""

MIN_DAMPING = 1e-6
"""Minimum damping of a step, so that its equations have a solution."""

MIN_BINS = 5
"""Fewer bins are not smoothed."""

N_EQUAL_BINS = 6
"""Minimum number of bins of the stretch that exceeds noise; its first counts are too noisy to leave any bin wider."""


def short_table_bins(grid: Grid, counts: Floats, stretch: tuple[int, int], bins: int, min_rows: float) -> Integers:
    """Return the bin of each cell for the second count of a short table, missing values in a bin of their own.

    The stretch is split into bins of about equal mass and at most about a sixth of its width. Since it is uncertain
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


def bin_ends(grid: Grid, bins: Integers) -> Floats:
    """Return the ends of successive bins of a numeric column, shape (bins + 1,)."""
    first = np.flatnonzero(np.diff(bins[: len(grid.low)], prepend=-1))
    step = 0.0 if grid.decimals is None else 10.0**-grid.decimals
    return np.append(grid.low[first], grid.high[-1] + step)


def smooth_counts(counts: Floats, sigma: float, ends: Floats, total: float) -> tuple[Floats, Shape] | None:
    """Fit a density between one of few parameters and the counts themselves, as near to the former as noise allows.

    The density is multiplied by a factor whose logarithm is penalised by its size and by its second differences over
    the bins. The weight of the penalty minimises the expected squared error (Mallows 1973). None if that is least for
    the counts themselves.

    Args:
        counts: Noisy counts of bins in order.
        sigma: Standard deviation of their noise.
        ends: Ends of the bins, shape (bins + 1,).
        total: Number of rows in all bins.

    Returns:
        The smoothed counts, and the density without the factor.
    """
    size = len(counts)
    if size < MIN_BINS or total <= 0:
        return None
    shape = fit_shape(ends, counts, sigma, total)
    shares = shape.shares(ends)
    noisy, scaled = counts / sigma, total / sigma
    second = np.diff(np.eye(size), n=2, axis=0)
    rough = second.T @ second + SIZE_WEIGHT * np.eye(size)
    base = np.log(np.maximum(shares, MIN_SHARE))
    best, error = shares * total, float(((noisy - shares * scaled) ** 2).sum()) + 2 * shape.parameters
    factor = np.zeros(size)
    for penalty in PENALTIES:
        factor, fit, freedom = _fit(noisy, base, rough * penalty, scaled, factor)
        expected = float(((noisy - fit) ** 2).sum()) + 2 * (shape.parameters + freedom)
        if expected < error:
            best, error = fit * sigma, expected
    return (best, shape) if error < 2 * size else None


def _fit(noisy: Floats, base: Floats, rough: Floats, total: float, start: Floats) -> tuple[Floats, Floats, float]:
    """Return the factor's logarithm, the counts and the degrees of freedom, by the Levenberg-Marquardt method."""

    def predict(factor: Floats) -> Floats:
        logits = factor + base
        raised = np.exp(logits - logits.max())
        return np.asarray(total * raised / raised.sum())

    def loss(factor: Floats, fit: Floats) -> float:
        return float(((noisy - fit) ** 2).sum() + factor @ rough @ factor)

    factor, damping = start, 1.0
    fit = predict(factor)
    best = loss(factor, fit)
    for _ in range(N_STEPS):
        slope = np.diag(fit) - np.outer(fit, fit) / total
        gradient = slope @ (noisy - fit) - rough @ factor
        step = np.linalg.solve(slope.T @ slope + rough + damping * np.eye(len(factor)), gradient)
        tried = predict(factor + step)
        now = loss(factor + step, tried)
        if now < best:  # not where a step overflows
            gain, damping = best - now, max(damping / 5, MIN_DAMPING)
            factor, fit, best = factor + step, tried, now
            if gain < 1e-6 * best:
                break
        else:
            damping *= 10
    slope = np.diag(fit) - np.outer(fit, fit) / total
    information = slope.T @ slope
    return factor, fit, float(np.trace(np.linalg.solve(information + rough, information)))
