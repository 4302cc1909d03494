"""Summary of a source's column for matching: name words, kind, quantiles, category shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.mixing.plan.entries import code_text
from tabsynth.schema.column_names import is_quantity, split_words
from tabsynth.schema.inference import infer_column
from tabsynth.schema.schema import Schema

QUANTILE_LEVELS = np.linspace(0.05, 0.95, 19)
"""Quantile levels that are compared."""

MAX_CODES = 12
"""Maximum number of distinct values of a column of codes."""

SENTINELS = frozenset(
    sign * value for value in (0, 1, 7, 8, 9, 77, 88, 99, 777, 888, 998, 999, 9998, 9999, 99999, 999999)
    for sign in (1, -1)
) - {1, 7, 8, -7, -8}  # fmt: skip
"""Numbers that often mean 'none' or 'unknown'."""

MIN_SPIKE_ROWS = 5
"""Minimum rows of a sentinel."""


@dataclass(frozen=True, eq=False)
class Profile:
    """One column of one source.

    Attributes:
        source: The source's name.
        name: The column's name.
        kind: The kind of the schema's column.
        words: The words of its name.
        rows: Rows of the source.
        count: Values that are not missing.
        values: The numbers without missing values and sentinels; None for other kinds.
        quantiles: At ``QUANTILE_LEVELS``; None for other kinds.
        shares: Share of each code (as text) among the values; None for too many distinct values.
        spikes: Probable sentinels within the source, with their counts.
    """

    source: str
    name: str
    kind: str
    words: tuple[str, ...]
    rows: int
    count: int
    values: Floats | None
    quantiles: Floats | None
    shares: Mapping[str, float] | None
    spikes: Mapping[float, int]

    @property
    def is_coded(self) -> bool:
        """Whether its few distinct values may be codes."""
        if self.shares is None or not 2 <= len(self.shares) <= MAX_CODES:
            return False
        whole = self.values is None or bool((self.values % 1 == 0).all())
        return whole and not (self.kind == "numeric" and is_quantity(self.name) and len(self.shares) > 5)

    @property
    def spread(self) -> float:
        """Distance between the 10 % and 90 % quantiles; never zero."""
        if self.quantiles is None:
            return 1.0
        wide = float(self.quantiles[-2] - self.quantiles[1])
        return wide or float(np.abs(self.quantiles).max()) * 0.1 or 1.0


def profile_columns(source: str, frame: pd.DataFrame, schema: Schema | None = None) -> list[Profile]:
    """Profile each column of a source."""
    return [profile_column(source, frame[name], schema) for name in frame.columns]


def profile_column(source: str, values: pd.Series, schema: Schema | None = None) -> Profile:
    """Profile one column; its kind is inferred unless a schema declares it."""
    name = str(values.name)
    kind = schema[name].kind if schema is not None and name in schema else infer_column(values).kind
    present = values.dropna()
    numeric = kind in ("numeric", "categorical", "boolean") and pd.api.types.is_numeric_dtype(values.dtype)
    numbers = present.to_numpy(dtype=np.float64) if numeric else None
    spikes: dict[float, int] = {}
    if numbers is not None and len(numbers):
        spikes = find_spikes(numbers)
        kept = numbers[~np.isin(numbers, list(spikes))]
        numbers = kept if len(kept) else numbers
    shares = None
    if present.nunique() <= 4 * MAX_CODES:
        shares = {code_text(key): float(share) for key, share in present.value_counts(normalize=True).items()}
    return Profile(
        source=source,
        name=name,
        kind=kind,
        words=tuple(split_words(name)),
        rows=len(values),
        count=len(present),
        values=numbers,
        quantiles=np.quantile(numbers, QUANTILE_LEVELS)
        if numbers is not None and not _is_uninformative(numbers)
        else None,
        shares=shares,
        spikes=spikes,
    )


def _is_uninformative(numbers: Floats) -> bool:
    """Whether a column has no number, or only one that may be a sentinel."""
    return not len(numbers) or (bool((numbers == numbers[0]).all()) and float(numbers[0]) in SENTINELS)


def find_spikes(numbers: Floats) -> dict[float, int]:
    """Sentinels visible within one source: usual, repeated, outside the range of and far from all other numbers."""
    out: dict[float, int] = {}
    rest = numbers
    for value in sorted(SENTINELS, key=abs, reverse=True):
        at = rest == value
        count = int(at.sum())
        if count < MIN_SPIKE_ROWS or count == len(rest):
            continue
        other = rest[~at]
        if other.min() <= value <= other.max():
            continue
        low, high = np.quantile(other, [0.05, 0.95])
        gap = float(np.abs(other - value).min())
        # Far: the gap to the nearest other number is as wide as half the bulk of the others, and they are not codes.
        if gap > 0.5 * max(high - low, 1.0) and len(np.unique(other)) > MAX_CODES:
            out[float(value)] = count
            rest = other
    return out
