"""Validate a frame against a schema, and convert cells to numbers and instants."""

from __future__ import annotations

import datetime
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tabsynth.common.text import is_unicode
from tabsynth.errors import DataError, SchemaError, quote
from tabsynth.schema.cell_types import check_cells, exceeds_float64, unwrap_timestamps
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Numeric, to_naive_utc
from tabsynth.schema.constraints import Constraint
from tabsynth.schema.datetime_formats import parse_text
from tabsynth.schema.number_formats import parse_numbers
from tabsynth.schema.schema import Schema

NANOSECONDS_PER_DAY = 86_400 * 10**9

_DATE_RANGE = "dates from 1678 to 2261 can be held: leave a far date that stands for 'none' empty"


MISSING_MARKERS = frozenset({
    "?", "??", "-", "--", ".", "..", "na", "n/a", "n.a.", "nan", "null", "missing", "unknown", "unk", "unspecified",
    "#n/a", "not available", "not known",
})  # fmt: skip
"""Common markers of missing values, in lower case."""


def is_missing_marker(value: str) -> bool:
    """Return whether a text marks a missing value."""
    return len(value) < 16 and value.strip().lower() in MISSING_MARKERS


def check_frame(frame: pd.DataFrame) -> None:
    """Raise DataError for an unsupported frame."""
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"expected a DataFrame, not {type(frame).__name__}")
    if not len(frame.columns):
        raise DataError("the table has no columns; pass a table with at least one column")
    if not len(frame):
        raise DataError("the table has no rows; pass a table with at least one row")
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError("the table has columns of several levels; flatten them to one name each")
    odd = [name for name in frame.columns if not isinstance(name, str)]
    if odd:
        raise DataError(f"column names must be text, not {quote(odd)}; rename with frame.columns.astype(str)")
    if broken := [name for name in frame.columns if not is_unicode(name)]:
        raise DataError(f"column names must be valid Unicode, not {quote(broken)}; rename them")
    twice = frame.columns[frame.columns.duplicated()].unique()
    if len(twice):
        raise DataError(f"duplicate column names: {quote(twice)}; give every column a unique name")
    for name in frame:
        check_cells(frame[name])


def check_against_schema(frame: pd.DataFrame, schema: Schema) -> None:
    """Raise if a frame does not match its schema.

    Raises:
        SchemaError: Columns are missing from one of the two.
        DataError: A value does not fit its column, or a row violates a constraint.
    """
    absent = [name for name in schema if name not in frame.columns]
    extra = [name for name in frame.columns if name not in schema]
    if absent or extra:
        message = [f"{quote(absent)} of the schema is not in the table"] if absent else []
        message += [f"{quote(extra)} of the table is not in the schema"] if extra else []
        raise SchemaError("the schema does not fit the table: " + "; ".join(message) + "; change one of them")
    for name in frame.columns:
        _check_column(frame[name], schema[str(name)])
    for constraint in schema.constraints:
        broken = np.flatnonzero(~satisfies(constraint, frame, schema))
        if len(broken) and constraint.on_violation == "error":
            raise DataError(
                f"{len(broken)} rows violate the constraint {constraint.to_dict()}, the first is row {broken[0]}; "
                "fix those rows, remove the constraint, or set its on_violation to exclude, repair or drop"
            )


def satisfies(constraint: Constraint, frame: pd.DataFrame, schema: Schema) -> npt.NDArray[np.bool_]:
    """Return whether each row satisfies a constraint, shape (n,); dates are compared as instants."""
    if not constraint.columns:
        return np.ones(len(frame), bool)
    return constraint.holds(row_values(frame, schema, constraint.columns), schema_steps(schema, constraint.columns))


def row_values(frame: pd.DataFrame, schema: Schema, names: Iterable[str]) -> dict[str, Any]:
    """Return the columns as constraints read them.

    Numbers are float64, dates float64 days since 1970, both NaN where missing; everything else is Python objects, None
    where missing.
    """
    out: dict[str, Any] = {}
    for name in names:
        column, own = schema[name], frame[name]
        if isinstance(column, Datetime):
            moments = to_moments(own, column)
            days = moments.to_numpy().astype(np.int64) / NANOSECONDS_PER_DAY
            out[name] = np.where(moments.isna().to_numpy(), np.nan, days)
        elif isinstance(column, Numeric):
            out[name] = to_numbers(own, column.format)
        else:
            cells = own.astype(object).to_numpy(dtype=object, copy=True)
            cells[own.isna().to_numpy()] = None
            numeric = isinstance(column, Categorical) and _are_numbers(column, cells)
            out[name] = cells.astype(np.float64) if numeric else cells
    return out


def schema_steps(schema: Schema, names: Iterable[str]) -> dict[str, float]:
    """Return the distance of neighbouring values of columns with declared decimals or resolution, in days for dates."""
    out = {}
    for name in names:
        column = schema[name]
        if isinstance(column, Numeric) and column.decimals is not None:
            out[name] = 10.0**-column.decimals
        elif isinstance(column, Datetime) and column.resolution is not None:
            out[name] = pd.Timedelta(1, column.resolution) / pd.Timedelta(1, "D")
    return out


def _are_numbers(column: Categorical, cells: npt.NDArray[np.object_]) -> bool:
    """Return whether the values of a categorical column are numbers."""
    values = cells.tolist() if column.values is None else column.values
    known = [value for value in dict.fromkeys(values) if value is not None]
    return bool(known) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known)


