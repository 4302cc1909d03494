"""The cells of drawn rows that a condition decides or restricts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tabsynth.common.arrays import Bools, Integers


@dataclass(frozen=True, eq=False)
class Pins:
    """What a repair may not change.

    Attributes:
        cells: Rows of a column that stay as they are, shape (n,) each.
        restricted: Columns that are limited in all rows.
        bounds: The range of a restricted column, in numbers or days since 1970.
    """

    cells: Mapping[str, Bools] = field(default_factory=dict)
    restricted: frozenset[str] = frozenset()
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def of_rows(self, rows: Integers) -> Pins:
        """The pins of some rows."""
        return Pins({name: own[rows] for name, own in self.cells.items()}, self.restricted, self.bounds)

    def fixed(self, name: str, n: int) -> Bools:
        """Rows of a column that a condition fixes, shape (n,)."""
        return self.cells.get(name, np.zeros(n, bool))

    def decided_cells(self, names: Iterable[str], n: int) -> dict[str, Bools]:
        """Rows of each column that a condition fixes or restricts, shape (n,) each."""
        return {name: self.decided(name, n) for name in names}

    def decided(self, name: str, n: int) -> Bools:
        """Rows of a column that a condition fixes or restricts, shape (n,)."""
        return np.ones(n, bool) if name in self.restricted else self.fixed(name, n)
