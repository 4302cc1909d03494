"""Resolution, decimals and types of values: faults that distributions do not show."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.errors import DataError
from tabsynth.schema.columns import Column, Datetime, Numeric
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import to_instants, to_numbers

MIN_REAL_SHARE, MAX_SYNTHETIC_SHARE = 0.995, 0.95
"""Minimum share of real values with a format, and share of synthetic values below which the format is lost."""

MIN_VALUES = 20
MAX_DECIMALS = 6
UNITS = (
    ("midnight", 86_400_000_000),
    ("full hours", 3_600_000_000),
    ("full minutes", 60_000_000),
    ("full seconds", 1_000_000),
    ("full milliseconds", 1_000),
)
"""Resolutions of datetimes in microseconds, coarsest first."""


def find_format_faults(train: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema) -> list[tuple[str, str]]:
    """Return the columns whose synthetic values have another resolution, more decimals or another type, described."""
    out = []
    for name, column in schema.items():
        real, other = train[name].dropna(), synthetic[name].dropna()
        if len(real) < MIN_VALUES or len(other) < MIN_VALUES:
            continue
        text = _type_fault(train[name], synthetic[name]) or _resolution_fault(real, other, column)
        if text:
            out.append((name, f"{name}: {text}"))
    return out


def _type_fault(real: pd.Series, synthetic: pd.Series) -> str:
    kinds = [_family(series) for series in (real, synthetic)]
    if kinds == ["integers", "floating-point numbers"] and synthetic.isna().any() and not real.isna().any():
        return ""  # a missing value turns integers into floats
    if kinds == ["floating-point numbers", "integers"] or kinds[0] == kinds[1]:
        return ""
    return f"real values are {kinds[0]}, synthetic ones {kinds[1]}"


def _family(series: pd.Series) -> str:
    """Return the family of a column's values, by its dtype, or by its first value if the dtype is ``object``."""
    types = pd.api.types
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _family(pd.Series(series.cat.categories))
    if types.is_bool_dtype(series.dtype):
        return "booleans"
    if types.is_integer_dtype(series.dtype):
        return "integers"
    if types.is_float_dtype(series.dtype):
        return "floating-point numbers"
    if types.is_datetime64_any_dtype(series.dtype):
        kind = series.dtype.pyarrow_dtype if isinstance(series.dtype, pd.ArrowDtype) else series.dtype
        return "datetimes" if getattr(kind, "tz", None) is None else "datetimes with a time zone"
    present = series.dropna()
    if types.is_string_dtype(series.dtype) or (len(present) and isinstance(present.iloc[0], str)):
        return "text"
    return f"{type(present.iloc[0]).__name__} objects" if len(present) else "missing"


def _resolution_fault(real: pd.Series, synthetic: pd.Series, column: Column) -> str:
    """Describe the strictest format of the real values that the synthetic values do not have."""
    try:
        if isinstance(column, Datetime):
            pair = tuple(_microseconds(part, column) for part in (real, synthetic))
            formats = [(f"at {name}", [part % unit == 0 for part in pair]) for name, unit in UNITS]
        elif isinstance(column, Numeric):
            pair = tuple(to_numbers(part, column.format) for part in (real, synthetic))
            precision = [2e-7 if str(part.dtype).lower() == "float32" else 1e-12 for part in (real, synthetic)]
            formats = [
                (_decimals(d), [_has_decimals(*each, d) for each in zip(pair, precision, strict=True)])
                for d in range(MAX_DECIMALS)
            ]
        else:
            return ""
    except DataError:
        return ""
    for name, kept in formats:
        if float(kept[0].mean()) >= MIN_REAL_SHARE:
            share = float(kept[1].mean())
            return "" if share >= MAX_SYNTHETIC_SHARE else f"real values are {name}, {1 - share:.0%} of synthetic not"
    return ""


def _microseconds(values: pd.Series, column: Datetime) -> Floats:
    instants = to_instants(values, column.format).to_numpy()
    return np.asarray((instants - np.datetime64(0, "us")) / np.timedelta64(1, "us"), dtype=np.float64)


def _decimals(count: int) -> str:
    return "whole numbers" if count == 0 else f"rounded to {count} decimal{'s' if count > 1 else ''}"


def _has_decimals(values: Floats, precision: float, count: int) -> np.ndarray:
    scaled = values * 10.0**count
    return np.asarray(np.abs(scaled - np.rint(scaled)) <= np.maximum(1e-6, precision * np.abs(scaled)))
