"""Frames as Arrow tables, and their text."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from tabsynth.errors import DataError, quote


def frame_to_arrow(frame: pd.DataFrame, target: str) -> pa.Table:
    """Return an Arrow table of a frame, without its index.

    Args:
        frame: The frame.
        target: Name of the output format, for the message.

    Raises:
        DataError: A column has values of several types, or of one that Arrow does not have.
    """
    for name in frame.columns:
        kind = frame[name].dtype
        inner = kind.categories.dtype if isinstance(kind, pd.CategoricalDtype) else None
        if isinstance(inner, (pd.IntervalDtype, pd.PeriodDtype)):
            raise DataError(
                f"{target} cannot represent the categories of column {name!r}, which are of type {inner}; convert them "
                "to text, for instance with .cat.rename_categories(str)"
            )
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{target} cannot represent the table: {error}; give each column one type of plain values"
        ) from error


def text_to_arrow(cells: Sequence[str | None], name: str) -> pa.Array:
    """Return the texts of a column, missing as null.

    Raises:
        DataError: A text is not valid Unicode.
    """
    try:
        return pa.array(cells, pa.string())
    except UnicodeEncodeError as error:
        raise DataError(
            f"column {name!r}: {quote([error.object])} is not valid Unicode (half of a surrogate pair); replace it"
        ) from error
