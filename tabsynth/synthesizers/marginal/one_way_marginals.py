"""Noisy counts of single columns, and what is made of them before they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.marginal.count_source import CountSource, Reader
from tabsynth.synthesizers.marginal.public_bins import Grid


def project_to_simplex(noisy: Floats, total: float) -> Floats:
    """The nearest counts that are not negative and sum to a total (Duchi et al. 2008, figure 1), shape as given."""
    if total <= 0 or not len(noisy):
        return np.zeros(len(noisy))
    down = np.sort(noisy)[::-1]
    excess = (np.cumsum(down) - total) / np.arange(1, len(down) + 1)
    last = np.flatnonzero(down > excess)[-1]
    return np.asarray(np.maximum(noisy - excess[last], 0.0))


def reconcile_blocks(
    fine: Floats, sigma: float, blocks: Integers, coarse: Floats | None, coarse_sigma: float, total: float
) -> Floats:
    """Counts of fine cells that agree with the blocks' own counts and sum to a total.

    Args:
        fine: Noisy counts of the cells.
        sigma: Standard deviation of their noise.
        blocks: The block of each cell, ascending.
        coarse: Noisy counts of the blocks, or None where there is one level.
        coarse_sigma: Standard deviation of their noise.
        total: The number of rows.
    """
    if coarse is None:
        return project_to_simplex(fine, total)
    cells = np.bincount(blocks)
    summed = np.bincount(blocks, weights=fine)
    precise, rough = 1 / coarse_sigma**2, 1 / (sigma**2 * cells)
    masses = project_to_simplex((coarse * precise + summed * rough) / (precise + rough), total)
    fine, ends = shrink_to_block_means(fine, sigma, blocks), np.cumsum(cells)
    return np.concatenate(
        [project_to_simplex(fine[end - n : end], mass) for end, n, mass in zip(ends, cells, masses, strict=True)]
    )


def shrink_to_block_means(fine: Floats, sigma: float, blocks: Integers) -> Floats:
    """Counts pulled towards their block's mean, the more so the less they differ by more than noise.

    The positive-part estimator of James and Stein, a block at a time: where a budget is too small to tell cells apart,
    they share their block's rows evenly.
    """
    cells = np.bincount(blocks)
    off = fine - (np.bincount(blocks, weights=fine) / cells)[blocks]
    noise = np.maximum(cells - 3, 0) * sigma**2
    kept = np.maximum(1 - noise / np.maximum(np.bincount(blocks, weights=off**2), 1e-9), 0.0)
    return np.asarray(fine - (1 - kept[blocks]) * off)


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


N_TOTAL_CELLS = 3.0
"""The number of rows gets a share of the budget as a column of this many cells squared would."""


@dataclass(frozen=True, eq=False)
class OneWayMarginals:
    """What is known of the columns one by one.

    Attributes:
        rows: The noisy number of rows, at least 1.
        counts: Estimated rows of each cell of each column; none negative, each column sums to ``rows``.
        sigma: Standard deviation of the noise of each column's cells, or of its blocks where those are measured.
    """

    rows: float
    counts: dict[str, Floats]
    sigma: dict[str, float]


def measure_one_ways(
    grids: Mapping[str, Grid], cells: Callable[[str], Integers], source: CountSource, share: float
) -> OneWayMarginals:
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
    weight = np.append(np.sqrt(parts), N_TOTAL_CELLS)
    shares = share * weight / weight.sum()
    reads = [
        _histogram_reader(cells, name, grids[name].blocks if blocks else None, size) for name, blocks, size in wanted
    ]
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
    return OneWayMarginals(
        rows, estimates, {name: min(sigma[name, False], sigma.get((name, True), np.inf)) for name in grids}
    )


def _histogram_reader(cells: Callable[[str], Integers], name: str, blocks: Integers | None, size: int) -> Reader:
    def read() -> Integers:
        own = cells(name)
        return np.bincount(own if blocks is None else blocks[own], minlength=size)

    return read
