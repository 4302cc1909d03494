"""Charts of the real columns, without values that fewer than ``MIN_GROUP`` rows have."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.reporting import charts
from tabsynth.reporting.number_format import format_number
from tabsynth.schema.columns import Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.text_inference import MIN_GROUP
from tabsynth.schema.validation import to_instants, to_numbers

MAX_LABELS = 5
N_BINS = 16


def frequent_values(values: pd.Series, most: int) -> list[Any]:
    """Return the most frequent values, each of at least ``MIN_GROUP`` rows."""
    counts = values.value_counts()
    return list(counts[counts >= MIN_GROUP].index[:most])


def preview(values: pd.Series, column: Column) -> dict[str, Any]:
    """Return a column's picture as plain data: ``histogram``, ``bars`` or neither, and the share of missing values."""
    present = values.dropna()
    out: dict[str, Any] = {"histogram": None, "bars": None}
    share = 100 * float(values.isna().mean())
    few = 0 < len(values) - len(present) < MIN_GROUP
    out["missing"] = "" if share == 0 else "a few" if few else format_number(share, "%")
    if isinstance(column, (Identifier, Text)) or len(present) < 2 * MIN_GROUP:
        return out
    if isinstance(column, Numeric):
        out["histogram"] = _histogram(to_numbers(present, column.format), dates=False)
    elif isinstance(column, Datetime):
        seconds = to_instants(present, column.format).to_numpy().astype("datetime64[s]").astype(np.int64)
        out["histogram"] = _histogram(seconds.astype(np.float64), dates=True)
    else:
        out["bars"] = _bars(present)
    return out


def _histogram(data: npt.NDArray[np.float64], *, dates: bool) -> dict[str, Any] | None:
    """Return equal-width bins with open outer ones; bins of fewer than ``MIN_GROUP`` rows are shown as empty."""
    ordered = np.sort(data[np.isfinite(data)])
    inner = max(MIN_GROUP, len(ordered) // 100)
    if len(ordered) < 4 * inner:
        return None
    low, high = _round(ordered[inner], dates), _round(ordered[-1 - inner], dates)
    if low >= high:
        return None
    edges = np.linspace(low, high, N_BINS + 1)
    if not dates and high - low < N_BINS and low % 1 == high % 1 == 0 and (ordered % 1 == 0).all():
        edges = np.arange(low - 0.5, high + 1.0)  # one bin for each integer
    counts = np.bincount(np.searchsorted(edges[1:-1], ordered, "right"), minlength=len(edges) - 1)
    shares = [0.0 if count < MIN_GROUP else float(count) / len(ordered) for count in counts]
    shown = [str(pd.Timestamp(round(edge), unit="s").isoformat()) for edge in edges] if dates else list(edges)
    return charts.histogram({"edges": shown, "real": shares, "synthetic": shares})


def _round(value: float, dates: bool) -> float:
    """Return the two significant digits, or whole days: no bound of the picture is one row's value."""
    if dates:
        return round(value / 86_400) * 86_400.0
    return float(f"{value:.2g}")


def _bars(present: pd.Series) -> dict[str, Any] | None:
    counts = present.map(str).value_counts()
    shown = counts[counts >= MIN_GROUP].iloc[:MAX_LABELS]
    if not len(shown):
        return None
    labels, shares = [str(label) for label in shown.index], [100 * float(n) / len(present) for n in shown]
    rest = len(counts) - len(shown)
    if rest and counts.sum() - shown.sum() >= MIN_GROUP:
        labels.append(f"other ({rest})")
        shares.append(100 * float(counts.sum() - shown.sum()) / len(present))
    return charts.bars({"labels": labels, "real": shares, "synthetic": shares})
