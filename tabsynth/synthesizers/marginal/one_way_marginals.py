"""Noisy counts of single columns: measurement, projection and shrinkage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.marginal.bins.adaptive_bins import (
    cell_widths,
    kept_stretch,
    second_bins,
    tail_mask,
)
from tabsynth.synthesizers.marginal.bins.count_estimates import project_to_simplex, reconcile_blocks, shrink_to_uniform
from tabsynth.synthesizers.marginal.bins.line_smoothing import (
    bin_ends,
    bin_widths,
    short_table_bins,
    smooth_counts,
)
from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.bins.subdivision import expand, subdivide
from tabsynth.synthesizers.marginal.budget_allocation import (
    DEFAULT_EXPECTED_ROWS,
    POINT_MASS_SIGMAS,
    dependence_share,
    independent,
    independent_shares,
    measurement_shares,
    n_bins,
    plan_one_ways,
    prefers_products,
    products_share,
)
from tabsynth.synthesizers.marginal.count_source import CountSource, Reader
from tabsynth.synthesizers.marginal.sign_products.dependence import measure_dependence

SMOOTHING_GAIN = 3.0
"""Approximate factor by which smoothing reduces the noise of a bin's count."""

MIN_BIN_ROWS = 0.1
"""Bins with fewer rows after smoothing are empty."""

UNCOUNTED = 1e12
"""Standard deviation assigned to cells that were subdivided after the first count."""

BINS_FOR_EACH_TOKEN = 2
"""Bins of the second count per token; the bin edges matter as much as the mass of a token."""


@dataclass(frozen=True, eq=False)
class OneWayMarginals:
    """Estimated one-way marginals.

    Attributes:
        rows: The noisy number of rows, at least 1.
        counts: Estimated rows of each cell of each column; none negative, each column sums to ``rows``.
        sigma: Standard deviation of the noise of each column's cells, or of its blocks where those are measured.
        spent: Share of the budget that was spent.
        independent: Whether the rest of the budget was spent on single columns, because counts of pairs would be mostly
            noise.
    """

    rows: float
    counts: dict[str, Floats]
    sigma: dict[str, float]
    spent: float
    independent: bool = False


def measure_one_ways(
    grids: Mapping[str, Grid],
    cells: Callable[[str], Integers],
    source: CountSource,
    share: float,
    *,
    expected_rows: float = DEFAULT_EXPECTED_ROWS,
    may_spend_all: bool = False,
    pairs: int | None = None,
    target_pairs: int | None = None,
    replace_grid: Callable[[str, Grid], None] | None = None,
) -> OneWayMarginals:
    """Count the cells of every column, then count long columns again on bins chosen from the first counts.

    Each of the two measurements is one charge.

    Args:
        grids: The public cells of each column.
        cells: Function that reads the cell of every row of a column.
        source: The source of counts, which charges them.
        share: Share of the budget to spend, allotted to columns in proportion to the square root of their number of
            cells, or of blocks for a wide numeric column.
        expected_rows: Approximate number of units; if it is small for the budget, numeric columns are counted once.
        may_spend_all: Whether to count all columns again in the second charge, with the rest of the budget except for
            the products of signs, if counts of pairs would be mostly noise or products describe the pairs better. If
            this depends on the strength of dependence between columns, that is measured in a further charge, unless
            ``pairs`` is given. If pairs are worth counting but the first counts are noisy, numbers with decimals are
            counted again and smoothed.
        pairs: Number of pairs that would be counted; all by default.
        target_pairs: Number of pairs with a target; None to measure no products of signs.
        replace_grid: Called with a column's name and a finer grid if its rows fall into few cells of a wide declared
            range; ``cells`` must use the new grid from then on.
    """
    grids = dict(grids)
    all_pairs = pairs is None
    pairs = len(grids) * (len(grids) - 1) // 2 if pairs is None else pairs
    plan = plan_one_ways(grids, share, expected_rows, source.rho)
    wanted, shares, second_shares = plan.tables, plan.shares, dict(plan.second)
    again = list(second_shares)
    reads = [
        _histogram_reader(cells, name, grids[name].blocks if blocks else None, size) for name, blocks, size in wanted
    ]
    reads.append(lambda: np.array([len(cells(next(iter(grids))))]))
    *counts, total = source.counts(reads, shares, "fine counts of every column, and of all rows", list(grids))
    noisy = {(name, blocks): count for (name, blocks, _), count in zip(wanted, counts, strict=True)}
    sigma = {(name, blocks): source.sigma(part) for (name, blocks, _), part in zip(wanted, shares[:-1], strict=True)}
    # Every histogram sums to the number of rows; the mean weighted by inverse variance is post-processing.
    precision = [1 / (sigma[name, blocks] ** 2 * size) for name, blocks, size in wanted]
    precision.append(1 / source.sigma(shares[-1]) ** 2)
    sums = [*(count.sum() for count in counts), total.sum()]
    rows = max(float(np.average(sums, weights=precision)), 1.0)
    estimates = {
        name: reconcile_blocks(
            noisy[name, False],
            sigma[name, False],
            grid.blocks,
            noisy.get((name, True)),
            sigma.get((name, True), np.inf),
            rows,
        )
        for name, grid in grids.items()
    }
    scale = {name: min(sigma[name, False], sigma.get((name, True), np.inf)) for name in grids}
    spent = share
    units = rows / source.max_rows_per_unit
    pointed = [name for name, grid in grids.items() if _has_point_mass(grid, noisy[name, False], sigma[name, False])]
    facts = (grids, units, source.rho, pairs, pointed)
    products = target_pairs is not None and all_pairs and prefers_products(*facts)
    short = may_spend_all and (products or independent(units, source.rho, pairs))
    if may_spend_all and all_pairs and not products and (score := dependence_share(units, source.rho, pairs)):
        dependence = measure_dependence(grids, estimates, cells, rows, source, score)
        short, spent = independent(units, source.rho, pairs, dependence), spent + score
    if short:
        left = 1.0 if target_pairs is None else 1 - products_share(units, source.rho, pairs, target_pairs)[0]
        again = list(grids)
        for name, part in independent_shares(grids, left - spent).items():
            second_shares[name] = second_shares.get(name, 0.0) + part
        spent = left
    smooth = short
    if may_spend_all and not again:
        second_shares = measurement_shares(grids, units, source.rho, pointed)
        again, smooth, spent = list(second_shares), bool(second_shares), spent + sum(second_shares.values())
    if again:
        numeric = [name for name in again if grids[name].line]
        stretches = {
            name: _stretch_of_cells(
                grids[name], noisy[name, False], sigma[name, False], noisy.get((name, True)), scale[name], smooth
            )
            for name in numeric
        }
        scale |= {name: source.sigma(second_shares[name]) for name in again}
        fine = {name: (noisy[name, False], sigma[name, False]) for name in again}
        if replace_grid is not None:
            for name in numeric:
                if (finer := subdivide(grids[name], estimates[name], stretches[name])) is None:
                    continue
                grids[name], former = finer
                replace_grid(name, grids[name])
                begin, end = np.searchsorted(former[: len(grids[name].low)], stretches[name]).tolist()
                stretches[name] = begin, end
                estimates[name] = expand(estimates[name], former)
                fine[name] = expand(noisy[name, False], former), UNCOUNTED
        n_second = BINS_FOR_EACH_TOKEN * n_bins(units, source.rho)
        bins = {
            name: (short_table_bins if smooth else second_bins)(
                grids[name], estimates[name], stretches[name], n_second, (4 if smooth else 2) * scale[name]
            )
            for name in numeric
        }
        bins |= {name: np.arange(grids[name].size) for name in again if name not in bins}
        reads = [_histogram_reader(cells, name, bins[name], int(bins[name][-1]) + 1) for name in again]
        second_counts = source.counts(reads, [second_shares[name] for name in again], "columns once more", again)
        for name, second in zip(again, second_counts, strict=True):
            estimates[name] = _refine(
                grids[name], *fine[name], estimates[name], bins[name], second, scale[name], rows, smooth=smooth
            )
        if smooth:
            scale |= {name: scale[name] / SMOOTHING_GAIN for name in numeric}
    return OneWayMarginals(rows, estimates, scale, spent, short)


