"""Check that held-out rows are no training rows: a control that was learned hides every leak."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from tabsynth.common.arrays import Floats
from tabsynth.errors import DataError

LEVEL = 0.01
MAX_CHANCE_OVERLAP = 0.001
"""Share of the holdout from which coinciding rows of a table without any repeated row count as an overlap."""


def check_overlap(train: pd.DataFrame, holdout: pd.DataFrame) -> int:
    """Count held-out rows that equal a training row, and refuse more of them than chance explains.

    Rows repeat in many tables. What chance brings is known from the training table itself: how many of its rows
    occur in it again.

    Returns:
        The number of coinciding rows.

    Raises:
        DataError: The two overlap.
    """
    ours, theirs = _hash_rows(train), _hash_rows(holdout)
    shared = int(np.isin(theirs, ours).sum())
    if not shared:
        return 0
    _, counts = np.unique(ours, return_counts=True)
    repeated = int(counts[counts > 1].sum())
    n, m = len(train), len(holdout)
    chance = float(hypergeom.sf(shared - 1, n + m, shared + repeated, m))
    if chance < LEVEL or (repeated == 0 and shared > max(1, MAX_CHANCE_OVERLAP * m)):
        usual = f"about {repeated / n:.2%} of its rows repeat by chance" if repeated else "none of its own rows repeats"
        raise DataError(
            f"the holdout overlaps the training table: {shared:,} of its {m:,} rows are training rows ({usual}); hold "
            "out rows that were not learned, or remove these"
        )
    return shared


def _hash_rows(frame: pd.DataFrame) -> np.ndarray:
    """A 64-bit hash of each row as text, so that 1 and 1.0 are one value."""
    plain = pd.DataFrame({name: _normalise_column(frame[name]) for name in frame.columns})
    return np.asarray(pd.util.hash_pandas_object(plain, index=False).to_numpy())


def _normalise_column(values: pd.Series) -> pd.Series:
    """Numbers as floats and the rest as text."""
    if pd.api.types.is_bool_dtype(values.dtype) or not pd.api.types.is_numeric_dtype(values.dtype):
        return values.astype(object).where(values.notna(), "").astype(str)
    return pd.Series(round_significant(values.to_numpy(dtype=np.float64, na_value=np.nan)), index=values.index)


def round_significant(values: Floats) -> Floats:
    """Round to twelve significant digits, as writing and parsing a file may change a number's last bit."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where((values == 0) | np.isnan(values), 0.0, np.floor(np.log10(np.abs(values))))
    scale = 10.0 ** np.clip(11 - size, -300, 300)
    return np.asarray(np.round(values * scale) / scale + 0.0, dtype=np.float64)
