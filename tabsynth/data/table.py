"""A DataFrame and its Schema, validated together on construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tabsynth.common.html_tables import html_frame
from tabsynth.errors import DataError, quote, warn_caller
from tabsynth.schema.cell_types import to_pandas
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
        return f"<div><strong>{size}</strong>{html_frame(self.frame)}{self.schema._repr_html_()}</div>"

    @classmethod
    def of(cls, data: TableLike, schema: Schema | None = None) -> Table:
        """Create a table from a frame, a table or a path; without a schema, one is inferred.

        Columns that a dictionary or a schema file does not declare are inferred, too.

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
        given = to_pandas(data)
        if not isinstance(given, pd.DataFrame):
            raise DataError(f"expected a DataFrame, a Table or a path, not {type(given).__name__}")
        check_frame(given)
        frame = given.reset_index(drop=True)
        if schema is None:
            schema = Schema.infer(frame)
            return cls(parse_numeric_text(frame, schema), schema)
        declared: Any = schema
        if not isinstance(declared, Schema):
            schema = complete_schema(Schema.of(declared), frame, Schema.infer)
        frame = parse_numeric_text(frame, schema)
        check_against_schema(frame, schema)
        return cls(frame, schema)


def complete_schema(
    schema: Schema, frame: pd.DataFrame, infer: Callable[[pd.DataFrame], Schema], where: str = ""
) -> Schema:
    """Return a schema with the columns that it does not declare inferred; a warning names them."""
    rest = [name for name in frame.columns if name not in schema]
    if not schema or not rest or not set(schema) <= set(frame.columns):  # an empty schema is a mistake
        return schema
    inferred = infer(frame[rest])
    warn_caller(f"{where}columns that are not in the schema are inferred: {quote(rest)}")
    return replace(schema, columns={name: {**schema, **inferred}[name] for name in frame.columns})


def checked_rows(data: pd.DataFrame | Table) -> pd.DataFrame:
    """Return the frame of rows for a fitted model, whose columns have unique names.

    Raises:
        DataError: It is no table, or has two columns of one name.
    """
    frame = data.frame if isinstance(data, Table) else to_pandas(data)
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"expected a DataFrame or a Table, not {type(frame).__name__}")
    if (twice := frame.columns[frame.columns.duplicated()].unique()).size:
        raise DataError(f"duplicate column names: {quote(twice)}; give every column a unique name")
    return frame


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
