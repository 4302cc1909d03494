"""Excel workbooks: one sheet, a header row, typed cells."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.errors import DataError, SourceError, missing_package, quote
from tabsynth.schema.datetime_formats import default_format, format_dates, parse_iso

MAX_ROWS = 1_048_576
FORMULA_ERRORS = frozenset({"#N/A", "#DIV/0!", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#NAME?"})
"""Results of failed formulas, which count as missing."""


def read_excel(path: Path, *, sheet: str | None, missing: Collection[str] = ()) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read one sheet of a workbook (the first, unless named); its first row is the header.

    Numbers are integers if all are whole and no cell shows decimals. ISO 8601 text becomes datetimes, as in CSV; other
    text stays text.

    Returns:
        The frame, and the format of each datetime column that was text.

    Raises:
        MissingDependencyError: openpyxl is not installed.
        SourceError: Not an Excel file, or no such sheet.
        DataError: An empty sheet, no rows, an unnamed or a duplicate column.
    """
    openpyxl = _import_openpyxl()
    try:
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            names = list(book.sheetnames)
            if sheet is not None and sheet not in names:
                raise SourceError(f"{str(path)!r} has no sheet {sheet!r}; there are {quote(names, 20)}")
            cells = book[sheet or names[0]].iter_rows()
            rows = [[(_cell_value(cell), _shows_decimals(cell)) for cell in row] for row in cells]
    except SourceError:
        raise
    except Exception as error:  # openpyxl raises any kind of error for damaged parts
        raise SourceError(f"{str(path)!r} is not an Excel workbook (.xlsx), or is damaged: {error}") from error
    while rows and all(value is None for value, _ in rows[-1]):
        rows.pop()  # formatting leaves empty rows after the last one
    where = f"{str(path)!r}, sheet {sheet or names[0]!r}"
    header = _read_header([value for value, _ in rows[0]] if rows else [], rows, where)
    if len(rows) < 2:
        raise DataError(f"{where} has a header but no rows")
    columns: dict[str, pd.Series] = {}
    formats: dict[str, str] = {}
    for i, name in enumerate(header):
        cells = [row[i] if i < len(row) else (None, False) for row in rows[1:]]
        values = [None if isinstance(value, str) and value in missing else value for value, _ in cells]
        columns[name] = _to_series(values, decimal=any(shown for _, shown in cells))
        if columns[name].dtype == object and isinstance(next((v for v in values if v is not None), None), str):
            read = parse_iso(columns[name]) if all(v is None or isinstance(v, str) for v in values) else None
            if read is not None:
                columns[name], formats[name] = read
    return pd.DataFrame(columns), formats


def write_excel(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as a workbook of one sheet.

    Raises:
        MissingDependencyError: openpyxl is not installed.
        DataError: Too many rows for Excel, or an integer or character that it cannot hold.
    """
    openpyxl = _import_openpyxl()
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if len(frame) >= MAX_ROWS:
        raise DataError(
            f"Excel holds {MAX_ROWS - 1:,} rows, the table has {len(frame):,}; write CSV or Parquet instead"
        )
    wide = [n for n in frame.columns if pd.api.types.is_integer_dtype(frame[n].dtype) and frame[n].abs().max() > 2**53]
    if wide:
        raise DataError(f"Excel cannot hold the integers of {quote(wide)} exactly; make them text, or write Parquet")
    for name in frame.columns:
        bad = next((v for v in frame[name] if isinstance(v, str) and ILLEGAL_CHARACTERS_RE.search(v)), None)
        if bad is not None:
            raise DataError(
                f"column {name!r}: Excel cannot hold control characters, as in {bad!r}; write CSV or Parquet"
            )
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("table")

    def cell(value: Any, shown: str | None) -> Any:
        out = WriteOnlyCell(sheet, value=value)
        if isinstance(value, str):
            out.data_type = "s"  # text that begins with "=" is not a formula
        if shown is not None:
            out.number_format = shown
        return out

    columns = [_to_cells(frame[name]) for name in frame.columns]
    sheet.append([cell(str(name), None) for name in frame.columns])
    for row in zip(*(values for values, _ in columns), strict=True):
        sheet.append([cell(value, shown) for value, (_, shown) in zip(row, columns, strict=True)])
    book.save(path)


def _import_openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise missing_package("Excel", "openpyxl") from error
    return openpyxl


def _cell_value(cell: Any) -> Any:
    """A cell's value; unsupported types become text."""
    value = cell.value
    if value is None or value == "" or (isinstance(value, str) and value in FORMULA_ERRORS and cell.data_type == "e"):
        return None
    return value if isinstance(value, (str, int, float, datetime.datetime, datetime.date)) else str(value)


def _shows_decimals(cell: Any) -> bool:
    """Return whether a number is shown with decimals."""
    return isinstance(cell.value, (int, float)) and ".0" in (cell.number_format or "")


def _read_header(names: list[Any], rows: list[list[Any]], where: str) -> list[str]:
    while names and names[-1] is None and all(len(row) < len(names) or row[len(names) - 1][0] is None for row in rows):
        names.pop()
    if not names:
        raise DataError(f"{where} is empty; a table needs a header and rows")
    if any(name is None for name in names):
        raise DataError(f"{where}: column {names.index(None) + 1} has no name; name it in the first row or remove it")
    header = [str(name) for name in names]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{where} has duplicate column names: {quote(twice)}; give every column a name of its own")
    return header


def _to_series(values: list[Any], *, decimal: bool) -> pd.Series:
    """Convert the cells of a column to their common type, if any."""
    present = [value for value in values if value is not None]
    gaps = len(present) < len(values)
    kinds = {type(value) for value in present}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean" if gaps else bool)
    if kinds and kinds <= {int, float}:
        whole = not decimal and all(float(value).is_integer() and abs(value) < 2**63 for value in present)
        if whole:
            exact = [None if value is None else int(value) for value in values]
            return pd.Series(exact, dtype="Int64" if gaps else np.int64)
        return pd.Series([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    if kinds and kinds <= {datetime.datetime, datetime.date}:
        return pd.to_datetime(pd.Series(values, dtype=object), errors="coerce").astype("datetime64[ns]")
    return pd.Series(values, dtype=object)


def _to_cells(values: pd.Series) -> tuple[Iterator[Any], str | None]:
    """A column's values for Excel, missing as None, and the number format of its type."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        # Excel knows no time zones: such instants are written as text.
        return iter(format_dates(values, default_format(values)).to_pylist()), None
    plain = values.astype(object).where(values.notna(), None)
    if pd.api.types.is_datetime64_dtype(values.dtype):
        days = default_format(values) == "%Y-%m-%d"
        return (
            None if v is None else v.to_pydatetime() for v in plain
        ), "yyyy-mm-dd" if days else "yyyy-mm-dd hh:mm:ss"
    known = (str, int, float, bool, datetime.datetime, datetime.date)
    cells = (v if v is None or isinstance(v, known) else v.item() if hasattr(v, "item") else str(v) for v in plain)
    if pd.api.types.is_float_dtype(values.dtype):
        return cells, "0.0###############"
    return cells, "0" if pd.api.types.is_integer_dtype(values.dtype) else None
