"""The values that a column can hold in drawn rows: its steps and its range."""

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
        low, high: The ends that are declared or asked for.
        first, last: The ends of what the model draws, inside those.
        decimals: Decimals of a number; None for dates and for numbers as they come.
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
        """The distance of neighbouring values; 0 where there is none."""
        return self.unit or (0.0 if self.decimals is None else 10.0**-self.decimals)

    def snap(self, data: Floats) -> Floats:
        """The nearest values of the grid, shape (n,)."""
        if self.unit:
            return np.asarray(np.rint(data / self.unit) * self.unit)
        return data if self.decimals is None else np.round(data, self.decimals)

    def clip(self, data: Floats, wide: Bools) -> Floats:
        """Numbers clipped to what the model draws, or to the wider ends in some rows, shape (n,)."""
        low, high = np.where(wide, self.low, self.first), np.where(wide, self.high, self.last)
        return np.asarray(np.clip(data, low, high))

    def inside(self, data: Floats) -> Bools:
        """Which numbers are in the range, shape (n,)."""
        slack = 1e-9 * max(self.step, 1e-300)
        return np.asarray((data >= self.low - slack) & (data <= self.high + slack))

    def within(self, low: float, high: float) -> Grid:
        """The grid in a narrower range."""
        return replace(
            self,
            low=max(self.low, low),
            high=min(self.high, high),
            first=max(self.first, low),
            last=min(self.last, high),
        )


def column_grid(column: Column, codec: Codec | None) -> Grid:
    """The grid of a numeric or datetime column, as far as it is known."""
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
