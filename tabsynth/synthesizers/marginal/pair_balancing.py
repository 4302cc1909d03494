"""Balancing of sampled rows: exchange tokens within components so that pairs are as frequent as the mixture expects.

The columns of a component are independent, so two of its rows may exchange their tokens of a column: every arrangement
is equally probable. A random arrangement adds sampling noise to the counts of pairs. An exchange is made where it
brings these counts nearer to their expectations; the tokens of each column and component stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tabsynth.common.arrays import Floats, Integers, Tokens

N_BATCHES = 8
"""Number of batches in which the exchanges of a column are decided; counts of pairs are updated after each."""

MAX_ROWS = 200_000
"""More rows are not balanced: their sampling noise is small beside a model's error."""

MAX_TOKENS = 2048
"""Tables with more tokens are not balanced: the counts of all pairs of tokens are kept in memory."""


def balance_pairs(
    tokens: Tokens,
    component: Integers,
    expected: Sequence[Floats],
    columns: Sequence[int],
    rng: np.random.Generator,
) -> None:
    """Exchange tokens between rows of one component in place, once for each row and column at most.

    Args:
        tokens: Shape (rows, columns).
        component: The component of each row, shape (rows,).
        expected: Expected rows of each token of a column in every component, shape (components, tokens) each.
        columns: The columns whose tokens may be exchanged.
        rng: Random generator.
    """
    sizes = [own.shape[1] for own in expected]
    if len(tokens) > MAX_ROWS or sum(sizes) > MAX_TOKENS or len(sizes) < 2:
        return
    starts = np.cumsum([0, *sizes])
    place = tokens + starts[:-1]
    excess = _pair_counts(place, starts) - _expected_pairs(expected, component)
    for column in rng.permutation(np.array(columns, np.int64)).tolist():
        order = np.lexsort((rng.random(len(place)), component))
        first, second = order[: len(order) // 2 * 2].reshape(-1, 2).T
        differ = (component[first] == component[second]) & (place[first, column] != place[second, column])
        pairs = rng.permutation(np.stack([first[differ], second[differ]], axis=1))
        for batch in np.array_split(pairs, N_BATCHES):
            _exchange(place, excess, column, batch)
        tokens[:, column] = place[:, column] - starts[column]


def _exchange(place: Integers, excess: Floats, column: int, pairs: Integers) -> None:
    """Exchange a column's tokens in pairs of rows where the sum of squared excesses falls, in place."""
    others = np.arange(place.shape[1]) != column
    one, two = (place[pairs[:, i]][:, others] for i in (0, 1))
    own, other = (place[pairs[:, i], column][:, None] for i in (0, 1))
    change = excess[own, two] - excess[own, one] + excess[other, one] - excess[other, two] + 2.0 * (one != two)
    better = change.sum(1) < 0
    own, other, one, two = own[better], other[better], one[better], two[better]
    for first, second, added in ((own, two, 1.0), (other, one, 1.0), (own, one, -1.0), (other, two, -1.0)):
        np.add.at(excess, (first, second), added)
        np.add.at(excess, (second, first), added)
    place[pairs[better], column] = np.concatenate([other, own], axis=1)


def _pair_counts(place: Integers, starts: Integers) -> Floats:
    """Count the rows of each pair of tokens, shape (tokens, tokens)."""
    size = int(starts[-1])
    tables = []
    for column, (start, end) in enumerate(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)):
        cell = (place[:, column, None] - start) * size + place
        tables.append(np.bincount(cell.ravel(), minlength=(end - start) * size).reshape(-1, size))
    return np.concatenate(tables).astype(np.float64)


def _expected_pairs(expected: Sequence[Floats], component: Integers) -> Floats:
    """Return the expected rows of each pair of tokens of columns that are independent within components."""
    joined = np.concatenate(expected, axis=1)
    rows = np.bincount(component, minlength=len(joined))
    scaled = joined / np.sqrt(np.maximum(rows, 1))[:, None]
    return np.asarray(scaled.T @ scaled)
