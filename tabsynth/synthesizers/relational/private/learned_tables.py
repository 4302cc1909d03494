"""Linked tables in the form that a private fit learns: plans of children, gaps and distances with public bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.common.arrays import Floats, Integers
from tabsynth.schema.columns import Column, Datetime, Numeric
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.bins.public_bins import column_grid
from tabsynth.synthesizers.relational.plan import add_plan, plan_columns
from tabsynth.synthesizers.relational.private.linked_rows import LinkedRows
from tabsynth.synthesizers.relational.private.public_tables import PublicTables
from tabsynth.synthesizers.relational.tables import history_bounds
from tabsynth.synthesizers.relational.timeline import NANOSECONDS, Timeline

GAP = "_gap"
SECONDS_PER_DAY = 86_400.0

N_GAP_DECADES, N_GAPS_PER_DECADE = 4, 10
"""Decades and bins per decade of a gap's share of the remaining time; gaps are counted by its logarithm."""

MAX_GAP = N_GAP_DECADES * N_GAPS_PER_DECADE


@dataclass(frozen=True, eq=False)
class LearnedTables:
    """Schemas of the learned tables, derived from public facts and from earlier measurements.

    Attributes:
        public: Schemas and links.
        caps: Maximum number of children of a parent in each child table.
        timelines: Encoding of the times of each ordered child table.
        schemas: Schema of each table in the form in which it is learned.
    """

    public: PublicTables
    caps: Mapping[str, int]
    timelines: Mapping[str, Timeline]
    schemas: Mapping[str, Schema]

    @classmethod
    def of(cls, public: PublicTables, caps: Mapping[str, int], timelines: Mapping[str, Timeline]) -> LearnedTables:
        """Derive the schemas from caps and timelines."""
        schemas = {}
        for name, visible in public.visible.items():
            schema = visible if name not in timelines else _distances(visible, timelines[name])
            columns = dict(schema.columns)
            for child in public.schema.children(name):
                columns |= _plan_schema(child, caps[child], timelines.get(child))
            schemas[name] = Schema(columns, schema.constraints)
        return cls(public, caps, timelines, schemas)

    def frames(self, rows: LinkedRows) -> dict[str, pd.DataFrame]:
        """Return the rows of each table in the form in which they are learned.

        Args:
            rows: Result of ``truncate``.
        """
        out, times = dict[str, pd.DataFrame](), dict[str, Floats]()
        for name, frame in rows.frames.items():
            out[name] = frame
            timeline = self.timelines.get(name)
            if timeline is not None:
                times[name] = timeline.axis.numbers(timeline.axis.column, frame[timeline.axis.column.name])
                out[name] = self._with_distances(name, frame, rows.parents[name], times[name])
        for name in self.public.children:
            parent, timeline = self.public.parent(name), self.timelines.get(name)
            bounds = window_bounds(timeline, rows.frames[parent], self.public.visible[parent])
            out[parent], _ = add_plan(
                out[parent], self.schemas[parent], name, timeline, bounds, rows.parents[name], times.get(name)
            )
        return {name: frame[list(self.schemas[name])] for name, frame in out.items()}

    def _with_distances(self, name: str, frame: pd.DataFrame, owners: Integers, times: Floats) -> pd.DataFrame:
        timeline, schema = self.timelines[name], self.public.visible[name]
        distances: dict[str, Floats] = {
            date: timeline.axis.numbers(schema[date], frame[date]) - times for date in timeline.offsets
        }
        return frame.assign(**distances, **{GAP: gap_codes(owners, times)})


def window_bounds(timeline: Timeline | None, parent: pd.DataFrame, schema: Schema) -> tuple[Floats, Floats]:
    """Return origin and end of each parent's history within the declared window; zeros for a table without order."""
    low, high = history_bounds(timeline, parent, schema)
    if timeline is not None:
        low, high = np.clip(low, *timeline.window), np.clip(high, *timeline.window)
    return low, high


