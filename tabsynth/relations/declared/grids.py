"""The values that a numeric or datetime column can hold in sampled rows: its steps and its range."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tabsynth.codec.codec import Codec
from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.declared.equations import declared_bounds
from tabsynth.schema.columns import Column, Datetime, Numeric


@dataclass(frozen=True)
class Grid:
    """Numbers, or days since 1970, that a column can hold.

    Attributes:
        low, high: The declared or requested bounds.
        first, last: The range that the model samples, inside the bounds.
        decimals: Decimals of a number; None for dates and for numbers without rounding.
        unit: Days of a date's resolution; 0 for numbers.
    """

    low: float = -np.inf
    high: float = np.inf
    first: float = -np.inf
    last: float = np.inf
    decimals: int | None = None
    unit: float = 0.0

    @property
    def step(self) -> float:
        """The distance of neighbouring values; 0 for continuous numbers."""
        return self.unit or (0.0 if self.decimals is None else 10.0**-self.decimals)

    def snap(self, data: Floats) -> Floats:
        """Round to the nearest values of the grid, shape (n,)."""
        if self.unit:
            return np.asarray(np.rint(data / self.unit) * self.unit)
        return data if self.decimals is None else np.round(data, self.decimals)

    def clip(self, data: Floats, wide: Bools) -> Floats:
        """Clip numbers to the range that the model samples, or to the bounds in the rows ``wide``, shape (n,)."""
        low, high = np.where(wide, self.low, self.first), np.where(wide, self.high, self.last)
        return np.asarray(np.clip(data, low, high))

    def inside(self, data: Floats) -> Bools:
        """Return which numbers are within the bounds, shape (n,)."""
        slack = 1e-9 * max(self.step, 1e-300)
        return np.asarray((data >= self.low - slack) & (data <= self.high + slack))

    def within(self, low: float, high: float) -> Grid:
        """Return the grid restricted to a range."""
        return replace(
            self,
            low=max(self.low, low),
            high=min(self.high, high),
            first=max(self.first, low),
            last=min(self.last, high),
        )


def column_grid(column: Column, codec: Codec | None) -> Grid:
    """Return the grid of a numeric or datetime column, as far as schema and codec define it."""
    low, high = declared_bounds(column)
    unit = UNIT_NANOSECONDS[column.resolution or "s"] / UNIT_NANOSECONDS["D"] if isinstance(column, Datetime) else 0.0
    decimals = column.decimals if isinstance(column, Numeric) else None
    grid = Grid(decimals=decimals, unit=unit).within(-np.inf if low is None else low, np.inf if high is None else high)
    coder = None if codec is None else codec.coders.get(column.name)
    if not isinstance(coder, QuantileCoder):
        return grid
    scale = unit or 1.0
    if isinstance(column, Numeric):
        grid = replace(grid, decimals=coder.decimals)
    first, last = float(coder.low[0]) * scale, float(coder.high[-1]) * scale
    return replace(grid, first=max(grid.first, first), last=min(grid.last, last))
