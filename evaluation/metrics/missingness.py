"""Missing values: which occur together, and what else they go with.

A table can have the right share of missing values in every column and still miss at random what is missing for a
reason; the second score finds that.
"""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Integers
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.binning import Bins
from tabsynth.evaluation.stats.bootstrap import within
from tabsynth.evaluation.stats.encoded_table import Coded
from tabsynth.evaluation.stats.table_comparison import Comparison, error_score, variation

LEAST = 0.001
"""Share of missing values from which a column counts, in either table."""

BINS = 8
MOST_PAIRS = 300


def missingness_scores(comparison: Comparison) -> list[Score]:
    """The errors of the patterns of missing values and of their relation to other columns; none without such values."""
    real, made = comparison.real, comparison.made
    shares = np.maximum((real.codes == 0).mean(axis=0), (made.codes == 0).mean(axis=0))
    holes = np.flatnonzero((shares >= LEAST) & (shares > 0))
    if not len(holes):
        return []
    return [_patterns(comparison, holes), *([_relations(comparison, holes)] if len(real.book.names) > 1 else [])]


def _patterns(comparison: Comparison, holes: Integers) -> Score:
    names = comparison.real.book.names
    patterns = [_pattern_keys(a, b, holes) for a, b in comparison.pairs]
    whole, drawn = comparison.resample.variation(*patterns[0])
    floor = float(comparison.floor([np.array(variation(*keys)) for keys in patterns[1:]]))
    values, floors, draws = [whole], [floor], [drawn]
    for j in holes:
        keys = [_absent(a, b, int(j)) for a, b in comparison.pairs]
        value, drawn = comparison.resample.variation(keys[0][0], keys[0][1], 2)
        values.append(value)
        draws.append(drawn)
        floors.append(float(comparison.floor([np.array(variation(a, b, 2)) for a, b in keys[1:]])))
    columns = [("all columns together",), *((names[j],) for j in holes)]
    return error_score(
        "missing_pattern_error",
        "Missing values",
        "How far the patterns of missing values, and the share in each column, are from the real ones.",
        f"Mean of the total variation of the whole patterns and of each column's share. {comparison.how}",
        columns,
        np.array(values),
        np.array(floors),
        np.stack(draws, axis=-1),
    )


def _absent(left: Coded, right: Coded, j: int) -> tuple[Integers, Integers]:
    """1 where a column is missing, 0 elsewhere, in both tables."""
    return (left.codes[:, j] == 0).astype(np.int64), (right.codes[:, j] == 0).astype(np.int64)


def _pattern_keys(left: Coded, right: Coded, holes: Integers) -> tuple[Integers, Integers, int]:
    """A number for each pattern of missing values, in both tables, and how many there are."""
    both = np.vstack([left.codes[:, holes] == 0, right.codes[:, holes] == 0])
    _, keys = np.unique(np.packbits(both, axis=1), axis=0, return_inverse=True)
    keys = keys.ravel().astype(np.int64)
    return keys[: len(left)], keys[len(left) :], int(keys.max()) + 1


def _relations(comparison: Comparison, holes: Integers) -> Score:
    """Where a value is missing: how the other columns then lie, as total variation of the indicator and the column."""
    bins = Bins.of(comparison.real, BINS)
    codes = [(bins.codes(a), bins.codes(b)) for a, b in comparison.pairs]
    pairs = [(int(j), k) for j in holes for k in range(len(bins.sizes)) if k != j][:MOST_PAIRS]
    names = comparison.real.book.names
    values, floors, draws = [], [], []
    for j, k in pairs:
        size = int(bins.sizes[k])
        keys = [((a[:, j] == 0) * size + a[:, k], (b[:, j] == 0) * size + b[:, k]) for a, b in codes]
        value, drawn = _within(comparison, keys[0], size)
        values.append(value)
        draws.append(drawn)
        floors.append(float(comparison.floor([np.array(_distance(a, b, size)) for a, b in keys[1:]])))
    return error_score(
        "missing_relation_error",
        "What is missing where",
        "How far the other columns of rows with a missing value are from those of such real rows.",
        f"Total variation of the second column among rows that lack the first. {comparison.how}",
        [(names[j], names[k]) for j, k in pairs],
        np.array(values),
        np.array(floors),
        np.stack(draws, axis=-1),
    )


def _distance(left: Integers, right: Integers, size: int) -> float:
    one, two = left[left >= size] - size, right[right >= size] - size
    if not len(one) or not len(two):
        return float(bool(len(one)) != bool(len(two)))
    return variation(one, two, size)


def _within(comparison: Comparison, keys: tuple[Integers, Integers], size: int) -> tuple[float, np.ndarray]:
    """The distance among rows with the first column missing, and under every draw as ``Resample.calibrated`` has it."""
    value = _distance(keys[0], keys[1], size)
    p, q = (np.bincount(key, minlength=2 * size)[size:].astype(np.float64) for key in keys)
    gap = p / max(p.sum(), 1.0) - q / max(q.sum(), 1.0)
    deviation = comparison.resample.shift(keys[0], keys[1], 2 * size, skip=size)
    drawn = comparison.resample.calibrated(deviation, gap, within, value)
    return value, np.minimum(drawn, 1.0)
