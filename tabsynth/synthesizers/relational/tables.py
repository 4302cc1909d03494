"""Training tables of a database: rows sorted by parent and time, without keys, with dates as distances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tabsynth.codec.column_values import numeric_values
from tabsynth.common.arrays import Floats, Integers
from tabsynth.data.table import Table
from tabsynth.errors import DataError
from tabsynth.relations.declared.training_rows import learn_combinations
from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.schema.columns import Categorical, Column, Numeric
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.history_clusters import kinds_of
from tabsynth.synthesizers.relational.links import parent_rows, root_rows
from tabsynth.synthesizers.relational.occurrences.calendar_days import day_numbers
from tabsynth.synthesizers.relational.occurrences.class_totals import PlannedClasses, choose_classes
from tabsynth.synthesizers.relational.occurrences.regular_counts import calendar_lengths
from tabsynth.synthesizers.relational.plan import add_class_totals, add_closing, add_kinds, add_plan
from tabsynth.synthesizers.relational.timeline import Timeline

MAX_CODES = 256
"""Maximum distinct values of a parent's order column that is encoded as categories, such as codes of departments."""


@dataclass(eq=False)
class TrainingTable:
    """One table of a database.

    Attributes:
        frame: Its rows without keys, dates as they are; child rows sorted by parent and time.
        schema: Their schema.
        learned: The rows as they are learned: dates as distances, plans of child tables added.
        learned_schema: Their schema.
        rows: The main parent's row number of each row; None for a root table. Rows without a parent come last, and
            have the numbers after the last parent's.
        roots: The root's row number of each row.
        orphans: Number of rows without a parent.
        times: The rows' times; None for a table without order.
        timeline: How the times are expressed; None for a table without order.
        classes: Classes of the rows whose shares are columns of the parent's plan.
    """

    frame: pd.DataFrame
    schema: Schema
    learned: pd.DataFrame
    learned_schema: Schema
    rows: Integers | None
    roots: Integers
    orphans: int = 0
    times: Floats | None = None
    timeline: Timeline | None = None
    classes: PlannedClasses = field(default_factory=PlannedClasses)

    @property
    def linked(self) -> int:
        """Number of rows that have a parent."""
        return len(self.roots) - self.orphans

    def orphan_times(self) -> Floats | None:
        """Return the times of the rows without a parent; None for a table without order."""
        return None if self.times is None else self.times[self.linked :]


