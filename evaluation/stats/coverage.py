"""Coverage of real categories and ranges, with bootstrap and permutation draws."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.stats.bootstrap import subsample
from tabsynth.evaluation.stats.encoded_table import EncodedTable

N_COVERAGE_DRAWS, MAX_PERMUTED_ROWS = 40, 10_000
"""Number of draws for the interval, and maximum rows of each table in permutations."""

Mask = npt.NDArray[np.bool_]


def column_coverage(real: EncodedTable, synthetic: EncodedTable) -> Floats:
    """Return the share of each column's real categories, or real range, that the other table covers, shape (d,).

    The definitions are those of SDMetrics' CategoryCoverage and RangeCoverage.
    """
    both, first = _concatenate(real, synthetic)
    return np.asarray(_coverage_under_masks(both, first[None], ~first[None])[0])


def _concatenate(real: EncodedTable, synthetic: EncodedTable) -> tuple[EncodedTable, Mask]:
    """Concatenate two tables, and return indicators of the first one's rows, shape (n + m,)."""
    both = EncodedTable(
        real.encoding, *(np.concatenate([getattr(t, part) for t in (real, synthetic)]) for part in ("codes", "values"))
    )
    return both, np.arange(len(both)) < len(real)


def _coverage_under_masks(rows: EncodedTable, first: Mask, second: Mask) -> Floats:
    """Return the coverage of the first rows by the second ones, shape (b, d), from masks of shape (b, n).

    The first mask may have shape (1, n).
    """
    out = np.ones((len(second), len(rows.encoding.names)))
    numbers = iter(rows.values.T)
    for j, continuous in enumerate(rows.encoding.continuous):
        if continuous:
            out[:, j] = _range_coverage(next(numbers), first, second)
            continue
        order = np.argsort(rows.codes[:, j], kind="stable")
        order = order[np.count_nonzero(rows.codes[:, j] == 0) :]
        if len(order):
            starts = np.flatnonzero(np.diff(rows.codes[order, j], prepend=0))
            in_first, in_second = (np.logical_or.reduceat(mask[:, order], starts, axis=1) for mask in (first, second))
            count = in_first.sum(axis=1)
            out[:, j] = np.where(count > 0, (in_first & in_second).sum(axis=1) / np.maximum(count, 1), 1.0)
    return out


def _range(values: Floats, chosen: Mask) -> tuple[Floats, Floats]:
    """Return the minimum and maximum of the chosen values, shape (b,) each; NaN if none is present."""
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # missing ones come last
    if not len(order):
        return np.full(len(chosen), np.nan), np.full(len(chosen), np.nan)
    inside = chosen[:, order]
    ends = order[inside.argmax(axis=1)], order[len(order) - 1 - inside[:, ::-1].argmax(axis=1)]
    low, high = (np.where(inside.any(axis=1), values[end], np.nan) for end in ends)
    return low, high


def permuted_coverage(train: EncodedTable, synthetic: EncodedTable, rng: np.random.Generator) -> Floats:
    """Return the mean coverage under permutations of all rows; a bootstrap cannot exceed the observed range."""
    both, first = _concatenate(*(subsample(table, MAX_PERMUTED_ROWS, rng) for table in (train, synthetic)))
    orders = np.array([rng.permutation(len(both)) for _ in range(N_COVERAGE_DRAWS)])
    inside = np.zeros(orders.shape, dtype=bool)
    np.put_along_axis(inside, orders, first[None], axis=1)
    return np.asarray(_coverage_under_masks(both, inside, ~inside).mean(axis=1))


def bootstrap_coverage(train: EncodedTable, synthetic: EncodedTable, rng: np.random.Generator) -> Floats:
    """Return the mean coverage under bootstrap draws of the synthetic rows; only the set of drawn rows matters."""
    both, first = _concatenate(train, synthetic)
    inside = np.zeros((N_COVERAGE_DRAWS, len(both)), dtype=bool)
    for mask in inside:
        mask[len(train) + rng.integers(len(synthetic), size=len(synthetic))] = True
    return np.asarray(_coverage_under_masks(both, first[None], inside).mean(axis=1))


def _range_coverage(values: Floats, first: Mask, second: Mask) -> Floats:
    """Return the share of the range of the first values that the second values cover, shape (b,)."""
    (low, high), (other_low, other_high) = (_range(values, mask) for mask in (first, second))
    span = np.where(high > low, high - low, 1.0)
    share = np.maximum(1 - (np.maximum(other_low - low, 0.0) + np.maximum(high - other_high, 0.0)) / span, 0.0)
    share = np.where(np.isnan(low), 1.0, np.where(np.isnan(other_low), 0.0, share))
    for k in np.flatnonzero(np.broadcast_to(low == high, len(second))):  # a range of one value
        share[k] = (values[second[k]] == low[k % len(low)]).any()
    return share
