"""Binning of columns for joint counts: quantile bins of numbers, and pooled rare categories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.stats.encoded_table import EncodedTable


@dataclass(frozen=True, eq=False)
class Bins:
    """Binning of each column of a table.

    Attributes:
        edges: Inner edges of each continuous column; None for a category.
        tables: New code of each code of a category; None for a continuous column.
        sizes: Number of codes of each column, including 0 for missing.
    """

    edges: tuple[Floats | None, ...]
    tables: tuple[Integers | None, ...]
    sizes: Integers

    @classmethod
    def of(cls, real: EncodedTable, max_bins: int) -> Bins:
        """Fit quantile bins and most frequent categories to the real table, at most ``max_bins`` of each."""
        edges: list[Floats | None] = []
        tables: list[Integers | None] = []
        sizes = []
        at = 0
        for j, size in enumerate(real.encoding.sizes):
            if real.encoding.continuous[j]:
                values = real.values[:, at]
                present = values[~np.isnan(values)]
                inner = np.linspace(0, 1, max_bins + 1)[1:-1]
                cut = np.unique(np.quantile(present, inner, method="lower")) if len(present) else np.zeros(1)
                at += 1
                edges.append(cut)
                tables.append(None)
                sizes.append(len(cut) + 2)
                continue
            counts = np.bincount(real.codes[:, j], minlength=size)[1:]
            kept = np.argsort(-counts, kind="stable")[: max_bins if len(counts) <= max_bins else max_bins - 1]
            table = np.full(size, len(kept) + 1, dtype=np.int64)
            table[0] = 0
            table[kept + 1] = np.arange(1, len(kept) + 1)
            edges.append(None)
            tables.append(table)
            sizes.append(int(table.max()) + 1)
        return cls(tuple(edges), tuple(tables), np.array(sizes, dtype=np.int64))

    def codes(self, table: EncodedTable) -> Integers:
        """Return the codes of a table's rows, shape (n, d); 0 is missing."""
        out = np.empty(table.codes.shape, dtype=np.int64, order="F")  # scores access single columns
        at = 0
        for j, (cut, pooled) in enumerate(zip(self.edges, self.tables, strict=True)):
            if cut is not None:
                values = table.values[:, at]
                out[:, j] = np.where(np.isnan(values), 0, np.searchsorted(cut, values, "left") + 1)
                at += 1
            elif pooled is not None:
                out[:, j] = pooled[table.codes[:, j]]
        return out


def joint_codes(codes: Integers, sizes: Integers, columns: tuple[int, ...]) -> tuple[Integers, int]:
    """Combine the codes of several columns into one code, shape (n,), and return the number of codes."""
    key, size = codes[:, columns[0]], int(sizes[columns[0]])
    for j in columns[1:]:
        key, size = key * int(sizes[j]) + codes[:, j], size * int(sizes[j])
    return key, size
