"""Levels of series: the mean of a number is learned with each series, and its rows relative to this mean.

The weekly sales of a department have a mean, which depends on the mean of all sales of its shop. Sampled row by row, a
series does not keep its mean, and even less do the series of one shop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tabsynth.codec.pandas_dtypes import dtype_name, numeric_series
from tabsynth.codec.quantile_bins import shared_decimals
from tabsynth.codec.rare_value_pooling import pooling_warnings
from tabsynth.common.arrays import Floats, Integers
from tabsynth.data.database.root_rows import root_rows
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables
from tabsynth.schema.columns import Numeric
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.history import vocabulary
from tabsynth.synthesizers.relational.histories.series import SERIES_KEY, Series

MIN_MEAN_ROWS = 10.0
"""Minimum mean number of rows of a series."""

MIN_BETWEEN = 0.3
"""Minimum share of a number's variance that lies between series."""

MIN_PROPORTIONAL = 0.5
"""Minimum correlation of the logarithms of means and spreads for which rows are learned as ratios to the mean."""

MAX_STEP_SHARE = 0.02
"""Maximum distance of neighbouring values as a share of the spread within series: coarser numbers often recur."""


@dataclass(frozen=True)
class Level:
    """A number of the rows of series that is learned relative to the mean of its series.

    Attributes:
        table, column: The number.
        series: The table of series.
        above: Their parent's table.
        name: Name of the column with the mean of each series, and of that with the mean of all rows of a parent. If
            there are means of codes, these are the remaining factors: of each series, and of all series of a parent.
        is_ratio: Whether values are divided by the mean; otherwise they are differences from it.
        decimals: Decimals of the number; None where it has no rounding.
        dtype: Its dtype.
        code: Column with the code of each series; empty for no means of codes.
        code_means: Geometric mean of the series of each code, by position.
    """

    table: str
    column: str
    series: str
    above: str
    name: str
    is_ratio: bool
    decimals: int | None
    dtype: str
    code: str = ""
    code_means: tuple[float, ...] = ()

    def by_code(self, codes: Floats) -> Floats:
        """Return the mean of each series' code, shape (series,)."""
        known = np.array(self.code_means)
        return np.asarray(known[np.nan_to_num(codes).astype(np.int64).clip(0, len(known) - 1)])

    def relative(self, values: Floats, means: Floats) -> Floats:
        """Return values relative to means, shape (n,)."""
        return values / means if self.is_ratio else values - means

    def absolute(self, values: Floats, means: Floats, series: Integers) -> Floats:
        """Return values of which the mean in each series is the given one, shape (n,).

        Args:
            values: Values relative to the means, shape (n,).
            means: The mean of each series, shape (series,).
            series: The series of each value, shape (n,).
        """
        drawn = _means(values, series, len(means))[series]
        if not self.is_ratio:
            return np.asarray(values - drawn + means[series])
        return np.asarray(values / np.where(drawn > 0, drawn, 1.0) * means[series])


def add_levels(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    splits: Iterable[Series],
    taken: Collection[Cell],
    *,
    min_group: int,
) -> tuple[dict[str, pd.DataFrame], DatabaseSchema, tuple[Level, ...]]:
    """Return tables and schema with the means of the numbers of series, which are relative to them.

    Args:
        tables: The tables by name.
        schema: Their schema.
        splits: The tables that have series.
        taken: Columns that are left as they are.
        min_group: The floor on roots.
    """
    out, schemas, found, roots = dict(tables), dict(schema.tables), list[Level](), root_rows(tables, schema)
    for split in splits:
        linked, above = LinkedTables(tables, schema), schema.main_key(split.between)
        assert above is not None
        series, parents = linked.parents(split.table, SERIES_KEY), linked.parents(split.between, above.column)
        if (parents < 0).any() or len(series) < MIN_MEAN_ROWS * len(parents):
            continue
        taken = {*taken, *((split.table, n) for rule in schema.tables[split.table].constraints for n in rule.columns)}
        names = [n for n in linked.numeric(split.table, dates=False) if (split.table, n) not in taken]
        forms = {name: _is_ratio(linked.numbers(split.table, name), series) for name in names}
        related = (
            _related(linked, split.table, roots[split.table], min_group) if {*forms.values()} - {None} else frozenset()
        )
        for column, is_ratio in forms.items():
            if is_ratio is None or column in related:
                continue
            data, frame = linked.numbers(split.table, column), out[split.table]
            name = _free_name(f"{column} level", {*schemas[split.between], *schemas[above.parent]})
            decimals, dtype = shared_decimals(data), dtype_name(frame[column])
            one = Level(split.table, column, split.between, above.parent, name, is_ratio, decimals, dtype)
            means = _means(data, series, len(parents))
            every = _means(data, parents[series], len(out[above.parent]))
            factors = means
            if is_ratio and split.codes is not None:
                code = split.shared[1]
                codes = linked.numbers(split.between, code)
                logs = _means(np.log(means), codes.astype(np.int64), len(split.codes))
                one = replace(one, code=code, code_means=tuple(np.exp(logs).tolist()))
                every = np.exp(_means(np.log(means / one.by_code(codes)), parents, len(every)))
                factors = means / one.by_code(codes) / every[parents]
            out[split.table] = frame.assign(**{column: one.relative(data, means[series])})
            out[split.between] = out[split.between].assign(**{name: factors})
            out[above.parent] = out[above.parent].assign(**{name: every})
            nullable = bool(np.isnan(every).any())
            schemas[split.table] = _with(schemas[split.table], Numeric(name=column))
            schemas[split.between] = _with(schemas[split.between], Numeric(name=name))
            schemas[above.parent] = _with(schemas[above.parent], Numeric(name=name, nullable=nullable))
            found.append(one)
    return out, replace(schema, tables=schemas), tuple(found)


