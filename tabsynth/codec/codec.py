"""Table to tokens and back: the one vocabulary that every model of ours learns and draws.

A column becomes one slot of small integers, or two where it has more than ``WIDE`` tokens (the high and the low digit).
Identifiers and free text are not learned: they take a slot only to say whether they are missing, and are made afresh.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.categorical_encoder import Coder, ValueCoder, coder_from_state
from tabsynth.codec.column_values import instants_of, line_of, measure_column, members_of
from tabsynth.codec.identifier_patterns import Pattern
from tabsynth.codec.identifiers import keys_of_rows, learn_pattern
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.pandas_dtypes import datetime_series, dtype_name, empty_like, numeric_series, value_series
from tabsynth.codec.rare_value_pooling import persons_of, pooling_advice
from tabsynth.codec.token_slots import Slot, digit_share, joined, parted, slots_of
from tabsynth.common.arrays import Arrays, Floats, Tokens
from tabsynth.data.table import Table
from tabsynth.errors import DataError
from tabsynth.schema.columns import Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema

Observed = Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Codec:
    """How each column of a table becomes tokens; build it with ``Codec.measure``.

    Attributes:
        schema: The table's schema, in the order of the frame's columns.
        coders: The coder of each column.
        dtypes: The pandas dtype of each column.
        patterns: How to make the values of each identifier column.
        rows: Training rows.
        min_group: The floor on persons that every released value rests on.
    """

    schema: Schema
    coders: dict[str, Coder]
    dtypes: dict[str, str]
    patterns: dict[str, Pattern]
    rows: int
    min_group: int

    @classmethod
    def measure(
        cls, table: Table, *, min_group: int = 5, tokens: int | None = None, observed: Observed = MappingProxyType({})
    ) -> Codec:
        """Read values, quantiles and patterns off a training table.

        Args:
            table: The training rows.
            min_group: No category and no numeric knot rests on fewer persons than this; 1 switches the floor off.
            tokens: About how many tokens a numeric column gets; by default 1.4 times the square root of the number of
                rows, between 16 and 256.
            observed: For each column that some rows do not have at all, which rows have it.
        """
        if not isinstance(min_group, int) or min_group < 1:
            raise DataError(f"min_group must be a whole number of at least 1, not {min_group!r}")
        tokens = int(np.clip(1.4 * math.sqrt(len(table)), 16, 256)) if tokens is None else tokens
        persons = persons_of(table, min_group)
        coders: dict[str, Coder] = {}
        patterns: dict[str, Pattern] = {}
        for name in table.frame.columns:
            here = observed.get(name, slice(None))
            column, values = table.schema[name], table.frame[name][here]
            if isinstance(column, Identifier):
                patterns[name] = learn_pattern(values.dropna(), regex=column.pattern, min_group=min_group)
            coders[name] = measure_column(
                column, values, tokens, min_group, persons if persons is None else persons[here]
            )
        schema = replace(table.schema, columns={name: table.schema[name] for name in table.frame.columns})
        for advice in pooling_advice(coders, schema, min_group):
            warnings.warn(advice, UserWarning, stacklevel=2)
        dtypes = {name: dtype_name(table.frame[name]) for name in table.frame.columns}
        return cls(schema, coders, dtypes, patterns, len(table), min_group)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The positions of the token matrix, in column order."""
        return tuple(slot for name, coder in self.coders.items() for slot in slots_of(name, coder))

    @property
    def on_line(self) -> dict[str, QuantileCoder]:
        """The coders of the columns of numbers and dates."""
        return {name: coder for name, coder in self.coders.items() if isinstance(coder, QuantileCoder)}

    @property
    def sizes(self) -> list[int]:
        """Number of tokens of each slot."""
        return [slot.size for slot in self.slots]

    def positions(self, column: str) -> list[int]:
        """Where a column stands in the token matrix."""
        return [i for i, slot in enumerate(self.slots) if slot.column == column]

    def encode(self, frame: pd.DataFrame) -> Tokens:
        """Tokens of a frame, shape (n, slots); -1 throughout for a column that the frame lacks."""
        out = np.full((len(frame), len(self.slots)), -1, dtype=np.int32)
        for name in self.coders:
            if name in frame.columns:
                out[:, self.positions(name)] = self.split(name, self.encode_column(name, frame[name]))
        return out

    def encode_column(self, name: str, values: pd.Series) -> Tokens:
        """Tokens of one column before they are split into digits, shape (n,)."""
        column, coder = self.schema[name], self.coders[name]
        if isinstance(coder, QuantileCoder):
            return coder.encode(line_of(column, values))
        return coder.encode(members_of(column, values))

    def encode_line(self, name: str, values: pd.Series) -> Floats:
        """A numeric or datetime column in the units of its line, missing as NaN, shape (n,)."""
        return line_of(self.schema[name], values)

    def split(self, name: str, tokens: Tokens) -> Tokens:
        """A column's tokens (-1 where unknown) as its digits, shape (n, 1 or 2)."""
        at = self.positions(name)
        if len(at) == 1:
            return tokens[:, None]
        return np.stack(parted(tokens, self.coders[name], *(self.slots[i].size for i in at)), axis=1)

    def column_tokens(self, tokens: Tokens, name: str) -> Tokens:
        """One column's tokens from the token matrix, its digits put together, shape (n,)."""
        at = self.positions(name)
        if len(at) == 1:
            return tokens[:, at[0]]
        first, second = (tokens[:, i] for i in at)
        return joined(first, second, self.coders[name], *(self.slots[i].size for i in at))

    def digit_share(self, slot: Slot, share: Floats) -> Floats:
        """Allowed shares of a wide column's tokens as shares of one digit: see ``slots.digit_share``."""
        high, low = (self.slots[at].size for at in self.positions(slot.column))
        return digit_share(self.coders[slot.column], share, high, low, slot.digit)

    def decode(
        self,
        tokens: Tokens,
        rng: np.random.Generator,
        *,
        keys: int | None = None,
        rows: npt.NDArray[np.int64] | None = None,
    ) -> pd.DataFrame:
        """A frame of tokens, with the training frame's columns, order and dtypes; each column by itself.

        Args:
            tokens: Shape (n, slots), none negative.
            rng: Draws positions inside tokens and fresh identifiers.
            keys: Seed of the identifiers; rows decoded in chunks share it, so that no identifier comes twice.
            rows: The numbers of the rows in the whole sample, by which they get their identifiers; by default from 0.
        """
        seed = int(rng.integers(2**63)) if keys is None else keys
        rows = np.arange(len(tokens)) if rows is None else rows
        placed = {name: coder.decode(self.column_tokens(tokens, name), rng) for name, coder in self.on_line.items()}
        return self.frame_of(tokens, placed, rng, keys=seed, rows=rows)

    def frame_of(
        self,
        tokens: Tokens,
        numbers: Mapping[str, Floats],
        rng: np.random.Generator,
        *,
        keys: int,
        rows: npt.NDArray[np.int64],
    ) -> pd.DataFrame:
        """A frame of tokens whose columns on a line have these numbers; see ``decode``."""
        out = {}
        for name in self.coders:
            out[name] = (
                self._line_series(name, numbers[name])
                if name in numbers
                else self._value_series(name, tokens, rng, keys, rows)
            )
        return pd.DataFrame(out)

    def means(self, slot: Slot) -> Floats | None:
        """The mean number of each token of a slot on a line, shape (line,); None for other slots."""
        coder = self.coders[slot.column]
        return coder.means() if isinstance(coder, QuantileCoder) else None

    def _line_series(self, name: str, data: Floats) -> pd.Series:
        """Numbers on a line as a column."""
        column, dtype = self.schema[name], self.dtypes[name]
        if isinstance(column, Datetime):
            return datetime_series(instants_of(column, data), dtype, column)
        return numeric_series(data, dtype, column)

    def _value_series(
        self, name: str, tokens: Tokens, rng: np.random.Generator, keys: int, rows: npt.NDArray[np.int64]
    ) -> pd.Series:
        """Tokens of a set of values as a column; identifiers and text are made afresh."""
        column, dtype, own = self.schema[name], self.dtypes[name], self.column_tokens(tokens, name)
        coder = self.coders[name]
        assert isinstance(coder, ValueCoder)
        if isinstance(column, (Numeric, Datetime)):
            return empty_like(column, len(own), dtype)
        values = coder.decode(own, rng)
        if isinstance(column, (Identifier, Text)):
            here = np.flatnonzero(own != coder.missing)
            values[:] = None
            values[here] = (
                keys_of_rows(self.patterns[name], rows, [keys, list(self.coders).index(name)])[here]
                if isinstance(column, Identifier)
                else column.replacement
            )
            return value_series(values, dtype, sorted(set(values[here])), ordered=False)
        return value_series(values, dtype, list(dict.fromkeys((*coder.values, *coder.public))), coder.ordered)

    def card(self) -> dict[str, Any]:
        """What a reader of the model card should know of the vocabulary."""
        pooled = {
            name: round(int(coder.counts[coder.rare]) / max(self.rows, 1), 4)
            for name, coder in self.coders.items()
            if coder.counts[coder.rare] and not isinstance(self.schema[name], (Identifier, Text))
        }
        made = [name for name, column in self.schema.items() if isinstance(column, (Identifier, Text))]
        told = {"not_learned": made, "rows": self.rows}
        advice = pooling_advice(self.coders, self.schema, self.min_group)
        told |= {"pooled_advice": advice} if advice else {}
        return {"min_group": self.min_group, "pooled_share": pooled, **told}

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """What ``from_state`` needs: plain data and arrays."""
        config: dict[str, Any] = {
            "schema": self.schema.to_dict(),
            "dtypes": self.dtypes,
            "patterns": {name: pattern.to_dict() for name, pattern in self.patterns.items()},
            "rows": self.rows,
            "min_group": self.min_group,
            "coders": [],
        }
        arrays: Arrays = {}
        for i, (name, coder) in enumerate(self.coders.items()):
            plain, held = coder.state()
            config["coders"].append({"column": name, **plain})
            arrays |= {f"codec.{i}.{key}": array for key, array in held.items()}
        return config, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> Codec:
        """Rebuild a codec from its state."""
        coders = {
            plain["column"]: coder_from_state(plain, _under(f"codec.{i}.", arrays))
            for i, plain in enumerate(config["coders"])
        }
        return cls(
            schema=Schema.from_dict(config["schema"]),
            coders=coders,
            dtypes=dict(config["dtypes"]),
            patterns={name: Pattern.from_dict(data) for name, data in config["patterns"].items()},
            rows=int(config["rows"]),
            min_group=int(config["min_group"]),
        )


def _under(prefix: str, arrays: Arrays) -> Arrays:
    """The arrays whose names begin with a prefix, without it."""
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
