"""Summary of a source's column for matching: name words, kind, quantiles, category shares."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.mixing.plan.entries import code_text
from tabsynth.schema.column_names import is_quantity, split_words
from tabsynth.schema.columns import Numeric
from tabsynth.schema.inference import infer_column
from tabsynth.schema.number_formats import parse_numbers

QUANTILE_LEVELS = np.linspace(0.05, 0.95, 19)
"""Quantile levels that are compared."""

MAX_CODES = 12
"""Maximum number of distinct values of a column of codes."""

MAX_TEXTS = 20_000
"""Maximum number of distinct values that are compared with those of another column."""

SENTINELS = frozenset(
    sign * value for value in (0, 1, 7, 8, 9, 77, 88, 99, 777, 888, 998, 999, 9998, 9999, 99999, 999999)
    for sign in (1, -1)
) - {1, 7, 8, -7, -8}  # fmt: skip
"""Numbers that often mean 'none' or 'unknown'."""

SCALE_SENTINELS = SENTINELS | {7, 8, -1, -7, -8}
"""Numbers that often mean 'refused' or 'unknown' beside the codes of a scale."""

MIN_CERTAIN_SENTINEL = 10
"""Numbers beside a scale that are smaller than this must occur at least twice."""

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
        number_format: Format of numbers in text; None for other columns.
        doubt: The open question about the number format.
        texts: The distinct values in lower case, of text and of categories that are too many for ``shares``.
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
    number_format: str | None = None
    doubt: str = ""
    texts: frozenset[str] = frozenset()

    @property
    def quantity_words(self) -> tuple[str, ...]:
        """The words of its name, the currency symbols in it, and the currency symbols and units of its values."""
        named = [char for char in self.name if unicodedata.category(char) == "Sc"]
        symbols = re.split(r"[#0.,'’\s+]+", (self.number_format or "").partition(";")[0].casefold())
        return (*self.words, *named, *(symbol for symbol in symbols if symbol))

    @property
    def is_measurement(self) -> bool:
        """Whether it has numbers that are not codes."""
        return self.values is not None and not self.is_coded and len(np.unique(self.values)) > 1

    @property
    def is_words(self) -> bool:
        """Whether its values are a few words or ranges (20-39), none of which is a number."""
        return self.values is None and bool(self.shares) and not any(map(_is_number, self.shares or ()))

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


def _is_number(code: str) -> bool:
    try:
        return math.isfinite(float(code))
    except ValueError:
        return False


def profile_columns(source: str, frame: pd.DataFrame) -> list[Profile]:
    """Profile each column of a source."""
    return [profile_column(source, frame[name]) for name in frame.columns]


def profile_column(source: str, values: pd.Series) -> Profile:
    """Profile one column; its kind is inferred."""
    name = str(values.name)
    column = infer_column(values)
    present = values.dropna()
    number_format = None
    numbers = None
    if pd.api.types.is_numeric_dtype(values.dtype):
        if column.kind in ("numeric", "categorical", "boolean"):
            numbers = present.to_numpy(dtype=np.float64)
    elif isinstance(column, Numeric):
        number_format = column.format
        numbers = pd.to_numeric(present.astype(object), errors="coerce").to_numpy(np.float64)
        if number_format is not None:
            numbers = parse_numbers(present, number_format)
        numbers = numbers[~np.isnan(numbers)]
    spikes: dict[float, int] = {}
    if numbers is not None and len(numbers):
        spikes = find_scale_sentinels(numbers) or find_spikes(numbers)
        kept = numbers[~np.isin(numbers, list(spikes))]
        numbers = kept if len(kept) else numbers
    shares = None
    if number_format is None and present.nunique() <= 4 * MAX_CODES:
        codes = present[~present.isin(list(spikes))] if spikes else present
        shares = {code_text(key): float(share) for key, share in codes.value_counts(normalize=True).items()}
    texts: frozenset[str] = frozenset()
    if shares is None and column.kind in ("text", "categorical"):
        texts = frozenset(code_text(value).casefold() for value in present.unique()[:MAX_TEXTS])
    return Profile(
        source=source,
        name=name,
        kind=column.kind,
        words=tuple(split_words(name)),
        rows=len(values),
        count=len(present),
        values=numbers,
        quantiles=np.quantile(numbers, QUANTILE_LEVELS)
        if numbers is not None and not _is_uninformative(numbers)
        else None,
        shares=shares,
        spikes=spikes,
        number_format=number_format,
        doubt=column.question if number_format is not None else "",
        texts=texts,
    )


def _is_uninformative(numbers: Floats) -> bool:
    """Return whether a column has no number, or only one that may be a sentinel."""
    return not len(numbers) or (bool((numbers == numbers[0]).all()) and float(numbers[0]) in SENTINELS)


def find_scale_sentinels(numbers: Floats) -> dict[float, int]:
    """Find sentinels beside the codes of a scale, such as 99 beside 1 to 5; empty if there is no such scale."""
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) > 2 * MAX_CODES or not {0.0, 1.0} & set(values):
        return {}
    low = high = min({0.0, 1.0} & set(values))
    while high + 1 in values:
        high += 1
    beside = {float(v): int(n) for v, n in zip(values, counts, strict=True) if not low <= v <= high}
    # Counts begin at 0 and have rare high values; 7, 8 and 9 are sentinels only beside 0 and 1, or a scale from 1 on.
    sentinels = SENTINELS - {9.0} if low == 0 and high > 1 else SCALE_SENTINELS
    usual = all(value in sentinels and (value < low - 1 or value > high + 1) for value in beside)
    usual = usual and all(count > 1 or not 0 <= value < MIN_CERTAIN_SENTINEL for value, count in beside.items())
    return beside if low < high <= low + MAX_CODES and usual else {}


def find_spikes(numbers: Floats) -> dict[float, int]:
    """Find sentinels within one source: typical, repeated, and far outside the range of all other numbers."""
    out: dict[float, int] = {}
    remaining = numbers
    for value in sorted(SENTINELS, key=abs, reverse=True):
        is_value = remaining == value
        count = int(is_value.sum())
        if count < MIN_SPIKE_ROWS or count == len(remaining):
            continue
        other = remaining[~is_value]
        if other.min() <= value <= other.max():
            continue
        low, high = np.quantile(other, [0.05, 0.95])
        gap = float(np.abs(other - value).min())
        # The gap to the nearest other number exceeds half of the 5 % to 95 % range, and the others are not codes.
        if gap > 0.5 * max(high - low, 1.0) and len(np.unique(other)) > MAX_CODES:
            out[float(value)] = count
            remaining = other
    return out
