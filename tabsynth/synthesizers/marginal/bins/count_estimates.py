"""Estimates of counts from noisy ones: projection onto a known sum, and shrinkage where noise exceeds differences."""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats, Integers


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
    shrinkage = np.maximum(1 - noise / np.maximum(np.bincount(blocks, weights=off**2), 1e-9), 0.0)
    # If the sum of all cells is hardly above the noise, no single cell is.
    shrinkage[(cells > 3) & (rows < 1 * sigma * np.sqrt(cells))] = 0.0
    return np.asarray(shares * (rows if masses is None else masses)[blocks] + shrinkage[blocks] * off)


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
