"""A table as models of other packages want it: columns of floats and columns of small integers, nothing missing.

The codec says what every column is. Numbers and dates go over as floats, beside a column of zeros and ones where values
may be missing; everything else goes over as its tokens. What the codec does not learn, and what never varies, stays
here. So dtypes, rounding, identifiers, text and the floor on group size are the codec's, whatever the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec import Codec, _instants, _line
from tabsynth.coders import Arrays, QuantileCoder, Tokens, ValueCoder
from tabsynth.dtypes import datetime_series, numeric_series
from tabsynth.schema import Datetime
from tabsynth.table import Table

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A column of numbers on the other side: ``(value - offset) / scale`` in the column ``name``.

    Attributes:
        name: The plain column that holds the numbers; None where the column has one value only.
        missing: The plain column that says where a value is missing; None where none may be.
        offset: The median.
        scale: The standard deviation where it is below one (mixtures and optimisers have absolute tolerances), else one.
    """

    name: str | None
    missing: str | None
    offset: float
    scale: float


@dataclass(frozen=True, eq=False)
class Bridge:
    """The way from a table to a plain frame and back; build one with ``Bridge.measure``.

    Attributes:
        codec: What each column is.
        lines: The columns of numbers, by their names in the table.
        slots: The learned slots of the codec: plain column to position in the token matrix.
        constant: The token of every slot that is not learned, shape (slots,).
    """

    codec: Codec
    lines: dict[str, Line]
    slots: dict[str, int]
    constant: Tokens

    @classmethod
    def measure(cls, table: Table, rng: np.random.Generator, *, min_group: int) -> tuple[Bridge, pd.DataFrame]:
        """The bridge of a training table, and the plain frame of its rows.

        Args:
            table: The training rows.
            rng: Draws what stands in for missing numbers and for values of too few persons.
            min_group: No category, bound or missingness that rests on fewer persons crosses the bridge.
        """
        codec = Codec.measure(table, min_group=min_group)
        tokens = np.zeros((len(table), len(codec.slots)), np.int32)
        lines: dict[str, Line] = {}
        plain: dict[str, npt.NDArray[Any]] = {}
        for i, (name, coder) in enumerate(codec.coders.items()):
            if isinstance(coder, QuantileCoder):
                data = _line(codec.schema[name], table.frame[name])
                lines[name], held = _measure_line(i, coder, data, rng)
                plain |= held
            else:
                _put(tokens, codec, name, _allowed(coder, codec.encode_column(name, table.frame[name]), rng))
        slots = {f"s{j}": j for j in range(tokens.shape[1]) if len(np.unique(tokens[:, j])) > 1}
        plain |= {name: tokens[:, j].astype(np.int64) for name, j in slots.items()}
        return cls(codec, lines, slots, tokens[0].copy()), pd.DataFrame(plain)

    @property
    def discrete(self) -> list[str]:
        """The plain columns of integers."""
        return [line.missing for line in self.lines.values() if line.missing is not None] + list(self.slots)

    def decode(self, plain: pd.DataFrame, rows: int, rng: np.random.Generator) -> pd.DataFrame:
        """The table of a plain frame, with the training frame's columns, order and dtypes.

        Args:
            plain: The columns that ``measure`` gave; without columns where the model had nothing to learn.
            rows: Number of rows.
            rng: Draws fresh identifiers.
        """
        tokens = np.tile(self.constant, (rows, 1))
        for name, j in self.slots.items():
            tokens[:, j] = np.clip(plain[name].to_numpy(np.int64), 0, self.codec.slots[j].size - 1)
        for name, coder in self.codec.coders.items():
            if isinstance(coder, ValueCoder) and len(self.codec.positions(name)) > 1:
                # Two digits that never met in training may make a token that must not be drawn.
                _put(tokens, self.codec, name, _allowed(coder, self.codec.column_tokens(tokens, name), rng))
        frame = self.codec.decode(tokens, rng)
        for name in self.lines:
            frame[name] = self._numbers(name, plain, rows)
        return frame

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """What ``from_state`` needs: plain data and arrays."""
        codec, arrays = self.codec.state()
        lines = {name: asdict(line) for name, line in self.lines.items()}
        return {"codec": codec, "lines": lines, "slots": self.slots}, {**arrays, "bridge.constant": self.constant}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Bridge:
        """Rebuild a bridge from its state."""
        lines = {name: Line(**held) for name, held in config["lines"].items()}
        codec = Codec.from_state(config["codec"], arrays)
        return cls(codec, lines, dict(config["slots"]), arrays["bridge.constant"])

    def _numbers(self, name: str, plain: pd.DataFrame, rows: int) -> pd.Series:
        """A column of numbers or dates: put back in place, on the column's lattice and inside its range."""
        coder, line, column = self.codec.coders[name], self.lines[name], self.codec.schema[name]
        assert isinstance(coder, QuantileCoder)
        data = np.zeros(rows) if line.name is None else plain[line.name].to_numpy(np.float64)
        data = coder.rounded(np.nan_to_num(data) * line.scale + line.offset)
        data = np.clip(data, coder.low[0], coder.high[-1])
        if line.missing is not None:
            data = np.where(plain[line.missing].to_numpy(np.int64) == 1, np.nan, data)
        dtype = self.codec.dtypes[name]
        if isinstance(column, Datetime):
            return datetime_series(_instants(column, data), dtype, column)
        return numeric_series(data, dtype)


def _measure_line(
    position: int, coder: QuantileCoder, data: Floats, rng: np.random.Generator
) -> tuple[Line, dict[str, npt.NDArray[Any]]]:
    """The line of a column of numbers, and its plain columns."""
    absent = np.isnan(data)
    values = np.clip(data[~absent], coder.low[0], coder.high[-1])
    spread = float(values.std())
    varies = bool(values.min() < values.max())
    scale = spread if varies and 0 < spread < 1 else 1.0
    line = Line(
        name=f"n{position}" if varies else None,
        missing=f"m{position}" if absent.any() and coder.emit[coder.missing] else None,
        offset=float(np.median(values)),
        scale=scale,
    )
    held: dict[str, npt.NDArray[Any]] = {}
    if line.name is not None:
        filled = np.empty(len(data))
        filled[~absent] = values
        # Drawn from the column itself, so that the gaps do not pile up on one value that the model would learn.
        filled[absent] = rng.choice(values, size=int(absent.sum()))
        held[line.name] = (filled - line.offset) / line.scale
    if line.missing is not None:
        held[line.missing] = absent.astype(np.int64)
    return line, held


def _allowed(coder: ValueCoder, tokens: Tokens, rng: np.random.Generator) -> Tokens:
    """Tokens in which those that no synthetic row may hold are replaced by others, by their frequency."""
    banned = ~coder.emit[tokens]
    weights = np.where(coder.emit, coder.counts, 0).astype(np.float64)
    if not banned.any() or not weights.sum():
        return tokens
    tokens = tokens.copy()
    tokens[banned] = rng.choice(coder.size, size=int(banned.sum()), p=weights / weights.sum())
    return tokens


def _put(tokens: Tokens, codec: Codec, name: str, column: Tokens) -> None:
    """Write one column's tokens into the token matrix, as digits where it is wide."""
    at = codec.positions(name)
    if len(at) == 2:
        base = codec.slots[at[1]].size
        tokens[:, at[0]], tokens[:, at[1]] = column // base, column % base
    else:
        tokens[:, at[0]] = column
