"""Questions about rows that are no data: units below the header, totals and notes at the end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from tabsynth.schema.cell_types import exceeds_float64, is_text
from tabsynth.schema.columns import Column
from tabsynth.schema.validation import is_missing_marker

MIN_ROWS = 5
"""Rows besides the first or last one that show what a column contains."""
MIN_HEADER_COLUMNS = 2
N_LAST_ROWS = 3
MIN_COMPLETE_SHARE = 0.95
"""Share of rows with more than one value, beside which a last row with a single value is a note."""
TOTAL_WORDS = frozenset({
    "total", "totals", "sum", "grand total", "sub total", "subtotal", "overall total", "summe", "gesamt", "gesamtsumme",
    "insgesamt", "somme", "total général", "totale", "somma", "suma", "total general", "soma", "total geral", "totaal",
    "razem", "toplam", "итого", "всего", "合计", "总计", "合計", "総計", "합계", "총계", "المجموع", "कुल"
})  # fmt: skip
"""Labels of rows that are sums of other rows."""
REMOVE = "Then remove such rows from the file"


def with_edge_rows(frame: pd.DataFrame, columns: dict[str, Column]) -> dict[str, Column]:
    """Add questions about the first and last rows that do not resemble the others."""
    if len(frame) <= MIN_ROWS:
        return columns
    questions = _header_rows(frame) or _first_row(frame)
    questions |= _last_rows(frame)
    out = dict(columns)
    for name, question in questions.items():
        # Such a row is the cause of a few values that are no numbers.
        known = "" if "are numbers" in columns[name].question else columns[name].question
        out[name] = replace(columns[name], question="; ".join(filter(None, (question, known))))
    return out


def _first_row(frame: pd.DataFrame) -> dict[str, str]:
    """Ask about a first row with text in columns of numbers."""
    out = {}
    for name in frame.columns:
        first = frame[name].iloc[0]
        if not isinstance(first, str) or _is_number(first) or is_missing_marker(first):
            continue
        others = frame[name].iloc[1:].dropna()
        numbers = len(others) >= MIN_ROWS and _is_number(others.iloc[0]) and all(map(_is_number, others.unique()))
        if numbers:
            what = f"the first row has {first[:30]!r}, and all other values are numbers"
            out[str(name)] = f"{what}: is it a row of units or a second header? {REMOVE}"
    return out


def _header_rows(frame: pd.DataFrame) -> dict[str, str]:
    """Ask about rows that repeat the header, as in several files that were joined."""
    if len(frame.columns) < MIN_HEADER_COLUMNS:
        return {}
    repeats = np.ones(len(frame), dtype=bool)
    for name in frame.columns:
        if not repeats.any() or not is_text(frame[name]):
            return {}
        repeats &= (frame[name] == name).to_numpy(dtype=bool, na_value=False)
    if not repeats.any():
        return {}
    first = f"{int(repeats.sum())} rows repeat the header, the first is row {int(repeats.argmax())}"
    return {str(frame.columns[0]): f"{first}: were several files joined? {REMOVE}"}


def _last_rows(frame: pd.DataFrame) -> dict[str, str]:
    """Ask about last rows that are sums of the others, or notes below the table."""
    texts = [name for name in frame.columns if is_text(frame[name])]
    for name in texts:
        for cell in frame[name].iloc[-N_LAST_ROWS:].dropna():
            label = " ".join(str(cell).strip().strip(":").lower().split())
            if label in TOTAL_WORDS and (frame[name] == cell).sum() == 1:
                return {str(name): f"one of the last rows has {cell!r}: is it the sum of other rows? {REMOVE}"}
    if texts and frame[texts].iloc[-1].isna().all() and (summed := _summed_column(frame)) is not None:
        return {summed: f"the last row is the sum of all others: is it a row of totals? {REMOVE}"}
    # Cell by cell, since a row of several types would be converted to one type.
    last = [name for name in frame.columns if not frame[name].iloc[-1:].isna().any()]
    if len(frame.columns) > 1 and len(last) == 1 and last[0] in texts:
        several = frame.notna().sum(axis=1) > 1
        if several.mean() >= MIN_COMPLETE_SHARE and several.iloc[:-N_LAST_ROWS].all():
            note = str(frame[last[0]].iloc[-1])[:40]
            return {str(last[0]): f"the last row has only {note!r}: is it a note? {REMOVE}"}
    return {}


def _summed_column(frame: pd.DataFrame) -> str | None:
    """Return a column of numbers whose last one is the sum of the others, and larger than each."""
    for name in frame.columns:
        kind = frame[name].dtype
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind) or kind.kind == "c":
            continue
        if exceeds_float64(frame[name].dropna()):
            continue
        data = np.nan_to_num(frame[name].to_numpy(dtype=np.float64, na_value=np.nan))
        others = data[:-1]
        if np.abs(data[-1]) > np.abs(others).max() and np.isclose(data[-1], others.sum(), rtol=1e-9, atol=0):
            return str(name)
    return None


def _is_number(value: object) -> bool:
    if not isinstance(value, str):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        float(value.replace(",", "."))
    except ValueError:
        return False
    return True
