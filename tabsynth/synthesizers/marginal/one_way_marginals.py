"""Noisy counts of single columns: measurement, projection and shrinkage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.marginal.bins.adaptive_bins import cell_widths, kept_stretch, second_bins, tail_mask
from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.budget_allocation import (
    DEFAULT_EXPECTED_ROWS,
    independent,
    independent_shares,
    n_bins,
    plan_one_ways,
)
from tabsynth.synthesizers.marginal.count_source import CountSource, Reader


def project_to_simplex(noisy: Floats, total: float) -> Floats:
    """Project counts onto the non-negative counts with a given sum (Duchi et al. 2008, figure 1), shape as given."""
    if total <= 0 or not len(noisy):
        return np.zeros(len(noisy))
    down = np.sort(noisy)[::-1]
    excess = (np.cumsum(down) - total) / np.arange(1, len(down) + 1)
    last = np.flatnonzero(down > excess)[-1]
    return np.asarray(np.maximum(noisy - excess[last], 0.0))


def reconcile_blocks(
    fine: Floats,
    sigma: float,
    blocks: Integers,
    coarse: Floats | None,
    coarse_sigma: float,
    total: float,
    widths: Floats | None = None,
) -> Floats:
    """Make counts of cells consistent with their blocks' counts and with a total.

    Args:
        fine: Noisy counts of the cells.
        sigma: Standard deviation of their noise.
        blocks: The block of each cell, ascending.
        coarse: Noisy counts of the blocks, None if there is one level.
        coarse_sigma: Standard deviation of their noise.
        total: The number of rows.
        widths: Expected relative share of each cell within its block; equal by default.
    """
    if coarse is None:
        return project_to_simplex(shrink_to_uniform(fine, sigma, total), total)
    cells = np.bincount(blocks)
    summed = np.bincount(blocks, weights=fine)
    precise, rough = 1 / coarse_sigma**2, 1 / (sigma**2 * cells)
    masses = project_to_simplex((coarse * precise + summed * rough) / (precise + rough), total)
    fine, ends = shrink_to_block_means(fine, sigma, blocks, widths, masses), np.cumsum(cells)
    return np.concatenate(
        [project_to_simplex(fine[end - n : end], mass) for end, n, mass in zip(ends, cells, masses, strict=True)]
    )


def shrink_to_block_means(
    fine: Floats, sigma: float, blocks: Integers, widths: Floats | None = None, masses: Floats | None = None
) -> Floats:
    """Shrink counts towards their block's mean by the positive-part James-Stein estimator, one block at a time.

    If noise exceeds the differences between cells, they share their block's rows evenly or in proportion to ``widths``.

    Args:
        fine: Noisy counts of the cells.
        sigma: Standard deviation of their noise.
        blocks: The block of each cell, ascending.
        widths: Expected relative share of each cell within its block; equal by default.
        masses: Sum of each block's cells after shrinkage; unchanged by default.
    """
    cells, rows = np.bincount(blocks), np.bincount(blocks, weights=fine)
    if widths is None:
        widths = np.ones(len(fine))
    shares = widths / np.bincount(blocks, weights=widths)[blocks]
    off = fine - shares * rows[blocks]
    noise = np.maximum(cells - 3, 0) * sigma**2
    kept = np.maximum(1 - noise / np.maximum(np.bincount(blocks, weights=off**2), 1e-9), 0.0)
    # If the sum of all cells is hardly above the noise, no single cell is.
    kept[(cells > 3) & (rows < 1 * sigma * np.sqrt(cells))] = 0.0
    return np.asarray(shares * (rows if masses is None else masses)[blocks] + kept[blocks] * off)


def shrink_to_uniform(noisy: Floats, sigma: float, total: float) -> Floats:
    """Shrink counts of one level towards equal shares if noise exceeds their differences.

    Two cells get the posterior mean under a uniform prior of the first one's share. More cells are shrunk by the share
    of their squared differences that noise explains.
    """
    size = len(noisy)
    if size != 2:
        off = noisy - noisy.mean()
        energy = (size - 1) * sigma**2
        # Variance that noise does not explain, limited by the variance of a single occupied cell.
        signal = np.clip((off**2).sum() - energy, 0.0, total**2 * (1 - 1 / size))
        return np.asarray(noisy.mean() + off * signal / max(signal + energy, 1e-9))
    share = np.linspace(0, 1, N_SHARES)
    # The difference of two noisy counts has twice the variance of each.
    off = (noisy[0] - noisy[1] - total * (2 * share - 1)) / max(sigma, 1e-9)
    weight = np.exp(-(off**2 - (off**2).min()) / 4)
    first = total * float((share * weight).sum() / weight.sum())
    return np.array([first, total - first])


N_SHARES = 1001
"""Grid of shares of the first of two cells for the posterior mean."""

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
    """

    rows: float
    counts: dict[str, Floats]
    sigma: dict[str, float]
    spent: float


