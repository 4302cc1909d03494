"""Discover running totals: columns whose difference from the previous row is computed from the row's other columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from tabsynth.codec.quantile_bins import shared_decimals
from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.relations.arithmetic import MIN_ROWS
from tabsynth.relations.linked.linked_tables import LinkedTables, exact_tolerance, history_codes, previous_rows
from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.relations.row_rule_discovery import MIN_EVIDENCE_ROWS
from tabsynth.relations.rule_columns import MAX_GROUPS

MAX_TERM_COLUMNS = 24
"""Maximum number of numeric columns among which changes are searched."""

MAX_TIED = 500
"""Maximum number of rows of equal time that are sorted."""


@dataclass(frozen=True, eq=False)
class Steps:
    """Pairs of successive rows of a history.

    Attributes:
        rows: Number of the later row, shape (n,).
        before: Number of the row before it, shape (n,).
        clear: Pairs whose order does not depend on rows of one time, shape (n,).
    """

    rows: Integers
    before: Integers
    clear: Bools


def discover_running_totals(tables: LinkedTables, table: str, min_group: int) -> list[RunningTotal]:
    """Find the running totals of a table and sort its rows such that the totals continue.

    Args:
        tables: The database; rows of a history are in the order of their times.
        table: A child table.
        min_group: Minimum number of histories with a constant.
    """
    link = tables.schema.main_key(table)
    if link is None or len(tables.frames[table]) < MIN_ROWS:
        return []
    further = set(tables.schema.composite_keys.get(table, ())) - {link.column, tables.schema.order.get(table)}
    out: list[RunningTotal] = []
    for keys in [(link.column,), *([(link.column, *sorted(further))] if 0 < len(further) <= 2 else [])]:
        columns = [c for c in tables.numeric(table, dates=False) if c not in {one.column for one in out} | {*keys}]
        for column in columns:
            if any(column in (one.opening, *dict(one.terms)) for one in out):
                continue
            total = _running_total(tables, table, keys, column, min_group)
            if total is not None:
                out.append(total)
    return out


def _running_total(
    tables: LinkedTables, table: str, keys: tuple[str, ...], column: str, min_group: int
) -> RunningTotal | None:
    """Return the running total of a column, None if it has none."""
    data = tables.numbers(table, column)
    if np.isnan(data).any() or np.ptp(data) == 0:
        return None
    codes = history_codes(tables, table, keys)
    steps = _steps(tables, table, codes)
    if len(steps.rows) < MIN_ROWS:
        return None
    clear = steps.clear if steps.clear.sum() >= MIN_ROWS else np.ones(len(steps.rows), bool)
    base = RunningTotal(table, column, keys, decimals=shared_decimals(data))
    for total in _changes(tables, base, steps.rows[clear], data[steps.rows[clear]] - data[steps.before[clear]]):
        rows = _chained(data, total.change(tables), codes, _moments(tables, table))
        if rows is None:
            continue
        tables.reorder(table, rows)
        total = _with_start(tables, total, min_group)
        if column == tables.schema.order.get(table) and (total.start is None or total.sign):
            return None  # a column of a panel's constant steps, which its times determine already
        total = _with_bounds(tables, total, codes[rows], min_group)
        return _with_opening(tables, total)
    return None


def _steps(tables: LinkedTables, table: str, codes: Integers) -> Steps:
    """Return the pairs of successive rows."""
    before = previous_rows(codes)
    rows = np.flatnonzero(before >= 0)
    moments = _moments(tables, table)
    if moments is None:
        return Steps(rows, before[rows], np.ones(len(rows), bool))
    n_at_time = pd.Series(moments).groupby([codes, moments]).transform("size").to_numpy()
    return Steps(rows, before[rows], (n_at_time[rows] == 1) & (n_at_time[before[rows]] == 1))


def _moments(tables: LinkedTables, table: str) -> Floats | None:
    order = tables.schema.order.get(table)
    return None if order is None else tables.numbers(table, order)


def _changes(tables: LinkedTables, base: RunningTotal, rows: Integers, change: Floats) -> Iterator[RunningTotal]:
    """Yield the relations that explain all changes of some rows, the simplest first."""
    table, slack = base.table, exact_tolerance(tables.numbers(base.table, base.column))
    if np.ptp(change) <= slack:
        constant = float(np.round(np.median(change), 9))
        if abs(constant) > slack:
            yield replace(base, constant=constant)
        return
    names = [name for name in tables.numeric(table, dates=False) if name != base.column][:MAX_TERM_COLUMNS]
    numbers = {name: np.nan_to_num(tables.numbers(table, name)[rows]) for name in names}
    spread = {name: values for name, values in numbers.items() if np.ptp(values) > 0 or values[0] != 0}
    for name, values in spread.items():
        for factor in (1.0, -1.0):
            if (np.abs(change - factor * values) <= slack).all():
                yield replace(base, terms=((name, factor),))
    for (one, first), (other, second) in combinations(spread.items(), 2):
        for signs in ((1.0, -1.0), (-1.0, 1.0), (1.0, 1.0), (-1.0, -1.0)):
            if (np.abs(change - signs[0] * first - signs[1] * second) <= slack).all():
                yield replace(base, terms=((one, signs[0]), (other, signs[1])))
    for name, values in spread.items():
        present = np.abs(values) > slack
        ratio = np.divide(change, values, out=np.zeros(len(values)), where=present)
        sign = np.rint(ratio)
        if (np.abs(change - sign * values) <= slack).all() and (np.abs(sign) <= 1).all():
            yield from _by_category(tables, replace(base, terms=((name, 1.0),)), rows[present], sign[present])
    whole = np.rint(change)
    if (np.abs(change - whole) <= slack).all() and len(np.unique(whole)) <= MAX_GROUPS:
        yield from _by_category(tables, replace(base, constant=1.0), rows, whole)


def _by_category(tables: LinkedTables, base: RunningTotal, rows: Integers, factor: Floats) -> Iterator[RunningTotal]:
    """Yield the relations in which a column of categories determines the factor of the change."""
    kinds, counts = np.unique(factor, return_counts=True)
    evidence = len(factor) - int(counts.max()) if len(factor) else 0
    if evidence < MIN_EVIDENCE_ROWS:
        return
    for name in tables.groups(base.table, MAX_GROUPS):
        labels = tables.labels(base.table, name).to_numpy()[rows]
        frame = pd.DataFrame({"label": labels, "factor": factor}).groupby("label").factor.agg(["min", "max"])
        if (frame["min"] == frame["max"]).all():
            factors = tuple((str(label), float(value)) for label, value in frame["min"].items())
            yield replace(base, sign=name, factors=factors, default=float(kinds[np.argmax(counts)]))


def _chained(data: Floats, change: Floats, codes: Integers, moments: Floats | None) -> Integers | None:
    """Return an order of the rows in which every total is the previous one plus the change, None if there is none.

    Only rows of equal time are reordered.
    """
    slack = exact_tolerance(data)
    order = np.arange(len(data))
    if _runs_on(order, data, change, codes, slack):
        return order
    if moments is not None:
        place = np.argsort(codes, kind="stable")
        start = np.ones(len(place), bool)
        start[1:] = (codes[place][1:] != codes[place][:-1]) | (moments[place][1:] != moments[place][:-1])
        edges = np.append(np.flatnonzero(start), len(place))
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if end - begin > MAX_TIED:
                return None
            if end - begin > 1:
                before = None
                if begin and codes[place[begin - 1]] == codes[place[begin]]:
                    before = float(data[order[place[begin - 1]]])
                chain = _chain(place[begin:end], data, change, before, slack)
                if chain is None:
                    return None
                order[place[begin:end]] = chain
    return order if _runs_on(order, data, change, codes, slack) else None


def _runs_on(order: Integers, data: Floats, change: Floats, codes: Integers, slack: float) -> bool:
    """Return whether every total of rows in an order is the one before plus the change."""
    earlier = previous_rows(codes)
    later = np.flatnonzero(earlier >= 0)
    rest = data[order[later]] - data[order[earlier[later]]] - change[order[later]]
    return bool((np.abs(rest) <= slack).all())


def _chain(rows: Integers, data: Floats, change: Floats, before: float | None, slack: float) -> list[int] | None:
    """Sort rows of equal time such that each starts from the total of the previous one."""
    left, out = rows.tolist(), []
    opening = {row: data[row] - change[row] for row in left}
    if before is None:  # the first row of the history starts from a total that no other row ends with
        ends = data[rows]
        free = [row for row in left if (np.abs(ends - opening[row]) > slack).all()]
        if not free:
            free = left[:1]
        before = opening[free[0]]
    while left:
        row = next((one for one in left if abs(opening[one] - before) <= slack), None)
        if row is None:
            return None
        left.remove(row)
        out.append(row)
        before = float(data[row])
    return out


def _with_start(tables: LinkedTables, total: RunningTotal, min_group: int) -> RunningTotal:
    """Return the total with its initial value, if that is one number or a column of the parent."""
    data = tables.numbers(total.table, total.column)
    first = previous_rows(history_codes(tables, total.table, total.keys)) < 0
    first &= tables.parents(total.table, total.keys[0]) >= 0
    start, slack = (data - total.change(tables))[first], exact_tolerance(data)
    if len(start) < max(MIN_EVIDENCE_ROWS, min_group):
        return total
    if np.ptp(start) <= slack:
        return replace(total, start=float(np.round(np.median(start), 9)))
    parent = tables.link(total.table, total.keys[0]).parent
    for name in tables.numeric(parent, dates=False):
        values = tables.from_parent(total.table, total.keys[0], name)[first]
        if not np.isnan(values).any() and (np.abs(values - start) <= slack).all():
            return replace(total, start_column=name)
    return total


def _with_bounds(tables: LinkedTables, total: RunningTotal, codes: Integers, min_group: int) -> RunningTotal:
    """Return the total with the floor of 0 that it never crosses, and the number with which all histories end."""
    data = tables.numbers(total.table, total.column)
    if len(total.terms) != 1 or total.constant:
        return total
    if data.min() >= 0 and total.change(tables).min() < 0:
        total = replace(total, floor=0.0)
    last = np.ones(len(data), bool)
    before = previous_rows(codes)
    last[before[before >= 0]] = False
    if not total.sign and last.sum() >= max(MIN_EVIDENCE_ROWS, min_group) and np.ptp(data[last]) == 0:
        total = replace(total, end=float(data[last][0]))
    return total


def _with_opening(tables: LinkedTables, total: RunningTotal) -> RunningTotal:
    """Return the total with the column of its value before each row's change, if there is one."""
    data = tables.numbers(total.table, total.column)
    before, slack = data - total.change(tables), exact_tolerance(data)
    for name in tables.numeric(total.table, dates=False):
        values = tables.numbers(total.table, name)
        if name != total.column and not np.isnan(values).any() and (np.abs(values - before) <= slack).all():
            return replace(total, opening=name)
    return total
