"""Numbers that repeat an earlier sibling's exactly, such as a salary, though a token holds several numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Bools, Floats, Integers

PRIOR_ROWS = 5.0
"""Pseudo-rows of each class, with the share of all classes."""


def repeat_rate(values: Floats, tokens: Integers, before: Integers, classes: Integers, size: int) -> Floats:
    """Return the share of numbers with the earlier number's token that repeat it exactly, by class, shape (size,).

    Args:
        values: Training numbers, shape (n,).
        tokens: Their tokens, shape (n,).
        before: Row of each row's earlier number, -1 for none, shape (n,).
        classes: Class of each row, shape (n,).
        size: Number of classes.
    """
    rows = np.flatnonzero((before >= 0) & (tokens == tokens[before]))
    repeated = values[rows] == values[before[rows]]
    seen = np.bincount(classes[rows], minlength=size)
    held = np.bincount(classes[rows], weights=repeated, minlength=size)
    share = float(repeated.mean()) if len(rows) else 0.0
    return np.asarray((held + PRIOR_ROWS * share) / (seen + PRIOR_ROWS))


def repeat_numbers(
    values: pd.Series,
    tokens: Integers,
    before: Integers,
    rates: Floats,
    rng: np.random.Generator,
) -> pd.Series:
    """Replace some sampled numbers by the earlier number, if it has the same token.

    Args:
        values: Sampled numbers.
        tokens: Their tokens, shape (n,).
        before: Row of each row's earlier number, -1 for none, shape (n,).
        rates: Probability of a repetition, shape (n,).
        rng: Random generator.
    """
    same = (before >= 0) & (tokens == tokens[before]) & (rng.random(len(before)) < rates)
    return values.take(_first_of_run(before, same)).set_axis(values.index)


def _first_of_run(before: Integers, same: Bools) -> Integers:
    """Return the row whose number each row has: its own, or the first of those that it repeats."""
    out = np.where(same, before, np.arange(len(before)))
    while not np.array_equal(out[out], out):
        out = out[out]
    return np.asarray(out, np.int64)
