"""Kinds of linkage fields, inferred from their values, and normalisation of their values to text."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.errors import DataError, quote

FieldKind = Literal["text", "date", "identifier", "number", "code"]
"""text: names and addresses; identifier: nearly unique; number: digits; code: few values."""

MIN_PATTERN_SHARE = 0.9
"""Minimum share of values with a kind's pattern, and of distinct values of an identifier."""

MAX_FIELD_CODES = 50
"""Maximum distinct words of a column of codes, each 20 times on average."""

PLACEHOLDERS = (
    "", "-", "--", ".", "?", "n/a", "n.a.", "na", "nan", "nat", "nil", "none", "null", "missing", "unknown", "unk",
    "not known", "not given", "not applicable", "not available", "tba", "tbd", "test", "anonymous", "xx", "xxx", "xxxx",
    "none given", "no fixed abode", "n/k", "nk", "-1", "19000101", "99991231", "00010101", "123456789", "987654321",
)  # fmt: skip
"""Entries for unknown values, as ``normalise_text`` returns them: in lower case, dates as digits."""

_REPEATED_DIGITS = r"^(0+|9{3,}|" + "|".join(f"{digit}{{5,}}" for digit in range(1, 9)) + r")$"
"""Pattern of filler numbers: zeros, nines, and any digit repeated at least five times."""

KEY_FORMS = (
    ("[\u00ad\u200b-\u200f\u2060\ufeff]", ""),
    ("[\u2010-\u2015\u2212]", "-"),
    ("ß", "ss"),
    ("ς", "σ"),
    (r"^\+?(\d+)(\.0)?$", r"\1"),
    (
        r"^(?:urn:uuid:)?\{?([\da-f]{8})-?([\da-f]{4})-?([\da-f]{4})-?([\da-f]{4})-?([\da-f]{12})\}?$",
        r"\1\2\3\4\5",
    ),
    (r"(\pL)[-_ ./]+(\d)", r"\1\2"),
    (r"(\d)[-_ ./]+(\pL)", r"\1\2"),
    (r"(\pL)0+(\d)", r"\1\2"),
)
"""Pattern and plain form of what differs between spellings of a key: invisible characters, dashes, letters without a
capital, signs and decimals of whole numbers, braces and dashes of UUIDs, separators between letters and digits, and
zeros after a letter."""

OTHER_DIGITS = tuple(
    "[" + "".join(chr(code) for code in range(128, 0x1FBFA) if unicodedata.decimal(chr(code), None) == digit) + "]"
    for digit in range(10)
)
"""Patterns of the digits 0 to 9 of other scripts."""

_DATE = r"^(1[89]|20|21)\d\d[-/.]?(0[1-9]|1[0-2])[-/.]?(0[1-9]|[12]\d|3[01])([T ].*)?$"


