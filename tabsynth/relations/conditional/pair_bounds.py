"""Bounds of a column by another one, such as a loan of at most 80 % of the price, also under a condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.conditional.conditions import Condition

SLACK = 1e-9
"""Relative precision of the comparison."""


@dataclass(frozen=True)
class PairBoundRule:
    """``factor * high - low >= gap`` in every row that satisfies a condition, wherever both are present.

    Attributes:
        low, high: The columns.
        factor: Multiplies the higher column.
        gap: The minimum difference, for datetimes in units of their resolution.
        condition: The condition, None for all rows.
        text: The rule as users read it.
        evidence: Rows expected to violate the rule by chance; none does.
    """

    low: str
    high: str
    factor: float
    gap: float
    condition: Condition | None
    text: str
    evidence: float

    def __post_init__(self) -> None:
        """Raise a ValueError for a bound that a file cannot have."""
        if not (0 < self.factor < np.inf and np.isfinite(self.gap)):
            raise ValueError("a bound has a positive factor and a finite gap")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return tuple(dict.fromkeys((self.low, self.high, *([self.condition.column] if self.condition else []))))

    def holds(self, values: Mapping[str, Any]) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        high = self.factor * values[self.high]
        violated = high - values[self.low] < self.gap - SLACK * np.maximum(np.abs(high), abs(self.gap))
        return np.asarray(~(violated & self.condition.of(values)) if self.condition else ~violated)

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Resample one number inside its token; if the token excludes the rule, reflect or resample the number."""
        # A part is moved rather than the whole.
        for column in (self.high, self.low) if self.factor == 1 else (self.low, self.high):
            rows = np.flatnonzero(~self.holds(values) & ~pinned[column])
            if len(rows):
                values[column][rows] = self._moved(column, rows, values, coders[column], seed[rows])

    def _moved(self, column: str, rows: Any, values: Mapping[str, Any], coder: QuantileCoder, seed: Floats) -> Floats:
        """Return numbers on the correct side of the bound, those of the same tokens where possible."""
        own = values[column][rows]
        least, most = np.full(len(rows), coder.low[0]), np.full(len(rows), coder.high[-1])
        step = 0.0 if coder.decimals is None else coder.unit / 10.0**coder.decimals
        if column == self.high:
            edge = (values[self.low][rows] + self.gap) / self.factor
            least = np.minimum(np.ceil(edge / step - SLACK) * step if step else edge, most)
        else:
            edge = self.factor * values[self.high][rows] - self.gap
            most = np.maximum(np.floor(edge / step + SLACK) * step if step else edge, least)
        token = np.minimum(coder.encode(own), coder.n_ordered_tokens - 1)
        low, high = (bound[token] for bound in coder.token_bounds())
        low, high = np.maximum(low, least), np.minimum(high, most)
        reflected = coder.round_to_step(2 * edge - own)
        inside = (reflected >= least) & (reflected <= most) & (low > high)
        low, high = np.where(low > high, least, low), np.where(low > high, most, high)
        first, last = coder.cumulative_mass(low), coder.cumulative_mass(high, inclusive=True)
        drawn = coder.round_to_step(np.clip(coder.quantile(first + seed * (last - first)), low, high))
        return np.where(inside, reflected, np.clip(drawn, low, high))
