"""Supported cell types of a column."""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.common.text import is_unicode
from tabsynth.errors import DataError, quote

CATEGORY_TYPES = (
    str, bool, int, float, np.bool_, np.integer, np.floating, decimal.Decimal, datetime.date, datetime.timedelta,
    np.datetime64, pd.Period, pd.Interval,
)  # fmt: skip
"""Types of the categories of a pandas categorical."""
DATEUTIL_FILE = re.compile(r"tzfile\('(?:.*/zoneinfo/)?([\w+/-]+)'\)")
EPOCH = datetime.date(1970, 1, 1).toordinal()
"""Number of the day from which Arrow counts."""
MAX_EXACT = 2**53
"""Up to here, float64 holds every whole number."""


def to_pandas(data: Any) -> Any:
    """Convert a table of polars, pyarrow or DuckDB to pandas; return any other value unchanged."""
    if isinstance(data, pd.DataFrame) or not hasattr(data, "__arrow_c_stream__"):
        return data
    table = pa.table(data)
    try:
        return table.to_pandas()
    except (ValueError, pa.ArrowException) as error:
        check_dates(table)
        raise DataError(f"the table cannot be converted to pandas: {error}") from error


def check_dates(table: pa.Table) -> None:
    """Raise DataError for days that Python's dates cannot represent.

    Raises:
        DataError: A column has dates outside the years 1 to 9999.
    """
    far = [name for name in table.column_names if _has_far_dates(table.column(name))]
    if far:
        raise DataError(
            f"{quote(far)} have dates outside the years 1 to 9999, such as 'infinity' or years BC; leave these cells "
            "empty, or read them as text"
        )


def _has_far_dates(values: pa.ChunkedArray) -> bool:
    if not pa.types.is_date(values.type):
        return False
    ends = pc.min_max(values.cast(pa.date32()).cast(pa.int32()))
    first, last = (day.toordinal() - EPOCH for day in (datetime.date.min, datetime.date.max))
    return bool(ends["min"].is_valid and (ends["min"].as_py() < first or ends["max"].as_py() > last))


def exceeds_float64(values: pd.Series) -> bool:
    """Return whether the column has integers or decimals beyond 2**53, which float64 would round."""
    kind = values.dtype
    is_decimal = isinstance(kind, pd.ArrowDtype) and pa.types.is_decimal(kind.pyarrow_dtype)
    if is_decimal or pd.api.types.is_integer_dtype(kind):
        present = values.dropna()
        return bool(len(present)) and (int(present.max()) > MAX_EXACT or int(present.min()) < -MAX_EXACT)
    return bool(pd.api.types.is_object_dtype(kind)) and any(_is_large(value) for value in values)


def _is_large(value: Any) -> bool:
    if isinstance(value, decimal.Decimal):
        return value.is_finite() and abs(value) > MAX_EXACT
    return isinstance(value, (int, np.integer)) and abs(int(value)) > MAX_EXACT


def is_text(values: pd.Series) -> bool:
    """Return whether all present cells of a column of objects are text."""
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "mixed":  # pandas does not skip NaT in text
        kind = pd.api.types.infer_dtype(values.dropna())
    return kind in ("string", "empty")


def zone_name(zone: datetime.tzinfo) -> str:
    """Return the name from which pandas makes a time zone again; a fixed offset is named ``UTC+05:30``.

    Raises:
        DataError: The zone has no such name.
    """
    key = getattr(zone, "key", None) or getattr(zone, "zone", None)  # of zoneinfo and of pytz
    if key is not None:
        return str(key)
    file = DATEUTIL_FILE.fullmatch(str(zone))
    if file is not None:
        return f"dateutil/{file[1]}"
    offset = zone.utcoffset(None)
    if offset is None or offset % datetime.timedelta(minutes=1):
        raise DataError(
            f"the time zone {zone} is neither a named zone nor an offset of whole minutes; convert the column, for "
            "instance with .dt.tz_convert('Europe/Paris')"
        )
    return str(datetime.timezone(offset))


def unwrap_timestamps(values: pd.Series) -> pd.Series:
    """Convert Arrow timestamps, and Python datetimes with a time zone, to pandas; return other columns unchanged."""
    if values.dtype == object:
        first = next(iter(values.dropna()), None)
        if not isinstance(first, datetime.datetime) or first.tzinfo is None:
            return values
        try:
            moments = pd.to_datetime(values, utc=True)
        except (ValueError, OverflowError, TypeError):
            return values
        return moments.dt.tz_convert(zone_name(first.tzinfo))
    if not isinstance(values.dtype, pd.ArrowDtype) or not pa.types.is_timestamp(values.dtype.pyarrow_dtype):
        return values
    plain = pa.chunked_array(pa.array(values.array)).to_pandas()
    return pd.Series(plain.array, index=values.index, name=values.name)


