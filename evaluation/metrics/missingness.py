"""Missing values: joint patterns, and dependence on other columns.

A table can have the right share of missing values in every column, but independent of the other columns; the second
score detects that.
"""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Integers
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.binning import Bins
from tabsynth.evaluation.stats.bootstrap import conditional_variation
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.table_comparison import Comparison, PartErrors, total_variation_distance

MIN_MISSING_SHARE = 0.001
"""Minimum share of missing values of a scored column, in either table."""

MIN_MISSING_ROWS = 10
"""Minimum number of real rows with a missing value for scores of their dependence on other columns."""

N_BINS = 8
MAX_PAIRS = 300


def missingness_scores(comparison: Comparison) -> list[Score]:
    """Return the errors of missing-value patterns and of their relation to other columns; empty without any."""
    real, synthetic = comparison.real, comparison.synthetic
    shares = np.maximum((real.codes == 0).mean(axis=0), (synthetic.codes == 0).mean(axis=0))
    incomplete = np.flatnonzero((shares >= MIN_MISSING_SHARE) & (shares > 0))
    if not len(incomplete):
        return []
    scores = [_pattern_score(comparison, incomplete)]
    related = incomplete[(real.codes[:, incomplete] == 0).sum(axis=0) >= MIN_MISSING_ROWS]
    if len(related) and len(real.encoding.names) > 1:
        scores.append(_relation_score(comparison, related))
    return scores


def _pattern_score(comparison: Comparison, incomplete: Integers) -> Score:
    names = comparison.real.encoding.names
    patterns = [_pattern_keys(a, b, incomplete) for a, b in comparison.pairs]
    whole, drawn = comparison.resample.total_variation(*patterns[0])
    errors = PartErrors()
    floor = comparison.floor([np.array(total_variation_distance(*keys)) for keys in patterns[1:]])
    errors.add(("all columns together",), whole, floor, drawn)
    for j in incomplete:
        keys = [_missing_indicators(a, b, int(j)) for a, b in comparison.pairs]
        value, drawn = comparison.resample.total_variation(keys[0][0], keys[0][1], 2)
        floor = comparison.floor([np.array(total_variation_distance(a, b, 2)) for a, b in keys[1:]])
        errors.add((names[j],), value, floor, drawn)
    return errors.score(
        "missing_pattern_error",
        "Distance of the joint missing-value patterns, and of each column's missing share.",
        f"Mean of the total variation of the whole patterns and of each column's share. {comparison.method_note}",
    )


def _missing_indicators(left: EncodedTable, right: EncodedTable, j: int) -> tuple[Integers, Integers]:
    """Return indicators of missing values of a column, in both tables."""
    return (left.codes[:, j] == 0).astype(np.int64), (right.codes[:, j] == 0).astype(np.int64)


def _pattern_keys(left: EncodedTable, right: EncodedTable, incomplete: Integers) -> tuple[Integers, Integers, int]:
    """Return a code for each row's pattern of missing values, in both tables, and the number of codes."""
    both = np.vstack([left.codes[:, incomplete] == 0, right.codes[:, incomplete] == 0])
    _, keys = np.unique(np.packbits(both, axis=1), axis=0, return_inverse=True)
    keys = keys.ravel().astype(np.int64)
    return keys[: len(left)], keys[len(left) :], int(keys.max()) + 1


def _relation_score(comparison: Comparison, incomplete: Integers) -> Score:
    """Return the total variation of the other columns among rows with a missing value."""
    bins = Bins.of(comparison.real, N_BINS)
    codes = [(bins.codes(a), bins.codes(b)) for a, b in comparison.pairs]
    pairs = [(int(j), k) for j in incomplete for k in range(len(bins.sizes)) if k != j][:MAX_PAIRS]
    names = comparison.real.encoding.names
    errors = PartErrors()
    for j, k in pairs:
        size = int(bins.sizes[k])
        keys = [((a[:, j] == 0) * size + a[:, k], (b[:, j] == 0) * size + b[:, k]) for a, b in codes]
        value, drawn = _conditional_distance(comparison, keys[0], size)
        floor = comparison.floor([np.array(_missing_rows_distance(a, b, size)) for a, b in keys[1:]])
        errors.add((names[j], names[k]), value, floor, drawn)
    return errors.score(
        "missing_relation_error",
        "Distance of the other columns among rows with a missing value.",
        f"Total variation of the second column where the first is missing. {comparison.method_note}",
    )


def _missing_rows_distance(left: Integers, right: Integers, size: int) -> float:
    one, two = left[left >= size] - size, right[right >= size] - size
    if not len(one) or not len(two):
        return float(bool(len(one)) != bool(len(two)))
    return total_variation_distance(one, two, size)


def _conditional_distance(
    comparison: Comparison, keys: tuple[Integers, Integers], size: int
) -> tuple[float, np.ndarray]:
    """Return the distance among rows with the first column missing, and its calibrated bootstrap draws."""
    value = _missing_rows_distance(keys[0], keys[1], size)
    p, q = (np.bincount(key, minlength=2 * size)[size:].astype(np.float64) for key in keys)
    gap = p / max(p.sum(), 1.0) - q / max(q.sum(), 1.0)
    deviation = comparison.resample.share_deviations(keys[0], keys[1], 2 * size, skip=size)
    drawn = comparison.resample.calibrate(deviation, gap, conditional_variation, value)
    return value, np.minimum(drawn, 1.0)
