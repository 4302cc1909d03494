"""The rows of a private fit as cells and tokens, made where a charged read asks for them first."""

from __future__ import annotations

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
    """The public cells of every column that is learned.

    Raises:
        PrivacyError: There is no such column.
    """
    grids = {name: column_grid(column) for name, column in schema.items() if not isinstance(column, (Identifier, Text))}
    if not grids:
        raise PrivacyError("there is no column to learn; declare one that is not an identifier or text")
    return grids


class PrivateRows:
    """A private frame behind its public cells; nothing of it is read before a method is called.

    Args:
        frame: The raw rows.
        rules: The declared constraints of the public schema.
        grids: The cells of each learned column.
        privacy: The unit and its cap.
        noise: Decides which rows of a person are kept.
    """

    def __init__(
        self, frame: pd.DataFrame, rules: RuleSet, grids: dict[str, Grid], privacy: Privacy, noise: Noise
    ) -> None:
        self.schema, self.rules, self.grids = rules.model_schema(), rules, grids
        self._frame, self._privacy, self._noise = frame, privacy, noise
        self._cells: dict[str, Integers] | None = None
        self._units: Integers | None = None

    def cells(self, name: str) -> Integers:
        """The cell of every row of a column, shape (n,)."""
        return self._read()[name]

    def tokens(self, codec: Codec) -> Tokens:
        """The tokens of all rows, shape (n, slots)."""
        cells = self._read()
        out = np.zeros((len(next(iter(cells.values()))), len(codec.slots)), np.int32)
        for name, grid in self.grids.items():
            own = tokens_of_cells(grid, codec.coders[name])[cells[name]]
            out[:, codec.positions(name)] = codec.split(name, own)
        return out

    def line(self, name: str) -> Floats:
        """The numbers of a column on a line within its bounds, missing as NaN, shape (n,)."""
        self._read()
        return numeric_values(self.schema[name], self._lines[name])

    def units(self) -> Integers | None:
        """The person of every row, shape (n,); None where each row is a unit."""
        self._read()
        return self._units

    def _read(self) -> dict[str, Integers]:
        if self._cells is None:
            frame, unit, most = self._frame, self._privacy.unit, self._privacy.rows_per_person
            if unit != "row" and most is not None:
                frame = frame[bound_contributions(frame[unit], most, self._noise)]
                self._units = encode_text(person_keys(frame[unit]))[0]
            table = self.rules.add_derived(private_table(frame, self.rules.schema), self.schema)
            self._lines = table[[name for name, grid in self.grids.items() if grid.line]]
            self._cells = {name: grid.encode(self.schema[name], table[name]) for name, grid in self.grids.items()}
        return self._cells
