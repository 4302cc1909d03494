"""Histograms for the charts of a report, which show distributions but no single rows.

Counts of the real table are coarsened: the outer bins of a histogram are open and contain at least ``MIN_CELL_ROWS``
    real rows each, so no edge is an extreme value; categories beyond the twelve most frequent, or with fewer than
``MIN_CELL_ROWS`` real rows, are pooled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.schema.columns import Datetime
from tabsynth.schema.schema import Schema

MIN_CELL_ROWS = 5
MAX_CATEGORIES = 12
MAX_BINS = 30
OUTER_BIN_SHARE = 0.005
"""Share of rows in each open outer bin."""


def distributions(train: EncodedTable, synthetic: EncodedTable, schema: Schema) -> list[dict[str, Any]]:
    """Return a histogram or bar chart for each scored column, as plain data.

    Returns:
        Dictionaries with ``name``, ``kind`` and either ``edges`` (numbers, or ISO 8601 text for datetimes; the first
        and last bins are open) or ``labels``, then ``real`` and ``synthetic``: the shares, in percent of all rows, of
        each bin or label; ``real_missing`` and ``synthetic_missing`` likewise.
    """
    out = []
    at = 0
    for j, name in enumerate(train.encoding.names):
        picture: dict[str, Any] = {"name": name, "kind": schema[name].kind}
        if train.encoding.continuous[j]:
            dates = isinstance(schema[name], Datetime)
            picture |= _histogram(train.values[:, at], synthetic.values[:, at], dates)
            at += 1
        else:
            picture |= _bars(train, synthetic, j)
        picture["real_missing"] = _percent((train.codes[:, j] == 0).mean())
        picture["synthetic_missing"] = _percent((synthetic.codes[:, j] == 0).mean())
        out.append(picture)
    return out


def _histogram(real: Floats, other: Floats, dates: bool) -> dict[str, Any]:
    present = np.sort(real[~np.isnan(real)])
    if len(present) < 2 * MIN_CELL_ROWS:
        return {"edges": [], "real": [], "synthetic": []}
    edges = _edges(present)
    out: dict[str, Any] = {"edges": [_instant(x) if dates else float(x) for x in edges], "real": [], "synthetic": []}
    for key, values in (("real", real), ("synthetic", other)):
        known = values[~np.isnan(values)]
        counts = np.bincount(np.searchsorted(edges[1:-1], known, "right"), minlength=len(edges) - 1)
        out[key] = [_percent(share) for share in counts / len(values)]
    return out


def _edges(present: Floats) -> Floats:
    """Return the common bin edges between two inner quantiles; bins of integers contain equal numbers of them."""
    k = min(max(MIN_CELL_ROWS, int(OUTER_BIN_SHARE * len(present))), (len(present) - 1) // 2)
    low, high = float(present[k]), float(present[-1 - k])
    if low == high:  # nearly constant: one bin around the value
        half = max(abs(low) * 0.05, 0.5)
        return np.array([low - half, low + half])
    if np.all(present == np.rint(present)):
        width = max(1, int(np.ceil((high - low + 1) / MAX_BINS)))
        count = int(np.ceil((high - low + 1) / width))
        return np.asarray(low - 0.5 + width * np.arange(count + 1), dtype=np.float64)
    count = int(np.clip(np.sqrt(len(present)), 8, MAX_BINS))
    return np.linspace(low, high, count + 1, dtype=np.float64)


def _bars(train: EncodedTable, synthetic: EncodedTable, j: int) -> dict[str, Any]:
    size = int(train.encoding.sizes[j])
    counts = np.bincount(train.codes[:, j], minlength=size)[1:]
    synthetic_counts = np.bincount(synthetic.codes[:, j], minlength=size)[1:]
    order = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]
    shown = np.sort(order[counts[order] >= MIN_CELL_ROWS])
    pooled = np.setdiff1d(np.flatnonzero(counts + synthetic_counts), shown)
    labels = [train.encoding.labels[j][i] for i in shown]
    real = [_percent(counts[i] / len(train)) for i in shown]
    other = [_percent(synthetic_counts[i] / len(synthetic)) for i in shown]
    if len(pooled):
        labels.append(f"other ({len(pooled)})")
        real.append(_percent(counts[pooled].sum() / len(train)))
        other.append(_percent(synthetic_counts[pooled].sum() / len(synthetic)))
    return {"labels": labels, "real": real, "synthetic": other}


def _percent(share: float) -> float:
    """Convert to percent, rounded to keep reports small."""
    return round(100 * float(share), 3)


def _instant(seconds: float) -> str:
    return str(pd.Timestamp(round(seconds), unit="s").isoformat())