def normalise_text(values: pd.Series, fold: bool = True) -> pa.StringArray:
    """Normalise values to text; missing values and placeholders become null.

    Args:
        values: A column. Whole numbers lose their ``.0``, dates become eight digits, whitespace is collapsed.
        fold: Whether case is ignored.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        values = values.dt.strftime("%Y%m%d")
    elif pd.api.types.is_float_dtype(values.dtype) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    text = _to_text(values)
    text = pc.utf8_normalize(pc.replace_substring_regex(text, r"\s+", " "), form="NFC")
    text = pc.utf8_trim_whitespace(text)
    folded = pc.utf8_lower(text)
    null = pc.is_in(pc.replace_substring_regex(folded, r"^(\d{4})-(\d\d)-(\d\d)$", r"\1\2\3"), _PLACEHOLDERS)
    null = pc.or_(null, pc.match_substring_regex(pc.replace_substring_regex(folded, r"[-/. ]", ""), _REPEATED_DIGITS))
    text = pc.if_else(null, pa.scalar(None, pa.string()), folded if fold else text)
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text


_PLACEHOLDERS = pa.array(PLACEHOLDERS, pa.string())


def _to_text(values: pd.Series) -> pa.Array:
    """Convert any column to Arrow text."""
    try:
        array = pa.Array.from_pandas(values)
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        return array.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.array([None if pd.isna(value) else str(value) for value in values], pa.string())


def prepare_fields(
    frames: Mapping[str, pd.DataFrame], fields: Sequence[str]
) -> tuple[dict[str, pa.Table], dict[str, FieldKind]]:
    """Normalise the fields of all sources, and infer the kind of each field.

    Raises:
        DataError: A field is missing or empty in a source.
    """
    for source, frame in frames.items():
        absent = [name for name in fields if name not in frame.columns]
        if absent:
            raise DataError(
                f"source {source!r} has no column {quote(absent)} to link by; map the column first, or leave it out "
                "of the fields"
            )
    kinds: dict[str, FieldKind] = {}
    columns: dict[str, dict[str, pa.Array]] = {source: {} for source in frames}
    for name in fields:
        text = {source: normalise_text(frame[name]) for source, frame in frames.items()}
        empty = [source for source, values in text.items() if values.null_count == len(values)]
        if empty:
            raise DataError(
                f"field {name!r} has no value in source {quote(empty)}; leave it out of the fields to link by"
            )
        kinds[name] = infer_kind(list(text.values()))
        if kinds[name] == "date":
            text = {source: _date_digits(values) for source, values in text.items()}
        elif any(pd.api.types.is_numeric_dtype(frame[name].dtype) for frame in frames.values()):
            # Numbers read as text keep leading zeros, numbers read as numbers do not.
            text = {source: strip_zeros(values) for source, values in text.items()}
        for source, values in text.items():
            columns[source][name] = values
    return {source: pa.table(found) for source, found in columns.items()}, kinds


def strip_zeros(values: Any) -> Any:
    """Remove leading zeros."""
    return pc.replace_substring_regex(values, r"^0+(\d)", r"\1")


def loose_keys(values: Any) -> Any:
    """Remove differences of form from keys: compatibility and invisible characters, case and leading zeros."""
    folded = pc.utf8_normalize(pc.utf8_lower(pc.utf8_normalize(values, form="NFKC")), form="NFKC")
    if not pc.all(pc.string_is_ascii(folded)).as_py():
        for digit, pattern in enumerate(OTHER_DIGITS):
            folded = pc.replace_substring_regex(folded, pattern, str(digit))
    for pattern, plain in KEY_FORMS:
        folded = pc.replace_substring_regex(folded, pattern, plain)
    return strip_zeros(folded)


def infer_kind(columns: Sequence[pa.StringArray]) -> FieldKind:
    """Infer a field's kind from its values in all sources; column names are ignored.

    A *date* has eight digits of a calendar date. Values with digits are an *identifier* where nearly all differ within
    a source, else a *number*. Few repeated words are *codes*, all else is *text*.
    """
    filled = [column.drop_null() for column in columns]
    total = sum(len(column) for column in filled)
    every = pa.chunked_array(filled)
    if _matching_share(every, _DATE) >= MIN_PATTERN_SHARE:
        return "date"
    distinct = max(pc.count_distinct(column).as_py() / len(column) for column in filled)
    if _matching_share(every, r"^\S*\d\S*$") >= MIN_PATTERN_SHARE:
        long = pc.mean(pc.utf8_length(every)).as_py() >= 5
        if distinct >= MIN_PATTERN_SHARE and long:
            return "identifier"
        if _matching_share(every, r"^[-+]?[\d.]+$") >= MIN_PATTERN_SHARE:
            return "number"
    words = pc.count_distinct(every).as_py()
    return "code" if words <= MAX_FIELD_CODES and words * 20 <= total else "text"


def _matching_share(values: pa.ChunkedArray, pattern: str) -> float:
    """Return the share of the values that match a pattern."""
    return float(pc.mean(pc.match_substring_regex(values, pattern).cast(pa.float64())).as_py())


def _date_digits(values: pa.StringArray) -> pa.StringArray:
    """Return the dates as eight digits; other values are unchanged."""
    return pc.replace_substring_regex(values, r"^(\d{4})[-/.]?(\d\d)[-/.]?(\d\d)([T ].*)?$", r"\1\2\3")
