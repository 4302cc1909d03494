"""Precedents: the last earlier sibling of the same class, such as the last visit of the same kind.

Types of visits alternate within a patient, and a visit resembles the last visit of its type more than the previous
visit.
One column is the class, or several, such as the kind and the purpose of a payment; they are sampled directly after the
gap. The later slots read the tokens of the precedent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tabsynth.common.arrays import Floats, Integers

MIN_GAIN = 0.05
"""Minimum mean number of slots per row in which the precedent agrees, but neither the previous sibling nor a precedent
of a coarser class."""

MAX_SLOTS, MAX_CLASSES = 3, 256
"""Maximum number of columns of a class, and maximum product of the numbers of their tokens."""


@dataclass(frozen=True)
class RowClass:
    """Slots whose tokens together are the class of a row.

    Attributes:
        slots: The slots, sampled one directly after the other.
        sizes: Number of tokens of each.
    """

    slots: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def at(cls, slots: Iterable[int] | None, sizes: Sequence[int]) -> Self | None:
        """Return the class of some slots; None for no slots.

        Args:
            slots: The slots.
            sizes: Number of tokens of every slot of a row.
        """
        own = tuple(int(slot) for slot in slots or ())
        return cls(own, tuple(int(sizes[slot]) for slot in own)) if own else None

    @classmethod
    def read(cls, config: Mapping[str, Any], sizes: Sequence[int]) -> Self | None:
        """Read the class of a history's state; files of earlier versions state one slot.

        Raises:
            ValueError: It is not of slots of the row, or of too many.
        """
        one = config.get("class_slot")
        slots = [int(slot) for slot in config.get("class_slots", [] if one is None else [one])]
        if len({*slots}) < len(slots) or not all(0 <= slot < len(sizes) for slot in slots):
            raise ValueError("the class of a row is not one of its columns")
        out = cls.at(slots, sizes)
        if len(slots) > 1 and out is not None and out.size > MAX_CLASSES:
            raise ValueError("the class of a row has too many values")
        return out

    @property
    def size(self) -> int:
        """Number of classes."""
        return int(np.prod(self.sizes))

    @property
    def last(self) -> int:
        """The slot after which the class is known."""
        return max(self.slots)

    def of(self, tokens: Integers) -> Integers:
        """Return the class of each row, shape (n,)."""
        out = np.zeros(len(tokens), np.int64)
        for slot, size in zip(self.slots, self.sizes, strict=True):
            out = out * size + tokens[:, slot]
        return out

    def token(self, slot: int, classes: Integers) -> Integers:
        """Return the token of one of the slots in rows of some classes, -1 for other codes, shape (n,)."""
        at = self.slots.index(slot)
        own = classes // int(np.prod(self.sizes[at + 1 :])) % self.sizes[at]
        return np.where((classes >= 0) & (classes < self.size), own, -1)


def classes_of(row_class: RowClass | None, tokens: Integers) -> tuple[Integers, int]:
    """Return the class of each row, shape (n,), and the number of classes; without a class all rows are of one."""
    return (np.zeros(len(tokens), np.int64), 1) if row_class is None else (row_class.of(tokens), row_class.size)


def choose_class_slots(
    tokens: Integers, candidates: Sequence[int], sizes: Sequence[int], starts: Integers
) -> list[int]:
    """Return the slots whose precedents agree with rows in the most slots, empty for no gain.

    Args:
        tokens: Training rows, siblings together and in order, shape (n, slots).
        candidates: Slots of categories.
        sizes: Number of tokens of each slot.
        starts: Row number of each parent's first child, and the number of rows.
    """
    first = choose_class_slot(tokens, candidates, starts)
    chosen = [] if first is None else [first]
    while 0 < len(chosen) < MAX_SLOTS:
        present, best, most = _gains(_joint(tokens, chosen, sizes), tokens, starts), None, MIN_GAIN
        for slot in candidates:
            wider = [*chosen, slot]
            if slot not in chosen and np.prod([sizes[one] for one in wider]) <= MAX_CLASSES:
                own = _gains(_joint(tokens, wider, sizes), tokens, starts)
                gain = float(np.delete(own - present, wider).sum())
                best, most = (slot, gain) if gain >= most else (best, most)
        if best is None:
            break
        chosen.append(best)
    return chosen


def _joint(tokens: Integers, slots: Sequence[int], sizes: Sequence[int]) -> Integers:
    return RowClass(tuple(slots), tuple(sizes[slot] for slot in slots)).of(tokens)


def choose_class_slot(tokens: Integers, candidates: Sequence[int], starts: Integers) -> int | None:
    """Return the slot whose precedents agree with rows in the most slots, beyond previous siblings; None for no gain.

    Args:
        tokens: Training rows, siblings together and in order, shape (n, slots).
        candidates: Slots of categories.
        starts: Row number of each parent's first child, and the number of rows.
    """
    gains = {slot: _gains(tokens[:, slot], tokens, starts) for slot in candidates}
    best: int | None = None
    for slot, own in gains.items():
        if np.delete(own, slot).sum() < MIN_GAIN:
            continue
        # A finer class determines a coarser one, so the two slots themselves are excluded from the comparison.
        if best is None or np.delete(own, [slot, best]).sum() > np.delete(gains[best], [slot, best]).sum():
            best = slot
    return best


def _gains(classes: Integers, tokens: Integers, starts: Integers) -> Floats:
    """Return the share of rows in which each slot agrees with the precedent beyond the previous sibling, at least 0."""
    before = rows_before(classes, starts)
    rows = np.flatnonzero(before >= 0)
    agree = (tokens[rows] == tokens[before[rows]]).sum(0) - (tokens[rows] == tokens[rows - 1]).sum(0)
    return np.asarray(np.maximum(agree, 0) / max(len(tokens), 1))


def precedents_of(tokens: Integers, row_class: RowClass | None, sizes: Integers, starts: Integers) -> Integers:
    """Return the tokens of each row's precedent, each slot's size where there is none, shape (n, slots).

    Args:
        tokens: Rows in sampling order, siblings together and in order, shape (n, slots).
        row_class: The class; None returns no slots.
        sizes: Number of tokens of each slot.
        starts: Row number of each parent's first child, and the number of rows.
    """
    if row_class is None:
        return np.zeros((len(tokens), 0), np.int64)
    before = rows_before(row_class.of(tokens), starts)
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
        row_class: The class; None for none.
        sizes: Number of tokens of each slot.
    """

    def __init__(self, parents: int, row_class: RowClass | None, sizes: Integers) -> None:
        self._class = row_class
        classes = 0 if row_class is None else row_class.size
        self._last = np.tile(
            sizes.astype(np.min_scalar_type(int(sizes.max(initial=0)))), (parents if classes else 0, classes, 1)
        )

    def read(self, classes: Integers) -> Integers:
        """Return the tokens of the precedents of the first parents' next rows, by the rows' classes."""
        return self._last[np.arange(len(classes)), classes].astype(np.int64)

    def update(self, tokens: Integers) -> None:
        """Add one more row of each of the first parents, shape (parents, slots)."""
        if self._class is not None:
            self._last[np.arange(len(tokens)), self._class.of(tokens)] = tokens
