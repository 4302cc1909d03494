"""From noisy counts of fine cells to a distribution: projected to what counts can be, and merged to heavy tokens."""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats, Integers


def simplex(noisy: Floats, total: float) -> Floats:
    """The nearest counts that are not negative and sum to a total (Duchi et al. 2008, figure 1), shape as given."""
    if total <= 0 or not len(noisy):
        return np.zeros(len(noisy))
    down = np.sort(noisy)[::-1]
    excess = (np.cumsum(down) - total) / np.arange(1, len(down) + 1)
    last = np.flatnonzero(down > excess)[-1]
    return np.asarray(np.maximum(noisy - excess[last], 0.0))


def within_blocks(
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
        return simplex(fine, total)
    cells = np.bincount(blocks)
    summed = np.bincount(blocks, weights=fine)
    precise, rough = 1 / coarse_sigma**2, 1 / (sigma**2 * cells)
    masses = simplex((coarse * precise + summed * rough) / (precise + rough), total)
    fine, ends = shrunk(fine, sigma, blocks), np.cumsum(cells)
    return np.concatenate(
        [simplex(fine[end - n : end], mass) for end, n, mass in zip(ends, cells, masses, strict=True)]
    )


def shrunk(fine: Floats, sigma: float, blocks: Integers) -> Floats:
    """Counts pulled towards their block's mean, the more so the less they differ by more than noise.

    The positive-part estimator of James and Stein, a block at a time: where a budget is too small to tell cells apart,
    they share their block's rows evenly.
    """
    cells = np.bincount(blocks)
    off = fine - (np.bincount(blocks, weights=fine) / cells)[blocks]
    noise = np.maximum(cells - 3, 0) * sigma**2
    kept = np.maximum(1 - noise / np.maximum(np.bincount(blocks, weights=off**2), 1e-9), 0.0)
    return np.asarray(fine - (1 - kept[blocks]) * off)


def merged(counts: Floats, bins: int, least: float) -> Integers:
    """The token of each cell of a line, ascending from 0 without gaps.

    A stretch of less than ``least`` rows goes with what follows it, so that no token is lost in the noise.

    Args:
        counts: Rows of each cell in order.
        bins: About how many tokens a line without heavy cells is cut into.
        least: Fewest rows of a token.
    """
    share = counts.sum() / bins
    light = counts[counts < share].sum() / max(counts.sum(), 1e-9)
    # Where most rows are in heavy cells, the others are cut finer than their share of the rows alone would have it.
    share = max(least, share * np.sqrt(light))
    out = np.zeros(len(counts), np.int64)
    token, held = 0, 0.0
    for cell, count in enumerate(counts.tolist()):
        if cell and (held >= share or (count >= share and held >= least)):
            token, held = token + 1, 0.0
        out[cell] = token
        held = share if count >= share else held + count
    if held < least and token:
        out[out == token] = token - 1
    return out
