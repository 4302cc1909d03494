"""Validation of ``fit(weights=..., mask=...)``: row weights, and cells that a row's source does not have."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.arrays import Floats, Tokens
from tabsynth.data.table import Table
from tabsynth.errors import DataError, InputError, quote
from tabsynth.schema.schema import Schema


@dataclass(frozen=True, eq=False)
class RowWeights:
    """Row weights and present cells.

    Attributes:
        weights: Row weights of mean one, shape (rows,); None if all are equal.
        observed: For each column that is absent from some rows, which rows have it, shape (rows,).
    """

    weights: npt.NDArray[np.float64] | None = None
    observed: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def check_unused(self, name: str) -> None:
        """Raise if weights or a mask were given to a synthesizer that does not support them.

        Raises:
            InputError: Rows are weighted, or columns are absent.
        """
        if self.weights is not None or self.observed:
            raise InputError(
                f"{name} does not support row weights or absent columns; use MaskedSynthesizer or VAESynthesizer"
            )


def parse_weights(table: Table, weights: Any, mask: pd.DataFrame | None) -> tuple[Table, RowWeights]:
    """Check weights and mask against a table.

    Args:
        table: The training rows.
        weights: A number for each row, or the name of a column; by default the column of role ``weight``.
        mask: True where a row has a column, False where its source does not have it; unnamed columns are present.

    Returns:
        The table, with its weight column set to 1, and the weights.

    Raises:
        InputError: The weights or the mask do not fit the table.
    """
    observed = _observed_rows(table.frame, mask)
    roles = table.schema.with_role("weight")
    column = weights if isinstance(weights, str) else roles[0] if weights is None and roles else None
    if column is not None:
        if column not in table.frame.columns:
            raise InputError(f"weights={column!r} is not a column of the table; give a column or numbers")
        weights = table.frame[column]
        frame = table.frame.copy(deep=False)
        frame[column] = np.ones(len(frame), dtype=weights.dtype if weights.dtype.kind in "iuf" else np.int64)
        table = Table(frame, table.schema.replace(column, kind="numeric", low=None, high=None, decimals=0))
    numbers = None if weights is None else _normalise(weights, len(table), column)
    return table, RowWeights(numbers, observed)


def allow_masked_gaps(schema: Schema, mask: pd.DataFrame | None) -> Schema:
    """Return the schema with masked columns nullable, so that their empty cells are valid."""
    if mask is None:
        return schema
    absent = {name for name in mask.columns if name in schema and not mask[name].all()}
    return replace(
        schema,
        columns={name: replace(column, nullable=True) if name in absent else column for name, column in schema.items()},
    )


def _normalise(weights: Any, rows: int, column: str | None) -> npt.NDArray[np.float64]:
    """Return the weights of mean one."""
    what = f"column {column!r}" if column else "weights"
    try:
        out = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: a weight is not a number: {error}") from error
    if out.shape != (rows,):
        raise InputError(f"{what}: expected one weight for each of {rows} rows, not an array of shape {out.shape}")
    bad = np.flatnonzero(~np.isfinite(out) | (out < 0))
    if len(bad):
        raise InputError(
            f"{what}: {len(bad)} weights are missing, infinite or negative, the first {out[bad[0]]} at row {bad[0]}; "
            "drop those rows or give them a weight of at least 0"
        )
    if not (out > 0).sum() > 1:
        raise InputError(f"{what}: fewer than two rows have a weight above 0; a synthesizer needs at least two")
    return np.asarray(out / out.mean())


def _observed_rows(frame: pd.DataFrame, mask: pd.DataFrame | None) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the columns that are absent from some rows, and which rows have them."""
    if mask is None:
        return {}
    if not isinstance(mask, pd.DataFrame) or len(mask) != len(frame):
        got = f"{len(mask)} rows" if isinstance(mask, pd.DataFrame) else type(mask).__name__
        raise InputError(f"mask must be a DataFrame of True and False with the table's {len(frame)} rows, not {got}")
    unknown = [name for name in mask.columns if name not in frame.columns]
    if unknown:
        raise InputError(f"mask has columns that are not in the table: {quote(unknown)}; drop them")
    out = {}
    for name in mask.columns:
        cells = mask[name].to_numpy()
        if cells.dtype != np.bool_:
            raise InputError(f"mask, column {name!r}: expected True and False, not {cells.dtype}")
        if not cells.any():
            raise DataError(f"column {name!r} is absent from every row by the mask; drop the column")
        if not cells.all():
            out[str(name)] = cells
    return out


def weighted_counts(tokens: Tokens, size: int, weights: Floats | None) -> npt.NDArray[np.int64]:
    """Return the weighted rows of each token of a slot; absent tokens (-1) do not count."""
    here = tokens >= 0
    plain = np.bincount(tokens[here], minlength=size)
    if weights is None:
        return plain
    # Observed tokens stay allowed, however small the weight of their rows.
    return np.maximum(np.rint(np.bincount(tokens[here], weights[here], size)), plain > 0).astype(np.int64)
