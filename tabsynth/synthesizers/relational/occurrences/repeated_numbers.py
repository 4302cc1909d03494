"""Exact numbers of classes of rows: those that repeat an earlier sibling's, such as a salary, and their rounding.

A token holds several numbers, of which one class of rows may have a part only, such as cash in hundreds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Arrays, Floats, Integers, check_numbers

PRIOR_ROWS = 5.0
"""Pseudo-rows of each class, with the share of all classes."""

UNITS = (1000.0, 500.0, 100.0, 50.0, 10.0, 5.0, 1.0, 0.5, 0.1, 0.05)
"""Units to which the numbers of a class may be rounded."""

MIN_ROWS, MIN_DIFFERENT, MIN_ROUNDED = 50, 10, 0.995
"""Minimum rows and different numbers of a class that is rounded, and minimum share of its multiples of the unit."""

MIN_UNROUNDED = 0.1
"""Minimum share of numbers in the other classes that are no multiples of the unit."""


@dataclass(frozen=True, eq=False)
class NumbersByClass:
    """What the numbers of each class of rows have in common.

    Attributes:
        repeats: Share of numbers with the token of the earlier number that repeat it exactly, by class, by slot.
        units: Unit of which the numbers of each class are multiples, 0 for none, by slot.
    """

    repeats: Mapping[int, Floats] = field(default_factory=dict)
    units: Mapping[int, Floats] = field(default_factory=dict)

    def state(self) -> Arrays:
        """Return arrays for ``from_state``."""
        arrays: Arrays = {f"repeats.{slot}": own for slot, own in self.repeats.items()}
        return {**arrays, **{f"units.{slot}": own for slot, own in self.units.items()}}

    @classmethod
    def from_state(cls, arrays: Arrays, classes: int) -> Self:
        """Rebuild from a state; files of earlier versions have no units.

        Raises:
            ValueError: The arrays are not of this number of classes.
        """
        parts: tuple[dict[int, Floats], dict[int, Floats]] = ({}, {})
        for name, own in arrays.items():
            kind, _, slot = name.partition(".")
            if kind in ("repeats", "units"):
                check_numbers(own, (classes,), "the numbers of a class", low=0)
                parts[kind == "units"][int(slot)] = own
        return cls(*parts)


def rounding_units(values: Floats, classes: Integers, size: int, persons: Integers, min_group: int) -> Floats:
    """Return the largest unit of which nearly all numbers of each class are multiples, 0 for none, shape (size,).

    Args:
        values: Training numbers, NaN where missing, shape (n,).
        classes: Class of each row, shape (n,).
        size: Number of classes.
        persons: Person of each row, shape (n,).
        min_group: Minimum number of persons with a number of the class.
    """
    out, present = np.zeros(size), ~np.isnan(values)
    for number in np.unique(classes[present]).tolist():
        inside, outside = values[present & (classes == number)], values[present & (classes != number)]
        people = len(np.unique(persons[present & (classes == number)]))
        if len(inside) < MIN_ROWS or len(np.unique(inside)) < MIN_DIFFERENT or people < min_group:
            continue
        for unit in UNITS:
            if _multiples(inside, unit) >= MIN_ROUNDED:
                if len(outside) and _multiples(outside, unit) <= 1 - MIN_UNROUNDED:
                    out[number] = unit
                break
    return out


def _multiples(values: Floats, unit: float) -> float:
    """Return the share of multiples of a unit."""
    return float((np.abs(values - np.rint(values / unit) * unit) <= 1e-6 * unit + 1e-12 * np.abs(values)).mean())


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
        known: What the numbers of each class have in common.
        by_class: Slots of numbers that may repeat the last one of the row's class, and not the previous sibling's.
    """

    def __init__(
        self,
        parents: int,
        coders: Mapping[int, QuantileCoder],
        known: NumbersByClass,
        by_class: Collection[int],
    ) -> None:
        self._coders, self._rates, self._units, self._by_class = coders, known.repeats, known.units, by_class
        rates = known.repeats
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
        if slot in self._units:
            numbers = self._rounded(slot, numbers, tokens, self._units[slot][classes])
        if slot in self._rates:
            at = np.arange(len(tokens)), classes if slot in self._by_class else np.zeros(len(tokens), np.int64)
            again = (self._tokens[slot][at] == tokens) & (rng.random(len(tokens)) < self._rates[slot][classes])
            numbers = np.where(again, self._numbers[slot][at], numbers)
            self._tokens[slot][at], self._numbers[slot][at] = tokens, numbers
        return numbers

    def _rounded(self, slot: int, numbers: Floats, tokens: Integers, units: Floats) -> Floats:
        """Return numbers rounded to units, where their tokens contain a multiple; a unit of 0 is none."""
        bounds, size = self._coders[slot].token_bounds(), self._coders[slot].n_ordered_tokens
        low, high = (ends[np.minimum(tokens, size - 1)] for ends in bounds)
        some = (units > 0) & (tokens < size)
        unit = np.where(some, units, 1.0)
        least, most = np.ceil(low / unit - 1e-9), np.floor(high / unit + 1e-9)
        multiple = self._coders[slot].round_to_step(np.clip(np.rint(numbers / unit), least, most) * unit)
        return np.where(some & (least <= most), multiple, numbers)
