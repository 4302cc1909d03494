"""Tails and extremes: the few per cent of rows at either end of a number, and the rare categories.

A mean distance hardly moves when only the tails are wrong, and they are often what a table is used for.
"""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.bootstrap import Resample, shares
from tabsynth.evaluation.stats.table_comparison import Comparison, error_score, variation

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
            size = len(cut) + 1
            parted = _parted_numbers(comparison.resample, comparison.real.values[:, at], comparison.made.values[:, at])
            at += 1
        else:
            rare = _rare(np.bincount(comparison.real.codes[:, j], minlength=int(comparison.real.book.sizes[j])))
            table, size = np.where(rare, np.cumsum(rare), 0), int(rare.sum()) + 1
            keys = [(table[a.codes[:, j]], table[b.codes[:, j]]) for a, b in comparison.pairs]
            codes = comparison.real.codes[:, j], comparison.made.codes[:, j]
            parted = _parted_labels(comparison.resample, *codes, len(rare))
        # the key 0 is the body of the column; an error of all rows is set against the share in the tails
        mass = float((keys[0][0] > 0).mean())
        if mass == 0 or size < 2:
            continue
        whole = 1 / max(mass, LEAST_MASS)
        value, drawn = comparison.resample.variation(*keys[0], size, whole, parted)
        columns.append((name,))
        values.append(min(value, 1.0))
        draws.append(np.minimum(drawn, 1.0))
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


def _ends(values: Floats, cut: Floats) -> Integers:
    """The tail's cell of each value, shape (n,); 0 for the body and for missing values."""
    out = np.zeros(len(values), dtype=np.int64)
    if not len(cut):
        return out
    half = len(cut) // 2
    for i in range(half - 1, -1, -1):  # the outer cells overwrite the inner ones
        out[values < cut[i]] = i + 1
        out[values > cut[len(cut) - 1 - i]] = len(cut) - i
    return out


def _rare(counts: Integers | Floats) -> np.ndarray:
    """Which codes are rare categories, by the counts of real rows, shape (..., codes); 0, for missing, is none."""
    rare = np.asarray(counts <= RARE * counts.sum(axis=-1, keepdims=True))
    rare[..., 0] = False
    return rare


def _parted_numbers(resample: Resample, real: Floats, made: Floats) -> Floats:
    """The error of a number's tails by chance: all rows parted at random, tails cut anew by the first part, (DRAWS,).

    Cells that keep the real table's cuts would scatter too little: that its ends hold nothing beyond is chance, too.
    """
    values = np.concatenate([real[resample.left.rows], made[resample.right.rows]])
    first = resample.parted
    rows = first.sum(axis=1)[:, None], (~first).sum(axis=1)[:, None]
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # missing ones come last
    if not len(order):
        return np.zeros(len(first))
    ordered, n = values[order], len(order)
    # where the rows of the first part lie among the values in order, draw after draw
    start = n * np.arange(len(first))
    places = np.append(np.flatnonzero(first[:, order]), n * len(first))
    before = np.searchsorted(places, start)
    present = np.searchsorted(places, start + n) - before
    below, above = [], []
    for q in (0.0, *QUANTILES, 1.0):
        at = q * np.maximum(present - 1, 0)
        rank = np.floor(at + 1e-9) if q < 0.5 else np.ceil(at - 1e-9)
        cut = ordered[np.where(present > 0, places[before + rank.astype(np.int64)] - start, 0)]
        end = np.searchsorted(ordered, cut, "left" if q < 0.5 else "right")
        inner = np.searchsorted(places, start + end) - before
        if q < 0.5:
            below.append((inner, end - inner))
        else:
            above.append((present - inner, n - end - present + inner))
    gaps, mass = [], np.zeros(len(first))
    for side in (below, above[::-1]):  # from the outermost cell inwards
        for part, whole in zip((0, 1), rows, strict=True):
            counts = np.diff([cell[part] for cell in side], axis=0, prepend=0)
            gaps.append((counts / whole.T) * (1 - 2 * part))
            mass += counts.sum(axis=0) / whole[:, 0] if part == 0 else 0.0
    each = np.vstack([gaps[0] + gaps[1], gaps[2] + gaps[3]]).T
    return _of_tails(each, mass) * resample.scale


def _parted_labels(resample: Resample, real: Integers, made: Integers, size: int) -> Floats:
    """The same for the rare categories."""
    counts, others = resample.halves([resample.left.table(real, size), resample.right.table(made, size)])
    p, q = shares(counts), shares(others)
    rare = _rare(counts)
    return _of_tails(np.where(rare, p - q, 0.0), np.where(rare, p, 0.0).sum(axis=1)) * resample.scale


def _of_tails(gap: Floats, mass: Floats) -> Floats:
    """The error from the differences of the cells' shares, shape (draws, cells), and the share of rows there."""
    body = np.abs(gap.sum(axis=1))
    return np.asarray(0.5 * (np.abs(gap).sum(axis=1) + body) / np.maximum(mass, LEAST_MASS))
