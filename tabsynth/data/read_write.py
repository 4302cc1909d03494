"""Read and write tables as CSV, Parquet and Excel, by the file's suffix, and in databases, by their URL.

Types, missing values and the order of columns survive a round trip. CSV has no types: there, all values of a column
decide (see ``csv_types``), and text of digits comes back as numbers unless a schema declares it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from tabsynth.common.input_files import check_regular_file
from tabsynth.common.validation import checked_arguments
from tabsynth.data.csv_dialects import detect_dialect
from tabsynth.data.csv_files import MISSING_SPELLINGS, read_csv
from tabsynth.data.csv_types import cast_to_column
from tabsynth.data.excel_files import read_excel
from tabsynth.data.file_formats import default_separator, file_format
from tabsynth.data.lakes.datasets import is_dataset, read_dataset
from tabsynth.data.lakes.stream_files import arrow_batches, read_json_lines
from tabsynth.data.parquet_files import arrow_to_frame, open_parquet
from tabsynth.data.provenance import attach_provenance, get_provenance, read_sidecar
from tabsynth.data.sql.read_write import read_frame
from tabsynth.data.sql.table_schema import merge_schemas
from tabsynth.data.sql.urls import is_database_url, parse_url
from tabsynth.data.table import Table, complete_schema, parse_numeric_text
from tabsynth.data.write_tables import to_arrow, write, write_chunks
from tabsynth.errors import DataError, SchemaError, SourceError, quote
from tabsynth.schema.columns import Column, Datetime, Numeric
from tabsynth.schema.inference import infer_schema
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import check_frame

__all__ = ["read", "read_partial", "to_arrow", "write", "write_chunks"]


@checked_arguments
def read(
    path: str | Path,
    *,
    schema: Schema | None = None,
    sheet: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    missing: Collection[str] | None = None,
    table: str | None = None,
    query: str | None = None,
) -> Table:
    """Read a table.

    Args:
        path: A file; the suffix decides the format. Or a folder of Parquet or Arrow files, also with Hive partitions
            (``year=2024/``), or a pattern such as ``visits/*.parquet``. Or the URL of a database, such as ``postgresql://user@host/clinic``
            or ``sqlite:///clinic.db``.
        schema: The schema, to which columns are cast; inferred by default. Columns that a schema file or a dictionary
            does not declare are inferred; a ``Schema`` declares all columns.
        sheet: Sheet of a workbook; the first by default.
        separator: Field separator of a CSV file; detected by default.
        decimal: Decimal separator of numbers, "." or ","; detected by default.
        encoding: The encoding of a CSV file, by Python's name; detected by default. A warning names an unusual one.
        missing: Spellings of missing values. By default NA, NaN, null and the like in CSV, if unquoted, and none in
            workbooks, where missing cells are empty.
        table: Table of a database, also as ``schema.table``; a URL may name it itself, as in ``...#patients``.
        query: A query of a database instead of a table.

    Raises:
        SourceError: The file is not there, not of its kind, damaged, or of an unknown kind.
        DataError: No rows, ragged rows, duplicate names, or values that do not fit the schema.
        SchemaError: The schema and the file have different columns.
    """
    options: dict[str, Any] = {"sheet": sheet, "separator": separator, "decimal": decimal, "encoding": encoding}
    options |= {"missing": missing, "table": table, "query": query}
    declared: Any = schema
    if declared is not None and not isinstance(declared, Schema):
        return read_partial(path, Schema.of(declared), options)
    content = _read_content(path, schema, **options)
    try:
        if schema is not None:
            return Table.of(content.frame, schema)
        schema = content.infer()
        return Table(parse_numeric_text(content.frame, schema), schema)
    except (DataError, SchemaError) as error:
        raise _named(content.name, error) from error


def read_partial(path: str | Path, schema: Schema, options: Mapping[str, Any] | None = None) -> Table:
    """Read a table whose schema declares some of its columns; a warning names the others, which are inferred.

    Args:
        path: A file.
        schema: The declared columns.
        options: Keyword arguments of ``read``.

    Raises:
        InputError: As ``read``.
    """
    content = _read_content(path, schema, **(options or {}))
    frame = content.frame
    try:
        where = f"{Path(content.name).name}: "
        schema = complete_schema(schema, frame, lambda rest: replace(content, frame=rest).infer(), where)
        return Table.of(frame, schema)
    except (DataError, SchemaError) as error:
        raise _named(content.name, error) from error


def infer_declared(frame: pd.DataFrame, declared: Schema, name: str) -> Table:
    """Return a table of a database, whose schema is inferred from the rows and completed by what the database declares.

    Raises:
        DataError: The rows do not fit it.
    """
    content = _Content(name, frame, declared=declared)
    try:
        schema = content.infer()
        return Table(parse_numeric_text(frame, schema), schema)
    except (DataError, SchemaError) as error:
        raise _named(name, error) from error


def _named(name: str, error: DataError | SchemaError) -> DataError | SchemaError:
    """Return the error with the name of the table."""
    return (SchemaError if isinstance(error, SchemaError) else DataError)(f"{name!r}: {error}")


@dataclass(frozen=True, eq=False)
class _Content:
    """Result of a read: the frame, cast to a given schema, and the column facts of the source."""

    name: str
    frame: pd.DataFrame
    formats: Mapping[str, str] = field(default_factory=dict)
    decimal: str | None = None
    declared: Schema | None = None

    def infer(self) -> Schema:
        """Infer a schema, with the formats of a file, or with what a database declares."""
        check_frame(self.frame)
        columns: dict[str, Column] = {}
        for name, column in infer_schema(self.frame, decimal=self.decimal).items():
            form = self.formats.get(name)
            if form and isinstance(column, Datetime):
                column = replace(column, format=form)
            elif form and isinstance(column, Numeric):
                column = replace(column, csv_format=form)
            columns[name] = column
        return Schema(columns) if self.declared is None else merge_schemas(Schema(columns), self.declared, self.frame)


def _read_content(
    path: str | Path,
    schema: Schema | None,
    *,
    table: str | None = None,
    query: str | None = None,
    **options: Any,
) -> _Content:
    """Read a file, a table of a database, or the result of a query."""
    if not is_database_url(path):
        if table is not None or query is not None:
            raise SourceError(f"{str(path)!r} is a file; table and query are for databases")
        frame, formats, decimal = _read_frame(Path(path), schema, **options)
        return _Content(str(path), frame, formats, decimal)
    label = parse_url(str(path)).label
    unused = [name for name, value in options.items() if value is not None]
    if unused:
        raise SourceError(f"{label} is a database; {quote(unused)} is for files")
    frame, declared = read_frame(str(path), table=table, query=query)
    return _Content(label, frame if schema is None else cast_columns(frame, schema), declared=declared)


def _read_frame(
    source: Path,
    schema: Schema | None,
    *,
    sheet: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    missing: Collection[str] | None = None,
) -> tuple[pd.DataFrame, dict[str, str], str | None]:
    """Return the frame, cast to the schema, the formats of its datetimes and numbers, and the decimal separator."""
    kind = "dataset" if is_dataset(source) else file_format(source)
    if decimal not in (None, ".", ","):
        raise SourceError(f"decimal must be '.' or ',', not {decimal!r}")
    if kind != "dataset":
        _check_readable(source)
    if sheet is not None and kind != "excel":
        raise SourceError(f"{str(source)!r} has no sheets; sheet={sheet!r} is for Excel workbooks")
    formats: dict[str, str] = {}
    if kind == "csv":
        dialect = detect_dialect(source, separator, encoding, usual=default_separator(source))
        spellings = MISSING_SPELLINGS if missing is None else missing
        frame, formats, decimal = read_csv(source, dialect, decimal=decimal, missing=spellings, schema=schema)
    else:
        if kind == "parquet":
            frame = _read_parquet(source)
        elif kind in ("dataset", "arrow", "json"):
            frame = arrow_to_frame(_read_arrow(source, kind))
        else:
            frame, formats = read_excel(source, sheet=sheet, missing=missing or ())
        if schema is not None:
            frame = attach_provenance(cast_columns(frame, schema), get_provenance(frame))
    if kind not in ("parquet", "dataset", "arrow"):
        attach_provenance(frame, read_sidecar(source))
    return frame, formats, decimal


def _check_readable(path: Path) -> None:
    check_regular_file(path)
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    if empty:
        raise DataError(f"{str(path)!r} is empty; a table needs a header and rows")


def cast_columns(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Cast each column to its declared kind."""
    cast = {name: cast_to_column(frame[name], schema[name]) for name in frame.columns if name in schema}
    return pd.DataFrame({name: frame[name] if cast.get(name) is None else cast[name] for name in frame.columns})


def _read_arrow(path: Path, kind: str) -> pa.Table:
    """Return the whole content of a dataset, or of a file of Arrow or JSON lines."""
    if kind == "dataset":
        return read_dataset(path)
    table = read_json_lines(path) if kind == "json" else None
    if table is None:
        batches = list(arrow_batches(path))
        table = pa.Table.from_batches(batches) if batches else None
    if table is None or not table.num_rows:
        raise DataError(f"{str(path)!r} has columns but no rows")
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    """Return the whole file as a frame."""
    with open_parquet(path) as file:
        try:
            return arrow_to_frame(file.read())
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{str(path)!r} is damaged or cut short: {error}") from error
