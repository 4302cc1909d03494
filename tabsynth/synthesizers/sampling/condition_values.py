"""Given values in the type and form of their column: numbers in its decimals, instants in its zone, categories."""

from __future__ import annotations

import datetime
import math
from collections.abc import Collection, Hashable
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.categorical_encoder import ValueCoder
from tabsynth.codec.codec import Codec
from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.pandas_dtypes import datetime_series, holds_instants, numeric_series, time_zone
from tabsynth.common.input_files import check_depth
from tabsynth.errors import ConditionError, DataError, quote, shorten
from tabsynth.schema.columns import Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.datetime_formats import has_offset, parse_dates
from tabsynth.schema.validation import to_moments, to_numbers

SNAP = 1e-9
"""Relative tolerance for rounding to the column's decimals: 0.1 + 0.2 is 0.3."""


def convert_values(
    codec: Codec, name: str, values: pd.Series, *, strict: bool, keep_decimals: bool = False
) -> pd.Series:
    """Return values in the type and form of their column, as objects; missing stays missing.

    Args:
        codec: The vocabulary.
        name: The column.
        values: The given values.
        strict: Refuse values that the model cannot generate; otherwise they stay unchanged.
        keep_decimals: Numbers with more decimals than the model releases stay unchanged, even if ``strict``.

    Raises:
        ConditionError: A value that the column cannot hold.
    """
    column = codec.schema[name]
    values = values.rename(name)
    if isinstance(column, Numeric):
        return _convert_numbers(codec, name, values, strict and not keep_decimals)
    if isinstance(column, Datetime):
        moments = _instants(codec, name, values)
        series = datetime_series(moments, codec.dtypes[name], column).rename(name)
        back = to_moments(series, column)
        odd = np.flatnonzero((back != moments).to_numpy() & moments.notna().to_numpy())
        if len(odd):
            raise ConditionError(
                f"given[{name!r}] is {values.iloc[odd[0]]!r}, which the column cannot hold: "
                f"in its form it is {series.iloc[odd[0]]!r}; give that"
            )
        ticks = np.where(moments.isna(), 0, moments.to_numpy().astype(np.int64))
        finer = np.flatnonzero(ticks % UNIT_NANOSECONDS[column.resolution or "s"])
        if len(finer) and strict and not keep_decimals:
            unit = column.resolution or "s"
            raise ConditionError(
                f"given[{name!r}] is {values.iloc[finer[0]]}, but the column's unit of time is {unit!r}; give a range"
            )
        return series.astype(object).where(values.notna().to_numpy(), None)
    if isinstance(column, (Identifier, Text)):
        return values
    return _convert_categories(codec, name, values, strict)


def check_scalars(name: str, wanted: Any, rows: int) -> None:
    """Raise ConditionError for a condition that is neither a value nor several values."""
    if isinstance(wanted, pd.Series) and len(wanted) != rows:
        raise ConditionError(
            f"given[{name!r}] has {len(wanted)} values for {rows} rows; give one value, or draw the rows of a frame of "
            "conditions with sample(given=frame)"
        )
    check_depth(wanted, f"given[{name!r}]", ConditionError)
    values = wanted if isinstance(wanted, (tuple, list, set, frozenset, pd.Series)) else [wanted]
    if not all(isinstance(value, Hashable) and pd.api.types.is_scalar(value) for value in values):
        raise ConditionError(
            f"given[{name!r}] is {shorten(repr(wanted), 80)}: give a value, a range (low, high) or a list of values; "
            "for one value for each row, give a frame"
        )


