"""The rows of a private fit as cells and tokens, computed lazily inside the first charged read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.codec.column_values import numeric_values
from tabsynth.common.arrays import Floats, Integers, Tokens
from tabsynth.errors import PrivacyError
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.mechanisms.canonical_cells import encode_text
from tabsynth.privacy.mechanisms.clamping import private_table
from tabsynth.privacy.mechanisms.contribution_bounding import bound_contributions, person_keys
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.columns import Identifier, Text
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.bins.public_bins import Grid, column_grid
from tabsynth.synthesizers.marginal.public_codec import tokens_of_cells


def public_grids(schema: Schema) -> dict[str, Grid]:
    """Return the public cells of every learned column.

    Raises:
        PrivacyError: There is no such column.
    """
    grids = {name: column_grid(column) for name, column in schema.items() if not isinstance(column, (Identifier, Text))}
    if not grids:
        raise PrivacyError("there is no column to learn; declare one that is not an identifier or text")
    return grids


class CellRows:
    """Lazy access to the cells and tokens of private rows; no row is read before a method is called.

    Args:
        read: Function that reads the rows, with values inside their declared domains.
        rules: The declared constraints of the public schema.
        grids: The cells of each learned column.
    """

    def __init__(self, read: Callable[[], pd.DataFrame], rules: RuleSet, grids: dict[str, Grid]) -> None:
        self.schema, self.rules = rules.model_schema(), rules
        self.public_grids, self.grids = grids, dict(grids)
        self._read_table = read
        self._cells: dict[str, Integers] | None = None

    def cells(self, name: str) -> Integers:
        """Return the cell of every row of a column, shape (n,)."""
        return self._read()[name]

    def replace_grid(self, name: str, grid: Grid) -> None:
        """Replace the cells of a numeric column."""
        self.grids[name] = grid
        if self._cells is not None:
            self._cells[name] = grid.encode(self.schema[name], self._lines[name])

    def restore_grids(self) -> None:
        """Undo the replacements of an earlier fit to the same rows."""
        for name, grid in self.public_grids.items():
            if self.grids[name] is not grid:
                self.replace_grid(name, grid)

    def tokens(self, codec: Codec) -> Tokens:
        """Return the tokens of all rows, shape (n, slots)."""
        cells = self._read()
        out = np.zeros((len(next(iter(cells.values()))), len(codec.slots)), np.int32)
        for name, grid in self.grids.items():
            column_tokens = tokens_of_cells(grid, codec.coders[name])[cells[name]]
            out[:, codec.positions(name)] = codec.split(name, column_tokens)
        return out

    def line(self, name: str) -> Floats:
        """Return a numeric column clamped to its bounds, missing as NaN, shape (n,)."""
        self._read()
        return numeric_values(self.schema[name], self._lines[name])

    def _read(self) -> dict[str, Integers]:
        if self._cells is None:
            table = self.rules.add_derived(self._read_table(), self.schema)
            self._lines = table[[name for name, grid in self.grids.items() if grid.line]]
            self._cells = {name: grid.encode(self.schema[name], table[name]) for name, grid in self.grids.items()}
        return self._cells


class PrivateRows(CellRows):
    """Rows of a private frame with bounded contributions.

    Args:
        frame: The raw rows.
        rules: The declared constraints of the public schema.
        grids: The cells of each learned column.
        privacy: The privacy unit and its contribution bound.
        noise: Random source of contribution bounding.
    """

    def __init__(
        self, frame: pd.DataFrame, rules: RuleSet, grids: dict[str, Grid], privacy: Privacy, noise: Noise
    ) -> None:
        super().__init__(self._bounded_table, rules, grids)
        self._frame, self._privacy, self._noise = frame, privacy, noise
        self._units: Integers | None = None

    def units(self) -> Integers | None:
        """Return the privacy unit of every row, shape (n,); None if each row is a unit."""
        self._read()
        return self._units

    def _bounded_table(self) -> pd.DataFrame:
        frame, unit, most = self._frame, self._privacy.unit, self._privacy.rows_per_person
        if unit != "row" and most is not None:
            frame = frame[bound_contributions(frame[unit], most, self._noise)]
            self._units = encode_text(person_keys(frame[unit]))[0]
        return private_table(frame, self.rules.schema)
