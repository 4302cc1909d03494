"""Write tables to files, by the suffix, and to databases, by their URL; whole or frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from tabsynth.common.atomic_files import check_writable, replace_atomically
from tabsynth.common.input_files import check_depth
from tabsynth.common.text import is_unicode
from tabsynth.common.validation import checked_arguments
from tabsynth.data.csv_dialects import check_separator
from tabsynth.data.csv_files import write_csv
from tabsynth.data.excel_files import write_excel
from tabsynth.data.file_formats import default_separator, file_format, is_gzip, open_binary
from tabsynth.data.lakes.arrow_tables import frame_to_arrow
from tabsynth.data.lakes.stream_files import write_json_lines
from tabsynth.data.provenance import add_to_metadata, get_provenance
from tabsynth.data.sql.read_write import Mode, write_batches, write_frame
from tabsynth.data.sql.urls import is_database_url
from tabsynth.data.table import Table
from tabsynth.errors import DataError, SourceError, quote
from tabsynth.schema.cell_types import to_pandas, unwrap_columns
from tabsynth.schema.columns import Column, Datetime
from tabsynth.schema.schema import Schema


@checked_arguments
def write(
    data: pd.DataFrame | Table,
    path: str | Path,
    schema: Schema | None = None,
    *,
    table: str | None = None,
    mode: Mode | None = None,
    keep_formulas: bool = False,
    separator: str | None = None,
) -> None:
    """Write a table atomically.

    Args:
        data: The table. In CSV, empty text becomes a missing value.
        path: The file; the suffix decides the format. Or the URL of a database, written in one transaction.
        schema: Decides the formats of dates in CSV, and in a database the types, NOT NULL, primary key and checks of a
            new table; by default the table's own schema.
        table: Table of a database, also as ``schema.table``; a URL may name it itself, as in ``...#synthetic``.
        mode: In a database, ``create`` a new table (the default), ``append`` to one, or ``replace`` it.
        keep_formulas: Write text that a spreadsheet would take for a formula as it is. By default it has an apostrophe
            before it in CSV, which ``read`` removes, and is marked as text in workbooks.
        separator: Field separator of a CSV file; by default a comma, or a tab for ``.tsv``.

    Raises:
        SourceError: An unknown suffix, or a folder that is not there or not writable; or the database's table exists
            (``create``), does not (``append``), or refuses a row.
        DataError: The file format, or the table of the database, cannot represent the table.
    """
    frame = data.frame if isinstance(data, Table) else to_pandas(data)
    schema = data.schema if isinstance(data, Table) and schema is None else schema
    schema = None if schema is None else Schema.of(schema)
    check_csv_separator(separator, path)
    if is_database_url(path):
        _check_frame(frame)
        write_frame(frame, str(path), table=table, mode=mode or "create", schema=schema)
        return
    _check_file_options(path, table, mode)
    target = Path(path)
    kind = file_format(target)
    check_writable(target)
    _check_frame(frame)
    frame = _to_dense(frame) if kind in ("parquet", "arrow") else unwrap_columns(_to_dense(frame))
    with replace_atomically(target) as temporary:
        if kind == "csv":
            with open_binary(temporary, "wb", packed=is_gzip(target)) as sink:
                mark = separator or default_separator(target)
                write_csv(frame, sink, separator=mark, schema=schema, header=True, keep_formulas=keep_formulas)
        elif kind == "parquet":
            table_of_arrow = to_arrow(frame)
            try:
                pyarrow.parquet.write_table(table_of_arrow, temporary)
            except pa.ArrowException as error:
                raise DataError(f"Parquet cannot represent the table: {error}; convert the column to text") from error
        elif kind == "arrow":
            rows = to_arrow(frame, "Arrow")
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as file:
                file.write_table(rows)
        elif kind == "json":
            with temporary.open("wb") as sink:
                write_json_lines(frame, sink)
        else:
            write_excel(frame, temporary, keep_formulas=keep_formulas)


@contextmanager
def write_chunks(
    path: str | Path,
    schema: Schema | None = None,
    *,
    table: str | None = None,
    mode: Mode | None = None,
    keep_formulas: bool = False,
    separator: str | None = None,
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a table frame by frame to CSV, Parquet or a database; the file, or the rows, appear at the end.

    Args:
        path: As for ``write``.
        schema: As for ``write``.
        table: As for ``write``.
        mode: As for ``write``.
        keep_formulas: As for ``write``.
        separator: As for ``write``.

    Raises:
        SourceError: An unknown suffix, a workbook, or a folder that is not there or not writable; as for ``write`` in a
            database.
        DataError: No frame came, or one differs from the first in its columns or types.

    Example:
        with write_chunks("synthetic.parquet") as append:
            for frame in model.sample_chunks(10_000_000):
                append(frame)
    """
    check_csv_separator(separator, path)
    if is_database_url(path):
        with write_batches(str(path), table=table, mode=mode or "create", schema=schema) as append_rows:
            yield append_rows
        return
    _check_file_options(path, table, mode)
    target = Path(path)
    kind = file_format(target)
    if kind == "excel":
        raise SourceError(f"cannot write {str(target)!r} in chunks: Excel holds few rows; choose .parquet or .csv")
    if kind == "arrow":
        raise SourceError(f"cannot write {str(target)!r} in chunks; choose .parquet, .jsonl or .csv")
    first: list[pd.Index] = []
    with replace_atomically(target) as temporary, ExitStack() as stack:
        if kind in ("csv", "json"):
            sink = stack.enter_context(open_binary(temporary, "wb", packed=is_gzip(target)))
        writer: list[pyarrow.parquet.ParquetWriter] = []

        def append(frame: pd.DataFrame) -> None:
            _check_frame(frame)
            if first and not frame.columns.equals(first[0]):
                raise DataError(
                    f"a chunk has the columns {quote(frame.columns)}, the first had {quote(first[0])}; all chunks need "
                    "the same columns"
                )
            if kind == "csv":
                frame, header = unwrap_columns(frame), not first
                mark, spelled = separator or default_separator(target), _fix_formats(frame, schema)
                write_csv(frame, sink, separator=mark, schema=spelled, header=header, keep_formulas=keep_formulas)
            elif kind == "json":
                write_json_lines(frame, sink)
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


