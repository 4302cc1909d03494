"""The plan of a history: columns of the parent row that summarise its children, such as number, first and last time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.schema.columns import Categorical, Column, Numeric
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.occurrences.calendar_days import day_numbers
from tabsynth.synthesizers.relational.occurrences.class_totals import ChildClass, ClassTotals, PlannedClasses
from tabsynth.synthesizers.relational.occurrences.nested_shares import NestedShares
from tabsynth.synthesizers.relational.occurrences.regular_counts import RegularCounts, calendar_lengths
from tabsynth.synthesizers.relational.timeline import Timeline

SHARE_DECIMALS = 4
"""Decimals of the share of a class among the children of a parent."""


def plan_columns(child: str) -> tuple[str, str, str]:
    """Return the names of a child table's plan columns: count, first and last."""
    return f"{child}.count", f"{child}.first", f"{child}.last"


def add_plan(
    parent: pd.DataFrame,
    schema: Schema,
    child: str,
    timeline: Timeline | None,
    bounds: tuple[Floats, Floats],
    rows: Integers,
    times: Floats | None,
) -> tuple[pd.DataFrame, Schema]:
    """Return a parent table with the plan of one child table.

    Args:
        parent: The parent's rows, plans of other children included.
        schema: Their schema.
        child: Name of the child table.
        timeline: Its timeline, None for a table without order.
        bounds: Origin and end of each parent's history, shape (parents,) each.
        rows: The parent's row number of each child, shape (n,).
        times: Time of each child, shape (n,).
    """
    names = plan_columns(child)
    counts = np.bincount(rows, minlength=len(parent)).astype(np.int64)
    parent = parent.assign(**{names[0]: counts})
    columns: dict[str, Column] = {names[0]: Numeric(name=names[0], low=0, decimals=0)}
    if timeline is not None and times is not None:
        spans = pd.Series(times).groupby(rows).agg(["min", "max"]).reindex(np.arange(len(parent)))
        first = spans["min"].to_numpy() - timeline.first_origin(bounds[0])
        last = spans["max"].to_numpy()
        last = last - spans["min"].to_numpy() if timeline.spanned else bounds[1] - last
        if timeline.paced:
            last = last / np.where(counts > 1, counts - 1, np.nan)
        parent = parent.assign(**{names[1]: first, names[2]: last})
        decimals = 0 if timeline.axis.seconds else getattr(timeline.axis.column, "decimals", None)
        for name, places in zip(names[1:], (decimals, None if timeline.paced else decimals), strict=True):
            columns[name] = Numeric(name=name, decimals=places, nullable=True)
    return parent, replace(schema, columns={**schema.columns, **columns})


def add_closing(
    parent: pd.DataFrame,
    schema: Schema,
    child: str,
    totals: Sequence[RunningTotal],
    children: pd.DataFrame,
    rows: Integers,
) -> tuple[pd.DataFrame, Schema]:
    """Return a parent table with the final value of each row's running totals.

    Args:
        parent: The parent's rows, plans included.
        schema: Their schema.
        child: Name of the child table.
        totals: Its running totals.
        children: Its rows, sorted by parent and time.
        rows: The parent's row number of each child, shape (n,).
    """
    columns: dict[str, Column] = {}
    for one in totals:
        name = closing_column(child, one)
        closing = pd.to_numeric(children[one.column]).groupby(rows).last().reindex(np.arange(len(parent)))
        parent = parent.assign(**{name: closing.to_numpy(np.float64, na_value=np.nan)})
        columns[name] = Numeric(name=name, decimals=one.decimals, nullable=True)
    return parent, replace(schema, columns={**schema.columns, **columns})


def closing_column(child: str, total: RunningTotal) -> str:
    """Return the name of the column with the final value of a running total."""
    return f"{child}.{total.column}.last"


def read_ends(parent: pd.DataFrame, child: str, totals: Sequence[RunningTotal], orphans: int) -> tuple[Floats, Floats]:
    """Return the initial and final values of each parent's running totals, shape (parents, totals) each.

    Args:
        parent: Parents with their plan columns.
        child: Name of the child table.
        totals: Its running totals.
        orphans: Number of rows without a parent, which come last.

    Returns:
        The value is NaN if it is unknown or if the first row does not depend on it.
    """
    out = np.full((2, len(parent) + orphans, len(totals)), np.nan)
    for at, one in enumerate(totals):
        for side, name in enumerate((one.start_column, closing_column(child, one))):
            if name in parent:
                own = pd.to_numeric(parent[name]).to_numpy(np.float64, na_value=np.nan)
                out[side, : len(parent), at] = own
        if one.start is not None:
            out[0, : len(parent), at] = one.start
    return out[0], out[1]


def add_kinds(parent: pd.DataFrame, schema: Schema, child: str, kinds: Integers | None) -> tuple[pd.DataFrame, Schema]:
    """Return a parent table with the kind of each row's history.

    Args:
        parent: The parent's rows, plans included.
        schema: Their schema.
        child: Name of the child table.
        kinds: Result of ``kinds_of``.
    """
    if kinds is None:
        return parent, schema
    name, every = f"{child}.kind", np.append(kinds, np.full(len(parent) - len(kinds), -1))
    values = pd.Series([str(kind) if kind >= 0 else None for kind in every.tolist()], index=parent.index, dtype=object)
    column = Categorical(name=name, nullable=bool((every < 0).any()))
    return parent.assign(**{name: values}), replace(schema, columns={**schema.columns, name: column})


def add_orphans(plan: tuple[Integers, Floats, Floats], times: Floats) -> tuple[Integers, Floats, Floats]:
    """Return a plan with histories of one row at given times, for rows without a parent."""
    counts, first, last = plan
    return np.append(counts, np.ones(len(times), np.int64)), np.append(first, times), np.append(last, times)


