"""The cells of sampled rows that a condition fixes or restricts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tabsynth.common.arrays import Bools, Integers


@dataclass(frozen=True, eq=False)
class FixedCells:
    """The cells that a repair must not change.

    Attributes:
        cells: Fixed rows of each column, shape (n,) each.
        restricted: Columns that a condition restricts in all rows.
        bounds: The range of a restricted column, in numbers or days since 1970.
    """

    cells: Mapping[str, Bools] = field(default_factory=dict)
    restricted: frozenset[str] = frozenset()
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def of_rows(self, rows: Integers) -> FixedCells:
        """Select the cells of some rows."""
        return FixedCells({name: values[rows] for name, values in self.cells.items()}, self.restricted, self.bounds)

    def fixed(self, name: str, n: int) -> Bools:
        """Return the rows of a column that a condition fixes, shape (n,)."""
        return self.cells.get(name, np.zeros(n, bool))

    def decided_cells(self, names: Iterable[str], n: int) -> dict[str, Bools]:
        """Return the rows of each column that a condition fixes or restricts, shape (n,) each."""
        return {name: self.decided(name, n) for name in names}

    def decided(self, name: str, n: int) -> Bools:
        """Return the rows of a column that a condition fixes or restricts, shape (n,)."""
        return np.ones(n, bool) if name in self.restricted else self.fixed(name, n)
