"""Text that a spreadsheet would take for a formula: an apostrophe before it in CSV, and its removal.

Marked are texts that begin with ``=``, ``+``, ``-``, ``@`` (also full-width, after spaces or apostrophes), a tab or a
line end; not plain numbers, and not a sign alone. An apostrophe before such text, and before no other, is the mark, so
that ``unmark`` is the inverse of ``mark`` for every text.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

FORMULA = "^'*(?: *[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])"
PLAIN = r"^[+-]?(?:[0-9.,]*(?:[eE][+-]?[0-9]+)?%?)$"
"""Numbers, and a sign alone."""

MARK = "'"

_FORMULA, _PLAIN = re.compile(FORMULA), re.compile(PLAIN, re.ASCII)


def mark_formulas(text: pa.Array) -> pa.Array:
    """Put an apostrophe before each text that a spreadsheet would take for a formula."""
    marked = _is_formula(text)
    if not pc.any(marked).as_py():
        return text
    return pc.if_else(marked, pc.binary_join_element_wise(MARK, text, ""), text)


def unmark_formulas(text: pa.Array) -> pa.Array:
    """Remove the apostrophes of ``mark_formulas``."""
    begins = pc.fill_null(pc.starts_with(text, MARK), False)
    if not pc.any(begins).as_py():
        return text
    rest = pc.utf8_slice_codeunits(text, 1)
    return pc.if_else(pc.and_(begins, _is_formula(rest)), rest, text)


def unmark_formula(text: str) -> str:
    """Return one text as ``unmark_formulas`` does."""
    if not text.startswith(MARK):
        return text
    return text[1:] if is_formula(text[1:]) else text


def mark_formula(text: str) -> str:
    """Return one text as ``mark_formulas`` does."""
    return MARK + text if is_formula(text) else text


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would take a text for a formula."""
    return _FORMULA.match(text) is not None and not _PLAIN.fullmatch(text)


def _is_formula(text: pa.Array) -> pa.Array:
    found = pc.and_not(pc.match_substring_regex(text, FORMULA), pc.match_substring_regex(text, PLAIN))
    return pc.fill_null(found, False)