def gap_codes(owners: Integers, times: Floats) -> Floats:
    """Return the gap before each row as a class of its share of the remaining time, NaN for the first and the last row.

    The share is transformed to the probability of a gap at most as long if the remaining rows were uniformly
    distributed over the remaining time, so that its distribution hardly depends on the number of remaining rows. 0
    means no gap.

    Args:
        owners: The parent of each row, ascending, shape (n,).
        times: Their times, ascending within a parent.
    """
    rows = np.arange(len(owners))
    first = np.searchsorted(owners, owners)
    last = np.searchsorted(owners, owners, side="right") - 1
    before = times[np.maximum(rows - 1, 0)]
    left, gap = times[last] - before, times - before
    share = np.where(left > 0, gap / np.where(left > 0, left, 1.0), 0.0)
    even = 1 - (1 - np.clip(share, 0.0, 1.0)) ** np.maximum(last - rows, 1)
    with np.errstate(divide="ignore"):
        place = np.floor((N_GAP_DECADES + np.log10(even)) * N_GAPS_PER_DECADE)
    code = np.where(even > 0, 1 + np.clip(place, 0, MAX_GAP - 1), 0.0)
    return np.where((rows == first) | (rows == last), np.nan, code)


def gap_shares(codes: Floats, left: Integers, rng: np.random.Generator) -> Floats:
    """Return the gaps as shares of the remaining time, shape (n,).

    Args:
        codes: Classes of the gaps.
        left: Number of rows before the last one, this one included.
        rng: Random generator for the choice within a class.
    """
    even = 10.0 ** np.minimum((codes - 1 + rng.random(len(codes))) / N_GAPS_PER_DECADE - N_GAP_DECADES, 0.0)
    return np.where(codes <= 0, 0.0, 1 - (1 - even) ** (1 / np.maximum(left, 1)))


def _distances(schema: Schema, timeline: Timeline) -> Schema:
    """Return a child's schema with a gap instead of its time, other dates as distances from it."""
    order = timeline.axis.column.name
    columns: dict[str, Column] = {GAP: Numeric(name=GAP, low=0, high=MAX_GAP, decimals=0, nullable=True)}
    low, high = timeline.window
    for name, column in schema.items():
        if name in timeline.offsets:
            least, most = _ends(column, timeline)
            low_rule, high_rule = _distance_bounds(schema, order, name, timeline.axis.seconds)
            least, most = max(least - high, low_rule), min(most - low, high_rule)
            columns[name] = Numeric(name=name, low=least, high=max(most, least), decimals=0, nullable=column.nullable)
        elif name != order:
            columns[name] = column
    measured = set(columns) - set(timeline.offsets)  # rules on dates do not apply to their distances
    return Schema(columns, tuple(rule for rule in schema.constraints if set(rule.columns) <= measured))


def _distance_bounds(schema: Schema, order: str, date: str, seconds: float) -> tuple[float, float]:
    """Return the bounds on the distance of a date from the row's time, from declared rules, in axis units."""
    low, high = -np.inf, np.inf
    for form in (form for rule in schema.constraints for form in rule.linear_forms()):
        factors = dict(form.terms)
        if set(factors) != {order, date} or factors[order] != -factors[date]:
            continue
        ends = [
            None if end is None else (end - form.constant) / factors[date] * SECONDS_PER_DAY / seconds
            for end in (form.least, form.greatest)
        ]
        least, most = ends if factors[date] > 0 else ends[::-1]
        low = low if least is None else max(low, np.ceil(least))
        high = high if most is None else min(high, np.floor(most))
    return low, high


def _plan_schema(child: str, cap: int, timeline: Timeline | None) -> dict[str, Column]:
    """Return a child table's plan columns with public bounds."""
    names = plan_columns(child)
    columns: dict[str, Column] = {names[0]: Numeric(name=names[0], low=0, high=cap, decimals=0)}
    if timeline is None:
        return columns
    span = timeline.window[1] - timeline.window[0]
    decimals = 0 if timeline.axis.seconds else getattr(timeline.axis.column, "decimals", None)
    for name in names[1:]:
        columns[name] = Numeric(name=name, low=0, high=span, decimals=decimals, nullable=True)
    return columns


def _ends(column: Column, timeline: Timeline) -> tuple[float, float]:
    """Return a column's declared bounds in units of the axis."""
    grid, unit = column_grid(replace(column, nullable=False)), 1.0
    if isinstance(column, Datetime):
        unit = UNIT_NANOSECONDS[column.resolution or "s"] / NANOSECONDS / timeline.axis.seconds
    return float(grid.low[0]) * unit, float(grid.high[-1]) * unit
