"""Parse and write date formats, so that text comes back identical."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.schema.columns import Resolution
from tabsynth.schema.month_names import split_language

ISO = re.compile(
    r"\d{4}-\d\d-\d\d"
    r"(?:(?P<between>[T ])\d\d:\d\d(?P<seconds>:\d\d)?(?P<fraction>\.\d{1,9})?(?P<zone>Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")

SPELLED = re.compile(r"%\^[bB]|%-\w|%[Pe]")
"""Directives written field by field: capitals (``%^b``), no leading zeros (``%-d``), lower case (``%P``), ``%e``."""
FRACTION = re.compile(r"%S\.(%f)?(0+|(?<=%f))")
DIGITS_OF_A_SECOND: dict[str, int] = {"ms": 3, "us": 6, "ns": 9}
COLON_OFFSET = "%:z"
"""An offset from UTC with a colon, such as +00:00."""
PADDED_DAY = "%e"
"""A day of the month with a space in place of a leading zero."""

NANOSECONDS: dict[Resolution, int] = {
    "D": 86400 * 10**9, "h": 3600 * 10**9, "min": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1
}  # fmt: skip
"""Nanoseconds of each unit, coarsest first."""


def infer_iso_format(example: str) -> str | None:
    """Return the strftime format of an ISO 8601 date, its zone as text; None for other text."""
    match = ISO.fullmatch(example)
    if match is None:
        return None
    if match["between"] is None:
        return "%Y-%m-%d"
    if match["fraction"] and not match["seconds"]:
        return None
    seconds = (":%S" if match["seconds"] else "") + (".%f" if match["fraction"] else "")
    return f"%Y-%m-%d{match['between']}%H:%M{seconds}{match['zone'] or ''}"


def parse_iso(text: pd.Series) -> tuple[pd.Series, str] | None:
    """Parse ISO 8601 text; None unless every text comes back identical."""
    first = text.first_valid_index()
    spelling = None if first is None else infer_iso_format(str(text[first]))
    if spelling is None:
        return None
    zone = ZONE.search(spelling)
    # A value in another zone would turn the whole column into objects.
    if zone and not text.dropna().str.endswith(zone[0]).all():
        return None
    try:
        moments = pd.to_datetime(text, format="ISO8601", errors="coerce")
    except ValueError:
        return None
    if not pd.api.types.is_datetime64_any_dtype(moments.dtype) or moments.isna().sum() != text.isna().sum():
        return None
    back = format_dates(moments, spelling, infer_resolution(moments))
    return (moments, spelling) if back.equals(pa.array(text, pa.string(), from_pandas=True)) else None


def parse_dates(text: pd.Series, format: str) -> pd.Series:
    """Parse text or integers in a format; NaT for values that do not fit."""
    zone = ZONE.search(format)
    if has_offset(format):
        return parse_text(text, format, utc=True)
    moments = parse_text(text, format)
    if zone and pd.api.types.is_datetime64_dtype(moments.dtype):
        offset = "UTC" if zone[0] == "Z" else zone[0] if ":" in zone[0] else f"{zone[0][:3]}:{zone[0][3:]}"
        moments = moments.dt.tz_localize(offset)
    return moments


def has_offset(format: str | None) -> bool:
    """Return whether a format reads an offset from UTC in each value."""
    return format is not None and ("%z" in format or COLON_OFFSET in format)


def format_zone(format: str | None) -> str | None:
    """Return the time zone of the text that a format writes: the offset at its end, or UTC; None if it has none."""
    offset = ZONE.search(format or "")
    if offset is not None and offset[0] != "Z":
        return offset[0] if ":" in offset[0] else f"{offset[0][:3]}:{offset[0][3:]}"
    return "UTC" if offset is not None or has_offset(format) else None


def parse_text(text: pd.Series, format: str, *, utc: bool = False) -> pd.Series:
    """Parse text or whole numbers in a format, as ``pandas.to_datetime`` does; NaT for values that do not fit.

    Raises:
        ValueError: The format is none.
    """
    names, bare = split_language(format)
    plain = text.astype(object).where(text.notna(), None)
    if any(isinstance(value, np.str_) for value in plain):  # pandas refuses it
        plain = plain.map(lambda value: str(value) if isinstance(value, np.str_) else value)
    if pd.api.types.is_float_dtype(text.dtype):  # whole numbers of a column with missing cells
        plain = plain.map(lambda value: f"{value:.0f}", na_action="ignore")
    if names is not None:
        plain = plain.map(lambda value: names.to_english(str(value), bare), na_action="ignore")
    readable = parseable_format(bare)
    if "%V" in readable and "%u" not in readable:  # pandas reads a week only with its weekday
        plain, readable = plain.map(lambda value: f"{value} 1", na_action="ignore"), f"{readable} %u"
    moments: pd.Series = pd.to_datetime(plain, format=readable, errors="coerce", utc=utc)
    return moments


def parseable_format(format: str) -> str:
    """Return the format that reads the same text without directives that only writers know."""
    readable = format.replace("%-", "%").replace("%^", "%").replace("%P", "%p").replace(PADDED_DAY, "%d")
    readable = readable.replace(COLON_OFFSET, "%z")
    return FRACTION.sub("%S.%f", readable)


def spell_fraction(format: str, digits: int, resolution: Resolution) -> str:
    """Return a format that writes as many digits of a second, of which those finer than a resolution are always 0."""
    varied = DIGITS_OF_A_SECOND.get(resolution, 0)
    if varied >= digits:
        return FRACTION.sub("%S.%f", format)
    return FRACTION.sub("%S." + "%f" * (varied > 0) + "0" * (digits - varied), format)


def coarsen_format(format: str, before: Resolution, resolution: Resolution) -> str:
    """Return a format of dates of a resolution for the same dates in a coarser one."""
    fraction = FRACTION.search(format)
    if fraction is None:
        return format
    digits = DIGITS_OF_A_SECOND.get(before, 6) * (fraction[1] is not None) + len(fraction[2])
    return spell_fraction(format, digits, resolution)


def format_dates(moments: pd.Series, format: str, resolution: Resolution | None = None) -> pa.Array:
    """Format datetimes, missing as null; ``%f`` has 3, 6 or 9 digits by the resolution (default 6)."""
    names, bare = split_language(format)
    if names is not None:
        english = format_dates(moments, bare, resolution).to_pylist()
        return pa.array([value and names.from_english(value, bare) for value in english], pa.string())
    if SPELLED.search(format):
        return _format_by_field(moments, format, resolution)
    if isinstance(moments.dtype, pd.DatetimeTZDtype):
        zone = ZONE.search(format)
        if zone and zone[0] == "Z":
            moments = moments.dt.tz_convert("UTC")
        if has_offset(format):
            text = moments.dt.strftime(format.replace(COLON_OFFSET, "%z"))
            text = text.str.replace(r"([+-]\d\d)(\d\d)$", r"\1:\2", regex=True) if COLON_OFFSET in format else text
            return pa.array(text.where(moments.notna(), None), pa.string(), from_pandas=True)
        moments = moments.dt.tz_localize(None)
    if "%f" in format.replace("%S.%f", ""):
        return pa.array(moments.dt.strftime(format), pa.string(), from_pandas=True)
    unit = "s"
    if "%S.%f" in format:
        unit = resolution if resolution in ("ms", "ns") else "us"
    # Arrow writes as many digits of a second as the unit has.
    stamps = pa.array(moments.dt.floor(unit), from_pandas=True).cast(pa.timestamp(unit))
    return pc.strftime(stamps, format=format.replace("%S.%f", "%S")).cast(pa.string())


def _format_by_field(moments: pd.Series, format: str, resolution: Resolution | None) -> pa.Array:
    """Format datetimes field by field, with the directives of ``SPELLED``."""
    parts = re.findall(r"%S\.%f|%[-^]?\w|[^%]+", format)
    columns: list[Any] = []
    for part in parts:
        if not part.startswith("%"):
            columns.append(part)
            continue
        columns.append(_respell(format_dates(moments, parseable_format(part), resolution), part))
    return pc.binary_join_element_wise(*columns, "")


def _respell(written: pa.Array, part: str) -> pa.Array:
    """Return a written field as its directive spells it."""
    if part.startswith("%^"):
        return pc.utf8_upper(written)
    if part == "%P":
        return pc.utf8_lower(written)
    if part == PADDED_DAY:
        return pc.utf8_lpad(pc.utf8_ltrim(written, characters="0"), 2)
    if not part.startswith("%-"):
        return written
    bare = pc.utf8_ltrim(written, characters="0")
    return pc.if_else(pc.equal(bare, ""), "0", bare)


def infer_resolution(moments: pd.Series) -> Resolution:
    """Return the coarsest unit of which every datetime is a multiple: of days in its time zone, else in UTC."""
    present = moments.dropna()
    zone = present.dtype.tz if isinstance(present.dtype, pd.DatetimeTZDtype) else None
    zoned = zone is not None
    if zoned:
        days = present.dt.tz_localize(None).dt.normalize()
        if (present == days_in_zone(days, zone)).all():
            return "D"
        present = present.dt.tz_convert("UTC").dt.tz_localize(None)
    ticks = present.to_numpy().astype("datetime64[ns]").astype(np.int64)
    return next(unit for unit, size in NANOSECONDS.items() if not (ticks % size).any() and not (zoned and unit == "D"))


def days_in_zone(days: pd.Series, zone: Any) -> pd.Series:
    """Return the first moments of naive days in a time zone, also where the clock changes at midnight."""
    first: pd.Series = days.dt.tz_localize(zone, ambiguous=np.ones(len(days), bool), nonexistent="shift_forward")
    return first


def default_format(moments: pd.Series, resolution: Resolution | None = None) -> str:
    """Return the coarsest exact ISO 8601 format; ``format_dates`` converts zones to UTC."""
    zoned = isinstance(moments.dtype, pd.DatetimeTZDtype)
    unit = resolution or infer_resolution(moments)
    if unit == "D" and not zoned:
        return "%Y-%m-%d"
    return "%Y-%m-%dT%H:%M:%S" + (".%f" if unit in ("ms", "us", "ns") else "") + ("Z" if zoned else "")
