"""Correlation matrices of both tables, for numbers, dates and categories with two values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.stats.distances import pairwise_correlations
from tabsynth.evaluation.stats.encoded_table import EncodedTable

MAX_COLUMNS = 40
"""Maximum number of columns of the matrices; those whose correlations differ most are shown."""

MIN_ROWS = 20
MAX_LARGEST = 5


def correlation_matrices(
    train: EncodedTable, synthetic: EncodedTable, holdout: EncodedTable | None
) -> dict[str, Any] | None:
    """Compute Pearson correlations of both tables; None with fewer than two columns, or with few rows.

    Returns:
        ``names``; ``left_out``, the number of other columns; ``real`` and ``synthetic``, the matrices, None where a
        column does not vary; ``largest``, the pairs that differ most, each with ``columns``, ``real`` and
        ``synthetic``; ``difference``, the mean absolute difference over all pairs; ``floor``, that of held-out rows.
    """
    columns = _columns(train)
    if len(columns) < 2 or min(len(train), len(synthetic)) < MIN_ROWS:
        return None
    real, other = (pairwise_correlations(_values(table, columns)) for table in (train, synthetic))
    gap = np.abs(np.nan_to_num(real) - np.nan_to_num(other))
    upper = np.triu_indices(len(columns), 1)
    names = [train.encoding.names[j] for j in columns]
    shown = np.sort(np.argsort(-gap.sum(axis=0), kind="stable")[:MAX_COLUMNS])
    order = np.argsort(-gap[upper], kind="stable")[:MAX_LARGEST]
    out: dict[str, Any] = {
        "names": [names[k] for k in shown],
        "left_out": len(columns) - len(shown),
        "real": _matrix(real[np.ix_(shown, shown)]),
        "synthetic": _matrix(other[np.ix_(shown, shown)]),
        "difference": round(float(gap[upper].mean()), 4),
        "largest": [
            {"columns": [names[a], names[b]], "real": _number(real[a, b]), "synthetic": _number(other[a, b])}
            for a, b in zip(upper[0][order], upper[1][order], strict=True)
        ],
    }
    if holdout is not None and len(holdout) >= MIN_ROWS:
        held_out = np.nan_to_num(pairwise_correlations(_values(holdout, columns)))
        out["floor"] = round(float(np.abs(np.nan_to_num(real) - held_out)[upper].mean()), 4)
    return out


def _columns(train: EncodedTable) -> list[int]:
    encoding = train.encoding
    return [j for j in range(len(encoding.names)) if encoding.continuous[j] or encoding.sizes[j] == 3]


def _values(table: EncodedTable, columns: list[int]) -> Floats:
    """Return numbers unchanged and categories as codes, NaN where missing, shape (n, columns)."""
    return table.features()[:, columns]


def _matrix(values: Floats) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in values]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)
