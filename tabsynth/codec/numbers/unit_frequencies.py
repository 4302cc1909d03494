"""Correct the frequencies of rounding units for numbers that cannot be rounded to the sampled unit.

A number between two point masses is rounded to a finer unit if it has no free multiple of the sampled one nearby, so
that the coarse units of small tables would be too rare.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tabsynth.codec.numbers.gap_bins import Bins
from tabsynth.schema.rounding import Rounding

MAX_ROWS = 5000
"""Maximum rows of a column that is corrected: with more rows, frequent numbers are point masses."""

N_POSITIONS = 4
"""Positions in each bin at which numbers are rounded to each unit."""

N_STEPS = 20
"""Steps of the iterative correction."""


def correct_frequencies(rounding: Rounding, bins: Bins) -> Rounding:
    """Return the rounding with frequencies of sampled units that give the measured frequencies of rounded numbers."""
    if bins.mass.sum() > MAX_ROWS or len(rounding.units) < 2:
        return rounding
    inner = np.flatnonzero(bins.low < bins.high)
    run = np.repeat(inner, N_POSITIONS)
    share = np.tile((np.arange(N_POSITIONS) + 0.5) / N_POSITIONS, len(inner))
    value = bins.low[run] + share * (bins.high - bins.low)[run]
    atoms = bins.low[bins.low == bins.high]
    n_units, n_blocks = len(rounding.units), len(rounding.low)
    level = np.repeat(np.arange(n_units), len(value))
    run = np.tile(run, n_units)
    rounded = rounding.round_to(np.tile(value, n_units), run, level, atoms)
    # The frequency of each unit of the rounded numbers, by block and sampled unit.
    reached = np.zeros((n_blocks, n_units, n_units))
    np.add.at(reached, (rounding.block[run], level, rounding.levels_of(rounded)), bins.mass[run])
    reached /= np.maximum(reached.sum(axis=2, keepdims=True), 1e-300)
    shares = target = rounding.shares
    for _ in range(N_STEPS):  # expectation maximisation (Richardson 1972, Lucy 1974)
        expected = np.einsum("bs,bsr->br", shares, reached)
        ratio = np.where(expected > 0, target / np.maximum(expected, 1e-300), 0.0)
        shares = shares * np.einsum("br,bsr->bs", ratio, reached)
        total = shares.sum(axis=1, keepdims=True)
        shares = np.where(total > 0, shares / np.maximum(total, 1e-300), target)
    return replace(rounding, shares=shares)
