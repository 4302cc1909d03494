"""A public discrete domain of a schema, for models of whole numbers: equal-width bins and declared values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.schema import Schema
from tabsynth.schema.columns import Boolean, Categorical, Column, Numeric, Value

DEFAULT_BINS = 32
MISSING = "missing"

Codes = npt.NDArray[np.int64]


class PublicDomain:
    """The codes of each column; nothing is read from a table.

    A number has the code of its bin, a whole number its own code if the column has no more values than bins, and a
    missing value the code after the last one.

    Args:
        schema: Declares the bounds or the values of every column.
        bins: Bins of a numeric column.
    """

    def __init__(self, schema: Schema, bins: int = DEFAULT_BINS) -> None:
        self.schema = schema
        self.edges = {name: _edges(column, bins) for name, column in schema.items() if isinstance(column, Numeric)}
        self.values = {name: _values(column) for name, column in schema.items() if name not in self.edges}

    @property
    def sizes(self) -> dict[str, int]:
        """Number of codes of each column."""
        cells = {name: len(edges) - 1 for name, edges in self.edges.items()}
        cells |= {name: len(values) for name, values in self.values.items()}
        return {name: cells[name] + column.nullable for name, column in self.schema.items()}

    def encode(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the code of every value."""
        out = {}
        for name in self.schema:
            series = frame[name]
            if name in self.edges:
                data, edges = series.to_numpy(float, na_value=np.nan), self.edges[name]
                codes = np.clip(np.searchsorted(edges, data, side="right") - 1, 0, len(edges) - 2)
            else:
                known = {_as_text(value): code for code, value in enumerate(self.values[name])}
                codes = series.map(lambda value, known=known: known.get(_as_text(value), -1)).to_numpy()
            out[name] = np.where(series.isna(), self.sizes[name] - 1, codes).astype(np.int64)
        return pd.DataFrame(out)

    def decode(self, codes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """Return a value for every code; numbers are uniform within their bins."""
        return pd.DataFrame({name: self._decode(name, codes[name].to_numpy(np.int64), rng) for name in self.schema})

    def _decode(self, name: str, codes: Codes, rng: np.random.Generator) -> pd.Series:
        column = self.schema[name]
        missing = codes == self.sizes[name] - 1 if column.nullable else np.zeros(len(codes), bool)
        if name not in self.edges:
            values = np.array([*self.values[name], None], object)
            return pd.Series(values[np.where(missing, -1, codes)], name=name).infer_objects()
        edges, inside = self.edges[name], np.where(missing, 0, codes)
        drawn = edges[inside] + rng.random(len(codes)) * (edges[inside + 1] - edges[inside])
        return self.round_numbers(name, pd.Series(np.where(missing, np.nan, drawn), name=name))

    def as_text(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame with categories as text, for models that discretise numbers themselves."""
        out = {}
        for name in self.schema:
            series = frame[name]
            out[name] = series if name in self.edges else series.map(_as_text).where(series.notna(), MISSING)
        return pd.DataFrame(out)

    def from_text(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the schema's own values for a frame of ``as_text``."""
        out = {}
        for name in self.schema:
            if name in self.edges:
                out[name] = self.round_numbers(name, frame[name])
            else:
                own = {_as_text(value): value for value in self.values[name]}
                out[name] = frame[name].astype(str).map(own.get)
        return pd.DataFrame(out).infer_objects()

    def description(self) -> dict[str, dict[str, list[float] | list[str]]]:
        """Return the bounds or the texts of each column, as plain data.

        Bounds are widened to a power of two of the column's steps, so that whole numbers are never halved where a model
        halves the range again and again.
        """
        out: dict[str, dict[str, list[float] | list[str]]] = {}
        for name, column in self.schema.items():
            if isinstance(column, Numeric):
                out[name] = {"bounds": _halving_bounds(column)}
            else:
                out[name] = {"categories": [*map(_as_text, self.values[name]), *[MISSING] * column.nullable]}
        return out

    def round_numbers(self, name: str, numbers: pd.Series) -> pd.Series:
        """Return numbers rounded down to the declared decimals, within the declared bounds."""
        column = self.schema[name]
        assert isinstance(column, Numeric)
        low, high = _bounds(column)
        data = numbers.to_numpy(float, na_value=np.nan)
        if column.decimals is not None:
            step = 10.0**-column.decimals
            data = np.round(low + np.floor((data - low) / step + 1e-9) * step, column.decimals)
        return pd.Series(np.clip(data, low, high), name=name)


def _edges(column: Numeric, bins: int) -> npt.NDArray[np.float64]:
    """Return the edges of equal bins from the low bound to one step past the high one."""
    low, high = _bounds(column)
    step = 0.0 if column.decimals is None else 10.0**-column.decimals
    if step and (high - low) / step < bins:
        bins = round((high - low) / step) + 1
    return np.linspace(low, high + step, bins + 1)


def _halving_bounds(column: Numeric) -> list[float]:
    """Return the low bound and one past the high one, or the next power of two of steps above the low one."""
    low, high = _bounds(column)
    if column.decimals is None:
        return [low, high]
    step = 10.0**-column.decimals
    return [low, low + step * 2 ** (round((high - low) / step)).bit_length()]


def _values(column: Column) -> tuple[Value, ...]:
    if isinstance(column, Boolean):
        return (False, True)
    assert isinstance(column, Categorical)
    assert column.values is not None
    return column.values


def _bounds(column: Numeric) -> tuple[float, float]:
    assert column.low is not None
    assert column.high is not None
    return float(column.low), float(column.high)


def _as_text(value: object) -> str:
    """Return a category's text; whole floats and integers are alike."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
