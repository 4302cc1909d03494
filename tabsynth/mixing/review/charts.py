"""Charts of a review: each column's distribution in every source, before and after harmonisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.mixing.matching.column_profiles import MAX_CODES
from tabsynth.mixing.plan.entries import code_text, code_texts
from tabsynth.reporting.charts import step_curve

MIN_CELL_ROWS = 5
"""Codes with fewer rows are pooled."""

N_BINS = 24
WIDTH, HEIGHT = 300.0, 96.0


def draw_distributions(series: Mapping[str, pd.Series]) -> dict[str, Any] | None:
    """Return the histogram outlines of numbers, or bars of codes; None without values.

    Args:
        series: One column's values by source.
    """
    present = {source: values.dropna() for source, values in series.items()}
    present = {source: values for source, values in present.items() if len(values)}
    if not present:
        return None
    plain = {source: _to_numbers(values) for source, values in present.items()}
    dates = all(pd.api.types.is_datetime64_any_dtype(values.dtype) for values in present.values())
    many = max(values.nunique() for values in present.values()) > MAX_CODES
    if many and all(values is not None for values in plain.values()):
        numbers = {source: values for source, values in plain.items() if values is not None}
        return _draw_outlines(numbers, dates=dates)
    return _draw_bars(present)


def _to_numbers(values: pd.Series) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Return the numbers, or dates as numbers of days."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values.to_numpy("datetime64[D]").astype(np.float64)
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return values.to_numpy(np.float64)
    return None


def _draw_outlines(series: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]], *, dates: bool) -> dict[str, Any]:
    """Return step curves between the 1 % and 99 % quantiles, which do not disclose extremes."""
    low = min(float(np.quantile(values, 0.01)) for values in series.values())
    high = max(float(np.quantile(values, 0.99)) for values in series.values())
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, N_BINS + 1)
    shares = {
        source: np.histogram(np.clip(values, low, high), edges)[0] / len(values) for source, values in series.items()
    }
    top = max(float(share.max()) for share in shares.values())
    lines = [
        {"source": source, "path": step_curve(share.tolist(), top, WIDTH, HEIGHT)} for source, share in shares.items()
    ]
    return {"lines": lines, "left": _axis_label(low, dates=dates), "right": _axis_label(high, dates=dates)}


def _axis_label(value: float, *, dates: bool) -> str:
    """Format a number with four significant digits (a large one with all), or a date."""
    if dates:
        return str(np.datetime64(round(value), "D"))
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def count_keys(series: Mapping[str, pd.Series]) -> list[str]:
    """Describe each source: its number of distinct keys or texts, and how many of them occur in another source."""
    codes = {source: set(code_texts(values.dropna())) for source, values in series.items()}
    out = []
    for source, distinct in codes.items():
        shared = distinct & set().union(*(values for name, values in codes.items() if name != source))
        words = f"{source}: {len(distinct):,} different values in {len(series[source]):,} rows"
        out.append(f"{words}, {len(shared):,} of them in another source" if len(codes) > 1 else words)
    return out


def _draw_bars(series: Mapping[str, pd.Series]) -> dict[str, Any]:
    """Return the shares of each code in each source; rare codes are pooled."""
    counts = {source: values.map(code_text).value_counts() for source, values in series.items()}
    total = pd.DataFrame(counts).fillna(0)
    shown = [str(code) for code in total.index[(total >= MIN_CELL_ROWS).any(axis=1)]]
    shown = sorted(shown, key=lambda code: (not code.lstrip("-").isdigit(), len(code), code))[:MAX_CODES]
    rows = []
    for code in shown:
        parts = [
            {"source": source, "share": float(frequency.get(code, 0)) / float(frequency.sum())}
            for source, frequency in counts.items()
        ]
        rows.append({"code": code, "parts": parts})
    pooled = [
        {"source": source, "share": float(frequency[~frequency.index.isin(shown)].sum()) / float(frequency.sum())}
        for source, frequency in counts.items()
    ]
    if any(part["share"] for part in pooled):
        rows.append({"code": "all others", "parts": pooled})
    return {"rows": rows}
