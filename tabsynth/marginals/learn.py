"""From tokens to a mixture: count the pairs of tokens, fit the mixture to the counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tabsynth.line_coder import Tokens
from tabsynth.marginals.effort import Effort
from tabsynth.marginals.mixture import Mixture, fit
from tabsynth.marginals.pairs import Plan, measure
from tabsynth.marginals.spending import Source


def learn(
    tokens: Callable[[], Tokens],
    counts: Sequence[npt.NDArray[np.int64]],
    emitted: Sequence[npt.NDArray[np.bool_]],
    names: Sequence[str],
    target: int | None,
    rows: float,
    source: Source,
    share: float,
    effort: Effort,
    *,
    seed: int,
    progress: bool | None = False,
) -> Mixture:
    """Count and fit.

    Args:
        tokens: Reads the tokens of all rows, shape (n, columns).
        counts: Rows of each token of each column.
        emitted: Which tokens of each column a row may hold; others are left out where they have no rows.
        names: The columns' names, for the ledger.
        target: Position of the target column.
        rows: Number of rows.
        source: Where counts come from.
        share: The share of the budget to spend.
        effort: How the mixture is fitted.
        seed: Seed of the mixture's start.
        progress: Whether to show a bar; None shows one on a terminal.
    """
    kept = [np.flatnonzero(may | (count > 0)) for may, count in zip(emitted, counts, strict=True)]
    place = [np.zeros(len(count), np.int32) for count in counts]
    for table, tokens_kept in zip(place, kept, strict=True):
        table[tokens_kept] = np.arange(len(tokens_kept))
    compact: list[Tokens] = []

    def read() -> Tokens:
        if not compact:  # made inside the first charged read, and kept for the others
            own = tokens()
            compact.append(np.stack([table[own[:, i]] for i, table in enumerate(place)], axis=1))
        return compact[0]

    marginals = [count[own] / count[own].sum() for count, own in zip(counts, kept, strict=True)]
    measured = measure(Plan.of(marginals, target), read, rows, source, share, names)
    small = fit(marginals, measured, rows, effort, seed=seed, progress=progress)
    parts = []
    for part, count, own in zip(small.parts, counts, kept, strict=True):
        whole = np.zeros((len(part), len(count)), np.float32)
        whole[:, own] = part
        parts.append(whole)
    return Mixture(tuple(parts))