def to_numbers(values: pd.Series, format: str | None = None) -> npt.NDArray[np.float64]:
    """Convert a numeric column to float64, missing as NaN; text is parsed by the format, if any.

    Raises:
        DataError: A value is not a number.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        raise DataError(f"column {values.name!r} holds dates, not numbers; declare it datetime")
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if isinstance(values.dtype, pd.ArrowDtype) and pa.types.is_decimal(values.dtype.pyarrow_dtype):
        values = values.astype(pd.ArrowDtype(pa.float64()))
    if isinstance(values.dtype, pd.ArrowDtype) and pa.types.is_float16(values.dtype.pyarrow_dtype):
        values = values.astype("float64")  # pandas cannot convert it to numbers
    if format is not None and not pd.api.types.is_numeric_dtype(values.dtype):
        read = parse_numbers(values, format)
        if not (np.isnan(read) & values.notna().to_numpy()).any():
            return read
    try:
        numbers = pd.to_numeric(values)
        if not pd.api.types.is_complex_dtype(numbers.dtype):  # a conversion would drop the imaginary parts
            return numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError, OverflowError):
        pass
    bad = values[values.notna() & ~values.map(_is_number).astype(bool)]
    raise DataError(
        f"column {values.name!r}: {len(bad)} of {len(values)} values are not numbers, such as "
        f"{quote(list(dict.fromkeys(map(str, bad))), 3)}; fix them, leave them empty, or declare the column categorical"
    )


def _is_number(value: Any) -> bool:
    """Return whether a value converts to a float."""
    try:
        float(value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def to_instants(values: pd.Series, format: str | None = None) -> pd.Series:
    """Convert a datetime column to naive UTC ``datetime64[ns]``, missing as NaT.

    Raises:
        DataError: A value is not a date of this format.
    """
    values = unwrap_timestamps(values)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    if pd.api.types.is_datetime64_dtype(values.dtype):
        try:
            return values.astype("datetime64[ns]")
        except pd.errors.OutOfBoundsDatetime as error:
            raise DataError(f"column {values.name!r}: {error}; {_DATE_RANGE}") from error
    try:
        parsed = parse_text(values, format or "ISO8601", utc=True)
    except ValueError as error:
        raise DataError(f"column {values.name!r}: the format {format!r} cannot be used: {error}") from error
    bad = values[parsed.isna() & values.notna()]
    if len(bad):
        raise DataError(
            f"column {values.name!r}: {len(bad)} of {len(values)} values are not dates of the format "
            f"{format or 'ISO 8601'!r}, such as {quote(bad.unique(), 3)}; fix them or change the format ({_DATE_RANGE})"
        )
    naive: pd.Series = parsed.dt.tz_localize(None).astype("datetime64[ns]")
    return naive


def to_moments(values: pd.Series, column: Datetime) -> pd.Series:
    """Convert a datetime column to the naive ``datetime64[ns]`` that models learn, missing as NaT.

    Days of a time zone are days there, which begin at different times of day in UTC; all else is in UTC.

    Raises:
        DataError: A value is not a date of the column's format.
    """
    if column.resolution == "D":
        values = unwrap_timestamps(values)
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            values = values.dt.tz_localize(None)
    return to_instants(values, column.format)


def _check_column(values: pd.Series, column: Column) -> None:
    """Validate one column against its facts."""
    if not column.nullable and values.isna().any():
        raise DataError(
            f"column {column.name!r}: {int(values.isna().sum())} values are missing, the first at row "
            f"{int(np.argmax(values.isna()))}, but the schema does not allow it; set nullable or fill them"
        )
    if isinstance(column, Numeric):
        if exceeds_float64(values):
            message = f"column {column.name!r} holds whole numbers beyond 2**53, which a numeric column would round"
            raise DataError(f"{message}; declare it identifier or categorical")
        data = to_numbers(values)
        if np.isinf(data).any():
            raise DataError(f"column {column.name!r} holds infinite values; replace them or leave them empty")
        _check_bounds(column, data, column.low, column.high)
    elif isinstance(column, Datetime):
        moments = to_instants(values, column.format).to_numpy()
        _check_bounds(column, moments, _to_datetime64(column.low), _to_datetime64(column.high))
    elif isinstance(column, Boolean):
        _check_members(column, values, (True, False))
    elif isinstance(column, Categorical) and column.values is not None:
        _check_members(column, values, column.values)


def _to_datetime64(instant: str | None) -> np.datetime64 | None:
    """Return a datetime bound, clipped to the range of ``datetime64[ns]``."""
    if instant is None:
        return None
    bound = to_naive_utc(datetime.datetime.fromisoformat(instant))
    first, last = pd.Timestamp.min.ceil("us").to_pydatetime(), pd.Timestamp.max.floor("us").to_pydatetime()
    return np.datetime64(min(max(bound, first), last), "ns")


def _check_bounds(column: Column, data: npt.NDArray[Any], low: Any, high: Any) -> None:
    """Validate inclusive bounds; missing values pass."""
    for bound, outside, side in (
        (low, operator.lt, "below the schema's low"),
        (high, operator.gt, "above the schema's high"),
    ):
        bad = np.zeros(len(data), bool) if bound is None else outside(data, bound)
        if bad.any():
            raise DataError(
                f"column {column.name!r}: {int(bad.sum())} values are {side} {bound}, such as {data[bad][0]}; "
                "fix them or widen the bound"
            )


def _check_members(column: Column, values: pd.Series, allowed: Iterable[object]) -> None:
    present = values.dropna()
    unknown = present[~present.isin(list(allowed))].unique()
    if len(unknown):
        raise DataError(
            f"column {column.name!r}: {len(unknown)} values are not in the schema, such as {quote(unknown, 3)}; "
            f"the schema allows {quote(allowed, 6)}; fix the values or add them to the schema"
        )
