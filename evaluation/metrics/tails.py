"""Tails of numbers and rare categories, which have little influence on mean distances."""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.bootstrap import Resample, normalise
from tabsynth.evaluation.stats.table_comparison import Comparison, PartErrors, total_variation_distance

QUANTILES = (0.005, 0.02, 0.05, 0.95, 0.98, 0.995)
MAX_RARE_SHARE = 0.05
"""Maximum share of a rare category."""

MIN_TAIL_MASS = 0.02
"""Minimum share of rows in the tails, as the denominator of the relative error."""


def tail_scores(comparison: Comparison) -> list[Score]:
    """Return the errors of numeric tails and of rare categories; empty without either."""
    names = comparison.real.encoding.names
    errors = PartErrors()
    at = 0
    for j, name in enumerate(names):
        if comparison.real.encoding.continuous[j]:
            edges = _tail_edges(comparison.real.values[:, at])
            keys = [
                (_tail_cells(a.values[:, at], edges), _tail_cells(b.values[:, at], edges)) for a, b in comparison.pairs
            ]
            size = len(edges) + 1
            null_errors = _null_number_errors(
                comparison.resample, comparison.real.values[:, at], comparison.synthetic.values[:, at]
            )
            at += 1
        else:
            rare = _is_rare(np.bincount(comparison.real.codes[:, j], minlength=int(comparison.real.encoding.sizes[j])))
            table, size = np.where(rare, np.cumsum(rare), 0), int(rare.sum()) + 1
            keys = [(table[a.codes[:, j]], table[b.codes[:, j]]) for a, b in comparison.pairs]
            codes = comparison.real.codes[:, j], comparison.synthetic.codes[:, j]
            null_errors = _null_category_errors(comparison.resample, *codes, len(rare))
        # Key 0 is the body of the column; errors are divided by the share of rows in the tails.
        mass = float((keys[0][0] > 0).mean())
        if mass == 0 or size < 2:
            continue
        inverse_mass = 1 / max(mass, MIN_TAIL_MASS)
        value, drawn = comparison.resample.total_variation(*keys[0], size, inverse_mass, null_errors)
        floor = comparison.floor([np.array(total_variation_distance(a, b, size) * inverse_mass) for a, b in keys[1:]])
        errors.add((name,), min(value, 1.0), floor, np.minimum(drawn, 1.0))
    if not errors.columns:
        return []
    score = errors.score(
        "tail_error",
        "Relative error of the shares of each number's outer five per cent, of values beyond the real range, and of "
        "categories rarer than five per cent.",
        "Total variation over cells cut at the real quantiles "
        f"{', '.join(f'{100 * q:g}' for q in QUANTILES)} % and at the real ends, over the share of tail rows. "
        + comparison.method_note,
    )
    return [score]


def _tail_edges(values: Floats) -> Floats:
    """Return the edges of the lower and upper tails, including the ends of the range."""
    present = values[~np.isnan(values)]
    if not len(present):
        return np.empty(0)
    low = np.quantile(present, QUANTILES[:3], method="lower")
    high = np.quantile(present, QUANTILES[3:], method="higher")
    return np.array([present.min(), *low, *high, present.max()])


def _tail_cells(values: Floats, edges: Floats) -> Integers:
    """Return the tail cell of each value, shape (n,); 0 for the body and for missing values."""
    out = np.zeros(len(values), dtype=np.int64)
    if not len(edges):
        return out
    half = len(edges) // 2
    for i in range(half - 1, -1, -1):  # the outer cells overwrite the inner ones
        out[values < edges[i]] = i + 1
        out[values > edges[len(edges) - 1 - i]] = len(edges) - i
    return out


def _is_rare(counts: Integers | Floats) -> np.ndarray:
    """Return which codes are rare categories by the real counts, shape (..., codes); 0 (missing) never is."""
    rare = np.asarray(counts <= MAX_RARE_SHARE * counts.sum(axis=-1, keepdims=True))
    rare[..., 0] = False
    return rare


def _null_number_errors(resample: Resample, real: Floats, synthetic: Floats) -> Floats:
    """Return the null errors of a number's tails under permutations, shape (N_DRAWS,).

    The tails are cut at the quantiles of the first part of each permutation. Fixed cuts of the real table would give
    too little variance, because no real value lies beyond its ends.
    """
    values = np.concatenate([real[resample.left.rows], synthetic[resample.right.rows]])
    first = resample.permuted
    rows = first.sum(axis=1)[:, None], (~first).sum(axis=1)[:, None]
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # missing ones come last
    if not len(order):
        return np.zeros(len(first))
    ordered, n = values[order], len(order)
    # Positions of the first part's rows among the sorted values, for all draws.
    start = n * np.arange(len(first))
    places = np.append(np.flatnonzero(first[:, order]), n * len(first))
    before = np.searchsorted(places, start)
    present = np.searchsorted(places, start + n) - before
    below, above = [], []
    for q in (0.0, *QUANTILES, 1.0):
        at = q * np.maximum(present - 1, 0)
        rank = np.floor(at + 1e-9) if q < 0.5 else np.ceil(at - 1e-9)
        edges = ordered[np.where(present > 0, places[before + rank.astype(np.int64)] - start, 0)]
        end = np.searchsorted(ordered, edges, "left" if q < 0.5 else "right")
        inner = np.searchsorted(places, start + end) - before
        if q < 0.5:
            below.append((inner, end - inner))
        else:
            above.append((present - inner, n - end - present + inner))
    gaps, mass = [], np.zeros(len(first))
    for side in (below, above[::-1]):  # from the outermost cell inwards
        for part, inverse_mass in zip((0, 1), rows, strict=True):
            counts = np.diff([cell[part] for cell in side], axis=0, prepend=0)
            gaps.append((counts / inverse_mass.T) * (1 - 2 * part))
            mass += counts.sum(axis=0) / inverse_mass[:, 0] if part == 0 else 0.0
    each = np.vstack([gaps[0] + gaps[1], gaps[2] + gaps[3]]).T
    return _relative_error(each, mass) * resample.scale


def _null_category_errors(resample: Resample, real: Integers, synthetic: Integers, size: int) -> Floats:
    """Return the null errors of the rare categories under permutations, shape (N_DRAWS,)."""
    counts, others = resample.permuted_counts([resample.left.table(real, size), resample.right.table(synthetic, size)])
    p, q = normalise(counts), normalise(others)
    rare = _is_rare(counts)
    return _relative_error(np.where(rare, p - q, 0.0), np.where(rare, p, 0.0).sum(axis=1)) * resample.scale


def _relative_error(gap: Floats, mass: Floats) -> Floats:
    """Return the error from differences of cell shares, shape (draws, cells), and the share of rows in the tails."""
    body = np.abs(gap.sum(axis=1))
    return np.asarray(0.5 * (np.abs(gap).sum(axis=1) + body) / np.maximum(mass, MIN_TAIL_MASS))
