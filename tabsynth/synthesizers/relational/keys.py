"""New primary keys of synthetic rows, with the spelling of the real keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.codec.identifier_patterns import Pattern
from tabsynth.codec.identifiers import keys_for_rows, learn_pattern
from tabsynth.codec.pandas_dtypes import check_dtype_name, dtype_name, value_series
from tabsynth.schema.columns import Column, Identifier


@dataclass(eq=False)
class KeyNumbers:
    """Running row numbers of a sample in chunks, so that no key occurs in two chunks.

    Attributes:
        seed: Seed of the keys, the same for all chunks.
        drawn: Number of rows of each table in the chunks so far.
    """

    seed: int
    drawn: dict[str, int] = field(default_factory=dict)

    def advance(self, sizes: Mapping[str, int]) -> None:
        """Count the rows of a chunk."""
        for name, size in sizes.items():
            self.drawn[name] = self.drawn.get(name, 0) + size

    def renew_identifiers(
        self, tables: Mapping[str, pd.DataFrame], codecs: Mapping[str, Codec]
    ) -> dict[str, pd.DataFrame]:
        """Return tables in which identifiers other than keys are unique across chunks."""
        return {
            name: self._renewed(name, frame, codecs[name]) if name in codecs else frame
            for name, frame in tables.items()
        }

    def _renewed(self, name: str, frame: pd.DataFrame, codec: Codec) -> pd.DataFrame:
        rows, out = self.drawn.get(name, 0) + np.arange(len(frame)), frame
        for column, pattern in codec.patterns.items():
            if column not in frame or not len(frame):
                continue
            missing, dtype = frame[column].isna().to_numpy(), dtype_name(frame[column])
            seed = [self.seed, *column.encode(), *name.encode()]
            values = keys_for_rows(pattern, rows, seed).astype(object)
            values[missing] = None
            series = value_series(values, dtype, sorted(set(values[~missing])), False)
            out = out.assign(**{column: series.to_numpy() if dtype == "object" else series})
        return out


@dataclass(frozen=True)
class KeyMaker:
    """Generator of a table's primary keys.

    Attributes:
        pattern: Pattern of textual keys; None for whole numbers, which count from 1.
        dtype: Dtype of the key column.
    """

    pattern: Pattern | None
    dtype: str

    @classmethod
    def fit(cls, column: Column, values: pd.Series, min_group: int) -> Self:
        """Learn the format of the keys; no real key is stored."""
        if pd.api.types.is_integer_dtype(values.dtype):
            return cls(None, str(values.dtype))
        regex = column.pattern if isinstance(column, Identifier) else None
        return cls(learn_pattern(values.dropna(), regex=regex, min_group=min_group), dtype_name(values))

    def keys(self, n: int, seed: list[int], first: int = 0) -> pd.Series:
        """Return distinct keys of n rows, numbered from ``first``."""
        rows = first + np.arange(n)
        if self.pattern is None:
            return pd.Series(rows + 1, dtype=self.dtype)
        values = keys_for_rows(self.pattern, rows, seed)
        return value_series(values, self.dtype, sorted(set(values)), False)

    def to_dict(self) -> dict[str, Any]:
        """Return the maker as plain data."""
        return {"pattern": None if self.pattern is None else self.pattern.to_dict(), "dtype": self.dtype}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        return cls(
            None if data["pattern"] is None else Pattern.from_dict(data["pattern"]), check_dtype_name(data["dtype"])
        )