def add_class_totals(
    parent: pd.DataFrame,
    schema: Schema,
    child: str,
    children: pd.DataFrame,
    rows: Integers,
    classes: Sequence[ChildClass],
    lengths: Integers | None,
    min_group: int,
) -> tuple[pd.DataFrame, Schema, PlannedClasses]:
    """Return a parent table with the shares of some classes among each row's children, and the classes by plan column.

    Shares are learned instead of numbers, because often all or none of a parent's children are in a class. The
    denominator of a share is the number of children that are in none of the classes before it.

    Args:
        parent: The parent's rows, plans included.
        schema: Their schema.
        child: Name of the child table.
        children: Its rows.
        rows: The parent's row number of each child, shape (n,).
        classes: Result of ``choose_classes``.
        lengths: Lengths of the histories of parents with children, see ``calendar_lengths``; None for no regular
            classes.
        min_group: Minimum number of parents with children of a regular class.
    """
    named = {f"{child}.{one.column}={one.value}": one for one in classes}
    held = [one.rows(children) for one in classes]
    nesting = NestedShares.of(held, [one.column for one in classes])
    totals = [np.bincount(rows[own], minlength=len(parent)) for own in held]
    counts = np.bincount(rows, minlength=len(parent))
    regular = RegularCounts.none(len(named))
    if named and lengths is not None:
        regular = RegularCounts.fit(np.stack(totals, 1)[counts > 0].astype(np.float64), lengths, min_group)
    every = nesting.shares(np.stack(totals, 1).astype(np.float64), counts) if named else np.zeros((len(parent), 0))
    shares = dict(zip(named, np.round(every, SHARE_DECIMALS).T, strict=True))
    columns = {
        name: Numeric(name=name, low=0, high=1, decimals=SHARE_DECIMALS, nullable=bool(np.isnan(own).any()))
        for name, own in shares.items()
    }
    schema = replace(schema, columns={**schema.columns, **columns})
    return parent.assign(**shares), schema, PlannedClasses(named, nesting, regular)


def read_class_totals(
    parent: pd.DataFrame, counts: Integers, columns: Iterable[str], nesting: NestedShares, orphans: int
) -> Floats:
    """Return each parent's number of children of some classes, NaN for rows without a parent.

    Args:
        parent: Parents with their plan columns.
        counts: Number of children of each parent, shape (parents,).
        columns: Plan columns of the classes.
        nesting: How the classes exclude and contain each other.
        orphans: Number of rows without a parent.

    Returns:
        Shape (parents + orphans, classes).
    """
    shares = [parent[name].to_numpy(np.float64, na_value=np.nan) for name in columns]
    held = nesting.totals(np.stack(shares, 1), counts) if shares else np.zeros((len(parent), 0))
    return np.concatenate([held, np.full((orphans, held.shape[1]), np.nan)])


def with_regular_counts(
    parent: pd.DataFrame, child: str, timeline: Timeline, bounds: tuple[Floats, Floats], classes: ClassTotals
) -> pd.DataFrame:
    """Return sampled parents whose planned numbers of regular classes fit the lengths of their histories.

    Args:
        parent: Parents with their plan columns.
        child: Name of the child table.
        timeline: Its timeline, of whole days.
        bounds: Origin and end of each parent's history.
        classes: Classes of the plan.
    """
    counts, first, last = read_plan(parent, child, timeline, bounds)
    totals = read_class_totals(parent, counts, classes.columns, classes.nesting, 0)
    days = (day_numbers(times, timeline.axis.seconds) for times in (first, last))
    changed, totals = classes.regular.corrected(counts, totals, calendar_lengths(*days), classes.nesting)
    names, shares = plan_columns(child), classes.nesting.shares(totals, changed)
    out = parent.assign(**{names[0]: changed}, **dict(zip(classes.columns, shares.T, strict=True)))
    if timeline.paced:  # the plan has the mean gap, and the history keeps its length
        ratio = np.maximum(counts - 1, 1) / np.maximum(changed - 1, 1)
        out[names[2]] = pd.to_numeric(parent[names[2]]) * np.where(changed > 1, ratio, 1.0)
    return out


def read_plan(
    parent: pd.DataFrame, child: str, timeline: Timeline | None, bounds: tuple[Floats, Floats]
) -> tuple[Integers, Floats, Floats]:
    """Return the number of children and the times of the first and the last, shape (parents,) each.

    The times are clipped so that the first does not exceed the last; both lie between origin and end.

    Args:
        parent: Parents with their plan columns.
        child: Name of the child table.
        timeline: Its timeline, None for a table without order.
        bounds: Origin and end of each parent's history.
    """
    names = plan_columns(child)
    counts = np.nan_to_num(parent[names[0]].to_numpy(dtype=np.float64)).round().astype(np.int64)
    if timeline is None:
        return counts, np.zeros(len(parent)), np.zeros(len(parent))
    low, high = bounds
    first, last = (parent[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in names[1:])
    first, last = timeline.first_origin(low) + np.nan_to_num(first), np.nan_to_num(last)
    first = np.maximum(first, low) if timeline.dated else first
    if timeline.spanned:
        first = timeline.on_grid(first, later=True)
        if timeline.paced:
            last = last * np.maximum(counts - 1, 0)
            last = last.round() if timeline.axis.seconds else last
        last = timeline.on_grid(first + np.maximum(last, 0.0), later=False)
        return counts, first, np.where(counts == 1, first, last)
    last = timeline.on_grid(np.maximum(high - last, low), later=False)
    first = np.minimum(timeline.on_grid(first, later=True), last)
    return counts, np.where(counts == 1, last, first), last
