"""Bounds of a number by the value of another column, such as the latitudes of a postcode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats, Integers


@dataclass(frozen=True)
class GroupBoundsRule:
    """A number lies between the bounds of its group.

    Attributes:
        column: The numeric column.
        group: The other column.
        values: Its values with bounds: numbers or tokens, ascending.
        lower, upper: Bounds of the number for each of them; every real row is inside.
        first, last: Least and greatest number with enough rows beyond it; numbers are moved between these.
        text: The rule as users read it.
        evidence: Rows expected to violate the rule if the columns were independent; none does.
    """

    column: str
    group: str
    values: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    first: tuple[float, ...]
    last: tuple[float, ...]
    text: str
    evidence: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.column, self.group)

    def _places(self, values: Mapping[str, Any]) -> Integers:
        """Return the position of each row's value among those with bounds, -1 if it is not one, shape (n,)."""
        known, own = np.array(self.values), values[self.group]
        place = np.minimum(np.searchsorted(known, own), len(known) - 1)
        return np.where(known[place] == own, place, -1)

    def holds(self, values: Mapping[str, Any]) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        place, own = self._places(values), values[self.column]
        outside = (own < np.array(self.lower)[place]) | (own > np.array(self.upper)[place])
        return np.asarray((place < 0) | ~outside)

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Reflect the number at the end of its group's range, or resample it inside; else choose another group."""
        rows = np.flatnonzero(~self.holds(values) & ~pinned[self.column])
        if len(rows):
            coder, place = coders[self.column], self._places(values)[rows]
            first, last = np.array(self.first)[place], np.array(self.last)[place]
            own = values[self.column][rows]
            moved = np.where(own < first, 2 * first - own, 2 * last - own)
            start, stop = coder.cumulative_mass(first), coder.cumulative_mass(last, inclusive=True)
            drawn = coder.quantile(start + seed[rows] * (stop - start))
            moved = np.where((moved < first) | (moved > last), drawn, moved)
            values[self.column][rows] = np.clip(coder.round_to_step(np.clip(moved, first, last)), first, last)
        for row in np.flatnonzero(~self.holds(values) & ~pinned[self.group]):
            own = values[self.column][row]
            fitting = np.flatnonzero((np.array(self.first) <= own) & (own <= np.array(self.last)))
            if len(fitting):
                values[self.group][row] = self.values[fitting[int(seed[row] * len(fitting))]]