def unwrap_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert the Arrow timestamps of a frame to pandas."""
    arrow = [name for name in frame.columns if isinstance(frame[name].dtype, pd.ArrowDtype)]
    return frame.assign(**{name: unwrap_timestamps(frame[name]) for name in arrow}) if arrow else frame


def check_cells(values: pd.Series) -> None:
    """Raise DataError for infinities, mixed Python types, durations, nested values and invalid Unicode.

    Raises:
        DataError: The column cannot be held; the message names it.
    """
    if (
        values.dtype.kind in "cm"
        or isinstance(values.dtype, (pd.PeriodDtype, pd.IntervalDtype))
        or (isinstance(values.dtype, pd.ArrowDtype) and not _is_supported_arrow_type(values.dtype.pyarrow_dtype))
    ):
        raise DataError(
            f"column {values.name!r} is of type {values.dtype}, which no kind of column holds; convert it to numbers, "
            "dates or text"
        )
    if pd.api.types.is_float_dtype(values.dtype):
        infinite = np.isinf(values.to_numpy(dtype=np.float64, na_value=np.nan))
        if infinite.any():
            raise DataError(
                f"column {values.name!r}: {int(infinite.sum())} infinite values, the first at row "
                f"{int(np.argmax(infinite))}; replace them by a number or leave them empty"
            )
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        _check_zone(values.dtype.tz, values.name)
    if values.dtype == object:
        _check_objects(values)
    if isinstance(values.dtype, pd.CategoricalDtype):
        _check_categories(values.dtype.categories, values.name)
    elif values.dtype == object or isinstance(values.dtype, pd.StringDtype):
        _check_unicode(values)


def _check_categories(categories: pd.Index, name: object) -> None:
    """Reject categories that no model file can hold: invalid Unicode, infinities and unsupported types."""
    _check_unicode(pd.Series(categories, name=name))
    if isinstance(categories.dtype, pd.DatetimeTZDtype):
        _check_zone(categories.dtype.tz, name)
    numbers = [value for value in categories if isinstance(value, (float, np.floating, decimal.Decimal))]
    if any(np.isinf(float(value)) for value in numbers):
        raise DataError(f"column {name!r} has an infinite category; replace it by a number or leave the cells empty")
    odd = [value for value in categories if not isinstance(value, CATEGORY_TYPES)]
    if odd:
        raise DataError(
            f"column {name!r} has categories of type {type(odd[0]).__name__}, such as {quote(odd[:1])}; convert them "
            "to text, numbers or dates, for instance with .cat.rename_categories(str)"
        )


def _check_unicode(values: pd.Series) -> None:
    """Reject text that no file can hold."""
    present = values.dropna()
    if is_text(present) and not is_unicode("".join(present)):
        broken = next(value for value in present if not is_unicode(value))
        raise DataError(
            f"column {values.name!r}: {quote([broken])} is not valid Unicode (half of a surrogate pair); replace it"
        )


def _is_supported_arrow_type(kind: pa.DataType) -> bool:
    """Return whether a column of this Arrow type is supported."""
    known = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_timestamp, pa.types.is_date)
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_decimal128)
    return any(is_kind(kind) for is_kind in (*known, *text))


def _check_objects(values: pd.Series) -> None:
    """Reject mixed Python types and unsupported objects."""
    if is_text(values):
        return
    present = values.dropna()
    types = {_type_family(kind) for kind in present.map(type).unique()}
    if len(types) > 1:
        examples = [present[present.map(lambda v, t=t: _type_family(type(v)) == t)].iloc[0] for t in sorted(types)]
        raise DataError(
            f"column {values.name!r} mixes {' and '.join(sorted(types))}, such as {quote(examples)}; "
            "give all its cells one type: in the file, or with astype(str) in pandas"
        )
    if types == {"number"} and _are_infinite(present):
        raise DataError(f"column {values.name!r} holds infinite values; replace them or leave them empty")
    if types == {"date"}:
        _check_zones(present)
    if "other" in types:
        raise DataError(
            f"column {values.name!r} holds {type(present.iloc[0]).__name__} objects; a cell must be text, "
            "a number, a boolean or a date"
        )


def _are_infinite(numbers: pd.Series) -> bool:
    """Return whether some numbers are infinite, or too large for float64."""
    try:
        return bool(np.isinf(numbers.astype(float)).any())
    except OverflowError:
        return True


def _check_zones(moments: pd.Series) -> None:
    """Reject a column in which some datetimes have a time zone and others have none: no instant is sure."""
    zoned = moments.map(lambda value: isinstance(value, datetime.datetime) and value.tzinfo is not None)
    if zoned.any() and not zoned.all():
        examples = [str(moments[zoned].iloc[0]), str(moments[~zoned].iloc[0])]
        raise DataError(
            f"column {moments.name!r} mixes datetimes with and without a time zone, such as {quote(examples)}; give "
            "all of them a time zone, or none"
        )
    for zone in {id(value.tzinfo): value.tzinfo for value in moments[zoned]}.values():  # some have no hash
        _check_zone(zone, moments.name)


def _check_zone(zone: datetime.tzinfo | None, name: object) -> None:
    """Reject a time zone that no model file can name."""
    try:
        if zone is not None:
            zone_name(zone)
    except DataError as error:
        raise DataError(f"column {name!r}: {error}") from error


def _type_family(kind: type) -> str:
    """Group of a Python type: boolean, number, text, date or other."""
    if issubclass(kind, (bool, np.bool_)):
        return "boolean"
    if issubclass(kind, (int, float, np.number, decimal.Decimal)):
        return "number"
    if issubclass(kind, str):
        return "text"
    if issubclass(kind, (datetime.date, np.datetime64)):
        return "date"
    return "other"
