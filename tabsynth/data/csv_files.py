"""Read CSV strictly, and write it so that values survive a round trip."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tabsynth.common.formula_cells import mark_formulas, unmark_formula, unmark_formulas
from tabsynth.common.process_state import large_csv_fields
from tabsynth.data.csv_dialects import TWICE, Dialect, check_quotes
from tabsynth.data.csv_types import (
    cast_to_column,
    has_decimal_comma,
    has_numbers,
    infer_series,
    number_spelling,
    shortest_decimals,
    spell_numbers,
)
from tabsynth.data.file_formats import EmptyTableError, arrow_stream, is_gzip, open_binary, open_text
from tabsynth.data.lakes.arrow_tables import text_to_arrow
from tabsynth.errors import DataError, SourceError, quote
from tabsynth.schema.columns import Column, Datetime, Numeric
from tabsynth.schema.datetime_formats import default_format, format_dates
from tabsynth.schema.number_formats import find_number_format, parse_numbers
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import to_numbers

MISSING_SPELLINGS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "Null", "null", "<NA>", "NaT")
"""Unquoted fields that mark missing values."""
BLOCK_ROWS = 1 << 16
BLOCK_BYTES = 1 << 24
"""Bytes that Arrow parses at a time; the maximum length of a row."""


def read_csv(
    path: Path,
    dialect: Dialect,
    *,
    decimal: str | None = None,
    missing: Collection[str] = MISSING_SPELLINGS,
    schema: Schema | None = None,
) -> tuple[pd.DataFrame, dict[str, str], str | None]:
    """Read a CSV file as text, then infer the type of each column from all its values.

    Quoted fields are text; empty ones are missing.

    Returns:
        The frame, the formats of datetimes and numbers, and the decimal separator, if known.

    Raises:
        SourceError: Not UTF-8, or a damaged archive.
        DataError: No header, no rows, duplicate names, a row of another length, a quote that is never closed.
    """
    names = read_header(path, dialect)
    try:
        table = pyarrow.csv.read_csv(arrow_stream(path), **_arrow_options(names, dialect, missing))
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise _explain_failure(path, dialect, len(names), error) from error
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error}; the file may be damaged or cut short") from error
    if not len(table):
        raise DataError(f"{str(path)!r} has a header but only empty lines below it")
    check_quotes(path, dialect, table)
    _check_closed(path, table)
    columns: dict[str, pd.Series] = {}
    formats: dict[str, str] = {}
    texts = [unmark_formulas(_empty_to_null(table.column(i).combine_chunks())) for i in range(len(names))]
    if decimal is None and any(has_decimal_comma(text) for text in texts):
        decimal = ","
    for name, text in zip(names, texts, strict=True):
        column = schema[name] if schema is not None and name in schema else None
        cells = pd.Series(text.to_pandas(), dtype=object, name=name)
        numbers = _decimal_commas(cells) if decimal == "," and has_numbers(column) else None
        values = cast_to_column(cells if numbers is None else numbers, column) if column is not None else None
        if values is None:
            values, spelling = infer_series(text, missing, decimal)
            spelling = number_spelling(text, values) if values.dtype == np.float64 else spelling
            if spelling is not None:
                formats[name] = spelling
        columns[name] = values
    return pd.DataFrame(columns), formats, decimal


def text_batches(path: Path, dialect: Dialect) -> Iterator[pa.Table]:
    """Read a CSV file as text, block by block; missing is null.

    Raises:
        SourceError: Not UTF-8, or a damaged archive.
        DataError: No header, no rows, duplicate names, a row of another length, a quote that is never closed.
    """
    names = read_header(path, dialect)
    rows, last = 0, None
    try:
        with pyarrow.csv.open_csv(arrow_stream(path), **_arrow_options(names, dialect, MISSING_SPELLINGS)) as reader:
            for batch in reader:
                if not batch.num_rows:
                    continue
                rows += batch.num_rows
                last = pa.Table.from_batches([batch])
                check_quotes(path, dialect, last)
                columns = [unmark_formulas(_empty_to_null(batch.column(i))) for i in range(len(names))]
                yield pa.table(dict(zip(names, columns, strict=True)))
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise _explain_failure(path, dialect, len(names), error) from error
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error}; the file may be damaged or cut short") from error
    if last is None:
        raise DataError(f"{str(path)!r} has a header but only empty lines below it")
    _check_closed(path, last)


def _arrow_options(names: list[str], dialect: Dialect, missing: Collection[str]) -> dict[str, Any]:
    """Return the options of Arrow for strict reading as text."""
    return {
        "read_options": pyarrow.csv.ReadOptions(
            column_names=[str(i) for i in range(len(names))],
            skip_rows_after_names=1 + dialect.declared_separator,
            block_size=BLOCK_BYTES,
            encoding=dialect.encoding,
        ),
        "parse_options": pyarrow.csv.ParseOptions(
            delimiter=dialect.separator,
            escape_char="\\" if dialect.escaped else False,
            newlines_in_values=True,
            ignore_empty_lines=len(names) > 1,  # in a file of one column, an empty line is a missing value
        ),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types={str(i): pa.string() for i in range(len(names))},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=sorted({"", *missing}),
        ),
    }


def _empty_to_null(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def write_csv(
    frame: pd.DataFrame,
    sink: IO[bytes],
    *,
    separator: str,
    schema: Schema | None,
    header: bool,
    keep_formulas: bool = False,
) -> None:
    """Write a frame as UTF-8 CSV to an open file, datetimes in the formats of the schema, formulas marked as text."""
    if header:
        names = pa.array([str(name) for name in frame.columns], pa.string())
        names = names if keep_formulas else mark_formulas(names)
        sink.write((separator.join(_quote_fields(names, separator).to_pylist()) + "\n").encode())
    formats = {}
    for name in frame.columns:
        if pd.api.types.is_datetime64_any_dtype(frame[name].dtype):
            column = schema.columns.get(str(name)) if schema is not None else None
            fact = column if isinstance(column, Datetime) else Datetime(name=str(name))
            formats[name] = (fact.format or default_format(frame[name], fact.resolution), fact.resolution)
    for at in range(0, len(frame), BLOCK_ROWS):
        part = frame.iloc[at : at + BLOCK_ROWS]
        columns = []
        for name in frame.columns:
            column = schema.columns.get(str(name)) if schema is not None else None
            text = _to_text(part[name], column)
            text = mark_formulas(text) if not keep_formulas and _holds_text(part[name], column) else text
            text = format_dates(part[name], *formats[name]) if name in formats else text
            # A lone empty field would be an empty line, which other readers skip.
            columns.append(pc.fill_null(_quote_fields(text, separator), '""' if len(frame.columns) == 1 else ""))
        lines = pc.binary_join_element_wise(*columns, separator)
        sink.write(("\n".join(lines.to_pylist()) + "\n").encode())


@large_csv_fields.made()
def read_header(path: Path, dialect: Dialect) -> list[str]:
    """Return the column names, checked.

    Raises:
        SourceError: Not UTF-8, or a damaged archive.
        DataError: No header, no rows, or duplicate names.
    """
    try:
        records = _read_records(path, dialect)
        names = [unmark_formula(name) for name in next(records, [])]
        rows = next(records, None)
    except (OSError, EOFError) as error:
        raise SourceError(f"cannot read {str(path)!r}: {error}; the file may be damaged or cut short") from error
    except UnicodeDecodeError as error:
        raise _encoding_error(path, dialect) from error
    except csv.Error as error:
        raise DataError(f"{str(path)!r}: the header cannot be read: {error}") from error
    if not names:
        raise DataError(f"{str(path)!r} is empty; a table needs a header and rows")
    if rows is None:
        raise EmptyTableError(f"{str(path)!r} has a header but no rows")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{str(path)!r} has duplicate column names: {quote(twice)}; give every column a unique name")
    return names


def _read_records(path: Path, dialect: Dialect) -> Iterator[list[str]]:
    with open_text(path, dialect.encoding) as text:
        if dialect.declared_separator:
            text.readline()
        yield from dialect.records(text)


@large_csv_fields.made()
def _explain_failure(path: Path, dialect: Dialect, width: int, error: Exception) -> DataError | SourceError:
    """Find the cause of a failed read in a second, slow pass."""
    if "UTF8" in str(error) or isinstance(error, UnicodeError):
        return _encoding_error(path, dialect)
    if "Empty CSV" in str(error):
        return EmptyTableError(f"{str(path)!r} has a header but no rows")
    line = 1 + dialect.declared_separator
    try:
        for record in _read_records(path, dialect):
            if record and len(record) != width:
                fix = "fix that row, or quote the fields that hold the separator"
                fix = TWICE if any("\\" in field for field in record) else fix
                fix = "remove titles or comments above the header" if width == 1 else fix
                return DataError(f"{str(path)!r}, line {line}: {len(record)} fields, but the header has {width}; {fix}")
            line += 1 + sum(field.count("\n") for field in record)
    except UnicodeDecodeError:
        return _encoding_error(path, dialect)
    except (csv.Error, OSError, EOFError) as second:
        return SourceError(f"cannot read {str(path)!r}: {second}")
    return DataError(f"{str(path)!r} cannot be read as CSV: {error}")


def _encoding_error(path: Path, dialect: Dialect) -> SourceError:
    advice = "give its encoding, such as encoding='cp1252', or save it as UTF-8 (in Excel: 'CSV UTF-8')"
    return SourceError(f"{str(path)!r} is not {dialect.encoding.replace('utf', 'UTF')}; {advice}")


def _check_closed(path: Path, table: pa.Table) -> None:
    """Raise if an unclosed quote made one field of the rest of the file."""
    last = table.column(table.num_columns - 1)[-1].as_py()
    if last is None or "\n" not in last:
        return
    count = 0
    with open_binary(path, "rb", packed=is_gzip(path)) as file:
        while block := file.read(1 << 22):
            count += block.count(b'"')
    if count % 2:
        raise DataError(
            f"{str(path)!r}: a quote is opened and never closed, where the field begins {last[:30]!r}; "
            "close it or remove it"
        )


def _to_text(values: pd.Series, column: Column | None) -> pa.Array:
    """Convert a column to text, missing as null; numbers in the column's format, if any."""
    form = column.format or column.csv_format if isinstance(column, Numeric) else None
    if form is not None and pd.api.types.is_numeric_dtype(values.dtype):
        return spell_numbers(pd.Series(to_numbers(values)), form)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.dtype.categories.dtype if not values.isna().any() else object)
    if pd.api.types.is_bool_dtype(values.dtype):
        plain = pa.array(values, pa.bool_(), from_pandas=True)
        return pc.if_else(plain, "True", "False")
    if pd.api.types.is_integer_dtype(values.dtype):
        return pa.array(values, from_pandas=True).cast(pa.string())
    if pd.api.types.is_float_dtype(values.dtype):
        return shortest_decimals(pa.array(values, from_pandas=True))
    cells = [None if cell is None else str(cell) for cell in values.astype(object).where(values.notna(), None)]
    return text_to_arrow(cells, str(values.name))


def _decimal_commas(cells: pd.Series) -> pd.Series | None:
    """Return the numbers with decimal commas; None if they are spelled otherwise."""
    form = find_number_format(cells.dropna().unique().tolist(), ",")
    return None if form is None else pd.Series(parse_numbers(cells, str(form)), name=cells.name)


def _holds_text(values: pd.Series, column: Column | None) -> bool:
    """Return whether a column is text, and not that of numbers or dates."""
    return values.dtype.kind not in "biufcmM" and not isinstance(column, (Numeric, Datetime))


def _quote_fields(text: pa.Array, separator: str) -> pa.Array:
    """Quote fields with separators, quotes, line ends, outer spaces, or spellings of missing."""
    inside = r'["\r\n]|^\s|\s$|' + (r"\t" if separator == "\t" else f"[{separator}]")
    spelled = pc.is_in(text, pa.array(MISSING_SPELLINGS))
    needs = pc.and_(pc.or_(pc.match_substring_regex(text, inside), spelled), pc.is_valid(text))
    if not pc.any(needs).as_py():
        return text
    wrapped = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
    return pc.if_else(needs, wrapped, text)
