"""Conditions of a sample, parsed from ``given``: fixed tokens, allowed tokens, and values to return unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.categorical_encoder import ValueCoder
from tabsynth.codec.codec import Codec
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.pandas_dtypes import value_series
from tabsynth.codec.token_range import TokenRange
from tabsynth.common.arrays import Floats, Tokens
from tabsynth.errors import ConditionError, did_you_mean, quote
from tabsynth.schema.cell_types import to_pandas
from tabsynth.schema.columns import Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import to_numbers
from tabsynth.synthesizers.sampling.condition_values import (
    check_in_learned_range,
    check_scalars,
    convert_range,
    convert_values,
    describe_learned_range,
)


@dataclass(frozen=True, eq=False)
class Conditions:
    """Conditions of the rows of a sample.

    Attributes:
        fixed: Token matrix, shape (rows, slots), -1 where a token is free.
        allowed: For a column restricted to a range or a set, the share of each of its tokens that is allowed.
        ranges: For a column restricted to a range, its ends and the part of each token inside.
        echo: Values to return exactly as given, by column; missing where free.
        numbers: Given values of numeric columns, NaN where free, for recurring differences.
        members: For a column restricted to values of which some are pooled into RARE, all values, the pooled ones last.
    """

    fixed: Tokens
    allowed: dict[str, Floats] = field(default_factory=dict)
    ranges: dict[str, TokenRange] = field(default_factory=dict)
    echo: dict[str, pd.Series] = field(default_factory=dict)
    numbers: dict[str, Floats] = field(default_factory=dict)
    members: dict[str, tuple[list[Any], list[Any]]] = field(default_factory=dict)

    @classmethod
    def none(cls, codec: Codec, rows: int) -> Conditions:
        """Return no conditions."""
        return cls(np.full((rows, len(codec.slots)), -1, np.int32))

    @classmethod
    def of(
        cls, codec: Codec, given: Mapping[str, Any] | pd.DataFrame | None, rows: int, *, strict: bool = True
    ) -> Conditions:
        """Parse ``given``.

        Args:
            codec: The vocabulary.
            given: ``{"sex": "F", "age": (60, 80), "state": ["MA", "NY"]}`` (a value, an inclusive range with None for
                an open end, a list of values, None for missing), or a frame of fixed values, missing where free.
            rows: Number of rows to draw.
            strict: Refuse values that the model cannot generate; otherwise they count as rare and are returned
                unchanged.

        Raises:
            ConditionError: An unknown column, or a value or range that the model cannot generate.
        """
        given = to_pandas(given)
        if given is None:
            return cls.none(codec, rows)
        if not isinstance(given, (Mapping, pd.DataFrame)):
            raise ConditionError(f"given must be a mapping or a frame, not {type(given).__name__}")
        if isinstance(given, pd.DataFrame) and (twice := given.columns[given.columns.duplicated()].unique()).size:
            raise ConditionError(f"given has several columns of the name {quote(twice)}; give each column once")
        unknown = [name for name in given if name not in codec.coders]
        if unknown:
            hint = did_you_mean(unknown[0], codec.coders)
            raise ConditionError(
                f"given names unknown columns: {quote(unknown)}{hint}; there are {quote(codec.coders, 20)}"
            )
        out = cls.none(codec, rows)
        for name in map(str, given):
            wanted = given[name]
            check_scalars(name, wanted, rows)
            if not isinstance(given, pd.DataFrame):
                _check_learned(codec, name, wanted)
            if isinstance(wanted, pd.Series):
                free = isinstance(given, pd.DataFrame)
                out._fix(codec, name, wanted.reset_index(drop=True), free_where_missing=free, strict=strict)
            elif isinstance(wanted, tuple):
                out._range(codec, name, wanted)
            elif isinstance(wanted, (list, set, frozenset)):
                out._members(codec, name, list(wanted))
            else:
                values = pd.Series([wanted] * rows, dtype=object)
                out._fix(codec, name, values, free_where_missing=False, strict=strict)
        return out

    def of_rows(self, rows: npt.NDArray[np.int64]) -> Conditions:
        """Return the conditions of some rows."""
        echo = {name: values.iloc[rows].reset_index(drop=True) for name, values in self.echo.items()}
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        return replace(self, fixed=self.fixed[rows], echo=echo, numbers=numbers)

    @property
    def any(self) -> bool:
        """Whether there is any condition."""
        return bool(self.echo or self.allowed or (self.fixed >= 0).any())

    def held(self, codec: Codec) -> npt.NDArray[np.bool_]:
        """Return the tokens that a condition fixes or restricts, shape (n, slots)."""
        restricted = np.array([slot.column in self.allowed for slot in codec.slots], dtype=bool)
        return np.asarray((self.fixed >= 0) | restricted)

    def limits(self, codec: Codec, positions: Sequence[int]) -> list[Floats | None]:
        """Return the allowed share of each token of some slots, None where unrestricted.

        For the low digit of a wide column the shares have a row for each token of the high digit.
        """
        out: list[Floats | None] = []
        for position in positions:
            slot = codec.slots[position]
            share = self.allowed.get(slot.column)
            out.append(share if share is None or slot.digit is None else codec.digit_share(slot, share))
        return out

    def finish(self, frame: pd.DataFrame, codec: Codec) -> pd.DataFrame:
        """Copy the given values into decoded rows unchanged."""
        for name, (kept_values, pooled) in self.members.items():
            other = (frame[name].notna() & ~frame[name].isin([*kept_values, *pooled])).to_numpy(bool)
            if other.any():  # RARE also covers other pooled values
                cells = frame[name].astype(object).to_numpy().copy()
                cells[other] = np.resize(np.array(pooled, dtype=object), other.sum())
                frame[name] = pd.Series(cells, index=frame.index, dtype=object).astype(frame[name].dtype)
        for name, values in self.echo.items():
            keep = values.notna().to_numpy()
            if not keep.any():
                continue
            dtype = codec.dtypes[name]
            cells = frame[name].astype(object).to_numpy().copy()
            cells[keep] = values[keep].to_numpy(dtype=object)
            if dtype.startswith("category"):
                known = list(frame[name].cat.categories)
                extra = [value for value in pd.unique(values[keep]) if value not in known]
                frame[name] = value_series(cells, dtype, known + extra, bool(frame[name].cat.ordered))
            else:
                frame[name] = pd.Series(cells, index=frame.index, dtype=object).astype(frame[name].dtype)
        return frame

    def _fix(self, codec: Codec, name: str, values: pd.Series, *, free_where_missing: bool, strict: bool) -> None:
        """Fix a column to values, row by row."""
        column, coder, at = codec.schema[name], codec.coders[name], codec.positions(name)
        rows = values.notna().to_numpy() if free_where_missing else np.ones(len(values), bool)
        if not free_where_missing and values.isna().any() and not coder.allowed_tokens[coder.missing]:
            raise ConditionError(
                f"given[{name!r}] is missing, but the column was never missing in training; choose a value"
            )
        # Rows of a table may have decimals of too few persons, which no model releases.
        typed = convert_values(codec, name, values, strict=strict, keep_decimals=free_where_missing)
        tokens = codec.encode_column(name, typed)
        if isinstance(column, Numeric):
            low, high = (
                default if end is None else end for end, default in ((column.low, -np.inf), (column.high, np.inf))
            )
            data = to_numbers(typed, column.format)
            outside = data[rows & ((data < low) | (data > high))]
            if len(outside):
                raise ConditionError(
                    f"given[{name!r}] is {outside[0]:.15g}, but the schema allows {column.low} to {column.high}"
                )
        self.echo[name] = typed.where(pd.Series(rows), None)
        if isinstance(column, (Numeric, Datetime)):
            numbers = np.where(rows, codec.numeric_values(name, typed), np.nan)
            if strict:
                check_in_learned_range(codec, name, numbers)
            if isinstance(coder, QuantileCoder):
                self.numbers[name] = numbers
        tokens = np.where(rows, tokens, -1).astype(np.int32)
        self.fixed[:, at] = codec.split(name, tokens)

    def _range(self, codec: Codec, name: str, span: tuple[Any, ...]) -> None:
        """Restrict a numeric or datetime column to an inclusive range."""
        coder = codec.coders[name]
        if not isinstance(coder, QuantileCoder) or len(span) != 2:
            raise ConditionError(
                f"given[{name!r}] is {span!r}: a range is (low, high) on a numeric or datetime column; "
                "give a list to allow several values"
            )
        low, high = convert_range(codec, name, span)
        if low > high:
            raise ConditionError(
                f"given[{name!r}]: the range {span!r} is empty: its low end is above its high end, or no value with "
                "the column's decimals (or unit of time) lies between them"
            )
        share, first, last = coder.coverage(low, high)
        share = share * coder.allowed_tokens[: coder.n_ordered_tokens]
        if not share.sum() > 0:
            raise ConditionError(
                f"given[{name!r}]: no value in the range {span!r} can be sampled; "
                f"{describe_learned_range(codec, name, coder)}"
            )
        self.allowed[name] = np.append(share, [0.0, 0.0])
        self.ranges[name] = TokenRange(low, high, first, last)

    def _members(self, codec: Codec, name: str, values: list[Any]) -> None:
        """Restrict a column to some values."""
        coder = codec.coders[name]
        if isinstance(codec.schema[name], (Numeric, Datetime)):
            raise ConditionError(
                f"given[{name!r}]: a list of values is for a column of categories; give a range instead"
            )
        if not values:
            raise ConditionError(f"given[{name!r}] is an empty list; leave it out if any value is allowed")
        known = convert_values(codec, name, pd.Series(values, dtype=object), strict=True)
        if known.isna().any() and not coder.allowed_tokens[coder.missing]:
            raise ConditionError(
                f"given[{name!r}] allows missing, but the column was never missing in training; list values only"
            )
        tokens = codec.encode_column(name, known)
        if isinstance(coder, ValueCoder):
            pooled = [value for value in known.dropna() if value in coder.public]
            if pooled:
                self.members[name] = [value for value in known.dropna() if value not in pooled], pooled
        allowed = np.zeros(coder.size)
        allowed[tokens] = 1.0
        allowed *= coder.allowed_tokens
        if not (allowed * coder.counts).sum() > 0:
            raise ConditionError(f"given[{name!r}]: none of {quote(values)} can be sampled: no training row has them")
        self.allowed[name] = allowed


def present_only(codec: Codec) -> dict[str, Floats]:
    """Return the allowed shares that exclude only missing values, for every learned column."""
    out = {}
    for name, coder in codec.coders.items():
        out[name] = coder.allowed_tokens.astype(np.float64)
        out[name][coder.missing] = 0.0
        if not out[name].any():  # a column without training values cannot be filled
            out[name][coder.missing] = 1.0
    return out


def _check_learned(codec: Codec, name: str, wanted: Any) -> None:
    """Raise ConditionError for a condition on a generated column, unless it is to be missing."""
    column = codec.schema[name]
    if wanted is None or not isinstance(column, (Identifier, Text)):
        return
    if isinstance(column, Text) and isinstance(wanted, str) and wanted == column.replacement:
        return
    what = "identifiers are made up" if isinstance(column, Identifier) else f"its text is {column.replacement!r}"
    raise ConditionError(
        f"given[{name!r}]: the column is not learned ({what}), so no condition on it can be met; leave it out"
    )


def split_mixture(
    schema: Schema, mixture: Mapping[Any, float], given: Mapping[str, Any] | pd.DataFrame | None, rows: int
) -> list[tuple[dict[str, Any], int]]:
    """Return the condition and the number of rows of each source of a mixture.

    Raises:
        ConditionError: The table has no source column, or the shares are not shares.
    """
    source = source_column(schema)
    given = to_pandas(given)
    if isinstance(given, pd.DataFrame) or source in (given or {}):
        raise ConditionError(f"mixture decides the column {source!r} of every row; give the rest as a mapping")
    shares = np.array(list(mixture.values()), dtype=np.float64)
    if not len(shares) or not np.isfinite(shares).all() or (shares < 0).any() or not shares.sum() > 0:
        raise ConditionError(f"mixture must name sources and shares of at least 0, not {dict(mixture)!r}")
    ends = np.rint(np.cumsum(shares) / shares.sum() * rows).astype(int)
    counts = np.diff(ends, prepend=0)
    parts = zip(mixture, counts.tolist(), strict=True)
    return [({**(given or {}), source: value}, count) for value, count in parts if count]


def source_column(schema: Schema) -> str:
    """Return the column of the rows' source.

    Raises:
        ConditionError: The table has none, or several.
    """
    sources = schema.with_role("source") or [name for name in schema if name == "_source"]
    if len(sources) != 1:
        raise ConditionError("mixture needs one column of role 'source', or one called '_source'; the table has none")
    return sources[0]
