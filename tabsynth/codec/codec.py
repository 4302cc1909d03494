"""Encode a table as integer tokens, and decode tokens into a table. Every model works on these tokens.

A column becomes one slot, or two (a high and a low digit) if it has more than ``MAX_SLOT_TOKENS`` tokens. Identifiers
and free text are not modelled: their slot records only whether they are missing, and new values are generated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.categorical_encoder import Coder, ValueCoder, coder_from_state
from tabsynth.codec.column_values import (
    categorical_values,
    hide_rare_precision,
    measure_column,
    numeric_values,
    to_datetimes,
)
from tabsynth.codec.identifier_patterns import Pattern
from tabsynth.codec.identifiers import keys_for_rows, learn_pattern
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.pandas_dtypes import datetime_series, dtype_name, missing_series, numeric_series, value_series
from tabsynth.codec.rare_value_pooling import person_codes, pooling_advice, warn_of_pooling
from tabsynth.codec.token_slots import Slot, column_slots, digit_share, join_digits, split_digits
from tabsynth.common.arrays import Arrays, Floats, Tokens
from tabsynth.data.table import Table
from tabsynth.errors import DataError
from tabsynth.schema.columns import Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema

Observed = Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Codec:
    """The encoders of a table's columns, fitted by ``Codec.measure``.

    Attributes:
        schema: The table's schema, in the order of the frame's columns.
        coders: The coder of each column.
        dtypes: The pandas dtype of each column.
        patterns: The spelling of each identifier column.
        rows: Training rows.
        min_group: Every released value is shared by at least this many persons.
    """

    schema: Schema
    coders: dict[str, Coder]
    dtypes: dict[str, str]
    patterns: dict[str, Pattern]
    rows: int
    min_group: int

    @classmethod
    def measure(
        cls,
        table: Table,
        *,
        min_group: int = 5,
        tokens: int | None = None,
        observed: Observed = MappingProxyType({}),
        warn: bool = True,
    ) -> Codec:
        """Fit the encoders to a training table.

        Args:
            table: The training rows.
            min_group: Minimum persons behind each category and each number of the codec; 1 switches the floor off.
            tokens: Approximate number of tokens of a numeric column; by default 1.4 times the square root of the
                number of rows, between 16 and 256.
            observed: For each column that some rows do not have at all, which rows have it.
            warn: Warn of columns of which much is replaced.
        """
        if not isinstance(min_group, int) or min_group < 1:
            raise DataError(f"min_group must be a whole number of at least 1, not {min_group!r}")
        tokens = default_tokens(len(table)) if tokens is None else tokens
        persons = person_codes(table, min_group)
        coders: dict[str, Coder] = {}
        patterns: dict[str, Pattern] = {}
        columns: dict[str, Column] = {}
        for name in table.frame.columns:
            here = observed.get(name, slice(None))
            values = table.frame[name][here]
            who = persons if persons is None else persons[here]
            column = columns[name] = hide_rare_precision(table.schema[name], values, min_group, who)
            if isinstance(column, Identifier):
                patterns[name] = learn_pattern(values.dropna(), regex=column.pattern, min_group=min_group)
            coders[name] = measure_column(column, values, tokens, min_group, who)
        schema = replace(table.schema, columns=columns)
        if warn:
            warn_of_pooling(coders, schema, min_group)
        dtypes = {name: dtype_name(table.frame[name]) for name in table.frame.columns}
        return cls(schema, coders, dtypes, patterns, len(table), min_group)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The positions of the token matrix, in column order."""
        return tuple(slot for name, coder in self.coders.items() for slot in column_slots(name, coder))

    @property
    def numeric_coders(self) -> dict[str, QuantileCoder]:
        """The coders of the columns of numbers and dates."""
        return {name: coder for name, coder in self.coders.items() if isinstance(coder, QuantileCoder)}

    @property
    def sizes(self) -> list[int]:
        """Number of tokens of each slot."""
        return [slot.size for slot in self.slots]

    def positions(self, column: str) -> list[int]:
        """Return the indices of a column in the token matrix."""
        return [i for i, slot in enumerate(self.slots) if slot.column == column]

    def encode(self, frame: pd.DataFrame) -> Tokens:
        """Return the tokens of a frame, shape (n, slots); -1 for columns that are not in the frame."""
        out = np.full((len(frame), len(self.slots)), -1, dtype=np.int32)
        for name in self.coders:
            if name in frame.columns:
                out[:, self.positions(name)] = self.split(name, self.encode_column(name, frame[name]))
        return out

    def encode_column(self, name: str, values: pd.Series) -> Tokens:
        """Return the tokens of one column before they are split into digits, shape (n,)."""
        column, coder = self.schema[name], self.coders[name]
        if isinstance(coder, QuantileCoder):
            return coder.encode(numeric_values(column, values))
        return coder.encode(categorical_values(column, values))

    def numeric_values(self, name: str, values: pd.Series) -> Floats:
        """Return a numeric or datetime column as float64, missing as NaN, shape (n,)."""
        return numeric_values(self.schema[name], values)

    def split(self, name: str, tokens: Tokens) -> Tokens:
        """Return a column's tokens (-1 where unknown) as its digits, shape (n, 1 or 2)."""
        at = self.positions(name)
        if len(at) == 1:
            return tokens[:, None]
        return np.stack(split_digits(tokens, self.coders[name], *(self.slots[i].size for i in at)), axis=1)

    def column_tokens(self, tokens: Tokens, name: str) -> Tokens:
        """One column's tokens from the token matrix, its digits put together, shape (n,)."""
        at = self.positions(name)
        if len(at) == 1:
            return tokens[:, at[0]]
        first, second = (tokens[:, i] for i in at)
        return join_digits(first, second, self.coders[name], *(self.slots[i].size for i in at))

    def digit_share(self, slot: Slot, share: Floats) -> Floats:
        """Return the allowed shares of a wide column's tokens as shares of one digit: see ``slots.digit_share``."""
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
        """Decode tokens column by column into a frame with the training frame's columns, order and dtypes.

        Args:
            tokens: Shape (n, slots), none negative.
            rng: Samples positions inside tokens and identifiers.
            keys: Seed of the identifiers, shared by all chunks of a sample so that no identifier repeats.
            rows: Row numbers within the whole sample, which decide the identifiers; by default from 0.
        """
        seed = int(rng.integers(2**63)) if keys is None else keys
        rows = np.arange(len(tokens)) if rows is None else rows
        coders = self.numeric_coders
        numbers = {name: coder.decode(self.column_tokens(tokens, name), rng) for name, coder in coders.items()}
        return self.to_frame(tokens, numbers, rng, keys=seed, rows=rows)

    def to_frame(
        self,
        tokens: Tokens,
        numbers: Mapping[str, Floats],
        rng: np.random.Generator,
        *,
        keys: int,
        rows: npt.NDArray[np.int64],
    ) -> pd.DataFrame:
        """Build the frame from tokens and the decoded numbers of the numeric columns; see ``decode``."""
        out = {}
        for name in self.coders:
            out[name] = (
                self._numeric_series(name, numbers[name])
                if name in numbers
                else self._categorical_series(name, tokens, rng, keys, rows)
            )
        return pd.DataFrame(out)

    def means(self, slot: Slot) -> Floats | None:
        """Return the mean number of each token of a numeric slot, shape (n_ordered_tokens,); None for other slots."""
        coder = self.coders[slot.column]
        return coder.means() if isinstance(coder, QuantileCoder) else None

    def _numeric_series(self, name: str, data: Floats) -> pd.Series:
        """Return the numbers as a numeric or datetime column."""
        column, dtype = self.schema[name], self.dtypes[name]
        if isinstance(column, Datetime):
            return datetime_series(to_datetimes(column, data), dtype, column)
        return numeric_series(data, dtype, column)

    def _categorical_series(
        self, name: str, tokens: Tokens, rng: np.random.Generator, keys: int, rows: npt.NDArray[np.int64]
    ) -> pd.Series:
        """Return the tokens as a categorical column; identifiers and text are generated."""
        column, dtype, column_tokens = self.schema[name], self.dtypes[name], self.column_tokens(tokens, name)
        coder = self.coders[name]
        assert isinstance(coder, ValueCoder)
        if isinstance(column, (Numeric, Datetime)):
            return missing_series(column, len(column_tokens), dtype)
        values = coder.decode(column_tokens, rng)
        if isinstance(column, (Identifier, Text)):
            here = np.flatnonzero(column_tokens != coder.missing)
            values[:] = None
            values[here] = (
                keys_for_rows(self.patterns[name], rows, [keys, list(self.coders).index(name)])[here]
                if isinstance(column, Identifier)
                else column.replacement
            )
            return value_series(values, dtype, sorted(set(values[here])), ordered=False)
        return value_series(values, dtype, list(dict.fromkeys((*coder.values, *coder.public))), coder.ordered)

    def card(self) -> dict[str, Any]:
        """Return the model card's section about the encoding."""
        pooled = {
            name: round(int(coder.counts[coder.rare]) / max(self.rows, 1), 2)
            for name, coder in self.coders.items()
            if coder.counts[coder.rare] >= self.min_group and not isinstance(self.schema[name], (Identifier, Text))
        }
        generated = [name for name, column in self.schema.items() if isinstance(column, (Identifier, Text))]
        card = {"min_group": self.min_group, "pooled_share": pooled, "not_learned": generated, "rows": self.rows}
        pooling = pooling_advice(self.coders, self.schema, self.min_group)
        advice = [f"column {name!r}: {text}" for name, text in pooling.items()]
        return card | ({"pooled_advice": advice} if advice else {})

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``from_state``."""
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
            plain, coder_arrays = coder.state()
            config["coders"].append({"column": name, **plain})
            arrays |= {f"codec.{i}.{key}": array for key, array in coder_arrays.items()}
        return config, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> Codec:
        """Rebuild a codec from its state; a state that cannot decode raises here rather than in ``sample``."""
        coders = {
            plain["column"]: coder_from_state(plain, _with_prefix(f"codec.{i}.", arrays))
            for i, plain in enumerate(config["coders"])
        }
        codec = cls(
            schema=Schema.from_dict(config["schema"]),
            coders=coders,
            dtypes=dict(config["dtypes"]),
            patterns={name: Pattern.from_dict(data) for name, data in config["patterns"].items()},
            rows=int(config["rows"]),
            min_group=int(config["min_group"]),
        )
        codec.decode(codec.end_tokens, np.random.default_rng(0))
        return codec

    @property
    def end_tokens(self) -> Tokens:
        """The first and the last token of every slot, as two rows."""
        return np.array([np.zeros(len(self.sizes)), np.array(self.sizes) - 1], np.int32)


def default_tokens(rows: int) -> int:
    """Return the approximate number of tokens of a numeric column in a table with this number of rows."""
    return int(np.clip(1.4 * math.sqrt(rows), 16, 256))


def _with_prefix(prefix: str, arrays: Arrays) -> Arrays:
    """Return the arrays whose names begin with a prefix, which is removed."""
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