def check_csv_separator(separator: str | None, path: str | Path) -> None:
    """Raise SourceError for a separator that is not one character, or of a target that is no CSV file."""
    check_separator(separator)
    if separator is not None and (is_database_url(path) or file_format(Path(path)) != "csv"):
        raise SourceError(f"{str(path)!r} is no CSV file, and has no separator; leave it out")


def _check_file_options(path: str | Path, table: str | None, mode: str | None) -> None:
    if table is not None or mode is not None:
        raise SourceError(f"{str(path)!r} is a file; table and mode are for databases")


def _check_frame(frame: pd.DataFrame) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"expected a DataFrame or a Table to write, not {type(frame).__name__}")
    twice = frame.columns[frame.columns.duplicated()].unique()
    if len(twice):
        raise DataError(f"duplicate column names: {quote(twice)}; give every column a unique name")
    odd = [name for name in frame.columns if not isinstance(name, str)]
    if odd or not len(frame.columns):
        raise DataError(f"column names must be text, not {quote(odd)}" if odd else "the table has no columns")
    if broken := [name for name in frame.columns if not is_unicode(name)]:
        raise DataError(f"column names must be valid Unicode, not {quote(broken)}; rename them")
    for name in frame.select_dtypes(object):
        containers = [cell for cell in frame[name] if isinstance(cell, (dict, list, tuple))]
        check_depth(containers, f"column {name!r}", DataError)


def _to_dense(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame without sparse columns."""
    sparse = [name for name in frame.columns if isinstance(frame[name].dtype, pd.SparseDtype)]
    return frame.assign(**{name: np.asarray(frame[name]) for name in sparse}) if sparse else frame


def _fix_formats(frame: pd.DataFrame, schema: Schema | None) -> Schema:
    """Return the schema with the same format for the dates of every chunk."""
    columns: dict[str, Column] = {}
    for name in frame.columns:
        column = schema.get(name) if schema is not None else None
        if pd.api.types.is_datetime64_any_dtype(frame[name].dtype):
            known = column if isinstance(column, Datetime) else Datetime(name=name)
            column = known if known.format or known.resolution else replace(known, resolution="us")
        if column is not None:
            columns[name] = column
    return Schema(columns)


def to_arrow(frame: pd.DataFrame, target: str = "Parquet") -> pa.Table:
    """Return an Arrow table of a frame, with its provenance in the metadata.

    Raises:
        DataError: A column has values of several types.
    """
    table = frame_to_arrow(frame, target)
    return table.replace_schema_metadata(add_to_metadata(table.schema, get_provenance(frame)).metadata)
