"""First occurrences of values in a history: their rates, and the values that have occurred so far.

A network gives every value a small probability, so that long histories accumulate more distinct values than real ones.
The rates of first occurrences are corrected by simulation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Bools, Floats, Integers

PRIOR_EVENTS = 5.0
"""Pseudo-occurrences of each token, with the correction of the whole slot."""


def first_occurrences(tokens: Integers, size: int, starts: Integers) -> tuple[Floats, Floats]:
    """Return the number of first occurrences of each token after the first row, and the rows at risk, shape (size,).

    Args:
        tokens: Tokens of one slot, siblings together and in order, shape (n,).
        size: Number of tokens.
        starts: Row number of each parent's first child, and the number of rows.
    """
    lengths = np.diff(starts)
    parents = np.repeat(np.arange(len(lengths)), lengths)
    first = np.unique(parents * size + tokens, return_index=True)[1]
    owner, held = parents[first], tokens[first]
    place = first - starts[owner]
    events = np.bincount(held[place > 0], minlength=size).astype(np.float64)
    after = np.bincount(held, weights=lengths[owner] - 1 - place, minlength=size)
    return events, np.maximum(len(tokens) - len(lengths) - after, 1.0)


def novelty_correction(
    wanted: Integers, found: Integers, size: int, starts: Integers, *, damping: float, most: float
) -> npt.NDArray[np.float32]:
    """Return the damped log-ratio of the rates of first occurrences, shape (size,).

    Args:
        wanted: Training tokens of one slot, siblings together and in order, shape (n,).
        found: Sampled tokens of the same parents, shape (n,).
        size: Number of tokens.
        starts: Row number of each parent's first child, and the number of rows.
        damping: Share of the log-ratio that is returned.
        most: Bound of the result.
    """
    (one, exposed), (other, exposed_found) = (first_occurrences(part, size, starts) for part in (wanted, found))
    whole = (other.sum() + PRIOR_EVENTS) / (one.sum() + PRIOR_EVENTS)
    ratio = (one + PRIOR_EVENTS) / (other + PRIOR_EVENTS * whole) * exposed_found / exposed
    return np.asarray(np.clip(damping * np.log(ratio), -most, most), np.float32)


class SeenTokens:
    """Tokens that have occurred so far in the histories of many parents.

    Args:
        parents: Number of parents.
        slots: Slots of categories.
        sizes: Number of tokens of each slot.
    """

    def __init__(self, parents: int, slots: Sequence[int], sizes: Integers) -> None:
        self._seen = {slot: np.zeros((parents, int(sizes[slot])), bool) for slot in slots}

    def unseen(self, slot: int, parents: int) -> Bools | None:
        """Return the tokens that have not occurred for the first parents, shape (parents, size); None for numbers."""
        return ~self._seen[slot][:parents] if slot in self._seen else None

    def update(self, tokens: Integers) -> None:
        """Add one more row of each of the first parents, shape (parents, slots)."""
        for slot, seen in self._seen.items():
            seen[np.arange(len(tokens)), tokens[:, slot]] = True
