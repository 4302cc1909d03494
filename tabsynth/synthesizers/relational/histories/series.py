"""Several series of one parent, such as the weeks of each department of a shop, as a table between parent and rows.

If the composite key of a table is its parent, a code and its order column, the table contains one series for each
parent
and code. With a separate table of series, codes increase within a parent and times within a series, so that no key is
repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.codec.pandas_dtypes import dtype_name, value_series
from tabsynth.relations.linked.linked_relations import LinkedRelations
from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.schema.columns import Column, Datetime, Identifier, Numeric
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.links import parent_rows, root_rows

SERIES_KEY = "_series"

MAX_CODES, MIN_SHARED = 256, 0.95
"""Maximum number of numbers that are codes, and minimum share of the rows whose code enough roots share."""


@dataclass(frozen=True)
class Series:
    """A table that was split.

    Attributes:
        table: Its name, which its rows keep.
        between: Name of the table of its series.
        shared: Columns of the series: the parent's key, the code, and what is constant within every series.
        codes: The codes in order, unless they are many numbers; the table of series contains their positions.
        dtype: Dtype of the codes.
    """

    table: str
    between: str
    shared: tuple[str, ...]
    codes: tuple[Any, ...] | None = None
    dtype: str = "object"

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        codes = data["codes"]
        return cls(
            data["table"],
            data["between"],
            tuple(data["shared"]),
            None if codes is None else tuple(codes),
            data["dtype"],
        )


def split_series(
    tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, *, min_group: int
) -> tuple[dict[str, pd.DataFrame], DatabaseSchema, tuple[Series, ...]]:
    """Return tables and schema with a table of series for every table that holds several of each parent.

    Series of codes that fewer than ``min_group`` roots share are left out.

    Args:
        tables: Tables that fit the schema.
        schema: Their schema.
        min_group: Minimum number of roots.
    """
    out, splits = dict(tables), []
    for name, key in schema.composite_keys.items():
        code = _code(name, key, tables[name], schema)
        if code is None:
            continue
        main, frame = schema.main_key(name), tables[name]
        assert main is not None
        groups = frame.groupby([main.column, code], sort=False, observed=True)
        if groups.ngroups == len(frame):
            continue
        codes = _shared_codes(name, code, tables, schema, min_group)
        if codes is not None and not codes:
            continue
        if codes is not None:
            frame = frame[frame[code].isin(codes)].reset_index(drop=True)
            groups = frame.groupby([main.column, code], sort=False, observed=True)
        ruled = {column for rule in schema.tables[name].constraints for column in rule.columns}
        others = [c for c in schema.tables[name] if c not in (main.column, code, schema.order[name]) and c not in ruled]
        constant = [c for c in others if (groups[c].nunique(dropna=False) == 1).all()]
        split = Series(
            name, _free_name(f"{name} series", out), (main.column, code, *constant), codes, dtype_name(frame[code])
        )
        first = ~frame.duplicated([main.column, code]).to_numpy()
        series = frame.loc[first, list(split.shared)].reset_index(drop=True)
        if codes is not None:
            series[code] = pd.Index(codes).get_indexer(pd.Index(series[code]))
        out[split.between] = series.assign(**{SERIES_KEY: np.arange(len(series))})
        rows = frame.drop(columns=list(split.shared))
        out[name] = rows.assign(**{SERIES_KEY: groups.ngroup().to_numpy()}).reset_index(drop=True)
        schema = _split_schema(schema, split, code)
        splits.append(split)
    return out, schema, tuple(splits)


def join_series(
    tables: Mapping[str, pd.DataFrame], splits: tuple[Series, ...], columns: Mapping[str, list[str]]
) -> dict[str, pd.DataFrame]:
    """Return sampled tables without tables of series.

    Args:
        tables: Sampled tables of the schema that ``split_series`` returned.
        splits: Its result.
        columns: Columns of each training table.
    """
    out = dict(tables)
    for split in splits:
        series, rows = out.pop(split.between), out[split.table]
        at = pd.Index(series[SERIES_KEY]).get_indexer(pd.Index(rows[SERIES_KEY]))
        shared = series[list(split.shared)].take(at).reset_index(drop=True)
        if split.codes is not None:
            code = split.shared[1]
            places = shared[code].to_numpy(np.int64).clip(0, len(split.codes) - 1)
            values = pd.Series(list(split.codes), dtype=object).take(places).to_numpy()
            shared[code] = value_series(values, split.dtype, list(split.codes), False)
        out[split.table] = pd.concat([shared, rows.reset_index(drop=True)], axis=1)[columns[split.table]]
    return out


def history_totals(
    relations: LinkedRelations, schema: DatabaseSchema, splits: tuple[Series, ...]
) -> dict[str, tuple[RunningTotal, ...]]:
    """Return the running totals of each table that run along the histories in which its rows are sampled.

    Args:
        relations: Relations of the tables before they were split.
        schema: Their schema.
        splits: Result of ``split_series``.
    """
    shared, out = {split.table: split.shared[:2] for split in splits}, {}
    for name in schema.tables:
        main = schema.main_key(name)
        keys = shared.get(name, () if main is None else (main.column,))
        out[name] = tuple(one for one in relations.totals(name) if one.keys == keys)
    return out


def _code(name: str, key: tuple[str, ...], frame: pd.DataFrame, schema: DatabaseSchema) -> str | None:
    """Return the column that numbers the series of one parent; None if the table has no such key."""
    main, order = schema.main_key(name), schema.order.get(name)
    if (
        main is None
        or order is None
        or len(key) != 3
        or not {main.column, order} < set(key)
        or name in schema.reference
    ):
        return None
    (code,) = set(key) - {main.column, order}
    ruled = any(code in rule.columns for rule in schema.tables[name].constraints)
    linked = any(key.table == name and key.column == code for key in schema.foreign_keys)
    unknown = frame[[main.column, code]].isna().any(axis=None)
    return None if ruled or linked or unknown or not len(frame) else code


def _shared_codes(
    name: str, code: str, tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, min_group: int
) -> tuple[Any, ...] | None:
    """Return the codes that enough roots share, in order, empty if they are too few of all; None for many numbers."""
    column, values = schema.tables[name][code], tables[name][code]
    numeric = isinstance(column, (Numeric, Datetime))
    if numeric and (isinstance(column, Datetime) or values.nunique() > MAX_CODES):
        return None
    main = {n: parent_rows(tables, schema, link) for n in tables if (link := schema.main_key(n)) is not None}
    roots = root_rows(main, schema, {n: len(frame) for n, frame in tables.items()})[name]
    held = pd.Series(roots).groupby(values.to_numpy()).nunique()
    shared = held.index[held >= min_group]
    if values.isin(shared).mean() < MIN_SHARED:
        return None if numeric else ()
    return tuple(sorted(shared.tolist(), key=lambda value: (str(type(value)), value)))


def _split_schema(schema: DatabaseSchema, split: Series, code: str) -> DatabaseSchema:
    """Return a schema with a table of series."""
    own, name = schema.tables[split.table], split.table
    key = Identifier(name=SERIES_KEY)
    between: dict[str, Column] = {SERIES_KEY: key, **{c: own[c] for c in split.shared}}
    if split.codes is not None:
        between[code] = Numeric(name=code, low=0, high=len(split.codes) - 1, decimals=0)
    rows = {SERIES_KEY: key, **{c: own[c] for c in own if c not in split.shared}}
    tables = {**schema.tables, split.between: Schema(between), name: Schema(rows, own.constraints)}
    links = [
        ForeignKey(split.between if k.table == name and k.column in split.shared else k.table, k.column, k.parent)
        for k in schema.foreign_keys
    ]
    mine = [k for k in links if k.table == name]
    links = [*(k for k in links if k.table != name), ForeignKey(name, SERIES_KEY, split.between), *mine]
    order = {**schema.order, split.between: code}
    composite = {n: c for n, c in schema.composite_keys.items() if n != name}
    keys = {**schema.primary_keys, split.between: SERIES_KEY}
    return DatabaseSchema(tables, keys, tuple(links), order, schema.reference, composite)


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name
