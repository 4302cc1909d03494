"""What a column to link by holds, read off its values, and its values as text that two sources write alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.errors import DataError, quote

FieldKind = Literal["text", "date", "identifier", "number", "code"]
"""text: names and addresses; identifier: nearly one value for each row; number: digits; code: few values."""

MIN_PATTERN_SHARE = 0.9
"""Share of the values that must look alike before a column is called by their look, or distinct to identify rows."""

MAX_FIELD_CODES = 50
"""A column of words is of codes where it has at most so many, each 20 times on average."""

PLACEHOLDERS = (
    "", "-", "--", ".", "?", "n/a", "n.a.", "na", "nan", "nat", "nil", "none", "null", "missing", "unknown", "unk",
    "not known", "not given", "not applicable", "not available", "tba", "tbd", "test", "anonymous", "xx", "xxx", "xxxx",
    "none given", "no fixed abode", "n/k", "nk", "-1", "19000101", "99991231", "00010101", "123456789", "987654321",
)  # fmt: skip
"""Entries for unknown values, as ``normalise_text`` returns them: in lower case, dates as digits."""

_REPEATED_DIGITS = r"^(0+|9{3,}|" + "|".join(f"{digit}{{5,}}" for digit in range(1, 9)) + r")$"
"""Numbers that are typed to get past a form: zeros, nines, and any digit five times or more."""

_DATE = r"^(1[89]|20|21)\d\d[-/.]?(0[1-9]|1[0-2])[-/.]?(0[1-9]|[12]\d|3[01])([T ].*)?$"


def normalise_text(values: pd.Series, fold: bool = True) -> pa.StringArray:
    """The values as text; what is missing or a placeholder is null.

    Args:
        values: A column. Whole numbers lose their ``.0``, dates become eight digits, blanks around and runs of blanks
            within a text become one.
        fold: Whether case is dropped.

    Returns:
        As long as the column.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        values = values.dt.strftime("%Y%m%d")
    elif pd.api.types.is_float_dtype(values.dtype) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    text = _to_text(values)
    text = pc.utf8_trim_whitespace(pc.replace_substring_regex(text, r"\s+", " "))
    folded = pc.utf8_lower(text)
    null = pc.is_in(pc.replace_substring_regex(folded, r"^(\d{4})-(\d\d)-(\d\d)$", r"\1\2\3"), _PLACEHOLDERS)
    null = pc.or_(null, pc.match_substring_regex(pc.replace_substring_regex(folded, r"[-/. ]", ""), _REPEATED_DIGITS))
    text = pc.if_else(null, pa.scalar(None, pa.string()), folded if fold else text)
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text


_PLACEHOLDERS = pa.array(PLACEHOLDERS, pa.string())


def _to_text(values: pd.Series) -> pa.Array:
    """Any column as Arrow text."""
    try:
        found = pa.Array.from_pandas(values)
        found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
        return found.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.array([None if pd.isna(value) else str(value) for value in values], pa.string())


def prepare_fields(
    frames: Mapping[str, pd.DataFrame], fields: Sequence[str]
) -> tuple[dict[str, pa.Table], dict[str, FieldKind]]:
    """The fields of all sources as comparable text, and what each holds.

    Returns:
        A table of text for each source with the fields as columns, and the kind of each field.

    Raises:
        DataError: A source lacks a field, or a field is empty in a source.
    """
    for source, frame in frames.items():
        lacking = [name for name in fields if name not in frame.columns]
        if lacking:
            raise DataError(
                f"source {source!r} has no column {quote(lacking)} to link by; map the column first, or leave it out "
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
            # A number read as text keeps the zeros in front that a number read as a number has lost.
            text = {source: pc.replace_substring_regex(values, r"^0+(\d)", r"\1") for source, values in text.items()}
        for source, values in text.items():
            columns[source][name] = values
    return {source: pa.table(found) for source, found in columns.items()}, kinds


def infer_kind(columns: Sequence[pa.StringArray]) -> FieldKind:
    """What a field holds, by a rule on its values in all sources; names of columns are not looked at.

    A *date* is eight digits of a calendar. Values with digits of which nearly all differ within a source are of an
    *identifier*, other digits a *number*. Few words often repeated are *codes*, all else is *text*.
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
    """The share of the values that a pattern matches."""
    return float(pc.mean(pc.match_substring_regex(values, pattern).cast(pa.float64())).as_py())


def _date_digits(values: pa.StringArray) -> pa.StringArray:
    """Dates as eight digits; what is no date stays as it is."""
    return pc.replace_substring_regex(values, r"^(\d{4})[-/.]?(\d\d)[-/.]?(\d\d)([T ].*)?$", r"\1\2\3")


def is_placeholder(value: object) -> bool:
    """Whether a single value stands for no value.

    Example:
        >>> is_placeholder("999-99-9999"), is_placeholder("4223")
        (True, False)
    """
    return normalise_text(pd.Series([value], dtype=object))[0].as_py() is None
