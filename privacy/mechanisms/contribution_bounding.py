"""Contribution bounding: exact keys of persons, and a random choice of at most k rows of each."""

from __future__ import annotations

import decimal
import re
import uuid
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.errors import PrivacyError
from tabsynth.privacy.mechanisms.canonical_cells import MAX_EXACT_INTEGER, encode_text, map_unique
from tabsynth.privacy.mechanisms.noise import Noise

_WHOLE = re.compile(r"([+-]?)0*(\d+)(?:\.0*)?", re.ASCII)

NO_KEY = "\0no key"
"""The key of a row whose cell is not an exact key, such as a fraction or a list; such rows are excluded."""


def check_person_column(persons: pd.Series) -> None:
    """Check that a column's type can hold exact keys. No cell is read.

    Raises:
        PrivacyError: The column holds floating-point numbers, dates or truth values.
    """
    dtype = persons.dtype.categories.dtype if isinstance(persons.dtype, pd.CategoricalDtype) else persons.dtype
    exact = (
        pd.api.types.is_integer_dtype(dtype) or pd.api.types.is_object_dtype(dtype) or isinstance(dtype, pd.StringDtype)
    )
    if not exact:
        raise PrivacyError(
            f"column {persons.name!r} identifies persons, but in its type {dtype} two keys may become equal: store the "
            "keys as text or as whole numbers (dtype='string' or 'Int64')"
        )


def person_keys(persons: pd.Series) -> npt.NDArray[np.object_]:
    """Return the key of each row's person as text, shape (n,): None if missing, ``NO_KEY`` if the cell is not a key.

    Text is used unchanged, except whole numbers, which a file reader may return as numbers: 7, 7.0, "7" and "007" are
    one key.
    """
    return map_unique(persons, lambda cells: [_cell_to_key(cell) for cell in cells])


def bound_contributions(persons: pd.Series, max_rows: int, noise: Noise) -> npt.NDArray[np.bool_]:
    """Return a mask of at most ``max_rows`` random rows of each person, shape (n,).

    One person then changes a vector of counts by at most ``max_rows`` in Euclidean norm (all rows may fall into one
    cell), and k vectors together by at most ``max_rows * sqrt(k)``.

    Args:
        persons: The column that identifies persons; all missing entries count as one person.
        max_rows: Maximum number of rows of a person.
        noise: Source of the random choice.
    """
    keys = person_keys(persons)
    codes = encode_text(keys)[0]
    order = np.lexsort((noise.words(len(codes)), codes))
    sorted_codes = codes[order]
    first = np.flatnonzero(np.diff(sorted_codes, prepend=-1))
    rank = np.arange(len(codes)) - np.repeat(first, np.diff(np.append(first, len(codes))))
    mask = np.zeros(len(codes), bool)
    mask[order] = rank < max_rows
    return np.asarray(mask & (keys != NO_KEY))


def _cell_to_key(cell: Any) -> str | None:
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return None
    if isinstance(cell, str):
        return _normalise_integer(cell.strip()) or cell
    if isinstance(cell, (float, np.floating, decimal.Decimal)):
        if cell != cell:
            return None
        whole = bool(-MAX_EXACT_INTEGER < cell < MAX_EXACT_INTEGER) and int(cell) == cell
        return str(int(cell)) if whole else NO_KEY
    if isinstance(cell, uuid.UUID):
        return str(cell)
    if isinstance(cell, bytes):
        return f"\0bytes {cell.hex()}"
    if isinstance(cell, (int, np.integer)) and not isinstance(cell, bool):
        return _integer(int(cell))
    return NO_KEY


def _integer(value: int) -> str:
    # Python refuses to convert very long integers to text.
    return str(value) if abs(value) < 10**4000 else NO_KEY


def _normalise_integer(text: str) -> str:
    """Return a whole number in text without leading zeros; empty for other text."""
    match = _WHOLE.fullmatch(text)
    if not match:
        return ""
    return f"-{match[2]}" if match[1] == "-" and match[2] != "0" else match[2]