def measure_one_ways(
    grids: Mapping[str, Grid],
    cells: Callable[[str], Integers],
    source: CountSource,
    share: float,
    *,
    expected_rows: float = DEFAULT_EXPECTED_ROWS,
    may_spend_all: bool = False,
    pairs: int | None = None,
) -> OneWayMarginals:
    """Count the cells of every column, and long columns again on bins chosen from the first counts; two charges.

    Args:
        grids: The public cells of each column.
        cells: Reads the cell of every row of a column.
        source: The source of counts, which charges them.
        share: Share of the budget to spend, allotted to columns in proportion to the square root of their number of
            cells, or of blocks for a wide numeric column.
        expected_rows: Approximate number of units; if it is small for the budget, numeric columns are counted once.
        may_spend_all: If counts of pairs would be mostly noise, count all columns in the second charge and spend the
            rest of the budget on it.
        pairs: Number of pairs that would be counted; all by default.
    """
    pairs = len(grids) * (len(grids) - 1) // 2 if pairs is None else pairs
    plan = plan_one_ways(grids, share, expected_rows, source.rho)
    wanted, shares, kept_back = plan.tables, plan.shares, dict(plan.second)
    again = list(kept_back)
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
    if may_spend_all and independent(rows / source.max_rows_per_unit, source.rho, pairs):
        spent, again = 1.0, list(grids)
        for name, part in independent_shares(grids, 1 - share).items():
            kept_back[name] = kept_back.get(name, 0.0) + part
    if again:
        lines = [name for name in again if grids[name].line]
        stretches = {
            name: _stretch_of_cells(
                grids[name], noisy[name, False], sigma[name, False], noisy.get((name, True)), scale[name]
            )
            for name in lines
        }
        scale |= {name: source.sigma(kept_back[name]) for name in again}
        n_second = BINS_FOR_EACH_TOKEN * n_bins(rows / source.max_rows_per_unit, source.rho)
        bins = {
            name: second_bins(grids[name], estimates[name], stretches[name], n_second, 2 * scale[name])
            for name in lines
        }
        bins |= {name: np.arange(grids[name].size) for name in again if name not in bins}
        reads = [_histogram_reader(cells, name, bins[name], int(bins[name][-1]) + 1) for name in again]
        found = source.counts(reads, [kept_back[name] for name in again], "columns once more", again)
        for name, second in zip(again, found, strict=True):
            fine = noisy[name, False], sigma[name, False], estimates[name]
            estimates[name] = _refine(grids[name], *fine, bins[name], second, scale[name], rows)
    return OneWayMarginals(rows, estimates, scale, spent)


def _stretch_of_cells(
    grid: Grid, fine: Floats, sigma: float, coarse: Floats | None, coarse_sigma: float
) -> tuple[int, int]:
    """Return the range of cells that exceeds noise, judged by blocks if they were counted."""
    line = len(grid.low)
    if coarse is None:
        return kept_stretch(fine[:line], sigma)
    blocks = grid.blocks[:line]
    first, last = kept_stretch(coarse[: blocks[-1] + 1], coarse_sigma)
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
) -> Floats:
    """Combine both counts of the cells, with zeros in tails that contain only noise."""
    line = len(grid.low)
    if not grid.line:
        precise, rough = second_sigma**-2, sigma**-2
        both = (second * precise + fine * rough) / (precise + rough)
        return project_to_simplex(shrink_to_uniform(both, (precise + rough) ** -0.5, rows), rows)
    outside = tail_mask(bins, line, kept_stretch(second[: bins[line - 1] + 1], second_sigma))
    inside = ~outside
    own = np.unique(bins[inside], return_inverse=True)[1]
    widths = cell_widths(grid, first, bins)
    out = np.zeros(grid.size)
    out[inside] = reconcile_blocks(
        fine[inside], sigma, own, second[np.unique(bins[inside])], second_sigma, rows, widths[inside]
    )
    return out


def _histogram_reader(cells: Callable[[str], Integers], name: str, blocks: Integers | None, size: int) -> Reader:
    def read() -> Integers:
        own = cells(name)
        return np.bincount(own if blocks is None else blocks[own], minlength=size)

    return read
