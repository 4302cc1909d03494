"""Quality of a table as such: complete, valid, consistent, without doubles, up to date.

Of the real table, since a model learns its faults too, with the synthetic one beside it. A table need not pass the
door of an evaluation for this.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.errors import DataError, SchemaError, listed
from tabsynth.evaluation.memorisation import wilson
from tabsynth.evaluation.score import Part, Score
from tabsynth.schema import Schema
from tabsynth.table import instants, keeps, numbers

OLD = 365.25 * 10
"""Days after which a column's newest date is called old."""


def quality_scores(
    real: pd.DataFrame, schema: Schema, synthetic: pd.DataFrame | None = None, *, today: datetime | None = None
) -> list[Score]:
    """Completeness, validity, consistency, uniqueness and timeliness, each as the share of cells or rows in order.

    Args:
        real: The table; it may break the schema.
        schema: What the columns should be.
        synthetic: Another table, whose shares are told in the detail.
        today: The day to hold dates against; by default the present one.

    Raises:
        SchemaError: The table lacks columns of the schema.
        DataError: It has no rows.
    """
    if not len(real):
        raise DataError("the table has no rows: its quality cannot be measured")
    absent = [name for name in schema if name not in real.columns]
    if absent:
        raise SchemaError(f"the table lacks {listed(absent)}, which the schema has; align them")
    now = today or datetime.now(UTC).replace(tzinfo=None)
    tables = [real[list(schema)]] + ([synthetic[list(schema)]] if synthetic is not None else [])
    counts = [_counts(table, schema, now) for table in tables]
    words = {
        "completeness": ("Completeness", "Cells that hold a value."),
        "validity": ("Validity", "Values that the schema allows: type, bounds, categories, format."),
        "consistency": ("Consistency", "Rows that keep the constraints, and keys that occur once."),
        "uniqueness": ("Uniqueness", "Rows that do not repeat an earlier one."),
        "timeliness": ("Timeliness", "Dates that do not lie in the future."),
    }
    return [
        _score(name, *words[name], counts[0][name], counts[1][name] if len(counts) > 1 else {}, len(real))
        for name in words
        if counts[0][name]
    ]


def _score(name: str, title: str, text: str, each: dict[Any, Any], other: dict[Any, Any], rows: int) -> Score:
    good, of = (float(sum(pair[i] for pair in each.values())) for i in (0, 1))
    # cells of one row go together, so the rows are what an interval counts
    share = good / of if of else 1.0
    low, high = wilson(share * rows, rows)
    order = sorted(each, key=lambda column: each[column][0] / max(each[column][1], 1))
    made = {column: other[column][0] / max(other[column][1], 1) for column in each if column in other}
    beside = ""
    if other:
        kept, all_of = (sum(pair[i] for pair in other.values()) for i in (0, 1))
        beside = f" Synthetic table: {100 * kept / max(all_of, 1):.2f} %."
    return Score(
        name=f"real_{name}",
        title=title,
        value=100 * share,
        interval=(100 * min(low, share), 100 * max(high, share)),
        better="higher",
        target=100.0,
        unit="%",
        description=f"{text} Of the real table.",
        method=f"Wilson interval over {rows:,} rows.{beside} Detail: by column, with the synthetic table's as floor.",
        detail=tuple(
            Part(
                columns=(str(column),),
                value=100 * each[column][0] / max(each[column][1], 1),
                floor=100 * made[column] if column in made else None,
            )
            for column in order
        ),
    )


def _counts(table: pd.DataFrame, schema: Schema, now: datetime) -> dict[str, dict[Any, tuple[int, int]]]:
    """For each question and column: how many are in order, of how many."""
    n = len(table)
    out: dict[str, dict[Any, tuple[int, int]]] = {"completeness": {}, "validity": {}, "consistency": {}}
    for name, column in schema.items():
        present = table[name].notna().to_numpy(bool)
        out["completeness"][name] = (int(present.sum()), n)
        out["validity"][name] = (int((_valid(table[name], column) & present).sum()), int(present.sum()))
        if isinstance(column, Identifier):
            out["consistency"][name] = (n - int(table[name].duplicated().sum()), n)
    for constraint in schema.constraints:
        names = ", ".join(constraint.columns)
        try:
            kept = int(keeps(constraint, table, schema).sum())
        except DataError:  # values of another type keep nothing
            kept = 0
        out["consistency"][names] = (kept, n)
    keyless = [name for name, column in schema.items() if not isinstance(column, Identifier)]
    doubles = int(table[keyless].duplicated().sum()) if keyless else 0
    out["uniqueness"] = {"rows": (n - doubles, n)}
    out["timeliness"] = {}
    for name, column in schema.items():
        if isinstance(column, Datetime):
            moments = _moments(table[name], column)
            known = moments.notna()
            newest = moments.max()
            age = "" if newest is pd.NaT or (now - newest).days < OLD else f" (newest {newest:%Y-%m-%d}: old)"
            out["timeliness"][f"{name}{age}"] = (int((moments[known] <= now).sum()), int(known.sum()))
    return out


def _moments(values: pd.Series, column: Datetime) -> pd.Series:
    try:
        return instants(values, column.format)
    except DataError:
        parsed = pd.to_datetime(values.astype(object), format=column.format or "ISO8601", errors="coerce", utc=True)
        return parsed.dt.tz_localize(None)


def _valid(values: pd.Series, column: Column) -> np.ndarray:
    """Whether each present value is one that the column can have, shape (n,)."""
    if isinstance(column, Numeric):
        try:
            data = numbers(values)
        except DataError:
            data = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        good = np.isfinite(data)
        good &= (data >= column.low) if column.low is not None else True
        good &= (data <= column.high) if column.high is not None else True
        return np.asarray(good)
    if isinstance(column, Datetime):
        moments = _moments(values, column)
        good = moments.notna().to_numpy(bool)
        if column.low is not None:
            good &= (moments >= pd.Timestamp(column.low)).to_numpy(bool)
        if column.high is not None:
            good &= (moments <= pd.Timestamp(column.high)).to_numpy(bool)
        return np.asarray(good)
    if isinstance(column, Categorical) and column.values is not None:
        return values.isin(list(column.values)).to_numpy(bool)
    if isinstance(column, Boolean):
        return values.isin([True, False, "true", "false", "True", "False"]).to_numpy(bool)
    if isinstance(column, Text | Identifier):
        return (values.astype(str).str.strip() != "").to_numpy(bool)
    return np.ones(len(values), dtype=bool)
