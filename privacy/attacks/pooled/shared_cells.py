"""Shared cells: a synthetic row that agrees exactly with a real row in several rare cells.

A copy in which some cells were changed is far away by any distance, and still agrees in the others. The score of a
record is the improbability of the agreement: the sum of -log(share of the pool with that value) over the rare cells
that one synthetic row shares with it, if there are at least two.
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
"""A value that more of the pool has is not rare."""

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
        """Return the codes of other rows, -1 for a value that no real row has or that is not rare, shape (n, d)."""
        out = np.full(table.codes.shape, -1, np.int64)
        for j, cells in enumerate(_columns(table)):
            known = self.values[j]
            if len(known):
                at = np.minimum(np.searchsorted(known, cells), len(known) - 1)
                out[:, j] = np.where(known[at] == cells, at, -1)
        return out


def weigh_cells(real: RealRows) -> CellWeights:
    """Weigh every cell of the real rows."""
    n, d = real.table.codes.shape
    codes, weights, values = np.full((n, d), -1, np.int64), np.zeros((n, d)), []
    for j, cells in enumerate(_columns(real.table)):
        present = ~np.isnan(cells)
        different, counts = np.unique(cells[present], return_counts=True)
        rare = counts <= max(MAX_RARE_SHARE * n, 1)
        different, counts = different[rare], counts[rare]
        values.append(different)
        if len(different):
            at = np.minimum(np.searchsorted(different, cells), len(different) - 1)
            found = different[at] == cells
            codes[:, j] = np.where(found, at, -1)
            weights[:, j] = np.where(found, -np.log(counts[at] / n), 0.0)
    return CellWeights(codes, weights, tuple(values))


def score_shared_cells(real: RealRows, cells: CellWeights) -> Floats:
    """Return the improbability of the best agreement of every real row with a synthetic row, shape (n,)."""
    made = cells.encode(real.synthetic)
    width = max(1, *(len(known) for known in cells.values))
    right = _one_hot(made, np.ones(made.shape, complex), width).T.tocsr()
    out = np.zeros(len(real.table))
    for start in range(0, len(out), N_BLOCK_ROWS):
        block = slice(start, start + N_BLOCK_ROWS)
        # The real part adds up weights, the imaginary part counts cells.
        shared = _one_hot(cells.codes[block], cells.weights[block].astype(np.complex128) + 1j, width) @ right
        best = np.where(shared.data.imag >= MIN_SHARED_CELLS, shared.data.real, 0.0)
        rows = np.repeat(np.arange(shared.shape[0]), np.diff(shared.indptr))
        np.maximum.at(out[block], rows, best)
    return out


def agreement(cells: CellWeights, rows: Integers, made: Integers) -> Floats:
    """Return the improbability of the agreement of real rows with one synthetic row each, shape (k,)."""
    same = (cells.codes[rows] == made) & (made >= 0)
    return np.where(same.sum(axis=1) >= MIN_SHARED_CELLS, (cells.weights[rows] * same).sum(axis=1), 0.0)


def _columns(table: EncodedTable) -> list[Floats]:
    """Every column as numbers: continuous ones rounded, categories by their code; missing as NaN."""
    numbers, place, out = round_significant(table.values), 0, []
    for j, continuous in enumerate(table.encoding.continuous):
        if continuous:
            out.append(numbers[:, place])
            place += 1
        else:
            out.append(np.where(table.codes[:, j] > 0, table.codes[:, j], np.nan))
    return out


def _one_hot(codes: Integers, data: npt.NDArray[np.complexfloating], width: int) -> csr_matrix:
    """Return a row for each row and a column for each value of each column."""
    rows, columns = np.nonzero(codes >= 0)
    at = columns * width + codes[rows, columns]
    return csr_matrix((data[rows, columns], (rows, at)), shape=(len(codes), codes.shape[1] * width))
