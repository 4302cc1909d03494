"""Composite primary keys: rows that repeat a key get another value in one column of the key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Bools

MAX_ROUNDS = 20
"""Number of random attempts at unused values, before the unused values of each group are enumerated."""


def make_unique(
    frame: pd.DataFrame, key: Sequence[str], column: str | None, values: pd.Series, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the rows without repeated keys.

    Args:
        frame: The rows.
        key: Columns of the key.
        column: The column of the key that may change; None if none may.
        values: Values that it may take.
        rng: Random generator.

    Returns:
        The rows in their order; those for which no unused value is left are removed.
    """
    repeated = frame.duplicated(list(key)).to_numpy()
    if not repeated.any():
        return frame
    out = frame.copy()
    if column is not None and len(values):
        for _ in range(MAX_ROUNDS):
            _replace(out, column, repeated, values.iloc[rng.integers(0, len(values), int(repeated.sum()))])
            repeated = out.duplicated(list(key)).to_numpy()
            if not repeated.any():
                return out
        _fill(out, key, column, repeated, values.drop_duplicates())
        repeated = out.duplicated(list(key)).to_numpy()
    return out[~repeated].reset_index(drop=True)


def _fill(frame: pd.DataFrame, key: Sequence[str], column: str, repeated: Bools, values: pd.Series) -> None:
    """Give repeated keys values that do not occur in their group, as far as such values are left."""
    rest = [name for name in key if name != column]
    groups = frame.groupby(rest, sort=False, dropna=False).ngroup().to_numpy()
    for group in np.unique(groups[repeated]):
        own = np.flatnonzero((groups == group) & repeated)
        unused = values[~values.isin(frame[column].to_numpy()[groups == group])].iloc[: len(own)]
        chosen = np.zeros(len(frame), bool)
        chosen[own[: len(unused)]] = True
        _replace(frame, column, chosen, unused)


def _replace(frame: pd.DataFrame, column: str, rows: Bools, values: pd.Series) -> None:
    """Assign values to some rows in the dtype of the column."""
    changed = frame[column].copy()
    changed.iloc[np.flatnonzero(rows)] = values.array
    frame[column] = changed
