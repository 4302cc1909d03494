"""A tree of pairs: every column depends on one other. Simple and exact: an oracle for tests, and for tiny budgets.

The tree is chosen edge by edge by the exponential mechanism (McKenna, Miklau and Sheldon, "Winning the NIST Contest",
arXiv 2108.04978, section 4: how far a pair is from independence).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Tokens
from tabsynth.synthesizers.marginal.count_source import CountSource, Reader
from tabsynth.synthesizers.marginal.one_way_marginals import project_to_simplex
from tabsynth.synthesizers.marginal.product_mixture import (
    CHUNK_ROWS,
    invert_row_cdf,
    probabilities_by_likelihood,
    restrict,
    stratified_uniforms,
)
from tabsynth.synthesizers.marginal.two_way_marginals import IndependenceDistances, Pair, pair_reader

ROUNDS = 30
"""Rounds of iterative proportional fitting of a pair to its columns' own counts."""

CHOICE = 0.15
"""Share of a tree's budget that goes to the choice of its edges."""


@dataclass(frozen=True, eq=False)
class Tree:
    """Columns in an order in which each comes after the one it depends on.

    Attributes:
        first: The first column.
        root: Distribution of the first column, shape (tokens,).
        edges: For every other column, the column it depends on and itself.
        tables: Its distribution given the other's token, shape (tokens of the other, own tokens), one for each edge.
    """

    first: int
    root: Floats
    edges: tuple[Pair, ...]
    tables: tuple[Floats, ...]

    def log_likelihood(self, tokens: Tokens) -> Floats:
        """Log-probability of rows, shape (n,); -1 stands for any token."""
        out = np.empty(len(tokens))
        free: list[Floats | None] = [None] * tokens.shape[1]
        for begin in range(0, len(tokens), CHUNK_ROWS):
            own = tokens[begin : begin + CHUNK_ROWS]
            probabilities = self._messages(own, free)[self.first] * self.root
            out[begin : begin + CHUNK_ROWS] = np.log(np.maximum(probabilities.sum(1), 1e-300))
        return out

    def draw(
        self, fixed: Tokens, allowed: Sequence[Floats | None], rng: np.random.Generator, *, stratify: bool = True
    ) -> Tokens:
        """Draw the tokens that are -1, exactly given those that are not; see ``Mixture.draw``."""
        out = fixed.copy()
        for begin in range(0, len(fixed), CHUNK_ROWS):
            own = out[begin : begin + CHUNK_ROWS]
            messages = self._messages(own, allowed)
            probabilities = restrict(np.tile(self.root, (len(own), 1)), messages[self.first])
            own[:, self.first] = invert_row_cdf(
                probabilities, stratified_uniforms(np.zeros(len(own), np.int64), rng, stratify)
            )
            for (parent, child), table in zip(self.edges, self.tables, strict=True):
                share = allowed[child]
                if share is not None and share.ndim == 2:
                    messages[child] = messages[child] * share[own[:, child - 1]]
                probabilities = restrict(table[own[:, parent]], messages[child])
                own[:, child] = invert_row_cdf(
                    probabilities, stratified_uniforms(own[:, parent].astype(np.int64), rng, stratify)
                )
        return out

    def probabilities(self, tokens: Tokens, column: int) -> Floats:
        """The distribution of a column given the known tokens of rows, shape (n, tokens); -1 where unknown."""
        return probabilities_by_likelihood(self.log_likelihood, tokens, column, self._sizes[column])

    @property
    def _sizes(self) -> dict[int, int]:
        """Tokens of each column, in the order of the tree."""
        tables = zip(self.edges, self.tables, strict=True)
        return {self.first: len(self.root)} | {child: table.shape[1] for (_, child), table in tables}

    def _messages(self, tokens: Tokens, allowed: Sequence[Floats | None]) -> dict[int, Floats]:
        """For each column and row, how probable is what is known of the columns below, shape (n, tokens)."""
        out: dict[int, Floats] = {}
        for column, size in self._sizes.items():
            share = allowed[column]
            out[column] = np.tile(np.ones(size) if share is None or share.ndim == 2 else share, (len(tokens), 1))
            known = np.flatnonzero(tokens[:, column] >= 0)
            out[column][known] = 0.0
            out[column][known, tokens[known, column]] = 1.0
        for (parent, child), table in zip(reversed(self.edges), reversed(self.tables), strict=True):
            out[parent] *= out[child] @ table.T
        return out


def grow(
    marginals: Sequence[Floats], tokens: Reader, rows: float, source: CountSource, share: float, names: Sequence[str]
) -> Tree:
    """Choose the edges, count them and fit their tables.

    Args:
        marginals: The distribution of each column.
        tokens: Reads the tokens of all rows, shape (n, columns).
        rows: The noisy number of rows.
        source: Where counts come from.
        share: The share of the budget to spend.
        names: The columns' names, for the ledger.
    """
    edges = _spanning(marginals, tokens, rows, source, CHOICE * share, names)
    sizes = [len(marginal) for marginal in marginals]
    cells = np.array([sizes[a] * sizes[b] for a, b in edges], np.float64) ** (2 / 3)
    shares = (1 - CHOICE) * share * cells / max(cells.sum(), 1.0)
    reads = [pair_reader(tokens, (a, b), (sizes[a], sizes[b])) for a, b in edges]
    counts = source.counts(reads, shares.tolist(), f"{len(edges)} pairs of a tree", list(names)) if edges else []
    tables = tuple(
        _conditional(count.reshape(sizes[a], sizes[b]), marginals[a], marginals[b], rows)
        for (a, b), count in zip(edges, counts, strict=True)
    )
    return Tree(0, marginals[0], tuple(edges), tables)


def _spanning(
    marginals: Sequence[Floats], tokens: Reader, rows: float, source: CountSource, share: float, names: Sequence[str]
) -> list[Pair]:
    """Pairs of a tree from the first column on, each chosen among those that reach a new column."""
    distances = IndependenceDistances(marginals, tokens, rows)
    edges: list[Pair] = []
    inside = [0]
    while len(inside) < len(marginals):
        candidates = [(a, b) for a in inside for b in range(len(marginals)) if b not in inside]
        part = share / (len(marginals) - 1)
        chosen = candidates[source.choose(distances.read(candidates), part, "an edge of a tree", list(names))]
        edges.append(chosen)
        inside.append(chosen[1])
    return edges


def _conditional(noisy: Floats, parent: Floats, child: Floats, rows: float) -> Floats:
    """The child's distribution given the parent's token, agreeing with both columns' own distributions."""
    table = project_to_simplex(noisy.ravel(), rows).reshape(noisy.shape) / rows
    table = table + 1e-6 * np.outer(parent, child)  # so that every token can be reached
    for _ in range(ROUNDS):
        table *= (parent / np.maximum(table.sum(1), 1e-300))[:, None]
        table *= child / np.maximum(table.sum(0), 1e-300)
    total = table.sum(1, keepdims=True)
    return np.asarray(np.where(total > 0, table / np.maximum(total, 1e-300), child))
