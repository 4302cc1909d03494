"""First occurrences of a value in a history: how often they come, and the values that a history has had so far.

A network gives every value a small probability, so that long histories collect values which their parents' real
counterparts never have. The rates of first occurrences are corrected by simulation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Bools, Floats, Integers

PRIOR_EVENTS = 5.0
"""First occurrences at the correction of the whole slot that are added to those of each token."""


def first_occurrences(tokens: Integers, size: int, starts: Integers) -> tuple[Floats, Floats]:
    """Return how often each token comes first after the first row, and in how many later rows it could, shape (size,).

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
    """Return the damped log-ratio of the rates at which tokens come first, shape (size,).

    Args:
        wanted: Training tokens of one slot, siblings together and in order, shape (n,).
        found: Drawn tokens of the same parents, shape (n,).
        size: Number of tokens.
        starts: Row number of each parent's first child, and the number of rows.
        damping: Share of the log-ratio that is returned.
        most: Its bound.
    """
    (one, exposed), (other, exposed_found) = (first_occurrences(part, size, starts) for part in (wanted, found))
    whole = (other.sum() + PRIOR_EVENTS) / (one.sum() + PRIOR_EVENTS)
    ratio = (one + PRIOR_EVENTS) / (other + PRIOR_EVENTS * whole) * exposed_found / exposed
    return np.asarray(np.clip(damping * np.log(ratio), -most, most), np.float32)


class SeenTokens:
    """Tokens that the histories of many parents have had so far.

    Args:
        parents: Number of parents.
        slots: Slots of categories.
        sizes: Number of tokens of each slot.
    """

    def __init__(self, parents: int, slots: Sequence[int], sizes: Integers) -> None:
        self._seen = {slot: np.zeros((parents, int(sizes[slot])), bool) for slot in slots}

    def unseen(self, slot: int, parents: int) -> Bools | None:
        """Return which tokens the first parents have not had, shape (parents, size); None for a slot of numbers."""
        return ~self._seen[slot][:parents] if slot in self._seen else None

    def update(self, tokens: Integers) -> None:
        """Take in one more row of each of the first parents, shape (parents, slots)."""
        for slot, seen in self._seen.items():
            seen[np.arange(len(tokens)), tokens[:, slot]] = True
