"""Distances between mixed-type rows, and nearest neighbours by blocked matrix products.

The squared distance of two rows is the number of categories in which they differ plus the squared differences of their
numbers. Numbers are scaled robustly by arcsinh((x - median) / spread), with the median and the 10th to 90th percentile
range of the *reference* rows, which an intruder could have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.stats.encoded_table import EncodedTable

Points = npt.NDArray[np.float32]

MAX_ONE_HOT_CODES = 64
"""Maximum number of categories that are one-hot encoded; more are projected onto random signs."""

MAX_BLOCK_CELLS = 4_000_000
"""Maximum number of distances in memory (16 MB)."""


@dataclass(frozen=True, eq=False)
class DistanceSpace:
    """Scales of the numeric columns, estimated from the reference rows.

    Attributes:
        centre: Median of each continuous column, shape (c,).
        spread: Range from its 10th to its 90th percentile, shape (c,).
    """

    centre: Floats
    spread: Floats

    @classmethod
    def of(cls, reference: EncodedTable) -> DistanceSpace:
        """Estimate the scales."""
        centre, spread = np.zeros(reference.values.shape[1]), np.ones(reference.values.shape[1])
        for j, values in enumerate(reference.values.T):
            present = values[~np.isnan(values)]
            if len(present):
                low, centre[j], high = np.quantile(present, (0.1, 0.5, 0.9))
                # If a column is mostly one value, fall back to the standard deviation, then to the median.
                spread[j] = next((s for s in (high - low, present.std(), abs(centre[j])) if s > 0), 1.0)
        return cls(centre, spread)

    def points(self, table: EncodedTable, columns: Iterable[int] | None = None) -> Points:
        """Return the rows as points, shape (n, coordinates).

        Args:
            table: The rows.
            columns: Indices of the columns to use; default: all.
        """
        encoding = table.encoding
        chosen = range(len(encoding.names)) if columns is None else columns
        numeric_index = np.cumsum(encoding.continuous) - 1
        parts: list[npt.NDArray[np.floating]] = []
        for j in chosen:
            if encoding.continuous[j]:
                k = int(numeric_index[j])
                scaled = np.arcsinh((table.values[:, k] - self.centre[k]) / self.spread[k])
                missing = np.isnan(scaled)
                parts.append(np.where(missing, 0.0, scaled)[:, None])
                parts.append(missing[:, None].astype(np.float32))
            else:
                parts.append(_category_points(int(encoding.sizes[j]))[table.codes[:, j]])
        return np.concatenate(parts, axis=1).astype(np.float32)


def _category_points(size: int) -> Points:
    """Return a point for each code, all at (about) distance 1 from each other, shape (size, coordinates)."""
    if size <= MAX_ONE_HOT_CODES:
        return np.asarray(np.eye(size) / 2**0.5, dtype=np.float32)
    signs = np.random.default_rng(size).choice(np.array([-1.0, 1.0], dtype=np.float32), (size, MAX_ONE_HOT_CODES))
    return np.asarray(signs / (2 * MAX_ONE_HOT_CODES) ** 0.5, dtype=np.float32)


def find_nearest(rows: Points, others: Points, k: int) -> tuple[Floats, Integers]:
    """Return the distances and row numbers of the k nearest others, shape (n, k) each, nearest first.

    If there are fewer than k others, the last one is repeated.
    """
    n_found = min(k, len(others))
    # |a - b|^2 = |a|^2 + |b|^2 - 2ab; the first term does not change who is nearest.
    left = np.concatenate([rows, np.ones((len(rows), 1), np.float32)], axis=1)
    right = np.concatenate([-2 * others, (others**2).sum(axis=1, keepdims=True)], axis=1).T.copy()
    index = np.empty((len(rows), n_found), dtype=np.int64)
    step = max(1, MAX_BLOCK_CELLS // len(others))
    for start in range(0, len(rows), step):
        block = left[start : start + step] @ right
        at = np.arange(len(block))
        for i in range(n_found):
            best = block.argmin(axis=1)
            index[start : start + step, i] = best
            if i + 1 < n_found:
                block[at, best] = np.inf
    distance = np.empty(index.shape)
    for i in range(n_found):  # recomputed exactly, so that copies are at distance 0
        distance[:, i] = np.sqrt(((rows - others[index[:, i]]).astype(np.float64) ** 2).sum(axis=1))
    order = np.argsort(distance, axis=1, kind="stable")
    distance, index = np.take_along_axis(distance, order, 1), np.take_along_axis(index, order, 1)
    fill = np.minimum(np.arange(k), n_found - 1)
    return distance[:, fill], index[:, fill]
