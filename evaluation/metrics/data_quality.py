"""Data quality of the real table: completeness, validity, consistency, uniqueness, timeliness.

A model also learns the faults of its training table, which may violate its schema.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
from scipy.stats import binom

from tabsynth.common.binomial import wilson
from tabsynth.errors import DataError, SchemaError, quote
from tabsynth.evaluation.score import Part, Score
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import satisfies, to_instants, to_numbers

Counts = dict[str, tuple[np.ndarray, np.ndarray]]
"""Numbers of valid and of checked cells of each row, by column or constraint, shape (n,) each."""

MAX_AGE_DAYS = 365.25 * 10
"""Age of a column's newest date from which it is marked as old."""

N_SERIES_TERMS = 9
"""Number of terms of the series for the number of unseen distinct rows."""


def quality_scores(
    real: pd.DataFrame, schema: Schema, synthetic: pd.DataFrame | None = None, *, today: datetime | None = None
) -> list[Score]:
    """Compute completeness, validity, consistency, uniqueness and timeliness, as shares of valid cells or rows.

    Args:
        real: The table, which may violate the schema.
        schema: The declared schema.
        synthetic: The synthetic table, whose shares are the floors of the parts.
        today: The date for timeliness; default: now.

    Raises:
        SchemaError: Columns of the schema are missing from the table.
        DataError: The table has no rows.
    """
    if not len(real):
        raise DataError("the table has no rows: its quality cannot be measured")
    absent = [name for name in schema if name not in real.columns]
    if absent:
        raise SchemaError(f"columns of the schema are missing from the table: {quote(absent)}; align them")
    now = today or datetime.now(UTC).replace(tzinfo=None)
    tables = [real[list(schema)]] + ([synthetic[list(schema)]] if synthetic is not None else [])
    counts = [_counts(table, schema, now) for table in tables] + ([{}] if synthetic is None else [])
    keyless = [name for name, column in schema.items() if not isinstance(column, Identifier)]
    times = (
        tables[0].groupby(keyless, dropna=False, sort=False, observed=True).size().to_numpy()
        if keyless
        else np.array([len(real)])
    )
    descriptions = {
        "completeness": "Cells that hold a value.",
        "validity": "Values that the schema allows: type, bounds, categories, format.",
        "consistency": "Rows that satisfy the constraints, and keys that occur once.",
        "uniqueness": "Rows that do not repeat an earlier one.",
        "timeliness": "Dates that are not in the future.",
    }
    return [
        _score(
            name, descriptions[name], [each.get(name, {}) for each in counts], times if name == "uniqueness" else None
        )
        for name in descriptions
        if counts[0][name]
    ]


def _score(name: str, text: str, counts: list[Counts], times: np.ndarray | None) -> Score:
    real_counts, synthetic_counts = counts
    good, of = (
        np.asarray(np.sum([pair[i] for pair in real_counts.values()], axis=0), dtype=np.float64) for i in (0, 1)
    )
    share = float(good.sum() / of.sum()) if of.sum() else 1.0
    low, high = _interval(share, good, of) if times is None else _distinct_interval(share, times)
    shares = {column: _share(*pair) for column, pair in real_counts.items()}
    order = sorted(real_counts, key=lambda column: shares[column])
    synthetic_shares = {
        column: _share(*synthetic_counts[column]) for column in real_counts if column in synthetic_counts
    }
    note = ""
    if synthetic_counts:
        valid, checked = (sum(int(pair[i].sum()) for pair in synthetic_counts.values()) for i in (0, 1))
        note = f" Synthetic table: {100 * valid / max(checked, 1):.2f} %."
    rows = len(good)
    return Score(
        name=f"real_{name}",
        value=100 * share,
        interval=(100 * min(low, share), 100 * max(high, share)),
        better="higher",
        target=100.0,
        unit="%",
        description=f"Share in the real table. {text}",
        method=f"Wilson interval over {rows:,} rows, with the design effect of several cells per row.{note} "
        "Detail: shares by column, with those of the synthetic table as floors.",
        detail=tuple(
            Part(
                columns=(str(column),),
                value=100 * shares[column],
                floor=100 * synthetic_shares[column] if column in synthetic_shares else None,
            )
            for column in order
        ),
    )


def _share(good: np.ndarray, of: np.ndarray) -> float:
    return float(good.sum()) / max(float(of.sum()), 1.0)