def join_levels(
    tables: Mapping[str, pd.DataFrame], learned: DatabaseSchema, schema: DatabaseSchema, levels: Iterable[Level]
) -> dict[str, pd.DataFrame]:
    """Return sampled tables with the numbers of series themselves, without their means.

    Args:
        tables: Sampled tables.
        learned: Their schema.
        schema: The schema of the training tables.
        levels: Result of ``add_levels``.
    """
    linked, dropped = LinkedTables(tables, learned), dict[str, list[str]]()
    for one in levels:
        series, means = linked.parents(one.table, SERIES_KEY), linked.numbers(one.series, one.name)
        above = learned.main_key(one.series)
        if one.code_means and above is not None:
            every = np.nan_to_num(linked.numbers(one.above, one.name), nan=1.0)
            means = means * one.by_code(linked.numbers(one.series, one.code))
            means = means * every[linked.parents(one.series, above.column)]
        data = one.absolute(linked.numbers(one.table, one.column), means, series)
        kind = schema.tables[one.table][one.column]
        assert isinstance(kind, Numeric)
        data = np.clip(data, -np.inf if kind.low is None else kind.low, np.inf if kind.high is None else kind.high)
        data = data if one.decimals is None else np.asarray(data.round(one.decimals), np.float64)
        linked.place(one.table, one.column, numeric_series(data, one.dtype, kind))
        for name in (one.series, one.above):
            dropped.setdefault(name, []).append(one.name)
    return {name: frame.drop(columns=dropped.get(name, [])) for name, frame in linked.frames.items()}


def _means(data: Floats, rows: Integers, size: int) -> Floats:
    """Return the mean of the values of each of ``size`` groups, NaN for none."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(rows, data, size) / np.bincount(rows, minlength=size))


def _is_ratio(data: Floats, series: Integers) -> bool | None:
    """Return whether a number is learned as a ratio to its mean rather than a difference; None for neither."""
    if np.isnan(data).any():
        return None
    size = int(series.max()) + 1
    means = _means(data, series, size)
    within = _means((data - means[series]) ** 2, series, size)
    decimals, inner = shared_decimals(data), within[series].mean()
    unit = 0.0 if decimals is None else 10.0**-decimals
    if not 0 < inner <= (1 - MIN_BETWEEN) * data.var() or unit > MAX_STEP_SHARE * np.sqrt(inner):
        return None
    held = within > 0
    if (means <= 0).any() or held.sum() < 3:
        return False
    return bool(np.corrcoef(np.log(means[held]), np.log(within[held]))[0, 1] >= MIN_PROPORTIONAL)


def _related(tables: LinkedTables, table: str, roots: Integers, min_group: int) -> frozenset[str]:
    """Return the columns of a table that depend on each other exactly, which relative numbers would not."""
    keys, own = tables.keys(table), tables.schema.tables[table]
    plain = Schema({name: column for name, column in own.items() if name not in keys}, own.constraints)
    with pooling_warnings(None):  # the fit of the table warns
        _, relations = vocabulary(tables.frames[table][list(plain)], plain, roots, min_group=min_group)
    return relations.columns | {*relations.differences}


def _with(schema: Schema, column: Numeric) -> Schema:
    return replace(schema, columns={**schema.columns, column.name: column})


def _free_name(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name
