"""Tails and extremes: the few per cent of rows at either end of a number, and the rare categories.

A mean distance hardly moves when only the tails are wrong, and they are often what a table is used for.
"""

from __future__ import annotations

import numpy as np

from tabsynth.evaluation.coded import Coded, Floats, Ints
from tabsynth.evaluation.comparison import Comparison, error_score, variation
from tabsynth.evaluation.score import Score

QUANTILES = (0.005, 0.02, 0.05, 0.95, 0.98, 0.995)
RARE = 0.05
"""Share up to which a category is rare."""

LEAST_MASS = 0.02
"""Share of the rows that tails are taken to hold at the least."""


def tail_scores(comparison: Comparison) -> list[Score]:
    """The error of the tails of every number and of the rare categories of every category; none without either."""
    names = comparison.real.book.names
    columns, values, floors, draws = [], [], [], []
    at = 0
    for j, name in enumerate(names):
        if comparison.real.book.continuous[j]:
            cut = _cells(comparison.real.values[:, at])
            keys = [(_ends(a.values[:, at], cut), _ends(b.values[:, at], cut)) for a, b in comparison.pairs]
            size = len(cut) + 2
            at += 1
        else:
            table, size = _rare(comparison.real, j)
            keys = [(table[a.codes[:, j]], table[b.codes[:, j]]) for a, b in comparison.pairs]
        # the key 0 is the body of the column; an error of all rows is set against the share in the tails
        mass = float((keys[0][0] > 0).mean())
        if mass == 0 or size < 2:
            continue
        whole = 1 / max(mass, LEAST_MASS)
        value, drawn = comparison.resample.variation(keys[0][0], keys[0][1], size)
        columns.append((name,))
        values.append(min(value * whole, 1.0))
        draws.append(np.minimum(drawn * whole, 1.0))
        floors.append(float(comparison.floor([np.array(variation(a, b, size) * whole) for a, b in keys[1:]])))
    if not columns:
        return []
    return [
        error_score(
            "tail_error",
            "Tails and extremes",
            "How far the outer five per cent of each number, what lies beyond the real range, and the categories "
            "rarer than five per cent hold other shares than in the real table.",
            "Total variation over cells cut at the real quantiles "
            f"{', '.join(f'{100 * q:g}' for q in QUANTILES)} % and at the real ends, over the share of rows there. "
            + comparison.how,
            columns,
            np.array(values),
            np.array(floors),
            np.stack(draws, axis=-1),
        )
    ]


def _cells(values: Floats) -> Floats:
    """Edges of the tails: below each of the first ones, above each of the last; ends of the range included."""
    present = values[~np.isnan(values)]
    if not len(present):
        return np.empty(0)
    low = np.quantile(present, QUANTILES[:3], method="lower")
    high = np.quantile(present, QUANTILES[3:], method="higher")
    return np.array([present.min(), *low, *high, present.max()])


def _ends(values: Floats, cut: Floats) -> Ints:
    """The tail's cell of each value, shape (n,); 0 for the body and for missing values."""
    out = np.zeros(len(values), dtype=np.int64)
    if not len(cut):
        return out
    half = len(cut) // 2
    for i in range(half - 1, -1, -1):  # the outer cells overwrite the inner ones
        out[values < cut[i]] = i + 1
        out[values > cut[len(cut) - 1 - i]] = len(cut) - i
    return out


def _rare(real: Coded, j: int) -> tuple[Ints, int]:
    """A code for each rare category, 0 for all others and for missing, and how many codes there are."""
    counts = np.bincount(real.codes[:, j], minlength=int(real.book.sizes[j]))
    rare = counts <= RARE * len(real)
    rare[0] = False
    table = np.where(rare, np.cumsum(rare), 0)
    return table.astype(np.int64), int(rare.sum()) + 1
