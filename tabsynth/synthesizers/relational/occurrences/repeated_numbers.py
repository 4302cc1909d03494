"""Numbers that repeat an earlier sibling's exactly, such as a salary, though a token holds several numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Floats, Integers

PRIOR_ROWS = 5.0
"""Pseudo-rows of each class, with the share of all classes."""


def repeat_rate(values: Floats, tokens: Integers, before: Integers, classes: Integers, size: int) -> Floats:
    """Return the share of numbers with the earlier number's token that repeat it exactly, by class, shape (size,).

    Args:
        values: Training numbers, shape (n,).
        tokens: Their tokens, shape (n,).
        before: Row of each row's earlier number, -1 for none, shape (n,).
        classes: Class of each row, shape (n,).
        size: Number of classes.
    """
    rows = np.flatnonzero((before >= 0) & (tokens == tokens[before]))
    repeated = values[rows] == values[before[rows]]
    seen = np.bincount(classes[rows], minlength=size)
    held = np.bincount(classes[rows], weights=repeated, minlength=size)
    share = float(repeated.mean()) if len(rows) else 0.0
    return np.asarray((held + PRIOR_ROWS * share) / (seen + PRIOR_ROWS))


class SampledNumbers:
    """Numbers of many parents' rows during sampling, some of which repeat an earlier sibling's exactly.

    Args:
        parents: Number of parents.
        coders: Coder of each slot whose numbers are sampled with the row.
        rates: Probability that a number with the earlier sibling's token repeats its number, by class, of some slots.
        by_class: Those of these slots whose earlier sibling is the last one of the row's class.
    """

    def __init__(
        self,
        parents: int,
        coders: Mapping[int, QuantileCoder],
        rates: Mapping[int, Floats],
        by_class: Collection[int],
    ) -> None:
        self._coders, self._rates, self._by_class = coders, rates, by_class
        width = {slot: len(rates[slot]) if slot in by_class else 1 for slot in rates}
        self._tokens = {slot: np.full((parents, classes), -1, np.int32) for slot, classes in width.items()}
        self._numbers = {slot: np.full((parents, classes), np.nan) for slot, classes in width.items()}

    def draw(self, slot: int, tokens: Integers, classes: Integers, rng: np.random.Generator) -> Floats | None:
        """Return the numbers of the first parents' next rows, NaN where missing, shape (n,); None for other slots.

        Args:
            slot: The slot.
            tokens: Its tokens, shape (n,).
            classes: Class of each row, shape (n,).
            rng: Random generator.
        """
        if slot not in self._coders:
            return None
        numbers = self._coders[slot].decode(tokens.astype(np.int32), rng)
        if slot in self._rates:
            at = np.arange(len(tokens)), classes if slot in self._by_class else np.zeros(len(tokens), np.int64)
            again = (self._tokens[slot][at] == tokens) & (rng.random(len(tokens)) < self._rates[slot][classes])
            numbers = np.where(again, self._numbers[slot][at], numbers)
            self._tokens[slot][at], self._numbers[slot][at] = tokens, numbers
        return numbers
