"""Columns that follow from another one: a code and its name, a city and its country; kept in every synthetic row.

A network learns such a function to within a few rows in a thousand. Those rows are mended on their tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Tokens

MAX_SCAN_ROWS = 2000
"""Rows on which pairs are looked for; all rows then confirm them."""

MAX_CELLS = 4_000_000
"""Most cells of a pair's table."""

MIN_ROWS = 50
"""Fewest rows from which a function is believed."""


@dataclass(frozen=True, eq=False)
class FunctionalDependency:
    """A slot that follows from another.

    Attributes:
        determinant, dependent: The two slots.
        table: The effect's token after each token of the cause, -1 where any may follow, shape (size of the cause,).
    """

    determinant: int
    dependent: int
    table: npt.NDArray[np.int32]


def discover(
    tokens: Tokens, sizes: Sequence[int], open_: Sequence[Sequence[int] | None]
) -> tuple[FunctionalDependency, ...]:
    """Every pair of slots of which one follows from the other in all rows, causes of most tokens first.

    Args:
        tokens: Shape (rows, slots), -1 where a row does not have the column.
        sizes: Number of tokens of each slot.
        open_: For each slot the tokens that stand for several values, after which anything may follow; None for a slot
            that is left out.
    """
    if len(tokens) < MIN_ROWS:
        return ()
    thin = tokens[:: max(1, len(tokens) // MAX_SCAN_ROWS)]
    used = [i for i in range(len(sizes)) if open_[i] is not None and len(np.unique(thin[:, i])) > 1]
    found = []
    for cause in sorted(used, key=lambda i: -sizes[i]):
        for effect in used:
            pair, anything = (sizes[cause], sizes[effect]), open_[cause] or ()
            if cause == effect or pair[0] * pair[1] > MAX_CELLS:
                continue
            if _lookup_table(thin, cause, effect, pair, anything) is None:
                continue
            table = _lookup_table(tokens, cause, effect, pair, anything)
            if table is not None:
                found.append(FunctionalDependency(cause, effect, table))
    return tuple(found)


def repair(
    tokens: Tokens,
    held: npt.NDArray[np.bool_],
    functions: Sequence[FunctionalDependency],
    shares: Sequence[Floats],
    rng: np.random.Generator,
) -> Tokens:
    """Rows that keep every function.

    Args:
        tokens: Drawn tokens, shape (rows, slots).
        held: Which of them must stay, shape (rows, slots). Where the effect must, a cause is drawn that leads to it.
        functions: What must hold, causes of most tokens first.
        shares: How often each token of each slot may come, from which such a cause is drawn.
        rng: Where random numbers come from.
    """
    out = tokens.copy()
    for function in functions:
        cause, effect = out[:, function.determinant], out[:, function.dependent]
        wanted = function.table[cause]
        off = (wanted >= 0) & (wanted != effect)
        free = off & ~held[:, function.dependent] & (shares[function.dependent][wanted] > 0)
        out[free, function.dependent] = wanted[free]
        for token, rows in _rows_by_token(effect, off & held[:, function.dependent] & ~held[:, function.determinant]):
            chances = shares[function.determinant] * ((function.table == token) | (function.table < 0))
            if chances.sum() > 0:
                out[rows, function.determinant] = rng.choice(len(chances), len(rows), p=chances / chances.sum())
    return out


def _lookup_table(
    tokens: Tokens, cause: int, effect: int, sizes: tuple[int, int], anything: Sequence[int]
) -> npt.NDArray[np.int32] | None:
    """What follows each token of the cause, None where more than one thing does."""
    both = (tokens[:, cause] >= 0) & (tokens[:, effect] >= 0)
    pairs = tokens[both, cause].astype(np.int64) * sizes[1] + tokens[both, effect]
    joint = np.bincount(pairs, minlength=sizes[0] * sizes[1])
    seen = joint.reshape(sizes) > 0
    several = seen.sum(1)
    several[list(anything)] = 0
    if several.max() != 1 or both.sum() < min(MIN_ROWS, len(tokens)):
        return None
    table = np.where(several == 1, seen.argmax(1), -1).astype(np.int32)
    return table if len(np.unique(table[table >= 0])) > 1 else None


def _rows_by_token(
    tokens: npt.NDArray[np.int32], rows: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """The chosen rows of each token."""
    for token in np.unique(tokens[rows]):
        yield int(token), np.flatnonzero(rows & (tokens == token)).astype(np.int64)
