"""Contribution bounding: exact keys of persons, and at most so many rows of each."""

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
"""The key of a row whose cell is not an exact key, such as a fraction or a list; such rows are left out."""


def check_person_column(persons: pd.Series) -> None:
    """Raise if a column's type cannot hold exact keys; no cell is read.

    Raises:
        PrivacyError: The column holds floating-point numbers, dates or truth values.
    """
    dtype = persons.dtype.categories.dtype if isinstance(persons.dtype, pd.CategoricalDtype) else persons.dtype
    exact = (
        pd.api.types.is_integer_dtype(dtype) or pd.api.types.is_object_dtype(dtype) or isinstance(dtype, pd.StringDtype)
    )
    if not exact:
        raise PrivacyError(
            f"column {persons.name!r} identifies persons and is of type {dtype}, in which two keys may become one: "
            "give its keys as text or as whole numbers (dtype='string' or 'Int64')"
        )


def person_keys(persons: pd.Series) -> npt.NDArray[np.object_]:
    """Return the key of each row's person as text, shape (n,): None if missing, ``NO_KEY`` if the cell is not a key.

    Text is a key as it is spelled, but for whole numbers, which a reader may have taken for numbers: 7, 7.0, "7" and
    "007" are one key.
    """
    return map_unique(persons, lambda cells: [_cell_to_key(cell) for cell in cells])


def bound_contributions(persons: pd.Series, most: int, noise: Noise) -> npt.NDArray[np.bool_]:
    """Choose at most ``most`` rows of each person at random: a mask, shape (n,).

    One person then changes counts by at most ``most`` in Euclidean norm, for all the rows may fall into one cell, and k
    vectors of counts by ``most * sqrt(k)`` together.

    Args:
        persons: The column that identifies persons; all missing entries are one person.
        most: The cap.
        noise: Decides which rows of a person are kept.
    """
    named = person_keys(persons)
    who = encode_text(named)[0]
    order = np.lexsort((noise.words(len(who)), who))
    ranked = who[order]
    first = np.flatnonzero(np.diff(ranked, prepend=-1))
    rank = np.arange(len(who)) - np.repeat(first, np.diff(np.append(first, len(who))))
    kept = np.zeros(len(who), bool)
    kept[order] = rank < most
    return np.asarray(kept & (named != NO_KEY))


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
    # Python refuses to spell very long numbers in digits.
    return str(value) if abs(value) < 10**4000 else NO_KEY


def _normalise_integer(text: str) -> str:
    """Return a whole number in text without its zeros; empty for other text."""
    found = _WHOLE.fullmatch(text)
    if not found:
        return ""
    return f"-{found[2]}" if found[1] == "-" and found[2] != "0" else found[2]
