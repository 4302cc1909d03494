"""Shared cells: synthetic rows that agree exactly with a real row in several rare cells.

A copy with some changed cells may be far from the original by any distance, but agrees with it in the other cells. The
score of a record is the improbability of the agreement: the sum of -log(share of the pool with that value) over the
rare cells that a synthetic row shares with it, if there are at least two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.holdout_overlap import round_significant
from tabsynth.privacy.attacks.pooled.real_rows import RealRows

MAX_RARE_SHARE = 0.01
"""Maximum share of the pool that has a rare value."""

MIN_SHARED_CELLS = 2
N_BLOCK_ROWS = 500


@dataclass(frozen=True, eq=False)
class CellWeights:
    """Improbability of every real cell.

    Attributes:
        codes: A number for each value of each column, shape (n, d); -1 for a value that is not rare.
        weights: -log of the value's share in the pool, shape (n, d).
        values: The rare values of each column, ascending: a value's code is its position.
    """

    codes: Integers
    weights: Floats
    values: tuple[Floats, ...]

    def encode(self, table: EncodedTable) -> Integers:
        """Return the codes of other rows, -1 for values that are not rare values of the pool, shape (n, d)."""
        out = np.full(table.codes.shape, -1, np.int64)
        for j, cells in enumerate(_columns(table)):
            known = self.values[j]
            if len(known):
                at = np.minimum(np.searchsorted(known, cells), len(known) - 1)
                out[:, j] = np.where(known[at] == cells, at, -1)
        return out


def weigh_cells(real: RealRows) -> CellWeights:
    """Compute the improbability of every cell of the real rows."""
    n, d = real.table.codes.shape
    codes, weights, values = np.full((n, d), -1, np.int64), np.zeros((n, d)), []
    for j, cells in enumerate(_columns(real.table)):
        present = ~np.isnan(cells)
        unique, counts = np.unique(cells[present], return_counts=True)
        rare = counts <= max(MAX_RARE_SHARE * n, 1)
        unique, counts = unique[rare], counts[rare]
        values.append(unique)
        if len(unique):
            at = np.minimum(np.searchsorted(unique, cells), len(unique) - 1)
            is_rare = unique[at] == cells
            codes[:, j] = np.where(is_rare, at, -1)
            weights[:, j] = np.where(is_rare, -np.log(counts[at] / n), 0.0)
    return CellWeights(codes, weights, tuple(values))


def score_shared_cells(real: RealRows, cells: CellWeights) -> Floats:
    """Return the most improbable agreement of every real row with a synthetic row, shape (n,)."""
    codes = cells.encode(real.synthetic)
    width = max(1, *(len(known) for known in cells.values))
    right = _one_hot(codes, np.ones(codes.shape, complex), width).T.tocsr()
    out = np.zeros(len(real.table))
    for start in range(0, len(out), N_BLOCK_ROWS):
        block = slice(start, start + N_BLOCK_ROWS)
        # The real part sums weights, the imaginary part counts cells.
        shared = _one_hot(cells.codes[block], cells.weights[block].astype(np.complex128) + 1j, width) @ right
        best = np.where(shared.data.imag >= MIN_SHARED_CELLS, shared.data.real, 0.0)
        rows = np.repeat(np.arange(shared.shape[0]), np.diff(shared.indptr))
        np.maximum.at(out[block], rows, best)
    return out


def agreement(cells: CellWeights, real_rows: Integers, synthetic_codes: Integers) -> Floats:
    """Return the improbability of the agreement of real rows with one synthetic row each, shape (k,)."""
    same = (cells.codes[real_rows] == synthetic_codes) & (synthetic_codes >= 0)
    return np.where(same.sum(axis=1) >= MIN_SHARED_CELLS, (cells.weights[real_rows] * same).sum(axis=1), 0.0)


def _columns(table: EncodedTable) -> list[Floats]:
    """Return every column as numbers: rounded values, codes of categories, NaN where missing."""
    numbers, place, out = round_significant(table.values), 0, []
    for j, continuous in enumerate(table.encoding.continuous):
        if continuous:
            out.append(numbers[:, place])
            place += 1
        else:
            out.append(np.where(table.codes[:, j] > 0, table.codes[:, j], np.nan))
    return out


def _one_hot(codes: Integers, data: npt.NDArray[np.complexfloating], width: int) -> csr_matrix:
    """Return a sparse matrix with a row per row and a column per value of each column."""
    rows, columns = np.nonzero(codes >= 0)
    at = columns * width + codes[rows, columns]
    return csr_matrix((data[rows, columns], (rows, at)), shape=(len(codes), codes.shape[1] * width))
