"""Summary statistics of every column of both tables; none reveals the value of fewer than ``MIN_CELL_ROWS`` rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.rendering.histograms import MIN_CELL_ROWS
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.schema.columns import Datetime
from tabsynth.schema.schema import Schema

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MAX_TOP = 3
"""Maximum number of categories in a summary, the most frequent first."""


def column_summary(train: EncodedTable, synthetic: EncodedTable, schema: Schema) -> list[dict[str, Any]]:
    """Return one entry for each scored column, as plain data.

    Returns:
        Dictionaries with ``name``, ``kind``, ``real`` and ``synthetic``. Both have ``count`` (of present values),
        ``missing`` (percent) and ``distinct``. Numbers and dates also have ``mean``, ``sd`` (of dates in days) and
        ``quantiles`` (5, 25, 50, 75 and 95 %), each None with fewer than ten values. Categories have ``top``: the most
        frequent ones with at least five rows, and their percentages of all rows.
    """
    out = []
    at = 0
    for j, name in enumerate(train.encoding.names):
        entry: dict[str, Any] = {"name": name, "kind": schema[name].kind}
        for side, table in (("real", train), ("synthetic", synthetic)):
            present = int((table.codes[:, j] > 0).sum())
            facts: dict[str, Any] = {"count": present, "missing": round(100 - 100 * present / len(table), 3)}
            if train.encoding.continuous[j]:
                values = np.sort(table.values[:, at][~np.isnan(table.values[:, at])])
                facts |= _number_facts(values, isinstance(schema[name], Datetime))
            else:
                facts |= _category_facts(table, j)
            entry[side] = facts
        at += bool(train.encoding.continuous[j])
        out.append(entry)
    return out


def _number_facts(values: Floats, is_date: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"distinct": len(np.unique(values)), "mean": None, "sd": None, "quantiles": None}
    finite = bool(np.isfinite(values).all())
    if len(values) < 2 * MIN_CELL_ROWS or not finite:
        return facts
    scale = float(np.abs(values).max()) or 1.0  # keeps squares of large numbers finite
    mean, deviation = float((values / scale).mean() * scale), float((values / scale).std() * scale)
    quantiles = [_pooled_quantile(values, share) for share in QUANTILES]
    if is_date:
        day = 86_400
        return facts | {
            "mean": _day(mean),
            "sd": _rounded(deviation / day),
            "quantiles": [_day(value) for value in quantiles],
        }
    return facts | {
        "mean": _rounded(mean),
        "sd": _rounded(deviation),
        "quantiles": [_rounded(value) for value in quantiles],
    }


def _pooled_quantile(values: Floats, share: float) -> float:
    """Return the mean of the ``MIN_CELL_ROWS`` sorted values around a quantile, which is not the value of one row."""
    start = round(share * (len(values) - 1)) - MIN_CELL_ROWS // 2
    start = min(max(start, 0), len(values) - MIN_CELL_ROWS)
    near = values[start : start + MIN_CELL_ROWS]
    return float(near[0] + (near - near[0]).mean())


def _category_facts(table: EncodedTable, j: int) -> dict[str, Any]:
    counts = np.bincount(table.codes[:, j], minlength=int(table.encoding.sizes[j]))[1:]
    order = [k for k in np.argsort(-counts, kind="stable")[:MAX_TOP] if counts[k] >= MIN_CELL_ROWS]
    top = [[table.encoding.labels[j][k], round(100 * float(counts[k]) / len(table), 3)] for k in order]
    return {"distinct": int((counts > 0).sum()), "top": top}


def _rounded(value: float) -> float:
    """Round to five significant digits."""
    return float(f"{value:.5g}")


def _day(seconds: float) -> str:
    return str(pd.Timestamp(round(seconds), unit="s").date().isoformat())
