"""Read and write tables as CSV, Parquet and Excel, by the file's suffix.

Types, missing values and the order of columns survive a round trip. CSV has no types: there, all values of a column
decide (see ``csv_types``), and text of digits comes back as numbers unless a schema declares it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from tabsynth.common.atomic_files import check_writable, replace_atomically
from tabsynth.common.input_files import check_regular_file
from tabsynth.data.csv_dialects import detect_dialect
from tabsynth.data.csv_files import MISSING_SPELLINGS, open_binary, read_csv, write_csv
from tabsynth.data.csv_types import cast_to_column
from tabsynth.data.excel_files import read_excel, write_excel
from tabsynth.data.file_formats import default_separator, file_format
from tabsynth.data.parquet_files import arrow_to_frame, open_parquet
from tabsynth.data.provenance import add_to_metadata, attach_provenance, get_provenance, read_sidecar
from tabsynth.data.table import Table, parse_numeric_text
from tabsynth.errors import DataError, SourceError, quote
from tabsynth.schema.columns import Datetime
from tabsynth.schema.inference import infer_schema
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import check_frame


def read(
    path: str | Path,
    *,
    schema: Schema | None = None,
    sheet: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    missing: Collection[str] | None = None,
) -> Table:
    """Read a table.

    Args:
        path: A file; the suffix decides the format.
        schema: The schema, to which columns are cast; inferred by default.
        sheet: Sheet of a workbook; the first by default.
        separator: Field separator of a CSV file; detected by default.
        decimal: Decimal separator of numbers, "." or ","; detected by default.
        encoding: The encoding of a CSV file, by Python's name; detected by default. A warning names an unusual one.
        missing: Spellings of missing values. By default NA, NaN, null and the like in CSV, if unquoted, and none in
            workbooks, where missing cells are empty.

    Raises:
        SourceError: The file is not there, not of its kind, damaged, or of an unknown kind.
        DataError: No rows, ragged rows, duplicate names, or values that do not fit the schema.
        SchemaError: The schema and the file have different columns.
    """
    options: dict[str, Any] = {"sheet": sheet, "separator": separator, "decimal": decimal, "encoding": encoding}
    source = Path(path)
    options |= {"missing": missing}
    frame, formats, decimal = _read_frame(source, schema, **options)
    try:
        if schema is not None:
            return Table.of(frame, schema)
        schema = _infer(frame, formats, decimal)
        return Table(parse_numeric_text(frame, schema), schema)
    except DataError as error:
        raise DataError(f"{str(source)!r}: {error}") from error


def read_partial(path: str | Path, schema: Schema, options: Mapping[str, Any] | None = None) -> Table:
    """Read a table whose schema declares some of its columns; a warning names the others, which are inferred.

    Args:
        path: A file.
        schema: The declared columns.
        options: Keyword arguments of ``read``.

    Raises:
        InputError: As ``read``.
    """
    source = Path(path)
    frame, formats, decimal = _read_frame(source, schema, **(options or {}))
    rest = [name for name in frame.columns if name not in schema]
    try:
        if rest and set(schema) <= set(frame.columns):
            inferred = _infer(frame[rest], formats, decimal)
            message = f"{source.name}: {quote(rest)} is not in the schema and is inferred"
            warnings.warn(message, UserWarning, stacklevel=3)
            columns = {name: inferred[name] if name in inferred else schema[name] for name in frame.columns}
            schema = replace(schema, columns=columns)
        return Table.of(frame, schema)
    except DataError as error:
        raise DataError(f"{str(source)!r}: {error}") from error


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
    """The frame, cast to the schema, the formats of its datetimes, and the decimal separator."""
    kind = file_format(source)
    if decimal not in (None, ".", ","):
        raise SourceError(f"decimal must be '.' or ',', not {decimal!r}")
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
        else:
            frame, formats = read_excel(source, sheet=sheet, missing=missing or ())
        if schema is not None:
            frame = attach_provenance(_cast_columns(frame, schema), get_provenance(frame))
    if kind != "parquet":
        attach_provenance(frame, read_sidecar(source))
    return frame, formats, decimal


def _infer(frame: pd.DataFrame, formats: Mapping[str, str], decimal: str | None) -> Schema:
    """Infer a schema, with the date formats of the file."""
    check_frame(frame)
    columns = infer_schema(frame, decimal=decimal).items()
    return Schema(
        {
            name: replace(column, format=formats[name]) if isinstance(column, Datetime) and name in formats else column
            for name, column in columns
        }
    )


def write(data: pd.DataFrame | Table, path: str | Path, schema: Schema | None = None) -> None:
    """Write a table atomically.

    Args:
        data: The table. In CSV, empty text becomes a missing value.
        path: The file; the suffix decides the format.
        schema: Decides the formats of dates in CSV; by default the table's own schema, else ISO 8601.

    Raises:
        SourceError: An unknown suffix, or a folder that is not there or not writable.
        DataError: The file's kind cannot hold the table.
    """
    target = Path(path)
    kind = file_format(target)
    check_writable(target)
    frame = data.frame if isinstance(data, Table) else data
    schema = data.schema if isinstance(data, Table) and schema is None else schema
    _check_names(frame)
    with replace_atomically(target) as temporary:
        if kind == "csv":
            with open_binary(temporary, "wb", packed=_is_gzip(target)) as sink:
                write_csv(frame, sink, separator=default_separator(target), schema=schema, header=True)
        elif kind == "parquet":
            pyarrow.parquet.write_table(to_arrow(frame), temporary)
        else:
            write_excel(frame, temporary)


@contextmanager
def write_chunks(path: str | Path, schema: Schema | None = None) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a table frame by frame to CSV or Parquet; the file appears at the end.

    Raises:
        SourceError: An unknown suffix, a workbook, or a folder that is not there or not writable.
        DataError: No frame came, or one differs from the first in its columns or types.

    Example:
        with write_chunks("synthetic.parquet") as append:
            for frame in model.sample_chunks(10_000_000):
                append(frame)
    """
    target = Path(path)
    kind = file_format(target)
    if kind == "excel":
        raise SourceError(f"cannot write {str(target)!r} in chunks: Excel holds few rows; choose .parquet or .csv")
    first: list[pd.Index] = []
    with replace_atomically(target) as temporary, ExitStack() as stack:
        if kind == "csv":
            sink = stack.enter_context(open_binary(temporary, "wb", packed=_is_gzip(target)))
        writer: list[pyarrow.parquet.ParquetWriter] = []

        def append(frame: pd.DataFrame) -> None:
            _check_names(frame)
            if first and not frame.columns.equals(first[0]):
                raise DataError(f"a chunk has the columns {quote(frame.columns)}, the first had {quote(first[0])}")
            if kind == "csv":
                separator, spelled = default_separator(target), _fix_formats(frame, schema)
                write_csv(frame, sink, separator=separator, schema=spelled, header=not first)
            elif not writer:
                table = to_arrow(frame)
                # All values are missing: text can hold any later ones.
                typed = pa.schema(
                    [pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in table.schema],
                    metadata=table.schema.metadata,
                )
                writer.append(stack.enter_context(pyarrow.parquet.ParquetWriter(temporary, typed)))
                writer[0].write_table(table.cast(typed))
            else:
                try:
                    writer[0].write_table(to_arrow(frame).cast(writer[0].schema))
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                    raise DataError(f"a chunk differs in its types from the first: {error}") from error
            first.append(frame.columns)
            del first[1:]

        yield append
        if not first:
            raise DataError(f"nothing was written to {str(target)!r}: no chunk came")


