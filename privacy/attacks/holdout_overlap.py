"""Check that the holdout does not contain training rows: they would hide leaks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from tabsynth.common.arrays import Floats
from tabsynth.errors import DataError

LEVEL = 0.01
MAX_CHANCE_OVERLAP = 0.001
"""Share of equal rows from which the holdout of a table without repeated rows counts as overlapping."""

MAX_ALTERED = 0.05
"""Share of held-out rows that may equal a training row in all columns but one, beyond five times the chance share."""


def check_overlap(train: pd.DataFrame, holdout: pd.DataFrame) -> int:
    """Count held-out rows that equal a training row, and reject more of them than expected by chance.

    Rows repeat in many tables. The number expected by chance is estimated from the repeated rows of the training table.

    Returns:
        The number of held-out rows that equal a training row.

    Raises:
        DataError: The tables overlap.
    """
    train_hashes, holdout_hashes = _hash_columns(train), _hash_columns(holdout)
    train_rows, holdout_rows = train_hashes.sum(axis=1), holdout_hashes.sum(axis=1)
    shared = int(np.isin(holdout_rows, train_rows).sum())
    _, counts = np.unique(train_rows, return_counts=True)
    repeated = int(counts[counts > 1].sum())
    n, m = len(train), len(holdout)
    chance = float(hypergeom.sf(shared - 1, n + m, shared + repeated, m))
    if shared and (chance < LEVEL or (repeated == 0 and shared > max(1, MAX_CHANCE_OVERLAP * m))):
        usual = f"about {repeated / n:.2%} of its rows repeat by chance" if repeated else "none of its own rows repeats"
        raise DataError(
            f"the holdout overlaps the training table: {shared:,} of its {m:,} rows are training rows ({usual}); use "
            "rows that the model was not trained on, or remove these"
        )
    for j, name in enumerate(train.columns if train.shape[1] > 1 else []):
        _check_altered(
            np.delete(train_hashes, j, axis=1).sum(axis=1), np.delete(holdout_hashes, j, axis=1).sum(axis=1), str(name)
        )
    return shared


def _check_altered(train_rows: np.ndarray, holdout_rows: np.ndarray, column: str) -> None:
    """Reject a holdout whose rows equal training rows in all columns but one."""
    shared = float(np.isin(holdout_rows, train_rows).mean())
    _, counts = np.unique(train_rows, return_counts=True)
    repeated = float(counts[counts > 1].sum() / len(train_rows))
    if shared > MAX_ALTERED + 5 * repeated:
        raise DataError(
            f"the holdout overlaps the training table: {shared:.0%} of its rows are training rows in all columns but "
            f"{column!r} (by chance about {repeated:.2%}); use rows that the model was not trained on"
        )


def _hash_columns(frame: pd.DataFrame) -> np.ndarray:
    """Return a 64-bit hash of each cell, shape (n, columns); sums over columns are hashes of rows."""
    hashes = [
        pd.util.hash_pandas_object(_normalise_column(frame[name]), index=False, hash_key=f"{j:016d}").to_numpy()
        for j, name in enumerate(frame.columns)
    ]
    with np.errstate(over="ignore"):
        factors = np.arange(1, 2 * len(hashes), 2, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return np.column_stack(hashes).astype(np.uint64) * factors


def _normalise_column(values: pd.Series) -> pd.Series:
    """Convert numbers to rounded floats and other values to text."""
    if pd.api.types.is_bool_dtype(values.dtype) or not pd.api.types.is_numeric_dtype(values.dtype):
        return values.astype(object).where(values.notna(), "").astype(str)
    return pd.Series(round_significant(values.to_numpy(dtype=np.float64, na_value=np.nan)), index=values.index)


def round_significant(values: Floats) -> Floats:
    """Round to twelve significant digits, because writing and parsing a file may change a number's last bit."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where((values == 0) | np.isnan(values), 0.0, np.floor(np.log10(np.abs(values))))
    scale = 10.0 ** np.clip(11 - size, -300, 300)
    return np.asarray(np.round(values * scale) / scale + 0.0, dtype=np.float64)
