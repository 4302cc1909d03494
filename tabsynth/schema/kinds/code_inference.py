"""Infer codes among whole numbers: a number of a firm or a ward always has the same sector, a quantity has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.schema.column_names import is_date_name, is_quantity
from tabsynth.schema.columns import Categorical, Column, Datetime, Identifier, Numeric, Text

MAX_CODE_VALUES = 12
"""Maximum number of distinct integers that may be codes; whether they are is a question."""
MIN_CODES, MAX_CODES = 33, 512
"""Fewer numbers have a token each, which decides other columns as a category does; more are no categories."""
MIN_FREQUENT_SHARE = 0.95
"""Minimum share of rows whose number is frequent enough to be released."""
MIN_EVIDENCE_ROWS = 25.0
"""Minimum rows that would contradict a fact of the numbers by chance."""
MIN_SWITCH_SHARE, MIN_TURN_SHARE = 0.25, 0.3
"""How often a fact changes, or a number turns, from one code to the next; of smooth functions hardly ever."""
MIN_DENSITY = 0.5
"""Minimum share of its range that a code fills if another column decides it."""
SCREENED_ROWS = 2_000
"""Rows in which most pairs of columns show that neither decides the other."""

MAX_PERIOD, MAX_PERIODIC_SHARE = 31, 0.9
"""A fact that recurs with a period, as the weekday of a day does, is a function of a quantity."""


def few_integers_question(name: str, different: int) -> str:
    """Ask whether a few distinct integers are codes."""
    if 2 < different <= MAX_CODE_VALUES and not is_quantity(name):
        return f"it has only {different} distinct integers: is it a code (categorical) or a quantity?"
    return ""


def written_codes(column: Numeric, numbers: Iterable[float | None]) -> Column:
    """Return numbers that are written as text, such as 1,0; few integers among them may be codes, as among numbers."""
    distinct = set(numbers)
    if None in distinct or any(number % 1 for number in distinct if number is not None):
        return column
    if len(distinct) == 2:
        return Categorical(name=column.name, why="it has two distinct integers, which are learned as categories")
    return replace(column, question=column.question or few_integers_question(column.name, len(distinct)))


def with_codes(frame: pd.DataFrame, columns: Mapping[str, Column], min_group: int) -> dict[str, Column]:
    """Return inferred columns, with those whole numbers as categories that have constant facts in other columns.

    Args:
        frame: The table.
        columns: Its columns, as inferred one by one.
        min_group: Minimum rows of a number that may be released.
    """
    out = dict(columns)
    codes: dict[str, npt.NDArray[np.int64]] = {}
    for name, column in columns.items():
        whole = isinstance(column, Numeric) and column.decimals == 0 and pd.api.types.is_numeric_dtype(frame[name])
        if not whole or is_quantity(name) or is_date_name(name):
            continue
        distinct, rows = np.unique(frame[name].dropna().to_numpy(dtype=np.float64), return_counts=True)
        frequent = rows[rows >= min_group].sum() >= MIN_FREQUENT_SHARE * rows.sum()
        if not MIN_CODES <= len(distinct) <= MAX_CODES or not frequent:
            continue
        codes = codes or {
            other: pd.factorize(frame[other], sort=True)[0].astype(np.int64)
            for other, kind in columns.items()
            if not isinstance(kind, (Identifier, Text))
        }
        # A sparse number that a name or a code before it decides, such as the population of a city, is a fact itself.
        named = [other for other in codes if other != name and isinstance(out[other], Categorical)]
        sparse = len(distinct) < MIN_DENSITY * (np.ptp(distinct) + 1)
        if sparse and any(_facts(codes[other], codes[name]) is not None for other in named):
            continue
        facts = (other for other in codes if other != name and _is_fact(codes[name], codes[other], columns[other]))
        if (fact := next(facts, None)) is not None:
            out[name] = replace(
                Categorical(name=name, nullable=column.nullable, role=column.role, origin=column.origin),
                why=f"each of its {len(distinct)} distinct integers always has the same {fact!r}, like a code",
                question="is it a code (categorical) or a quantity (numeric)?",
            )
    return out


def _is_fact(number: npt.NDArray[np.int64], fact: npt.NDArray[np.int64], column: Column) -> bool:
    """Return whether each number has one value of another column, by no smooth or periodic function."""
    found = _facts(number, fact)
    if found is None:
        return False
    most, rows = found
    if (most == most[0]).all():
        return False
    both = (number >= 0) & (fact >= 0)
    share = np.bincount(fact[both])[most] / both.sum()
    if ((rows - 1) * (1 - share)).sum() < MIN_EVIDENCE_ROWS or _is_periodic(most):
        return False
    step = np.sign(np.diff(most))
    if isinstance(column, (Numeric, Datetime)):
        turns = (step[1:] * step[:-1] < 0).sum()
        return bool(turns >= MIN_TURN_SHARE * max(len(most) - 2, 1))
    values = len(np.unique(most))
    switches = int((step != 0).sum())
    scattered = switches > 2 * (values - 1) or 2 * values > len(most)
    return bool(switches >= MIN_SWITCH_SHARE * (len(most) - 1)) and scattered


def _facts(
    number: npt.NDArray[np.int64], fact: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Return the fact of each number, ascending, and its rows; None if a number has two facts. Gaps are negative."""
    few = slice(None, None, max(1, len(number) // SCREENED_ROWS))
    if len(number) > 2 * SCREENED_ROWS and _differ_within(number[few], fact[few]):
        return None
    both = (number >= 0) & (fact >= 0)
    number, fact = number[both], fact[both]
    order = np.argsort(number, kind="stable")
    start = np.flatnonzero(np.diff(number[order], prepend=-1))
    if not len(start):
        return None
    most = np.maximum.reduceat(fact[order], start)
    if (most != np.minimum.reduceat(fact[order], start)).any():
        return None
    return most, np.diff(np.append(start, len(order)))


def _differ_within(number: npt.NDArray[np.int64], fact: npt.NDArray[np.int64]) -> bool:
    """Return whether a number has two facts. Gaps are negative."""
    both = (number >= 0) & (fact >= 0)
    order = np.lexsort((fact[both], number[both]))
    number, fact = number[both][order], fact[both][order]
    return bool(((number[1:] == number[:-1]) & (fact[1:] != fact[:-1])).any())


def _is_periodic(facts: npt.NDArray[np.int64]) -> bool:
    """Return whether the facts of successive numbers recur with a period."""
    periods = range(2, min(MAX_PERIOD, len(facts) // 2) + 1)
    by_chance = float((np.bincount(facts) ** 2).sum()) / len(facts) ** 2
    least = max(MAX_PERIODIC_SHARE, (1 + by_chance) / 2)
    return any((facts[period:] == facts[:-period]).mean() >= least for period in periods)