def _has_point_mass(grid: Grid, noisy: Floats, sigma: float) -> bool:
    """Return whether more rows than noise explains are at a single number of a numeric column."""
    single = grid.low == grid.high
    return bool((noisy[: len(single)][single] > POINT_MASS_SIGMAS * sigma).any())


def _stretch_of_cells(
    grid: Grid, fine: Floats, sigma: float, coarse: Floats | None, coarse_sigma: float, hidden: bool
) -> tuple[int, int]:
    """Return the range of cells that exceeds noise, found by blocks if they were counted."""
    n_ordered = len(grid.low)
    if coarse is None:
        return kept_stretch(fine[:n_ordered], sigma, hidden=hidden)
    blocks = grid.blocks[:n_ordered]
    first, last = kept_stretch(coarse[: blocks[-1] + 1], coarse_sigma, hidden=hidden)
    return int(np.searchsorted(blocks, first)), int(np.searchsorted(blocks, last))


def _refine(
    grid: Grid,
    fine: Floats,
    sigma: float,
    first: Floats,
    bins: Integers,
    second: Floats,
    second_sigma: float,
    rows: float,
    *,
    smooth: bool,
) -> Floats:
    """Combine both counts of the cells, with zeros in tails that contain only noise, optionally smoothed."""
    n_ordered = len(grid.low)
    if not grid.line:
        precise, rough = second_sigma**-2, sigma**-2
        combined = (second * precise + fine * rough) / (precise + rough)
        return project_to_simplex(shrink_to_uniform(combined, (precise + rough) ** -0.5, rows), rows)
    size = int(bins[n_ordered - 1]) + 1
    numbers, missing = second[:size], second[size:]
    smoothed = smooth_counts(numbers, second_sigma, bin_ends(grid, bins), rows - missing.sum()) if smooth else None
    if smoothed is None:
        outside = tail_mask(bins, n_ordered, kept_stretch(numbers, second_sigma))
        widths = cell_widths(grid, first, bins)
    else:
        numbers, shape = smoothed
        second, second_sigma = np.append(numbers, missing), second_sigma / SMOOTHING_GAIN
        cell_width, bin_width = bin_widths(grid, bins)
        first = np.append((numbers / bin_width)[bins[:n_ordered]] * cell_width, [0.0] * (grid.size - n_ordered))
        widths = cell_widths(grid, first, bins, shape.density(grid.low, grid.low + cell_width))
        outside = np.append(numbers < MIN_BIN_ROWS, np.zeros(len(missing), bool))[bins]
    inside = ~outside
    inside_bins, position = np.unique(bins[inside], return_inverse=True)
    second = second[inside_bins]
    out = np.zeros(grid.size)
    out[inside] = reconcile_blocks(fine[inside], sigma, position, second, second_sigma, rows, widths[inside])
    return out


def _histogram_reader(cells: Callable[[str], Integers], name: str, blocks: Integers | None, size: int) -> Reader:
    def read() -> Integers:
        row_cells = cells(name)
        return np.bincount(row_cells if blocks is None else blocks[row_cells], minlength=size)

    return read