def _interval(share: float, good: np.ndarray, of: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a share of cells, with rows as clusters."""
    n = len(good)
    residuals = good - float(good.sum() / max(float(of.sum()), 1.0)) * of
    return _wilson_from_variance(
        share, float((residuals**2).sum()) / max(float(of.sum()), 1.0) ** 2 * n / max(n - 1, 1), n
    )


def _wilson_from_variance(share: float, variance: float, n: int) -> tuple[float, float]:
    """Return Wilson's interval for the effective sample size; for n rows if the variance is zero.

    Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts", Survey
    Methodology 24, 1998.
    """
    rows = share * (1 - share) / variance if variance > 0 else float(n)
    return wilson(share * rows, rows)


def _distinct_interval(share: float, times: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the share of distinct rows, from the number of occurrences of each.

    With a Poisson number of rows, the variance of the number of distinct rows equals the expected number of new ones in
    a second sample of the same size: f1 - f2 + f3 - ..., with fj the number of rows that occur j times (Good and
    Toulmin, "The number of new species, and the increase in population coverage, when a sample is increased",
    Biometrika 43, 1956), here with the weights of Efron and Thisted (Biometrika 63, 1976). For a fixed n, f1^2 / n is
    subtracted. If few rows repeat, the variance is their number, as for any rare event; the jackknife would give twice
    that.
    """
    n = int(times.sum())
    j = np.arange(1, N_SERIES_TERMS + 1)
    frequencies = np.bincount(np.minimum(times, N_SERIES_TERMS + 1), minlength=N_SERIES_TERMS + 2)[
        1 : N_SERIES_TERMS + 1
    ]
    new_rows = float(((-1.0) ** (j + 1) * binom.sf(j - 1, N_SERIES_TERMS, 0.5) * frequencies).sum())
    return _wilson_from_variance(share, max(new_rows - frequencies[0] ** 2 / n, 0.0) / n**2, n)


def _counts(table: pd.DataFrame, schema: Schema, now: datetime) -> dict[str, Counts]:
    """Return the numbers of valid and of checked cells of each row, by quality dimension and column."""
    n = len(table)
    every = np.ones(n, dtype=bool)
    out: dict[str, Counts] = {"completeness": {}, "validity": {}, "consistency": {}, "timeliness": {}}
    for name, column in schema.items():
        present = table[name].notna().to_numpy(bool)
        out["completeness"][name] = (present, every)
        out["validity"][name] = (_valid(table[name], column) & present, present)
        if isinstance(column, Identifier):
            out["consistency"][name] = (~table[name].duplicated().to_numpy(bool), every)
        if isinstance(column, Datetime):
            moments = _moments(table[name], column)
            newest = moments.max()
            age = "" if newest is pd.NaT or (now - newest).days < MAX_AGE_DAYS else f" (newest {newest:%Y-%m-%d}: old)"
            out["timeliness"][f"{name}{age}"] = ((moments <= now).to_numpy(bool), moments.notna().to_numpy(bool))
    for constraint in schema.constraints:
        names = ", ".join(constraint.columns)
        try:
            satisfied = np.asarray(satisfies(constraint, table, schema), dtype=bool)
        except DataError:  # values of another type satisfy no constraint
            satisfied = ~every
        out["consistency"][names] = (satisfied, every)
    keyless = [name for name, column in schema.items() if not isinstance(column, Identifier)]
    doubles = table[keyless].duplicated().to_numpy(bool) if keyless else ~every
    out["uniqueness"] = {"rows": (~doubles, every)}
    return out


def _moments(values: pd.Series, column: Datetime) -> pd.Series:
    try:
        return to_instants(values, column.format)
    except DataError:
        parsed = pd.to_datetime(values.astype(object), format=column.format or "ISO8601", errors="coerce", utc=True)
        return parsed.dt.tz_localize(None)


def _valid(values: pd.Series, column: Column) -> np.ndarray:
    """Return whether the column allows each present value, shape (n,)."""
    if isinstance(column, Numeric):
        try:
            data = to_numbers(values)
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
        return values.astype(object).isin([True, False, "true", "false", "True", "False"]).to_numpy(bool)
    if isinstance(column, Text | Identifier):
        return (values.astype(str).str.strip() != "").to_numpy(bool)
    return np.ones(len(values), dtype=bool)
