"""New primary keys of synthetic rows, with the spelling of the real keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.codec.identifier_patterns import Pattern
from tabsynth.codec.identifiers import keys_for_rows, learn_pattern
from tabsynth.codec.pandas_dtypes import dtype_name, value_series
from tabsynth.schema.columns import Column, Identifier


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
        """Learn how keys are spelled, without the spelling of any real key."""
        if pd.api.types.is_integer_dtype(values.dtype):
            return cls(None, str(values.dtype))
        regex = column.pattern if isinstance(column, Identifier) else None
        return cls(learn_pattern(values.dropna(), regex=regex, min_group=min_group), dtype_name(values))

    def keys(self, n: int, seed: list[int]) -> pd.Series:
        """Return the distinct keys of n rows."""
        rows = np.arange(n)
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
        return cls(None if data["pattern"] is None else Pattern.from_dict(data["pattern"]), data["dtype"])
