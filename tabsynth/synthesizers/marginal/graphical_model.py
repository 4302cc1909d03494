"""Graphical model: a product of factors over cliques of columns, as fitted by AIM and MST.

Inference is exact by variable elimination (Koller and Friedman 2009, chapter 9) and vectorised: rows with the same
known columns share the elimination order, and their known tokens select a slice of every factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Tokens, check_numbers
from tabsynth.synthesizers.marginal.product_mixture import (
    CHUNK_ROWS,
    invert_row_cdf,
    probabilities_by_likelihood,
    stratified_uniforms,
)

MAX_CHUNK_CELLS = 1 << 24
"""Maximum cells of the largest factor that are in memory for a chunk of rows."""

Columns = tuple[int, ...]
Factor = tuple[Columns, Floats]
"""Columns in ascending order and a table, shape (rows or 1, tokens of each)."""


@dataclass(frozen=True, eq=False)
class GraphicalModel:
    """Distribution of rows proportional to a product of factors.

    Attributes:
        sizes: Tokens of each column.
        columns: Columns of each factor, ascending; every column is in at least one.
        tables: A table for each factor, shape (tokens of each of its columns), none negative.
    """

    sizes: tuple[int, ...]
    columns: tuple[Columns, ...]
    tables: tuple[Floats, ...]

    def check(self) -> None:
        """Raise a ValueError unless the arrays of a file are factors of the columns."""
        if {column for clique in self.columns for column in clique} != set(range(len(self.sizes))):
            raise ValueError("the factors are those of other columns")
        for clique, table in zip(self.columns, self.tables, strict=True):
            if list(clique) != sorted(set(clique)):
                raise ValueError("the factors are those of other columns")
            check_numbers(table, tuple(self.sizes[column] for column in clique), "a factor", low=0)
            if not table.any():
                raise ValueError("a factor has no probability")

    def log_likelihood(self, tokens: Tokens) -> Floats:
        """Compute the log-probability of rows, shape (n,); -1 marginalises a token."""
        free: list[Floats | None] = [None] * len(self.sizes)
        whole = self._eliminate(np.full((1, len(self.sizes)), -1, np.int32), free)[1]
        out = np.empty(len(tokens))
        for rows in self._chunks(tokens):
            out[rows] = self._eliminate(tokens[rows], free)[1] - whole
        return out

    def probabilities(self, tokens: Tokens, column: int) -> Floats:
        """Compute a column's distribution given the known tokens of rows, shape (n, tokens); -1 where unknown."""
        return probabilities_by_likelihood(self.log_likelihood, tokens, column, self.sizes[column])

    def draw(
        self, fixed: Tokens, allowed: Sequence[Floats | None], rng: np.random.Generator, *, stratify: bool = True
    ) -> Tokens:
        """Sample the tokens that are -1 from the exact conditional distribution; see ``Mixture.draw``."""
        out = fixed.copy()
        for rows in self._chunks(fixed):
            tokens = out[rows]
            every = np.arange(len(tokens))
            for column, (columns, table) in reversed(self._eliminate(tokens, allowed)[0]):
                others = [other for other in columns if other != column]
                last = np.moveaxis(table, 1 + columns.index(column), -1)
                place = (every if len(table) > 1 else 0, *(tokens[:, other] for other in others))
                probabilities = np.broadcast_to(last[place], (len(tokens), self.sizes[column]))
                group = np.zeros(len(tokens), np.int64)
                for other in others:
                    group = group * self.sizes[other] + tokens[:, other]
                group = np.unique(group, return_inverse=True)[1]
                tokens[:, column] = invert_row_cdf(probabilities, stratified_uniforms(group, rng, stratify))
            out[rows] = tokens
        return out

    def _chunks(self, tokens: Tokens) -> Iterator[npt.NDArray[np.int64]]:
        """Yield chunks of row positions with the same known columns."""
        most = max((table.size for table in self.tables), default=1)
        patterns, pattern = np.unique(tokens >= 0, axis=0, return_inverse=True)
        for number, known in enumerate(patterns):
            rows = np.flatnonzero(pattern.reshape(-1) == number)
            size = (
                CHUNK_ROWS
                if not known.any()
                else int(np.clip(MAX_CHUNK_CELLS // (most * max(self.sizes)), 1, CHUNK_ROWS))
            )
            for begin in range(0, len(rows), size):
                yield rows[begin : begin + size]

    def _eliminate(self, tokens: Tokens, allowed: Sequence[Floats | None]) -> tuple[list[tuple[int, Factor]], Floats]:
        """Eliminate the unknown columns; return each with its product of factors, and the log of the remaining factor.

        All rows have the same known columns.
        """
        factors = [_condition(columns, table, tokens) for columns, table in self._with_limits(tokens, allowed)]
        left = [column for column in range(len(self.sizes)) if tokens[0, column] < 0]
        gone: list[tuple[int, Factor]] = []
        logs = np.zeros(len(tokens))
        while left:
            column = min(left, key=lambda candidate: self._cost(candidate, factors))
            left.remove(column)
            product = self._product([factor for factor in factors if column in factor[0]])
            factors = [factor for factor in factors if column not in factor[0]]
            gone.append((column, product))
            columns, table = product
            summed = table.sum(1 + columns.index(column))
            most = np.maximum(summed.reshape(len(summed), -1).max(1), 1e-300)
            logs = logs + np.log(most)
            scaled = summed / most.reshape(-1, *[1] * (summed.ndim - 1))
            factors.append((tuple(other for other in columns if other != column), scaled))
        for _, table in factors:
            logs = logs + np.log(np.maximum(table, 1e-300))
        return gone, logs

    def _with_limits(self, tokens: Tokens, allowed: Sequence[Floats | None]) -> Iterator[Factor]:
        """Return the factors, with the limits of unknown columns as additional factors."""
        yield from zip(self.columns, self.tables, strict=True)
        for column, share in enumerate(allowed):
            if share is not None and tokens[0, column] < 0:
                yield ((column - 1, column) if share.ndim == 2 else (column,)), share

    def _cost(self, column: int, factors: Sequence[Factor]) -> float:
        """Return the number of cells of the product that eliminates a column."""
        beside = {other for columns, _ in factors if column in columns for other in columns}
        return float(np.prod([float(self.sizes[other]) for other in beside]))

    def _product(self, factors: Sequence[Factor]) -> Factor:
        columns = tuple(sorted({column for scope, _ in factors for column in scope}))
        out = np.ones((1,) * (len(columns) + 1))
        for scope, table in factors:
            shape = [self.sizes[column] if column in scope else 1 for column in columns]
            out = out * table.reshape(len(table), *shape)
        return columns, out


def _condition(columns: Columns, table: Floats, tokens: Tokens) -> Factor:
    """Slice a factor by the known tokens of rows."""
    known = [place for place, column in enumerate(columns) if tokens[0, column] >= 0]
    free = [place for place in range(len(columns)) if place not in known]
    if not known:
        return columns, table[None]
    picked = table.transpose(known + free)[tuple(tokens[:, columns[place]] for place in known)]
    return tuple(columns[place] for place in free), picked
