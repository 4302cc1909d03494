"""Canonical form of each cell, independent of the type of its column.

A single word in a column of numbers makes a file reader return the whole column as text: 7 becomes "007", 0.5 becomes
"0.50", True becomes "true". Here no row affects another row's value: text that pandas would parse as a number or a
truth value is converted to it, by the rules of pandas.
"""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.arrays import Floats

MAX_EXACT_INTEGER = 2.0**53
"""Whole numbers from this one on are not exact as floating-point numbers."""

UNREADABLE = "\0unreadable"
"""Replaces a cell that cannot be a category: a list, an object, a whole number that is not exact as a float."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"([+-]?)inf(inity)?", re.IGNORECASE | re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?", re.ASCII)
_TRUTH = {word: truth for truth in (False, True) for word in (str(truth), str(truth).lower(), str(truth).upper())}
_BLANK = " \t\n\r\f\v"


def to_text(values: pd.Series) -> npt.NDArray[np.object_]:
    """Convert a column to canonical text, shape (n,), None where missing: 7, 7.0, "7" and "007" all become "7"."""
    return map_unique(values, cells_to_text)


def to_numbers(values: pd.Series) -> Floats:
    """Convert a column to numbers, shape (n,); NaN where a cell is missing or not a number."""
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_complex_dtype(values.dtype):
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    return map_unique(values, lambda cells: list(_cells_to_numbers(cells))).astype(np.float64)


def to_date_text(values: pd.Series, format: str | None) -> npt.NDArray[np.object_]:
    """Return the text of the cells that are dates in text or digits, None for all others, shape (n,)."""
    form = digit_format(format)

    def convert(cells: Sequence[Any]) -> list[str | None]:
        out: list[str | None] = []
        for cell, number in zip(cells, _cells_to_numbers(cells), strict=True):
            text = cell if isinstance(cell, str) else None
            if math.isfinite(number):
                # 020124 may be text in one table and a number without its first zero in another.
                is_other_kind = isinstance(cell, (bool, np.bool_)) or text in _TRUTH or abs(number) >= MAX_EXACT_INTEGER
                text = None if is_other_kind else f"{number:{form}}" if form else format_number(number)
            out.append(text)
        return out

    return map_unique(values, convert)


def digit_format(format: str | None) -> str:
    """Return the number format code of a date format of digits only, such as "%Y%m%d"; empty for other formats."""
    sample = datetime.datetime(2000, 1, 1).strftime(format) if format else ""
    match = re.fullmatch(r"\d+(?:\.(\d+))?", sample, re.ASCII)
    return f"0{len(sample)}.{len(match[1] or '')}f" if match else ""


def find_ambiguity(values: Sequence[Any]) -> str:
    """Return why some declared values are equal or inexact to some file reader; empty if none is."""
    first: dict[str, Any] = {}
    for value, text, number in zip(values, cells_to_text(values), _cells_to_numbers(values), strict=True):
        if text is None or text == UNREADABLE or (math.isfinite(number) and float(format_number(number)) != number):
            return f"{value!r} is not an exact number to every file reader: use at most 15 digits, or a letter in front"
        if "\0" in text:
            return f"{value!r} holds a NUL character, where many file readers end the text"
        if text in first:
            return f"{first[text]!r} and {value!r} are equal as numbers, truth values or dates to some file reader"
        first[text] = value
    return ""


def map_unique(values: pd.Series, function: Callable[[Sequence[Any]], Sequence[Any]]) -> npt.NDArray[np.object_]:
    """Apply a function to every cell, once for equal cells of one type."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        table = np.append(map_unique(pd.Series(values.cat.categories), function), _object_array(function, [None]))
        return table[values.cat.codes.to_numpy()]
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype):
        codes, uniques = pd.factorize(values, use_na_sentinel=True)
        return _object_array(function, [*pd.Series(uniques).astype(object), None])[codes]
    seen: dict[tuple[type, Any], int] = {}
    cells: list[Any] = []
    at = np.empty(len(values), dtype=np.int64)
    for i, value in enumerate(values.to_numpy(dtype=object)):
        try:
            at[i] = seen.setdefault((value.__class__, value), len(cells))
        except TypeError:  # a list or another thing that cannot be a key
            at[i] = len(cells)
        if at[i] == len(cells):
            cells.append(value)
    return _object_array(function, cells)[at]


