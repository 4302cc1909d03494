"""Keys of synthetic rows: fresh primary keys, and foreign keys that keep the number of rows per parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.codec.identifier_patterns import Pattern
from tabsynth.codec.identifiers import keys_for_rows, learn_pattern
from tabsynth.codec.pandas_dtypes import dtype_name, value_series
from tabsynth.common.arrays import Integers
from tabsynth.schema.columns import Column, Identifier


@dataclass(frozen=True)
class KeyMaker:
    """How the primary keys of a table are spelled.

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
        """Distinct keys of n rows."""
        rows = np.arange(n)
        if self.pattern is None:
            return pd.Series(rows + 1, dtype=self.dtype)
        values = keys_for_rows(self.pattern, rows, seed)
        return value_series(values, self.dtype, sorted(set(values)), False)

    def to_dict(self) -> dict[str, Any]:
        """The maker as plain data."""
        return {"pattern": None if self.pattern is None else self.pattern.to_dict(), "dtype": self.dtype}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        return cls(None if data["pattern"] is None else Pattern.from_dict(data["pattern"]), data["dtype"])


@dataclass(frozen=True)
class Assignment:
    """How a further foreign key of a table is assigned.

    Attributes:
        via: The column is copied from this column of the main parent, where both agree in every training row.
        degrees: Numbers of rows per parent row in training, each as often as it occurred, as (rows, parents) pairs.
        missing: Share of rows without a parent.
        self_reference: Whether the parent is the table itself; then a row refers to an earlier row only.
    """

    via: str | None
    degrees: tuple[tuple[int, int], ...]
    missing: float
    self_reference: bool

    @classmethod
    def fit(cls, parents: Integers, size: int, via: str | None, self_reference: bool) -> Self:
        """Count the rows of each parent.

        Args:
            parents: Parent's row number of each row, -1 where the key is missing, shape (n,).
            size: Number of parent rows.
            via: Column of the main parent that always agrees with the key.
            self_reference: Whether the parent is the table itself.
        """
        counts = np.bincount(parents[parents >= 0], minlength=size)
        value, often = np.unique(counts, return_counts=True)
        pairs = tuple((int(a), int(b)) for a, b in zip(value, often, strict=True))
        return cls(via, pairs, float(np.mean(parents < 0)), self_reference)

    def assign(self, n: int, size: int, rng: np.random.Generator) -> Integers:
        """The parent's row number of each of n rows, -1 for none, shape (n,)."""
        if not size or not n:
            return np.full(n, -1, np.int64)
        value, often = (np.array(item, np.float64) for item in zip(*self.degrees, strict=True))
        degree = rng.choice(value, size, p=often / often.sum())
        if not degree.sum():
            return np.full(n, -1, np.int64)
        wanted = n - round(n * self.missing)
        exact = degree * (wanted / degree.sum())
        whole = np.floor(exact).astype(np.int64)
        rest = rng.permutation(size)[np.argsort(-(exact - whole)[rng.permutation(size)])][: wanted - whole.sum()]
        whole[rest] += 1
        parents = rng.permutation(np.repeat(np.arange(size), whole))
        out = np.full(n, -1, np.int64)
        chosen = np.sort(rng.permutation(n)[: len(parents)])
        out[chosen] = parents
        if self.self_reference:  # an earlier row, so that no row is its own ancestor
            rows = np.arange(n)
            out = np.where(out >= rows, np.where(rows > 0, rng.integers(0, np.maximum(rows, 1)), -1), out)
        return out

    def to_dict(self) -> dict[str, Any]:
        """The assignment as plain data."""
        return {
            "via": self.via,
            "degrees": [list(pair) for pair in self.degrees],
            "missing": self.missing,
            "self_reference": self.self_reference,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        return cls(**{**data, "degrees": tuple((int(a), int(b)) for a, b in data["degrees"])})
