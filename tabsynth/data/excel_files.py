"""Excel workbooks: one sheet, a header row, typed cells."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.atomic_files import temporary_folder
from tabsynth.common.formula_cells import is_formula
from tabsynth.data.excel_notes import warn_of_features
from tabsynth.data.file_formats import EmptyTableError
from tabsynth.errors import DataError, SourceError, missing_package, quote, shorten, warn_caller
from tabsynth.schema.cell_types import exceeds_float64
from tabsynth.schema.column_names import is_date_name
from tabsynth.schema.datetime_formats import default_format, format_dates, infer_resolution, parse_iso

MAX_ROWS, MAX_COLUMNS, MAX_CHARACTERS = 1_048_576, 16_384, 32_767
"""Limits of a worksheet, and of the text of a cell."""
MAX_NUMBER = 9.99999999999999e307
"""Largest number of a cell."""
NUMBER = re.compile(r" *[+-]?(?:0|[1-9]\d*)(?:\.\d+)? *", re.ASCII)
SERIAL_DATES = (20_000, 75_000)
"""Serial dates of the years 1954 to 2105."""
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
            sheets = {one.title: one for one in book.worksheets}  # without chart sheets
            if sheet is not None and sheet not in sheets:
                raise SourceError(f"{str(path)!r} has no sheet {sheet!r}; there are {quote(sheets, 20)}")
            if not sheets:
                raise SourceError(f"{str(path)!r} has no worksheet, only charts")
            visible = [name for name, one in sheets.items() if one.sheet_state == "visible"]
            title = sheet or (visible or list(sheets))[0]
            rows = [[(_cell_value(cell), _shows_decimals(cell)) for cell in row] for row in sheets[title].iter_rows()]
            part = getattr(sheets[title], "_worksheet_path", None)
    except SourceError:
        raise
    except Exception as error:  # openpyxl raises any kind of error for damaged parts
        raise SourceError(f"{str(path)!r} is not an Excel workbook (.xlsx), or is damaged: {error}") from error
    while rows and all(value is None for value, _ in rows[-1]):
        rows.pop()  # formatting leaves empty rows after the last one
    where = f"{str(path)!r}, sheet {title!r}"
    header = _read_header([value for value, _ in rows[0]] if rows else [], rows, where)
    if len(rows) < 2:
        raise EmptyTableError(f"{where} has a header but no rows")
    if sheet is None and len(sheets) > 1:
        others = quote([name for name in sheets if name != title], 20)
        warn_caller(f"{path.name}: sheet {title!r} is read, not {others}; give sheet=")
    warn_of_features(path, part, header)
    columns: dict[str, pd.Series] = {}
    formats: dict[str, str] = {}
    for i, name in enumerate(header):
        cells = [row[i] if i < len(row) else (None, False) for row in rows[1:]]
        values = [None if isinstance(value, str) and value in missing else value for value, _ in cells]
        columns[name] = _to_series(_retyped(path, name, values), decimal=any(shown for _, shown in cells))
        if columns[name].dtype == object and isinstance(next((v for v in values if v is not None), None), str):
            read = parse_iso(columns[name]) if all(v is None or isinstance(v, str) for v in values) else None
            if read is not None:
                columns[name], formats[name] = read
    return pd.DataFrame(columns), formats


def _retyped(path: Path, name: str, values: list[Any]) -> list[Any]:
    """Numbers stored as text among numbers become numbers; numbers among dates and lone serial dates are reported."""
    kinds = {type(value) for value in values if value is not None}
    texts = [value for value in values if isinstance(value, str)]
    is_numeric = bool(kinds & {int, float}) and kinds <= {int, float, str}
    note = ""
    if is_numeric and texts and all(NUMBER.fullmatch(text) for text in texts):
        values = [float(value) if isinstance(value, str) else value for value in values]
        note = f"{len(texts)} numbers stored as text are read as numbers"
    elif is_numeric and texts:
        note = f"{len(texts)} cells are text among numbers; is that a marker of missing values? Then give missing="
    elif kinds & {int, float} and kinds & {datetime.datetime, datetime.date}:
        note = "some cells are numbers among dates; format all cells of the column as dates in Excel"
    elif is_date_name(name) and kinds and kinds <= {int, float}:
        present = [value for value in values if value is not None]
        if all(SERIAL_DATES[0] <= value <= SERIAL_DATES[1] for value in present):
            note = "its numbers look like serial dates; format the column as dates in Excel to have them read as dates"
    if note:
        warn_caller(f"{path.name}: column {name!r}: {note}")
    return values


def write_excel(frame: pd.DataFrame, path: Path, *, keep_formulas: bool = False) -> None:
    """Write a frame as a workbook of one sheet. Text that begins like a formula is marked as text, unless it is kept.

    Raises:
        MissingDependencyError: openpyxl is not installed.
        DataError: Too many rows or columns for Excel, or a value that it cannot hold.
    """
    _import_openpyxl()
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if len(frame) >= MAX_ROWS:
        raise DataError(
            f"Excel holds {MAX_ROWS - 1:,} rows, the table has {len(frame):,}; write CSV or Parquet instead"
        )
    if len(frame.columns) > MAX_COLUMNS:
        raise DataError(
            f"Excel holds {MAX_COLUMNS:,} columns, the table has {len(frame.columns):,}; write CSV or Parquet instead"
        )
    wide = [name for name in frame.columns if exceeds_float64(frame[name])]
    if wide:
        raise DataError(
            f"Excel cannot represent the integers of {quote(wide)} exactly; make them text, or write Parquet"
        )
    for name in frame.columns:
        if fault := _unsupported_text(str(name), ILLEGAL_CHARACTERS_RE):
            raise DataError(f"the column name {quote([str(name)])}: Excel cannot hold {fault}; rename the column")
        fault = _unsupported(frame[name], ILLEGAL_CHARACTERS_RE)
        if fault:
            raise DataError(f"column {name!r}: Excel cannot hold {fault}; write CSV or Parquet")
    with temporary_folder("tabsynth-") as folder:
        packed = _packed_workbook(frame, folder, keep_formulas)
    path.write_bytes(packed.getbuffer())


def _packed_workbook(frame: pd.DataFrame, folder: Path, keep_formulas: bool) -> io.BytesIO:
    """Return a workbook of one sheet; its rows are first written to the folder."""
    openpyxl = _import_openpyxl()
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.worksheet._writer import WorksheetWriter

    class Writer(WorksheetWriter):  # type: ignore[misc]
        """Writer to a file in the folder: openpyxl leaves its own temporary file where a process is killed."""

        def cleanup(self) -> None:
            Path(self.out).unlink()

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("table")
    sheet._writer = Writer(sheet, out=str(folder / "sheet.xml"))
    sheet._writer.write_top()

    def cell(value: Any, shown: str | None) -> Any:
        out = WriteOnlyCell(sheet, value=value)
        if isinstance(value, str):
            out.data_type = "s"  # text that begins with "=" is not a formula
            # Excel's own mark: the cell stays text when it is edited.
            out.quotePrefix = not keep_formulas and is_formula(value)
        if shown is not None:
            out.number_format = shown
        return out

    columns = [_to_cells(frame[name]) for name in frame.columns]
    sheet.append([cell(str(name), None) for name in frame.columns])
    for row in zip(*(values for values, _ in columns), strict=True):
        sheet.append([cell(value, shown) for value, (_, shown) in zip(row, columns, strict=True)])
    packed = io.BytesIO()  # a zip file that fails on a full disk fails once more when it is collected
    book.save(packed)
    return packed


def _unsupported(values: pd.Series, illegal: re.Pattern[str]) -> str:
    """Return the values of a column that Excel would change; empty if there are none."""
    if pd.api.types.is_float_dtype(values.dtype) and np.isinf(values.to_numpy(np.float64, na_value=np.nan)).any():
        return "infinite numbers"
    if pd.api.types.is_datetime64_dtype(values.dtype):
        if (values.dropna() < pd.Timestamp(1900, 1, 1)).any():
            return "dates before 1900"
        if infer_resolution(values) in ("us", "ns"):
            return "times finer than milliseconds"
    if pd.api.types.is_float_dtype(values.dtype) and (np.abs(values.dropna().to_numpy(np.float64)) > MAX_NUMBER).any():
        return f"numbers beyond {MAX_NUMBER:g}"
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype):
        return ""
    for value in values:
        if isinstance(value, str) and (fault := _unsupported_text(value, illegal)):
            return fault
        if isinstance(value, float) and np.isinf(value):
            return "infinite numbers"
        if isinstance(value, datetime.date) and value.year < 1900:
            return "dates before 1900"
    return ""


def _unsupported_text(text: str, illegal: re.Pattern[str]) -> str:
    """Return what of a text Excel would change; empty if nothing."""
    if len(text) > MAX_CHARACTERS:
        return f"texts of over {MAX_CHARACTERS:,} characters"
    if illegal.search(text):
        return f"control characters, as in {shorten(repr(text), 60)}"
    return f"carriage returns, as in {shorten(repr(text), 60)}" if "\r" in text else ""


def _import_openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise missing_package("Excel", "openpyxl") from error
    return openpyxl


def _cell_value(cell: Any) -> Any:
    """Return a cell's value; unsupported types become text."""
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
        raise DataError(f"{where} has duplicate column names: {quote(twice)}; give every column a unique name")
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
    """Return a column's values for Excel, missing as None, and the number format of its type."""
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
    plain = plain.map(lambda v: str(v) if isinstance(v, datetime.datetime) and v.tzinfo is not None else v)
    cells = (v if v is None or isinstance(v, known) else v.item() if hasattr(v, "item") else str(v) for v in plain)
    if pd.api.types.is_float_dtype(values.dtype):
        return cells, "0.0###############"
    return cells, "0" if pd.api.types.is_integer_dtype(values.dtype) else None