def encode_text(texts: npt.NDArray[np.object_]) -> tuple[npt.NDArray[np.int64], list[str | None]]:
    """Factorise text. ``pandas.factorize`` is not used, because it ends text at a NUL character."""
    seen: dict[str | None, int] = {}
    codes = np.fromiter((seen.setdefault(text, len(seen)) for text in texts), np.int64, len(texts))
    return codes, list(seen)


def cells_to_text(cells: Sequence[Any]) -> list[str | None]:
    """Return each cell as canonical text, None where missing."""
    return [_cell_to_text(cell, number) for cell, number in zip(cells, _cells_to_numbers(cells), strict=True)]


def format_number(number: float) -> str:
    """Return a number as canonical text with 15 significant digits, which every file reader preserves."""
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    return str(int(number)) if number == int(number) and abs(number) < MAX_EXACT_INTEGER else f"{number:.15g}"


def _cell_to_text(cell: Any, number: float) -> str | None:
    if isinstance(cell, (str, bool, np.bool_)):
        truth = _TRUTH.get(cell) if isinstance(cell, str) else bool(cell)
        if truth is not None:
            return str(truth)
        if math.isnan(number):
            return _normalise_date(str(cell))
    elif cell is None or cell is pd.NA or cell is pd.NaT:
        return None
    elif isinstance(cell, (datetime.date, np.datetime64)):
        try:
            return None if pd.isna(cell) else _iso(pd.Timestamp(cell))
        except (ValueError, OverflowError):
            return UNREADABLE
    elif math.isnan(number):
        # A NaN is missing; anything else that is not a number cannot be a category.
        return None if isinstance(cell, (float, np.floating, decimal.Decimal)) else UNREADABLE
    return UNREADABLE if math.isfinite(number) and abs(number) >= MAX_EXACT_INTEGER else format_number(number)


def _normalise_date(text: str) -> str:
    """Return a date in the ISO 8601 form of a datetime column, and other text unchanged."""
    if _DAY.fullmatch(text):
        try:
            return _iso(pd.Timestamp(text))
        except ValueError:
            return text
    return text


def _iso(instant: pd.Timestamp) -> str:
    return instant.isoformat().removesuffix("T00:00:00")


def _cells_to_numbers(cells: Sequence[Any]) -> Floats:
    """Return each cell as a number, NaN where it is not one, shape (n,)."""
    out = np.full(len(cells), np.nan)
    numeric_text: dict[int, str] = {}
    for i, cell in enumerate(cells):
        if isinstance(cell, str):
            text = cell.strip(_BLANK)
            infinity = _INFINITE.fullmatch(text)
            if cell in _TRUTH:
                out[i] = float(_TRUTH[cell])
            elif infinity:
                out[i] = -math.inf if infinity[1] == "-" else math.inf
            elif _NUMBER.fullmatch(text):
                numeric_text[i] = text
        elif isinstance(cell, (int, float, np.number, np.bool_, decimal.Decimal)):
            try:
                out[i] = float(cell)
            except (TypeError, ValueError, OverflowError):
                continue
    if numeric_text:
        # With a fraction, pandas parses whole numbers as in a column of fractions.
        parsed = pd.to_numeric(pd.Series([*numeric_text.values(), "0.5"], dtype=object), errors="coerce")
        out[list(numeric_text)] = parsed.to_numpy(np.float64)[:-1]
    return out


def _object_array(function: Callable[[Sequence[Any]], Sequence[Any]], cells: Sequence[Any]) -> npt.NDArray[np.object_]:
    out = np.empty(len(cells), dtype=object)
    out[:] = list(function(cells))
    return out
