"""Detect, parse and write date formats, so that text comes back identical."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.schema.columns import Resolution

ISO = re.compile(
    r"\d{4}-\d\d-\d\d"
    r"(?:(?P<between>[T ])\d\d:\d\d(?P<seconds>:\d\d)?(?P<fraction>\.\d{1,9})?(?P<zone>Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")

DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d/%m/%y", "%d-%m-%y", "%d.%m.%y")
MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m.%d.%Y", "%m/%d/%y", "%m-%d-%y", "%m.%d.%y")
OTHER_FORMATS = (
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d%b%Y",
    "%d-%b-%y",
    "%d%b%y",
    "%b %d, %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%Y年%m月%d日",
    "%Y년 %m월 %d일",
)
TIME_FORMATS = ("", " %H:%M", " %H:%M:%S", ":%H:%M:%S", "T%H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
PARTIAL_FORMATS = ("%H:%M", "%H:%M:%S", "%Y-%m", "%Y/%m", "%b %Y", "%B %Y", "%Y年%m月")
COMPACT_FORMAT = "%Y%m%d"

DIRECTIVE_PATTERNS = {
    "Y": r"\d{4}", "y": r"\d\d", "m": r"\d\d?", "d": r"\d\d?", "b": "[A-Za-z]{3}", "B": "[A-Za-z]{3,9}",
    "H": r"\d\d?", "I": r"\d\d?", "M": r"\d\d", "S": r"\d\d", "f": r"\d{1,9}", "p": "[AaPp][Mm]",
}  # fmt: skip
MAX_DATE_CHARACTERS = 40
"""Longer texts are no dates."""
N_PROBED_TEXTS = 100
"""Texts that select candidate formats; one that fits all is kept."""

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
    plain = text.astype(object).where(text.notna(), None)
    padded = format.replace("%-", "%")
    zone = ZONE.search(format)
    if "%z" in format:
        return pd.to_datetime(plain, format=padded, errors="coerce", utc=True)
    moments = pd.to_datetime(plain, format=padded, errors="coerce")
    if zone and pd.api.types.is_datetime64_dtype(moments.dtype):
        offset = "UTC" if zone[0] == "Z" else zone[0] if ":" in zone[0] else f"{zone[0][:3]}:{zone[0][3:]}"
        return moments.dt.tz_localize(offset)
    return moments


def format_dates(moments: pd.Series, format: str, resolution: Resolution | None = None) -> pa.Array:
    """Format datetimes, missing as null; ``%f`` has 3, 6 or 9 digits by the resolution (default 6)."""
    if "%-" in format:
        return _format_unpadded(moments, format, resolution)
    if isinstance(moments.dtype, pd.DatetimeTZDtype):
        zone = ZONE.search(format)
        if zone and zone[0] == "Z":
            moments = moments.dt.tz_convert("UTC")
        if "%z" in format:
            text = moments.dt.strftime(format)
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


def _format_unpadded(moments: pd.Series, format: str, resolution: Resolution | None) -> pa.Array:
    """Format datetimes with fields without leading zeros (``%-d``), field by field."""
    parts = re.findall(r"%S\.%f|%-?\w|[^%]+", format)
    columns: list[Any] = []
    for part in parts:
        if not part.startswith("%"):
            columns.append(part)
            continue
        written = format_dates(moments, part.replace("%-", "%"), resolution)
        columns.append(_strip_leading_zero(written, part))
    return pc.binary_join_element_wise(*columns, "")


def _strip_leading_zero(written: pa.Array, part: str) -> pa.Array:
    """Remove the leading zero of a ``%-`` directive."""
    if not part.startswith("%-"):
        return written
    bare = pc.utf8_ltrim(written, characters="0")
    return pc.if_else(pc.equal(bare, ""), "0", bare)


def infer_resolution(moments: pd.Series) -> Resolution:
    """Return the coarsest unit of which every datetime (in UTC) is a multiple."""
    present = moments.dropna()
    if isinstance(present.dtype, pd.DatetimeTZDtype):
        present = present.dt.tz_convert("UTC").dt.tz_localize(None)
    ticks = present.to_numpy().astype("datetime64[ns]").astype(np.int64)
    return next(unit for unit, size in NANOSECONDS.items() if not (ticks % size).any())


def default_format(moments: pd.Series, resolution: Resolution | None = None) -> str:
    """Return the coarsest exact ISO 8601 format; ``format_dates`` converts zones to UTC."""
    zoned = isinstance(moments.dtype, pd.DatetimeTZDtype)
    unit = resolution or infer_resolution(moments)
    if unit == "D" and not zoned:
        return "%Y-%m-%d"
    return "%Y-%m-%dT%H:%M:%S" + (".%f" if unit in ("ms", "us", "ns") else "") + ("Z" if zoned else "")


def find_formats(text: Sequence[str]) -> list[str]:
    """Return the likeliest format of all texts, and a second if day and month are ambiguous.

    Args:
        text: Each different text once.
    """
    head = text[:N_PROBED_TEXTS]
    every = pd.Series(list(text), dtype=object)
    for found in candidate_formats(head):
        if _fits(every, found):
            other = found.replace("%d", "%?").replace("%m", "%d").replace("%?", "%m")
            ambiguous = found.startswith(("%d/", "%d-", "%d.")) and "%b" not in found
            return [found, other] if ambiguous and _fits(every, other) else [found]
    return []


def infer_padding(text: Sequence[str], format: str) -> str:
    """Return the format with unpadded fields (``%-d``) if that writes every text identically.

    Args:
        text: Each different text once, all of this format.
        format: The format.
    """
    if format == COMPACT_FORMAT:
        return format
    moments = parse_dates(pd.Series(list(text), dtype=object), format)
    for fields in ("", "mdHI", "md", "HI", "d", "m"):
        spelled = re.sub(f"%([{fields}])", r"%-\1", format) if fields else format
        if format_dates(moments, spelled, infer_resolution(moments)).to_pylist() == list(text):
            return spelled
    return format


def candidate_formats(text: Sequence[str]) -> list[str]:
    """Return the formats whose pattern every text matches."""
    if not len(text) or len(text[0]) > MAX_DATE_CHARACTERS or not any(char.isdigit() for char in text[0]):
        return []
    iso = infer_iso_format(text[0])
    zoned = ZONE.sub("%z", iso) if iso else None
    own = [known for known in (iso, zoned) if known and all(infer_iso_format(value) for value in text)]
    patterns = _format_patterns().items()
    return own + [known for known, pattern in patterns if all(pattern.fullmatch(value) for value in text)]


def is_date_like(text: str) -> bool:
    """Return whether a text matches the pattern of some format."""
    if len(text) > MAX_DATE_CHARACTERS or not any(char.isdigit() for char in text):
        return False
    return infer_iso_format(text) is not None or _any_format_pattern().fullmatch(text) is not None


@cache
def _any_format_pattern() -> re.Pattern[str]:
    """Return one regular expression for all formats."""
    return re.compile("|".join(outline.pattern for outline in _format_patterns().values()), re.ASCII)


@cache
def _format_patterns() -> dict[str, re.Pattern[str]]:
    """Return a regular expression for each format other than ISO 8601, likeliest first."""
    days = (*DAY_FIRST, *MONTH_FIRST, *OTHER_FORMATS)
    formats = [day + time for day in days for time in TIME_FORMATS] + [COMPACT_FORMAT, *PARTIAL_FORMATS]
    return {
        known: re.compile(re.sub(r"%(\w)", lambda match: DIRECTIVE_PATTERNS[match[1]], re.escape(known)), re.ASCII)
        for known in formats
    }


def _fits(text: pd.Series, format: str) -> bool:
    """Return whether every text is a date of this format, in a plausible year."""
    moments = pd.to_datetime(text, format=format, errors="coerce", utc=True)
    if moments.isna().any():
        return False
    return "%Y" not in format or bool(moments.dt.year.between(1800, 2200).all())