def _is_gzip(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _check_readable(path: Path) -> None:
    check_regular_file(path)
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    if empty:
        raise DataError(f"{str(path)!r} is empty; a table needs a header and rows")


def _check_names(frame: pd.DataFrame) -> None:
    twice = frame.columns[frame.columns.duplicated()].unique()
    if len(twice):
        raise DataError(f"duplicate column names: {quote(twice)}; give every column a name of its own")
    odd = [name for name in frame.columns if not isinstance(name, str)]
    if odd or not len(frame.columns):
        raise DataError(f"column names must be text, not {quote(odd)}" if odd else "the table has no columns")


def _cast_columns(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Cast each column to its declared kind."""
    cast = {name: cast_to_column(frame[name], schema[name]) for name in frame.columns if name in schema}
    return pd.DataFrame({name: frame[name] if cast.get(name) is None else cast[name] for name in frame.columns})


def _fix_formats(frame: pd.DataFrame, schema: Schema | None) -> Schema:
    """A schema with the same date formats for every chunk."""
    columns: dict[str, Datetime] = {}
    for name in frame.columns:
        column = schema[name] if schema is not None and name in schema else None
        known = column if isinstance(column, Datetime) else Datetime(name=name)
        columns[name] = known if known.format or known.resolution else replace(known, resolution="us")
    return Schema(columns)


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """An Arrow table of a frame, with its provenance in the metadata.

    Raises:
        DataError: A column has values of several types.
    """
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        return table.replace_schema_metadata(add_to_metadata(table.schema, get_provenance(frame)).metadata)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"Parquet cannot hold the table: {error}; give each column one type") from error


def _read_parquet(path: Path) -> pd.DataFrame:
    """The whole file as a frame."""
    with open_parquet(path) as file:
        try:
            return arrow_to_frame(file.read())
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{str(path)!r} is damaged or cut short: {error}") from error