def sort_tables(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> dict[str, pd.DataFrame]:
    """Every table with its child rows sorted by parent and time, numbered from 0; rows without a parent come last.

    Raises:
        DataError: A row has no time, though its table is ordered.
    """
    out: dict[str, pd.DataFrame] = {name: frame.reset_index(drop=True) for name, frame in tables.items()}
    for name in schema.sorted_tables:
        link = schema.main_key(name)
        if link is None:
            continue
        rows = parent_rows(out, schema, link)
        rows = np.where(rows < 0, len(out[link.parent]) + np.arange(len(rows)), rows)
        order = schema.order.get(name)
        times = np.zeros(len(rows)) if order is None else numeric_values(schema.tables[name][order], out[name][order])
        if np.isnan(times).any():
            raise DataError(
                f"{name}.{order}, which orders the rows of {name}, is missing in {int(np.isnan(times).sum())} rows; "
                "remove these rows, or name another column in `order`"
            )
        out[name] = out[name].iloc[np.lexsort((times, rows))].reset_index(drop=True)
    return out


def prepare_tables(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    totals: Mapping[str, tuple[RunningTotal, ...]],
    *,
    min_group: int,
) -> dict[str, TrainingTable]:
    """Prepare sorted tables for learning.

    Args:
        tables: Result of ``sort_tables``.
        schema: The database's schema.
        totals: Running totals of each table.
        min_group: Minimum number of roots whose rows determine the ends of a window or have a learned combination.
    """
    main = {name: parent_rows(tables, schema, link) for name in tables if (link := schema.main_key(name)) is not None}
    roots = root_rows(main, schema, {name: len(frame) for name, frame in tables.items()})
    out: dict[str, TrainingTable] = {}
    for name in schema.sorted_tables:
        if name in schema.reference:
            continue
        own_schema = _without_keys(name, tables, schema)
        frame = tables[name][list(own_schema)]
        if len(frame) and len(own_schema):
            table = Table.of(frame, own_schema)
            frame, own_schema = table.frame, learn_combinations(table, min_group, roots[name])
        part = TrainingTable(frame, own_schema, frame, own_schema, main.get(name), roots[name])
        link, order = schema.main_key(name), schema.order.get(name)
        if link is not None and part.rows is not None:
            part.orphans = int((part.rows < 0).sum())
            part.rows = np.append(part.rows[: part.linked], len(out[link.parent].frame) + np.arange(part.orphans))
        if link is not None and order is not None and part.rows is not None and part.linked:
            above, linked = out[link.parent], slice(part.linked)
            part.timeline = Timeline.fit(
                part.frame[linked],
                own_schema,
                order,
                above.frame,
                above.schema,
                part.rows[linked],
                part.roots[linked],
                min_group,
            )
            part.times = part.timeline.axis.numbers(own_schema[order], part.frame[order])
            part.learned, part.learned_schema = _as_distances(part, order)
        out[name] = part
    for name, part in out.items():
        link = schema.main_key(name)
        if link is not None and part.rows is not None:
            above = out[link.parent]
            bounds = history_bounds(part.timeline, above.frame, above.schema)
            above.learned, above.learned_schema = add_plan(
                above.learned,
                above.learned_schema,
                name,
                part.timeline,
                bounds,
                part.rows[: part.linked],
                None if part.times is None else part.times[: part.linked],
            )
            linked = slice(part.linked)
            own_totals = [one for one in totals.get(name, ()) if one.column in part.learned]
            above.learned, above.learned_schema = add_closing(
                above.learned, above.learned_schema, name, own_totals, part.learned[linked], part.rows[linked]
            )
    return out


def add_history_kinds(parts: Mapping[str, TrainingTable], schema: DatabaseSchema, *, min_group: int) -> None:
    """Add the kinds and totals of their histories to the learned rows of parents, which are changed.

    Args:
        parts: Result of ``prepare_tables``.
        schema: The database's schema.
        min_group: Minimum number of roots with histories of a kind.
    """
    for name, part in parts.items():
        link = schema.main_key(name)
        if link is None or part.rows is None or not part.linked:
            continue
        above, linked = parts[link.parent], slice(part.linked)
        times = None if part.times is None else part.times[linked]
        kinds = kinds_of(
            part.learned[linked], part.learned_schema, times, part.rows[linked], part.roots[linked], min_group
        )
        above.learned, above.learned_schema = add_kinds(above.learned, above.learned_schema, name, kinds)
        lengths = None if times is None or part.timeline is None else _lengths(times, part.rows[linked], part.timeline)
        classes = choose_classes(
            part.learned[linked], part.learned_schema, part.rows[linked], part.roots[linked], min_group, lengths
        )
        above.learned, above.learned_schema, part.classes = add_class_totals(
            above.learned,
            above.learned_schema,
            name,
            part.learned[linked],
            part.rows[linked],
            classes,
            lengths,
            min_group,
        )


def _lengths(times: Floats, rows: Integers, timeline: Timeline) -> Integers | None:
    """Return the lengths of the histories of parents with children in the calendar; None if times are no whole days."""
    if not timeline.daily:
        return None
    spans = pd.Series(day_numbers(times, timeline.axis.seconds)).groupby(rows).agg(["min", "max"])
    return calendar_lengths(spans["min"].to_numpy(), spans["max"].to_numpy())


def history_bounds(timeline: Timeline | None, parent: pd.DataFrame, schema: Schema) -> tuple[Floats, Floats]:
    """Return the origin and end of each parent's history; zeros for a table without order."""
    if timeline is None:
        return np.zeros(len(parent)), np.zeros(len(parent))
    return timeline.bounds(parent, schema)


def with_orphan_bounds(bounds: tuple[Floats, Floats], timeline: Timeline | None, orphans: int) -> tuple[Floats, Floats]:
    """Return the origin and end of each parent's history, and the window's ends for rows without a parent."""
    window = (0.0, 0.0) if timeline is None else timeline.window
    low, high = (np.append(ends, np.full(orphans, end)) for ends, end in zip(bounds, window, strict=True))
    return low, high


def restore_dates(learned: pd.DataFrame, times: Floats, timeline: Timeline | None, schema: Schema) -> pd.DataFrame:
    """Return the rows with dates instead of distances, in the columns of a schema.

    Args:
        learned: Decoded rows.
        times: Their times, shape (n,).
        timeline: How the times are expressed.
        schema: The table's schema without keys.
    """
    if timeline is None:
        return learned[list(schema)]
    axis = timeline.axis
    out = learned.assign(**{axis.column.name: axis.series(times, axis.column, axis.dtype)})
    for name, dtype in timeline.offsets.items():
        distance = pd.to_numeric(learned[name]).to_numpy(dtype=np.float64, na_value=np.nan)
        out[name] = axis.series(times + distance, schema[name], dtype)
    return out[list(schema)]


def with_code(part: TrainingTable) -> tuple[pd.DataFrame, Schema]:
    """Return the learned rows of a table, with a numeric order column, and their schema.

    The network of a child table has calendar features of its own, but reads the code of a series only here.
    """
    axis = None if part.timeline is None else part.timeline.axis
    if axis is None or axis.seconds:
        return part.learned, part.learned_schema
    name, column = axis.column.name, part.schema[axis.column.name]
    if part.frame[name].nunique() <= MAX_CODES:
        column = Categorical(name=name)
    frame = part.learned.assign(**{name: part.frame[name]})
    return frame, Schema({**part.learned_schema.columns, name: column}, part.learned_schema.constraints)


def _without_keys(name: str, tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> Schema:
    """Return a table's schema without its keys; keys to reference tables are public categories."""
    keys = {link.column: link for link in schema.foreign_keys if link.table == name}
    columns: dict[str, Column] = {}
    for column, kind in schema.tables[name].items():
        link = keys.get(column)
        if column == schema.primary_keys.get(name) or (link is not None and link.parent not in schema.reference):
            continue
        if link is not None:
            values = tables[link.parent][schema.primary_keys[link.parent]].tolist()
            nullable = bool(tables[name][column].isna().any())
            kind = Categorical(name=column, values=tuple(values), nullable=nullable)
        columns[column] = kind
    constraints = tuple(c for c in schema.tables[name].constraints if set(c.columns) <= set(columns))
    return Schema(columns, constraints)


def _as_distances(part: TrainingTable, order: str) -> tuple[pd.DataFrame, Schema]:
    """Return a child's rows without the order column, other dates as distances from it."""
    assert part.timeline is not None
    assert part.times is not None
    frame = part.frame.drop(columns=order)
    columns: dict[str, Column] = {name: column for name, column in part.schema.items() if name != order}
    for name in part.timeline.offsets:
        frame[name] = part.timeline.axis.numbers(part.schema[name], part.frame[name]) - part.times
        columns[name] = Numeric(name=name, decimals=0, nullable=part.schema[name].nullable)
    measured = set(columns) - set(part.timeline.offsets)  # rules on dates do not apply to their distances
    constraints = tuple(rule for rule in part.schema.constraints if set(rule.columns) <= measured)
    return frame, Schema(columns, constraints)
