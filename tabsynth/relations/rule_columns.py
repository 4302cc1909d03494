"""Columns of a table in the form that the searches for rules read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.categorical_encoder import ValueCoder
from tabsynth.codec.codec import Codec
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Floats, Tokens
from tabsynth.schema.columns import Datetime, Identifier, Text

MAX_GROUPS = 32
"""Maximum number of values of a column that may determine others."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of a table in the form that the searches for rules read.

    Attributes:
        numbers: Numeric columns, missing as NaN, shape (n,) each.
        units: Unit of the numbers of each column; only columns of one unit are compared.
        steps: The smallest difference between numbers of a column, 0 if unknown.
        groups: Columns of few values: the value of each row as a number or a token, missing as NaN, shape (n,).
        labels: Spelling of the values of each of these columns.
        keys: Columns whose values may each decide a number, as ``groups``; rare values as NaN.
        values: Every column as numbers or tokens, missing as NaN, shape (n,) each.
        varied: Numeric columns with tokens of several numbers, or with gaps.
        min_group: Minimum persons behind each stored number.
        absent: Columns that some sources do not have; their missing cells are no evidence.
        vocabularies: Spelling of every value of the categorical columns, in the order of their tokens.
        persons: Person of each row; None if each row is its own person.
    """

    numbers: Mapping[str, Floats]
    units: Mapping[str, str]
    steps: Mapping[str, float]
    groups: Mapping[str, Floats]
    labels: Mapping[str, Mapping[float, str]]
    keys: Mapping[str, Floats]
    values: Mapping[str, Floats]
    varied: Collection[str]
    min_group: int
    absent: Collection[str] = ()
    vocabularies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    persons: npt.NDArray[np.int64] | None = None

    def is_supported(self, rows: npt.NDArray[np.int64]) -> bool:
        """Return whether some rows belong to ``min_group`` persons."""
        if self.persons is None or len(rows) < self.min_group:
            return len(rows) >= self.min_group
        return len(np.unique(self.persons[rows])) >= self.min_group

    def supporting_rows(self, rows: npt.NDArray[np.int64]) -> int:
        """Return the number of leading rows that belong to ``min_group`` persons, all rows of fewer persons."""
        least = max(self.min_group, 1)
        if self.persons is None:
            return min(least, len(rows))
        first = np.sort(np.unique(self.persons[rows], return_index=True)[1])
        return int(first[least - 1]) + 1 if len(first) >= least else len(rows)

    def n_persons(self, rows: npt.NDArray[np.int64], start: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the number of persons of each of consecutive groups of rows, given the first row of each."""
        sizes = np.diff(np.append(start, len(rows)))
        if self.persons is None:
            return sizes
        group = np.repeat(np.arange(len(start)), sizes)
        order = np.lexsort((self.persons[rows], group))
        person, group = self.persons[rows][order], group[order]
        first = (np.diff(person, prepend=-1) != 0) | (np.diff(group, prepend=-1) != 0)
        return np.bincount(group[first], minlength=len(start))


def rule_values(codec: Codec, name: str, tokens: Tokens, values: pd.Series | None = None) -> Floats:
    """Return a column as numbers, or as tokens of categories, with missing values as NaN, shape (n,)."""
    coder = codec.coders[name]
    if isinstance(coder, ValueCoder):
        return np.where(tokens == coder.missing, np.nan, tokens.astype(np.float64))
    assert values is not None
    return codec.numeric_values(name, values)


def rule_columns(
    frame: pd.DataFrame,
    codec: Codec,
    numbers: Mapping[str, Floats],
    persons: npt.NDArray[np.int64] | None,
    absent: Collection[str] = (),
) -> Columns:
    """Return the table in the form that the search for rules reads."""
    units, steps, groups, keys = {}, {}, {}, {}
    every: dict[str, Floats] = dict(numbers)
    labels: dict[str, dict[float, str]] = {}
    vocabularies: dict[str, tuple[str, ...]] = {}
    for name, coder in codec.coders.items():
        column = codec.schema[name]
        if isinstance(coder, QuantileCoder):
            if name not in numbers:
                continue
            data = numbers[name]
            units[name] = f"datetime {column.resolution or 's'}" if isinstance(column, Datetime) else "number"
            steps[name] = 0.0 if coder.decimals is None else coder.unit / 10.0**coder.decimals
            known = np.unique(data[~np.isnan(data)]) if coder.n_ordered_tokens <= MAX_GROUPS else np.zeros(0)
            if 1 < len(known) <= MAX_GROUPS and (np.isin(known, coder.low)).all():
                groups[name], labels[name] = data, {float(number): f"{number:g}" for number in known}
                keys[name] = data
        elif len(coder.values):
            every[name] = rule_values(codec, name, codec.encode_column(name, frame[name]))
            if isinstance(column, (Identifier, Text)) or len(coder.values) == 1:
                continue
            keys[name] = np.where(every[name] == coder.rare, np.nan, every[name])
            vocabularies[name] = tuple(map(str, coder.values))
            if len(coder.values) <= MAX_GROUPS:
                groups[name] = keys[name]
                labels[name] = {float(i): value for i, value in enumerate(vocabularies[name])}
    bounds = {name: codec.numeric_coders[name].token_bounds() for name in numbers}
    varied = frozenset(
        name for name, (low, high) in bounds.items() if (low < high).any() or np.isnan(numbers[name]).any()
    )
    own = None if persons is None else persons.astype(np.int64)
    return Columns(
        numbers, units, steps, groups, labels, keys, every, varied, codec.min_group, absent, vocabularies, own
    )
