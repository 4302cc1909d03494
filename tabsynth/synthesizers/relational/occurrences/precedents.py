"""Precedents: the last earlier sibling of the same class, such as the last visit of the same kind.

Types of visits alternate within a patient, and a visit resembles the last visit of its type more than the previous
visit.
One column is the class, which is sampled directly after the gap. The later slots read the tokens of the precedent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tabsynth.common.arrays import Floats, Integers

MIN_GAIN = 0.05
"""Minimum mean number of slots per row in which the precedent agrees but the previous sibling does not."""


def choose_class_slot(tokens: Integers, candidates: Sequence[int], starts: Integers) -> int | None:
    """Return the slot whose precedents agree with rows in the most slots, beyond previous siblings; None for no gain.

    Args:
        tokens: Training rows, siblings together and in order, shape (n, slots).
        candidates: Slots of categories.
        starts: Row number of each parent's first child, and the number of rows.
    """
    gains = {slot: _gains(tokens, slot, starts) for slot in candidates}
    best: int | None = None
    for slot, own in gains.items():
        if np.delete(own, slot).sum() < MIN_GAIN:
            continue
        # A finer class determines a coarser one, so the two slots themselves are excluded from the comparison.
        if best is None or np.delete(own, [slot, best]).sum() > np.delete(gains[best], [slot, best]).sum():
            best = slot
    return best


def _gains(tokens: Integers, slot: int, starts: Integers) -> Floats:
    """Return the share of rows in which each slot agrees with the precedent beyond the previous sibling, at least 0."""
    before = rows_before(tokens[:, slot], starts)
    rows = np.flatnonzero(before >= 0)
    agree = (tokens[rows] == tokens[before[rows]]).sum(0) - (tokens[rows] == tokens[rows - 1]).sum(0)
    return np.asarray(np.maximum(agree, 0) / max(len(tokens), 1))


def precedents_of(tokens: Integers, slot: int | None, sizes: Integers, starts: Integers) -> Integers:
    """Return the tokens of each row's precedent, each slot's size where there is none, shape (n, slots).

    Args:
        tokens: Rows in sampling order, siblings together and in order, shape (n, slots).
        slot: Slot of the class; None returns no slots.
        sizes: Number of tokens of each slot.
        starts: Row number of each parent's first child, and the number of rows.
    """
    if slot is None:
        return np.zeros((len(tokens), 0), np.int64)
    before = rows_before(tokens[:, slot], starts)
    return np.where(before[:, None] < 0, sizes, tokens[before])


def rows_before(classes: Integers, starts: Integers) -> Integers:
    """Return the last earlier row of each row's parent and class, -1 for none, shape (n,)."""
    parents = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    order = np.lexsort((np.arange(len(classes)), classes, parents))
    same = (parents[order][1:] == parents[order][:-1]) & (classes[order][1:] == classes[order][:-1])
    out = np.full(len(classes), -1)
    out[order[1:][same]] = order[:-1][same]
    return out


class Precedents:
    """The last sibling of each class of many parents, during sampling.

    Args:
        parents: Number of parents.
        slot: Slot of the class; None for none.
        sizes: Number of tokens of each slot.
    """

    def __init__(self, parents: int, slot: int | None, sizes: Integers) -> None:
        self._slot = slot
        classes = 0 if slot is None else int(sizes[slot])
        self._last = np.tile(
            sizes.astype(np.min_scalar_type(int(sizes.max(initial=0)))), (parents if classes else 0, classes, 1)
        )

    def read(self, classes: Integers) -> Integers:
        """Return the tokens of the precedents of the first parents' next rows, by the rows' classes."""
        return self._last[np.arange(len(classes)), classes].astype(np.int64)

    def update(self, tokens: Integers) -> None:
        """Add one more row of each of the first parents, shape (parents, slots)."""
        if self._slot is not None:
            self._last[np.arange(len(tokens)), tokens[:, self._slot]] = tokens
