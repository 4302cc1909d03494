"""Conversion between a frame's columns and the arrays that constraints read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.codec.pandas_dtypes import datetime_series, numeric_series, value_series
from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.declared.hot_deck import Columns
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.columns import Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.constraints.base import is_missing
from tabsynth.schema.validation import NANOSECONDS_PER_DAY, row_values


def read_columns(rules: RuleSet, frame: pd.DataFrame) -> Columns:
    """Read the columns of the rules and the derived columns."""
    out = row_values(frame, rules.schema, rules.columns)
    for one in rules.derived:
        out[one.name] = pd.to_numeric(frame[one.name]).to_numpy(np.float64, na_value=np.nan) / one.scale
    return out


def read_context(rules: RuleSet, frame: pd.DataFrame) -> Columns:
    """Read the other columns, which define the similarity of rows."""
    names = [n for n, c in rules.schema.items() if n not in rules.columns and not isinstance(c, (Identifier, Text))]
    return row_values(frame, rules.schema, names)


def write_columns(
    rules: RuleSet, frame: pd.DataFrame, dtypes: Mapping[str, str], before: Columns, after: Columns
) -> pd.DataFrame:
    """Write changed cells into a copy of the frame, without its derived columns."""
    out = frame.drop(columns=[one.name for one in rules.derived])
    for name in rules.columns:
        changed = ~_same(before[name], after[name])
        if changed.any():
            out[name] = _series(rules.schema[name], frame[name], dtypes[name], after[name], changed).set_axis(out.index)
    return out


def _same(one: Any, other: Any) -> Bools:
    return np.asarray((one == other) | (is_missing(one) & is_missing(other)), dtype=bool)


def _series(column: Column, series: pd.Series, dtype: str, values: Any, changed: Bools) -> pd.Series:
    """Return a column with some cells replaced."""
    if isinstance(column, Numeric):
        new = numeric_series(values, dtype, column)
    elif isinstance(column, Datetime):
        new = datetime_series(_instants(values, column), dtype, column)
    else:
        return _with_values(column, series, dtype, values, changed)
    if new.dtype == series.dtype:
        replaced: pd.Series = new.set_axis(series.index).where(changed, series)
        return replaced
    cells = new.astype(object).to_numpy(dtype=object, copy=True)
    cells[~changed] = series.astype(object).to_numpy(dtype=object)[~changed]
    return pd.Series(cells, dtype=object).astype(new.dtype)


def _instants(days: Floats, column: Datetime) -> pd.Series:
    unit = UNIT_NANOSECONDS[column.resolution or "s"]
    known = ~np.isnan(days)
    whole = np.rint(np.where(known, days, 0.0) * (NANOSECONDS_PER_DAY / unit)).astype(np.int64) * unit
    return pd.Series(np.where(known, whole, np.iinfo(np.int64).min).astype("datetime64[ns]"))


def _with_values(column: Column, series: pd.Series, dtype: str, values: Any, changed: Bools) -> pd.Series:
    """Return a categorical column with some cells replaced, in the spelling that the column uses."""
    cells = series.astype(object).to_numpy(dtype=object, copy=True)
    cells[series.isna().to_numpy()] = None
    declared = column.values or () if isinstance(column, Categorical) else ()
    known = {value: value for value in (*declared, *series.dropna().unique())}
    absent = is_missing(values[changed])
    new = [None if gap else known.get(v, v) for v, gap in zip(values[changed], absent, strict=True)]
    fresh = np.empty(len(new), dtype=object)
    fresh[:] = new
    cells[changed] = fresh
    if isinstance(series.dtype, pd.CategoricalDtype):
        old = list(series.cat.categories)
        more = [value for value in dict.fromkeys(new) if value is not None and value not in old]
        return value_series(cells, dtype, old + more, bool(series.cat.ordered))
    return value_series(cells, dtype, [], False)
