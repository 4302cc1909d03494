"""A DataFrame and its Schema, validated together on construction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tabsynth.errors import DataError, quote
from tabsynth.schema.columns import Numeric
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import check_against_schema, check_frame, is_missing_marker, to_numbers


@dataclass(frozen=True, eq=False)
class Table:
    """A frame with exactly the columns of its schema.

    Use ``Table.of``; the constructor itself validates nothing.
    """

    frame: pd.DataFrame
    schema: Schema

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"<Table of {len(self.frame):,} rows and {len(self.schema)} columns: {quote(self.schema, 8)}>"

    def _repr_html_(self) -> str:
        """Return the schema and the first rows, for notebooks."""
        size = f"{len(self.frame):,} rows, {len(self.schema)} columns"
        return f"<div><strong>{size}</strong>{self.frame.head().to_html()}{self.schema._repr_html_()}</div>"

    @classmethod
    def of(cls, data: TableLike, schema: Schema | None = None) -> Table:
        """Create a table from a frame, a table or a path; without a schema, one is inferred.

        Raises:
            InputError: The table is unusable, or the schema does not fit it; the message names column and value.
        """
        if isinstance(data, (str, Path)):
            from tabsynth.data.read_write import read

            return read(data, schema=schema)
        if isinstance(data, Table):
            if schema is None or schema is data.schema:
                return data
            data = data.frame
        given: Any = data
        if not isinstance(given, pd.DataFrame) and hasattr(given, "__arrow_c_stream__"):
            import pyarrow as pa

            given = pa.table(given).to_pandas()  # of polars, pyarrow, DuckDB
        if not isinstance(given, pd.DataFrame):
            raise DataError(f"expected a DataFrame, a Table or a path, not {type(given).__name__}")
        check_frame(given)
        frame = given.reset_index(drop=True)
        if schema is None:
            schema = Schema.infer(frame)
            return cls(parse_numeric_text(frame, schema), schema)
        schema = Schema.of(schema)
        frame = parse_numeric_text(frame, schema)
        check_against_schema(frame, schema)
        return cls(frame, schema)


def parse_numeric_text(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Convert numbers that are stored as text; ``?`` and the like become missing."""
    out = frame
    for name, column in schema.items():
        if isinstance(column, Numeric) and name in frame and not pd.api.types.is_numeric_dtype(frame[name].dtype):
            values = frame[name].astype(object)
            values = values.mask(values.map(lambda value: isinstance(value, str) and is_missing_marker(value)), None)
            if column.format is not None or (values.isna() & frame[name].notna()).any():
                out = out.assign(**{name: to_numbers(values, column.format)})
    return out


TableLike = pd.DataFrame | Table | str | Path
"""A table as functions take it: a frame, a Table, or the path of a file."""