def convert_range(codec: Codec, name: str, span: tuple[Any, ...]) -> tuple[float, float]:
    """Return an inclusive range as numbers, narrowed to numbers that the column can hold."""
    column, coder = codec.schema[name], codec.coders[name]
    if isinstance(column, Datetime):
        unit = UNIT_NANOSECONDS[column.resolution or "s"]
        ends = [None if end is None else _instants(codec, name, pd.Series([end], dtype=object))[0] for end in span]
        if any(end is pd.NaT for end in ends):
            raise ConditionError(f"given[{name!r}]: an end of the range is missing; use None for an open end")
        first, last = ends
        return (
            -math.inf if first is None else float(-(-first.value // unit)),
            math.inf if last is None else float(last.value // unit),
        )
    low, high = (_number(name, column, end, default) for end, default in zip(span, (-math.inf, math.inf), strict=True))
    decimals = coder.decimals if isinstance(coder, QuantileCoder) else None
    return (
        (low, high)
        if decimals is None
        else (_round_to_decimals(low, decimals, math.ceil), _round_to_decimals(high, decimals, math.floor))
    )


def check_in_learned_range(codec: Codec, name: str, data: npt.NDArray[np.float64]) -> None:
    """Raise ConditionError for a number outside the range that the model samples."""
    coder = codec.coders[name]
    if not isinstance(coder, QuantileCoder):
        if not np.isnan(data).all():
            raise ConditionError(f"given[{name!r}]: the model generates no value of this column; leave it out")
        return
    outside = (data < coder.low[0]) | (data > coder.high[-1])
    if outside.any():
        value = format_value(codec, name, float(data[outside][0]))
        raise ConditionError(f"given[{name!r}] is {value}, but {describe_learned_range(codec, name, coder)}")


def describe_learned_range(codec: Codec, name: str, coder: QuantileCoder) -> str:
    """Return the values that the model can generate for a numeric or datetime column."""
    ends = [format_value(codec, name, float(end)) for end in (coder.low[0], coder.high[-1])]
    return f"the model's values go from {ends[0]} to {ends[1]}"


def format_value(codec: Codec, name: str, value: float) -> str:
    """Return a number of a column in its written form."""
    column = codec.schema[name]
    if not isinstance(column, Datetime):
        return f"{value:.15g}"
    return str(pd.Timestamp(int(value) * UNIT_NANOSECONDS[column.resolution or "s"]))


def _convert_numbers(codec: Codec, name: str, values: pd.Series, strict: bool) -> pd.Series:
    """Return numbers rounded to the column's decimals; unless strict, those with more decimals are unchanged."""
    column = codec.schema[name]
    assert isinstance(column, Numeric)
    data = _read_numbers(name, column, values)
    if np.isinf(data).any():
        raise ConditionError(f"given[{name!r}] is infinite; use None for the open end of a range: (low, None)")
    coder = codec.coders[name]
    decimals = coder.decimals if isinstance(coder, QuantileCoder) else None
    if decimals is not None:
        near = np.round(data, decimals)
        odd = np.abs(near - data) > SNAP * np.maximum(np.abs(data), 10.0**-decimals)
        if odd.any() and (strict or "int" in codec.dtypes[name].lower()):
            kind = "whole numbers" if decimals == 0 else f"{decimals} decimals"
            raise ConditionError(
                f"given[{name!r}] is {data[odd][0]:.15g}, but the column has {kind}; round it to {near[odd][0]:.15g}"
            )
        data = np.where(odd, data, near)
    series = numeric_series(data, codec.dtypes[name], column).rename(name)
    return series.astype(object).where(~np.isnan(data), None)


def _convert_categories(codec: Codec, name: str, values: pd.Series, strict: bool) -> pd.Series:
    """Return the known values in the model's form: 1, 1.0 and True are equal if the column has one of them."""
    column, coder = codec.schema[name], codec.coders[name]
    assert isinstance(coder, ValueCoder)
    known = {value: value for value in (*coder.values, *coder.public)}
    out = np.empty(len(values), dtype=object)
    for row, value in enumerate(values.tolist()):
        try:
            missing = value is None or bool(pd.isna(value))
            match = None if missing else known.get(value)
        except (TypeError, ValueError) as error:
            raise ConditionError(f"given[{name!r}]: {value!r} is not a value of a {column.kind} column") from error
        if missing or match is not None:
            out[row] = match
            continue
        out[row] = value
        declared = isinstance(column, Categorical) and value in (column.values or ())
        if strict:
            unknown = "which the model does not know (no row has it, or too few)"
            why = "which no training row has" if declared else unknown
            hint = "; YAML reads NO, yes and on as booleans: quote them" if isinstance(value, bool) else ""
            meant = _nearest_value(value, known)
            raise ConditionError(f"given[{name!r}] is {value!r}, {why}; it knows {quote(known, 10)}{meant}{hint}")
    return pd.Series(out, index=values.index, name=name)


def _nearest_value(value: object, known: Collection[Any]) -> str:
    """Return a hint at the known value that is spelled alike, whatever its type; empty if none is."""
    spelled, text = {str(one).casefold(): one for one in known}, str(value).strip().casefold()
    near = [text] if text in spelled else get_close_matches(text, list(spelled), n=1)
    return f"; did you mean {quote([spelled[near[0]]])}?" if near else ""


def _instants(codec: Codec, name: str, values: pd.Series) -> pd.Series:
    """Return given values as ``to_moments`` does; values without a zone are in that of the column."""
    column = codec.schema[name]
    assert isinstance(column, Datetime)
    zone = time_zone(codec.dtypes[name], column)
    # Text that ends in one zone for all rows is read as local time throughout.
    text = not holds_instants(codec.dtypes[name])
    local = column.resolution == "D" and not text
    home = zone if local or (text and not has_offset(column.format)) else "UTC"
    known: dict[Any, Any] = {}
    out = []
    for value in values.astype(object):
        key = (type(value), value)
        if key not in known:
            moment = _instant(name, value, column.format, zone)
            known[key] = moment.tz_convert(home).tz_localize(None) if getattr(moment, "tz", None) else moment
        out.append(known[key])
    return pd.Series(out, index=values.index, name=name, dtype="datetime64[ns]")


def _instant(name: str, value: Any, format: str | None, zone: str | None) -> Any:
    """Return one given instant, in a zone if the column has one; NaT where it is missing."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return pd.NaT
    if isinstance(value, bool) or not isinstance(value, (str, int, datetime.date, np.datetime64)):
        raise ConditionError(f"given[{name!r}] is {value!r}, which is not a date or time; write it as 2024-01-31")
    try:
        moment = _read(value, format)
        if moment.tz is None:
            moment = moment if zone is None else _localize(name, moment, zone)
        elif zone is None:
            raise ConditionError(f"given[{name!r}] is {value!r}, but the column has no time zone; give it without one")
        return moment
    except (ValueError, OverflowError, TypeError) as error:
        if isinstance(error, ConditionError):
            raise
        form = f"the column's format {format!r} or ISO 8601" if format else "ISO 8601"
        raise ConditionError(f"given[{name!r}] is {value!r}, which is not a date in {form}") from error


def _localize(name: str, moment: pd.Timestamp, zone: str) -> pd.Timestamp:
    """Return a local time in its zone; one that a change of the clock skips or repeats is refused."""
    local: Any = moment.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    if local is not pd.NaT:
        return pd.Timestamp(local)
    shifted: Any = moment.tz_localize(zone, ambiguous=True, nonexistent="NaT")
    fault = "does not exist" if shifted is pd.NaT else "occurs twice"
    raise ConditionError(
        f"given[{name!r}]: {moment} {fault} in {zone}, where the clock changes; give it with an offset, "
        f"such as {moment.isoformat()}+01:00"
    )


def _read(value: Any, format: str | None) -> pd.Timestamp:
    """Return a value as a timestamp: in the column's format, else in ISO 8601."""
    if not isinstance(value, (str, int)):
        return pd.Timestamp(value)
    if format is not None:
        moment = parse_dates(pd.Series([str(value)], dtype=object), format)[0]
        if moment is not pd.NaT:
            return pd.Timestamp(moment)
    return pd.Timestamp(pd.to_datetime(str(value), format="ISO8601"))


def _read_numbers(name: str, column: Column, values: pd.Series) -> npt.NDArray[np.float64]:
    """Return given numbers, plain or in the column's written form."""
    form = column.format if isinstance(column, Numeric) else None
    if any(isinstance(value, (bool, np.bool_)) for value in values if values.dtype == object):
        raise ConditionError(
            f"given[{name!r}] is true or false, but the column holds numbers; YAML reads NO, yes and on as booleans"
        )
    try:
        return to_numbers(values, form)
    except DataError as error:
        odd = next(value for value in values if not _is_number(name, column, value))
        other = f" or text of the form {form!r}" if form else ""
        raise ConditionError(f"given[{name!r}] is {shorten(repr(odd), 80)}, not a number{other}") from error


def _is_number(name: str, column: Column, value: Any) -> bool:
    """Return whether a single given value is a number, or missing."""
    try:
        to_numbers(pd.Series([value], dtype=object, name=name), column.format if isinstance(column, Numeric) else None)
    except DataError:
        return False
    return True


def _number(name: str, column: Column, end: Any, default: float) -> float:
    """Return one end of a range of numbers."""
    if end is None:
        return default
    value = float(_read_numbers(name, column, pd.Series([end], dtype=object, name=name))[0])
    if math.isnan(value):
        raise ConditionError(f"given[{name!r}]: an end of the range is missing; use None for an open end")
    return value


def _round_to_decimals(value: float, decimals: int, whole: Any) -> float:
    """Return the nearest number with this many decimals inside a range that ends here."""
    if math.isinf(value) or abs(value) * 10.0**decimals >= 2.0**53:
        return value
    scaled = value * 10.0**decimals
    near = round(scaled)
    inside = near if abs(near - scaled) <= SNAP * max(abs(scaled), 1.0) else whole(scaled)
    return float(round(inside / 10.0**decimals, decimals))
