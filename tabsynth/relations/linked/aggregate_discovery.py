"""Discover columns of a parent that are computed from its children."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.arithmetic import MIN_ROWS, MIN_SPREAD_STEPS, round_coefficients
from tabsynth.relations.linked.aggregates import FUNCTIONS, Aggregate
from tabsynth.relations.linked.linked_tables import LinkedTables, rounding_unit, tolerance
from tabsynth.relations.row_rule_discovery import MIN_EVIDENCE_ROWS
from tabsynth.schema.columns import Datetime
from tabsynth.schema.database.database_schema import ForeignKey

MAX_FACTOR_COLUMNS = 8
"""Maximum number of numeric columns for products of two columns and for sums over the rows of one category."""

MAX_WHERE_VALUES = 64
"""Maximum number of categories, over all columns, whose rows are counted and summed separately."""

MAX_TERM_COLUMNS = 12
"""Maximum number of columns of the parent that may be added to an aggregate."""

MIN_TERM_UNITS = 10
"""Minimum variation of a term of a sum, in rounding steps of the column."""

SCAN_PARENTS = 64
"""Number of parents on which candidates are compared first."""


def discover_aggregates(tables: LinkedTables, link: ForeignKey, copied: set[str]) -> list[Aggregate]:
    """Find the columns of a parent table that are computed from the rows of a child table.

    Args:
        tables: The database; rows of a history are in the order of their times.
        link: The child's foreign key.
        copied: Columns of the child that are equal to one of the parent's.
    """
    rows = tables.parents(link.table, link.column)
    has_children = np.bincount(rows[rows >= 0], minlength=len(tables.frames[link.parent])) > 0
    if has_children.sum() < MIN_ROWS or link.parent == link.table:
        return []
    left = [
        name
        for name in tables.numeric(link.parent, dates=True)
        if np.ptp(_known(tables.numbers(link.parent, name)[has_children])) > 0
    ]
    out: list[Aggregate] = []
    if not left:
        return out
    scan = tables.some(link, np.flatnonzero(has_children)[:SCAN_PARENTS])
    for candidate in _candidates(tables, link, copied):
        few, data = candidate.compute(scan)[0], None
        is_date = candidate.source != "" and isinstance(tables.column(link.table, candidate.source), Datetime)
        for name in list(left):
            if is_date != isinstance(tables.column(link.parent, name), Datetime):
                continue
            observed = scan.numbers(link.parent, name)
            if not _equal(observed, few, tolerance(observed)):
                continue
            data = candidate.compute(tables)[0] if data is None else data
            aggregate = _explained(tables, replace(candidate, column=name), data, has_children)
            if aggregate is not None:
                out.append(aggregate)
                left.remove(name)
        if not left:
            break
    return out


def discover_sums_with_terms(tables: LinkedTables, link: ForeignKey, computed: Collection[str]) -> list[Aggregate]:
    """Find the columns of a parent table that are a multiple of a sum over children, plus another of its columns.

    Args:
        tables: The database; rows of a history are in the order of their times.
        link: The child's foreign key.
        computed: Columns of the parent that another relation computes.
    """
    rows = tables.parents(link.table, link.column)
    has_children = np.bincount(rows[rows >= 0], minlength=len(tables.frames[link.parent])) > 0
    if has_children.sum() < MIN_ROWS or link.parent == link.table:
        return []
    sums = [one for one in _candidates(tables, link, set()) if one.function == "sum" and not one.where]
    names = [name for name in tables.numeric(link.parent, dates=False) if name not in computed]
    aggregates = (_with_terms(tables, replace(one, column=name), has_children) for name in names for one in sums)
    return [one for one in aggregates if one is not None]


def _known(data: Floats) -> Floats:
    known = data[~np.isnan(data)]
    return known if len(known) else np.zeros(1)


def _candidates(tables: LinkedTables, link: ForeignKey, copied: set[str]) -> Iterator[Aggregate]:
    """Yield aggregates of the child, the simplest first, with an empty column of the parent."""
    base = Aggregate(link.parent, "", link.table, link.column, "count")
    yield base
    numbers = [name for name in tables.numeric(link.table, dates=False) if name not in copied]
    dates = [name for name in tables.numeric(link.table, dates=True) if name not in {*numbers, *copied}]
    for function in FUNCTIONS[1:]:
        for name in numbers if function in ("sum", "mean") else [*numbers, *dates]:
            yield replace(base, function=function, source=name)
    every = tables.numeric(link.table, dates=False)
    if len(every) <= MAX_FACTOR_COLUMNS:
        for one, other in combinations(every, 2):
            yield replace(base, function="sum", source=one, times=other)
    values = 0
    for where in tables.groups(link.table, MAX_WHERE_VALUES):
        for value in sorted(set(tables.labels(link.table, where)) - {""}):
            values += 1
            if values <= MAX_WHERE_VALUES:
                yield replace(base, where=where, value=value)
                for name in numbers[:MAX_FACTOR_COLUMNS]:
                    yield replace(base, function="sum", source=name, where=where, value=value)


def _explained(tables: LinkedTables, candidate: Aggregate, data: Floats, has_children: Bools) -> Aggregate | None:
    """Return the candidate with its evidence if it is the column of every parent that has children."""
    observed = tables.numbers(candidate.parent, candidate.column)
    values, computed = observed[has_children], data[has_children]
    slack = tolerance(values)
    if not _equal(values, computed, slack):
        return None
    known = _known(values)
    if len(known) < max(MIN_ROWS, len(values) / 2):
        return None
    exact = _equal(values, computed, 1e-9 * float(np.abs(known).max()))
    if not exact and rounding_unit(values) * MIN_SPREAD_STEPS > known.std():
        return None
    shares = np.unique(known, return_counts=True)[1] / len(known)
    evidence = float(len(known) * (1 - (shares**2).sum()))
    if evidence < MIN_EVIDENCE_ROWS:
        return None
    without = observed[~has_children]
    if len(without) and np.isnan(without).all():
        return replace(candidate, missing=True, evidence=round(evidence, 1))
    empty = float(without[0]) if len(without) and (without == without[0]).all() else None
    if not len(without) and candidate.function in ("sum", "count") and not candidate.terms:
        empty = 0.0
    return replace(candidate, empty=empty, evidence=round(evidence, 1))


def _equal(observed: Floats, computed: Floats, slack: float) -> bool:
    """Return whether two columns are equal, or missing in the same rows."""
    same = np.isnan(observed) == np.isnan(computed)
    with np.errstate(invalid="ignore"):
        return bool((same & ~(np.abs(observed - computed) > slack)).all())


def _with_terms(tables: LinkedTables, candidate: Aggregate, has_children: Bools) -> Aggregate | None:
    """Return the candidate with a factor and one further column of the parent, if the sum is exact."""
    observed, data = tables.numbers(candidate.parent, candidate.column), candidate.compute(tables)[0]
    names = [name for name in tables.numeric(candidate.parent, dates=False) if name != candidate.column]
    for name in ["", *names[:MAX_TERM_COLUMNS]]:
        columns = {candidate.column: observed[has_children], "aggregate": data[has_children]}
        if name:
            columns[name] = np.nan_to_num(tables.numbers(candidate.parent, name)[has_children])
        terms = list(columns)[1:]
        design = np.stack([columns[one] for one in terms], axis=1)
        present = ~np.isnan(columns[candidate.column])
        if present.sum() < MIN_ROWS:
            return None
        weights, *_ = np.linalg.lstsq(design[present], columns[candidate.column][present], rcond=None)
        rest = columns[candidate.column] - design @ weights
        if np.abs(rest[present]).max() > 4 * max(
            rounding_unit(observed), 1e-9 * np.abs(observed[has_children][present]).max()
        ):
            continue
        relation = round_coefficients(candidate.column, list(zip(terms, map(float, weights), strict=True)), columns)
        if relation is None or relation.constant:
            continue
        factors = dict(relation.terms)
        least = MIN_TERM_UNITS * rounding_unit(observed)
        if any(factor < 0 or np.std(factor * columns[one]) <= least for one, factor in factors.items()):
            continue
        further = ((name, factors[name]),) if name else ()
        extended = replace(candidate, factor=factors["aggregate"], terms=further)
        explained = _explained(tables, extended, extended.compute(tables)[0], has_children)
        if explained is not None:
            return explained
    return None
