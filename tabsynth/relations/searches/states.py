"""The states of columns that may be conditions of a rule: frequent values, and missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats
from tabsynth.relations.conditional.conditions import Condition
from tabsynth.relations.row_rule_discovery import MAX_SCAN_ROWS
from tabsynth.relations.rule_columns import Columns

MIN_STATE_ROWS = 20
"""Minimum number of rows in which a state is true, and in which it is false."""

MIN_ATOM_SHARE, MAX_ATOMS = 0.05, 2
"""Minimum share of a number that counts as a state of a column with many numbers, and maximum number of such states."""

MAX_STATES = 800
"""Maximum number of states of all columns: all pairs are compared."""

Rows = npt.NDArray[np.bool_]


def scan_rows(rows: int) -> slice:
    """Return the rows on which candidates are searched."""
    return slice(None, None, max(1, rows // MAX_SCAN_ROWS))


def find_states(columns: Columns) -> list[Condition]:
    """Return the states that hold in enough rows, and not in all."""
    out: list[Condition] = []
    for name, own in columns.values.items():
        if name in columns.absent:
            continue
        missing = int(np.isnan(own).sum())
        if MIN_STATE_ROWS <= missing <= len(own) - MIN_STATE_ROWS:
            out.append(Condition(name, None, None, text=f"{name} is missing"))
        for value, label in _values(name, own, columns):
            if MIN_STATE_ROWS <= int((own == value).sum()) <= len(own) - MIN_STATE_ROWS:
                out.append(Condition(name, value, value, text=f"{name} == {label}"))
    many = Counter(state.column for state in out)
    if len(out) > MAX_STATES:  # columns with few states are the most informative
        ends = dict(zip(sorted(many, key=lambda name: many[name]), np.cumsum(sorted(many.values())), strict=True))
        out = [state for state in out if ends[state.column] <= MAX_STATES]
    return out


def _values(name: str, own: Floats, columns: Columns) -> list[tuple[float, str]]:
    """Return the values of a column that may be states, with their spelling."""
    if name in columns.labels:
        return list(columns.labels[name].items())
    if name not in columns.numbers:
        return []
    known, counts = np.unique(own[scan_rows(len(own))], return_counts=True)
    often = np.flatnonzero((counts >= MIN_ATOM_SHARE * counts.sum()) & ~np.isnan(known))
    often = often[np.lexsort((-counts[often], known[often] != 0))][:MAX_ATOMS]  # a zero is a state in any case
    return [(float(known[at]), f"{known[at] + 0.0:g}") for at in often]


def negated(state: Condition) -> Condition:
    """Return the condition that a column has another value than in a state, or is present."""
    text = state.text.replace(" == ", " != ") if state.least is not None else f"{state.column} is present"
    return replace(state, negated=True, text=text)


def state_rows(states: Sequence[Condition], columns: Columns, rows: slice) -> Rows:
    """Return the rows in which each state holds, shape (states, rows)."""
    names = {state.column for state in states}
    values = {name: columns.values[name][rows] for name in names}
    return np.stack([state.of(values) for state in states])
