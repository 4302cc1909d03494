"""Conversion of a table to the plain frame of floats and small integers that other packages learn, and back.

Numbers and dates become floats, with an indicator column where values may be missing; other columns become tokens.
Nothing is missing in the plain frame. Columns that are not learned or never vary are left out. The codec is ours, so
dtypes, rounding, identifiers, text and the minimum group size are the same for every model.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.categorical_encoder import ValueCoder
from tabsynth.codec.codec import Codec
from tabsynth.codec.column_values import numeric_values, to_datetimes
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.pandas_dtypes import datetime_series, numeric_series
from tabsynth.common.arrays import Arrays, Floats, Tokens, check_numbers
from tabsynth.data.table import Table
from tabsynth.relations.enforcement import Relations, combined_state, restored_relations
from tabsynth.schema.columns import Datetime


@dataclass(frozen=True)
class NumericColumn:
    """The plain columns of a column of numbers: ``(value - offset) / scale``, and an indicator of missing values.

    Attributes:
        name: The plain column of the numbers; None if the column has one value only.
        missing: The indicator column; None if no value may be missing.
        offset: The median.
        scale: The standard deviation if it is below one (the packages' tolerances are absolute), else one.
    """

    name: str | None
    missing: str | None
    offset: float
    scale: float


@dataclass(frozen=True, eq=False)
class TableAdapter:
    """Converter between a table and its plain frame; build one with ``TableAdapter.measure``.

    Attributes:
        codec: The codec of the columns.
        relations: Relations between numeric columns; stored, but not enforced in sampled rows.
        lines: The columns of numbers, by their names in the table.
        slots: The learned slots of the codec: plain column to position in the token matrix.
        constant: The token of every slot that is not learned, shape (slots,).
        missing_rates: By column that may be missing, the share of sampled values that become missing, and of sampled
            missing values that are replaced by a value.
    """

    codec: Codec
    relations: Relations
    lines: dict[str, NumericColumn]
    slots: dict[str, int]
    constant: Tokens
    missing_rates: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def measure(
        cls, table: Table, rng: np.random.Generator, *, min_group: int, derived: Collection[str] = ()
    ) -> tuple[TableAdapter, pd.DataFrame]:
        """Return the adapter of a training table, and the plain frame of its rows.

        Args:
            table: The training rows.
            rng: Random generator for placeholders of missing numbers and of pooled values.
            min_group: Minimum persons behind each category, bound and missing value in the plain frame.
            derived: Columns computed from others, which take part in no relation.
        """
        codec = Codec.measure(table, min_group=min_group)
        tokens = np.zeros((len(table), len(codec.slots)), np.int32)
        numeric: dict[str, NumericColumn] = {}
        plain: dict[str, npt.NDArray[Any]] = {}
        for i, (name, coder) in enumerate(codec.coders.items()):
            if isinstance(coder, QuantileCoder):
                data = numeric_values(codec.schema[name], table.frame[name])
                numeric[name], number_columns = _measure_numbers(i, coder, data, rng)
                plain |= number_columns
            else:
                _set_tokens(
                    tokens, codec, name, _replace_forbidden(coder, codec.encode_column(name, table.frame[name]), rng)
                )
        slots = {f"s{j}": j for j in range(tokens.shape[1]) if len(np.unique(tokens[:, j])) > 1}
        plain |= {name: tokens[:, j].astype(np.int64) for name, j in slots.items()}
        relations = Relations.discover(table, codec, without=derived)
        return cls(codec, relations, numeric, slots, tokens[0].copy()), pd.DataFrame(plain)

    @property
    def discrete(self) -> list[str]:
        """The plain columns of integers."""
        return [number.missing for number in self.lines.values() if number.missing is not None] + list(self.slots)

    @property
    def plain_columns(self) -> list[str]:
        """All plain columns."""
        return [number.name for number in self.lines.values() if number.name is not None] + self.discrete

    def calibrate(self, drawn: pd.DataFrame) -> TableAdapter:
        """Return an adapter that restores each column's training share of missing values in the model's samples.

        Some models sample too many or too few missing values, because they oversample rare categories or return the
        most probable one. As many of the sampled missing values as possible are kept.

        Args:
            drawn: Plain rows sampled by the model, enough to estimate the shares.
        """
        missing_rates: dict[str, tuple[float, float]] = {}
        for name, absent in self._absent(drawn).items():
            coder = self.codec.coders[name]
            wanted, rate = int(coder.counts[coder.missing]) / self.codec.rows, float(absent.mean())
            more = (wanted - rate) / (1 - rate) if rate < wanted else 0.0
            less = (rate - wanted) / rate if rate > wanted else 0.0
            missing_rates[name] = (more, less)
        return replace(self, missing_rates=missing_rates)

    def prepare(self, drawn: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """Return sampled plain rows with the final missing values and allowed tokens only."""
        plain = drawn.copy()
        tokens = self._tokens(plain)
        for name, absent in self._absent(plain).items():
            more, less = self.missing_rates.get(name, (0.0, 0.0))
            dice = rng.random(len(plain))
            after = np.where(absent, dice >= less, dice < more)
            coder = self.codec.coders[name]
            if isinstance(coder, QuantileCoder):
                plain[self.lines[name].missing] = after.astype(np.int64)
                continue
            column_tokens = _resample_values(coder, self.codec.column_tokens(tokens, name), absent & ~after, rng)
            _set_tokens(tokens, self.codec, name, np.where(after, coder.missing, column_tokens))
        for name in self._learned_values():
            coder = self.codec.coders[name]
            assert isinstance(coder, ValueCoder)
            column_tokens = self.codec.column_tokens(tokens, name)
            # Two digits that do not occur together in training may form a forbidden token.
            _set_tokens(tokens, self.codec, name, _replace_forbidden(coder, column_tokens, rng))
        for slot, j in self.slots.items():
            plain[slot] = tokens[:, j].astype(np.int64)
        return plain

    def decode(
        self, plain: pd.DataFrame, rng: np.random.Generator, *, keys: int | None = None, start: int = 0
    ) -> pd.DataFrame:
        """Return the table of prepared plain rows, with the training frame's columns, order and dtypes.

        Args:
            plain: The result of ``prepare``; without columns if the model has nothing to learn.
            rng: Random generator.
            keys: Seed of the identifiers, as in ``Codec.decode``.
            start: Number of rows already decoded with the same ``keys``.
        """
        rows = np.arange(start, start + len(plain))
        frame = self.relations.decode(self.codec, self._tokens(plain), rng, keys=keys, rows=rows)
        for name in self.lines:
            frame[name] = self._numbers(name, plain)
        return frame

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``from_state``."""
        codec, arrays = combined_state(self.codec, self.relations)
        numeric = {name: asdict(number) for name, number in self.lines.items()}
        missing_rates = {name: list(pair) for name, pair in self.missing_rates.items()}
        plain = {"codec": codec, "lines": numeric, "slots": self.slots, "flips": missing_rates}
        return plain, {**arrays, "bridge.constant": self.constant}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> TableAdapter:
        """Rebuild an adapter from its state."""
        numeric = {name: NumericColumn(**plain) for name, plain in config["lines"].items()}
        codec = Codec.from_state(config["codec"], arrays)
        relations = restored_relations(config["codec"], arrays, codec)
        missing_rates = {name: (float(more), float(less)) for name, (more, less) in config["flips"].items()}
        out = cls(codec, relations, numeric, dict(config["slots"]), arrays["bridge.constant"], missing_rates)
        out._check()
        return out

    def _check(self) -> None:
        """Raise a ValueError unless a restored adapter fits its vocabulary."""
        sizes = np.array(self.codec.sizes)
        check_numbers(self.constant, sizes.shape, "the tokens of columns that are not learned", low=0, whole=True)
        if (self.constant >= sizes).any() or not set(self.lines) <= set(self.codec.numeric_coders):
            raise ValueError("its columns are not those of its vocabulary")
        if not all(type(at) is int and 0 <= at < len(sizes) for at in self.slots.values()):
            raise ValueError("its columns are not those of its vocabulary")
        for number in self.lines.values():
            plain = (number.name, number.missing)
            if not all(name is None or isinstance(name, str) for name in plain):
                raise ValueError(f"the plain columns {plain!r} have no names")
            if not math.isfinite(number.offset) or not math.isfinite(number.scale) or number.scale <= 0:
                raise ValueError(f"a column of numbers has the offset {number.offset!r} and the scale {number.scale!r}")

    def _tokens(self, plain: pd.DataFrame) -> Tokens:
        """Return the token matrix of plain rows; the slots of numbers are not used."""
        tokens: Tokens = np.tile(self.constant, (len(plain), 1))
        for name, j in self.slots.items():
            tokens[:, j] = np.clip(plain[name].to_numpy(np.int64), 0, self.codec.slots[j].size - 1)
        return tokens

    def _learned_values(self) -> list[str]:
        """Return the columns whose tokens the model learns."""
        return list(dict.fromkeys(self.codec.slots[j].column for j in self.slots.values()))

    def _absent(self, plain: pd.DataFrame) -> dict[str, npt.NDArray[np.bool_]]:
        """Return the rows in which the model samples a missing value, by column with learned missingness."""
        gaps = {
            name: plain[number.missing].to_numpy(np.int64) == 1
            for name, number in self.lines.items()
            if number.missing is not None
        }
        tokens = self._tokens(plain)
        for name in self._learned_values():
            coder = self.codec.coders[name]
            if coder.allowed_tokens[coder.missing]:
                gaps[name] = self.codec.column_tokens(tokens, name) == coder.missing
        return gaps

    def _numbers(self, name: str, plain: pd.DataFrame) -> pd.Series:
        """Return a column of numbers or dates, rounded to its step and clipped to its range."""
        coder, number, column = self.codec.coders[name], self.lines[name], self.codec.schema[name]
        assert isinstance(coder, QuantileCoder)
        data = np.zeros(len(plain)) if number.name is None else plain[number.name].to_numpy(np.float64)
        data = coder.round_to_step(np.nan_to_num(data) * number.scale + number.offset)
        data = np.clip(data, coder.low[0], coder.high[-1])
        if number.missing is not None:
            data = np.where(plain[number.missing].to_numpy(np.int64) == 1, np.nan, data)
        dtype = self.codec.dtypes[name]
        if isinstance(column, Datetime):
            return datetime_series(to_datetimes(column, data), dtype, column)
        return numeric_series(data, dtype, column)


def _measure_numbers(
    position: int, coder: QuantileCoder, data: Floats, rng: np.random.Generator
) -> tuple[NumericColumn, dict[str, npt.NDArray[Any]]]:
    """Return the description of a column of numbers, and its plain columns."""
    absent = np.isnan(data)
    values = np.clip(data[~absent], coder.low[0], coder.high[-1])
    spread = float(values.std())
    varies = bool(values.min() < values.max())
    scale = spread if varies and 0 < spread < 1 else 1.0
    number = NumericColumn(
        name=f"n{position}" if varies else None,
        missing=f"m{position}" if absent.any() and coder.allowed_tokens[coder.missing] else None,
        offset=float(np.median(values)),
        scale=scale,
    )
    plain: dict[str, npt.NDArray[Any]] = {}
    if number.name is not None:
        filled = np.empty(len(data))
        filled[~absent] = values
        # Missing values are replaced by a sample of the column: the model would learn a constant as a point mass.
        filled[absent] = rng.choice(values, size=int(absent.sum()))
        plain[number.name] = (filled - number.offset) / number.scale
    if number.missing is not None:
        plain[number.missing] = absent.astype(np.int64)
    return number, plain


def _replace_forbidden(coder: ValueCoder, tokens: Tokens, rng: np.random.Generator) -> Tokens:
    """Return the tokens with forbidden ones replaced by a sample of the allowed ones."""
    return _resample_values(coder, tokens, ~coder.allowed_tokens[tokens], rng)


def _resample_values(
    coder: ValueCoder, tokens: Tokens, where: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Tokens:
    """Return the tokens, some of them replaced by a sample of the allowed values, or by MISSING if there are none."""
    weights = np.where(coder.allowed_tokens, coder.counts, 0).astype(np.float64)
    if weights[: coder.missing].any():
        weights[coder.missing] = 0
    if not where.any() or not weights.any():
        return tokens
    tokens = tokens.copy()
    tokens[where] = rng.choice(coder.size, size=int(where.sum()), p=weights / weights.sum())
    return tokens


def _set_tokens(tokens: Tokens, codec: Codec, name: str, column: Tokens) -> None:
    """Write one column's tokens into the token matrix, as digits where it is wide."""
    at = codec.positions(name)
    if len(at) == 2:
        base = codec.slots[at[1]].size
        tokens[:, at[0]], tokens[:, at[1]] = column // base, column % base
    else:
        tokens[:, at[0]] = column
