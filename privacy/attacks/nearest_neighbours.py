"""Distances between mixed-type rows, and nearest neighbours by blocked matrix products.

The squared distance of two rows is the number of categories in which they differ plus the squared differences of their
numbers. A number is put on a scale that neither outliers nor units rule: arcsinh((x - median) / spread), with the
median and the 10th to 90th percentile of the *reference* rows, which an intruder could have.
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
"""Codes from which a category gets random signs instead of one coordinate for each code."""

MAX_BLOCK_CELLS = 4_000_000
"""Distances held at a time (16 MB)."""


@dataclass(frozen=True, eq=False)
class DistanceSpace:
    """Scale of an audit's distances, estimated from its reference rows.

    Attributes:
        centre: Median of each continuous column, shape (c,).
        spread: Distance of its 10th and 90th percentiles, shape (c,).
    """

    centre: Floats
    spread: Floats

    @classmethod
    def of(cls, reference: EncodedTable) -> DistanceSpace:
        """Measure the scale."""
        centre, spread = np.zeros(reference.values.shape[1]), np.ones(reference.values.shape[1])
        for j, values in enumerate(reference.values.T):
            present = values[~np.isnan(values)]
            if len(present):
                low, centre[j], high = np.quantile(present, (0.1, 0.5, 0.9))
                # A column that is mostly one value has no such spread: then its deviation, then its size.
                spread[j] = next((s for s in (high - low, present.std(), abs(centre[j])) if s > 0), 1.0)
        return cls(centre, spread)

    def points(self, table: EncodedTable, columns: Iterable[int] | None = None) -> Points:
        """Return the rows as points, shape (n, coordinates).

        Args:
            table: The rows.
            columns: Indices of the columns to use; default: all.
        """
        book = table.encoding
        chosen = range(len(book.names)) if columns is None else columns
        place = np.cumsum(book.continuous) - 1
        parts: list[npt.NDArray[np.floating]] = []
        for j in chosen:
            if book.continuous[j]:
                at = int(place[j])
                scaled = np.arcsinh((table.values[:, at] - self.centre[at]) / self.spread[at])
                missing = np.isnan(scaled)
                parts.append(np.where(missing, 0.0, scaled)[:, None])
                parts.append(missing[:, None].astype(np.float32))
            else:
                parts.append(_category_points(int(book.sizes[j]))[table.codes[:, j]])
        return np.concatenate(parts, axis=1).astype(np.float32)


def _category_points(size: int) -> Points:
    """Return a point for each code, any two (about) at distance 1, shape (size, coordinates)."""
    if size <= MAX_ONE_HOT_CODES:
        return np.asarray(np.eye(size) / 2**0.5, dtype=np.float32)
    signs = np.random.default_rng(size).choice(np.array([-1.0, 1.0], dtype=np.float32), (size, MAX_ONE_HOT_CODES))
    return np.asarray(signs / (2 * MAX_ONE_HOT_CODES) ** 0.5, dtype=np.float32)


def find_nearest(rows: Points, others: Points, k: int) -> tuple[Floats, Integers]:
    """Return the distances to the k nearest others and their numbers, shape (n, k) each, the nearest first.

    With fewer than k others the last ones are repeated.
    """
    found = min(k, len(others))
    # |a - b|^2 = |a|^2 + |b|^2 - 2ab; the first term does not change who is nearest.
    left = np.concatenate([rows, np.ones((len(rows), 1), np.float32)], axis=1)
    right = np.concatenate([-2 * others, (others**2).sum(axis=1, keepdims=True)], axis=1).T.copy()
    index = np.empty((len(rows), found), dtype=np.int64)
    step = max(1, MAX_BLOCK_CELLS // len(others))
    for start in range(0, len(rows), step):
        block = left[start : start + step] @ right
        at = np.arange(len(block))
        for i in range(found):
            best = block.argmin(axis=1)
            index[start : start + step, i] = best
            if i + 1 < found:
                block[at, best] = np.inf
    distance = np.empty(index.shape)
    for i in range(found):  # exactly, since a copy must be at distance 0
        distance[:, i] = np.sqrt(((rows - others[index[:, i]]).astype(np.float64) ** 2).sum(axis=1))
    order = np.argsort(distance, axis=1, kind="stable")
    distance, index = np.take_along_axis(distance, order, 1), np.take_along_axis(index, order, 1)
    fill = np.minimum(np.arange(k), found - 1)
    return distance[:, fill], index[:, fill]
