"""Conditions of a sample: what ``given`` says, as fixed tokens, allowed tokens and values to hand back as they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec import Codec
from tabsynth.coders import Coder, ValueCoder
from tabsynth.dtypes import value_series
from tabsynth.errors import ConditionError, listed
from tabsynth.line_coder import Floats, QuantileCoder, Range, Tokens
from tabsynth.schema import Categorical, Datetime, Identifier, Numeric, Schema, Text
from tabsynth.table import instants, numbers


@dataclass(frozen=True, eq=False)
class Conditions:
    """What the rows of a sample must meet.

    Attributes:
        fixed: Token matrix, shape (rows, slots), -1 where a token is free.
        allowed: For a column restricted to a range or a set, the share of each of its tokens that is allowed.
        ranges: For a column restricted to a range, its ends and what they reach of each token.
        echo: Values to hand back exactly as given, by column; missing where they are free.
        numbers: The given values of columns on a line, NaN where free, so that ties follow them.
        members: For a column restricted to values some of which are pooled into RARE, all of them, those pooled last.
    """

    fixed: Tokens
    allowed: dict[str, Floats] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)
    echo: dict[str, pd.Series] = field(default_factory=dict)
    numbers: dict[str, Floats] = field(default_factory=dict)
    members: dict[str, tuple[list[Any], list[Any]]] = field(default_factory=dict)

    @classmethod
    def none(cls, codec: Codec, rows: int) -> Conditions:
        """Nothing is asked."""
        return cls(np.full((rows, len(codec.slots)), -1, np.int32))

    @classmethod
    def of(cls, codec: Codec, given: Mapping[str, Any] | pd.DataFrame | None, rows: int) -> Conditions:
        """Read ``given``.

        Args:
            codec: The vocabulary.
            given: ``{"sex": "F", "age": (60, 80), "state": ["MA", "NY"]}`` (a value, an inclusive range with None for
                an open end, a list of values, None for missing), or a frame of fixed values, missing where free.
            rows: Number of rows to draw.

        Raises:
            ConditionError: An unknown column, or a value or range that the model cannot give.
        """
        if given is None:
            return cls.none(codec, rows)
        if not isinstance(given, (Mapping, pd.DataFrame)):
            raise ConditionError(f"given must be a mapping or a frame, not {type(given).__name__}")
        unknown = [name for name in given if name not in codec.coders]
        if unknown:
            raise ConditionError(
                f"given names unknown columns: {listed(unknown)}; there are {listed(codec.coders, 20)}"
            )
        out = cls.none(codec, rows)
        for name in map(str, given):
            wanted = given[name]
            if isinstance(wanted, pd.Series):
                out._fix(codec, name, wanted.reset_index(drop=True), free_where_missing=isinstance(given, pd.DataFrame))
            elif isinstance(wanted, tuple):
                out._range(codec, name, wanted)
            elif isinstance(wanted, (list, set, frozenset)):
                out._members(codec, name, list(wanted))
            else:
                out._fix(codec, name, pd.Series([wanted] * rows, dtype=object), free_where_missing=False)
        return out

    def of_rows(self, rows: npt.NDArray[np.int64]) -> Conditions:
        """The conditions of some rows."""
        echo = {name: values.iloc[rows].reset_index(drop=True) for name, values in self.echo.items()}
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        return replace(self, fixed=self.fixed[rows], echo=echo, numbers=numbers)

    @property
    def any(self) -> bool:
        """Whether anything is asked."""
        return bool(self.echo or self.allowed or (self.fixed >= 0).any())

    def finish(self, frame: pd.DataFrame, codec: Codec) -> pd.DataFrame:
        """Put the given values into decoded rows exactly as they came."""
        for name, (own_tokens, pooled) in self.members.items():
            other = (frame[name].notna() & ~frame[name].isin([*own_tokens, *pooled])).to_numpy(bool)
            if other.any():  # RARE stands for other pooled values too
                cells = frame[name].astype(object).to_numpy().copy()
                cells[other] = np.resize(np.array(pooled, dtype=object), other.sum())
                frame[name] = pd.Series(cells, index=frame.index).astype(frame[name].dtype)
        for name, values in self.echo.items():
            keep = values.notna().to_numpy()
            if not keep.any():
                continue
            dtype = codec.dtypes[name]
            own = frame[name].astype(object).to_numpy().copy()
            own[keep] = values[keep].to_numpy(dtype=object)
            if dtype == "category":
                known = list(frame[name].cat.categories)
                extra = [value for value in pd.unique(values[keep]) if value not in known]
                frame[name] = value_series(own, dtype, known + extra, bool(frame[name].cat.ordered))
            else:
                frame[name] = pd.Series(own, index=frame.index).astype(frame[name].dtype)
        return frame

    def _fix(self, codec: Codec, name: str, values: pd.Series, *, free_where_missing: bool) -> None:
        """Fix a column to values, row by row."""
        column, coder, at = codec.schema[name], codec.coders[name], codec.positions(name)
        rows = values.notna().to_numpy() if free_where_missing else np.ones(len(values), bool)
        if not free_where_missing and values.isna().any() and not coder.emit[coder.missing]:
            raise ConditionError(f"given[{name!r}] is missing, but the column was never missing in training")
        typed = _like(codec, name, values)
        if isinstance(column, Numeric):
            typed = pd.Series(numbers(typed), name=name)
        tokens = codec.encode_column(name, typed)
        if isinstance(column, Numeric):
            low, high = (
                default if end is None else end for end, default in ((column.low, -np.inf), (column.high, np.inf))
            )
            outside = typed[rows & ((typed < low) | (typed > high)).fillna(False).to_numpy(bool)]
            if len(outside):
                raise ConditionError(
                    f"given[{name!r}] is {outside.iloc[0]!r}, but the schema allows {column.low} to {column.high}"
                )
        if isinstance(coder, ValueCoder) and not isinstance(column, (Identifier, Text)):
            odd = typed[rows & (tokens == coder.rare) & ~typed.isin(coder.public).to_numpy()]
            declared = isinstance(column, Categorical) and column.values is not None
            if len(odd) and not free_where_missing:
                known = coder.values if not declared else (*coder.values, *coder.public)
                raise ConditionError(
                    f"given[{name!r}] is {odd.iloc[0]!r}, which the model does not know (or knows of too few persons); "
                    f"it knows {listed(known, 10)}"
                )
        self.echo[name] = typed.where(pd.Series(rows), None)
        if isinstance(coder, QuantileCoder):
            self.numbers[name] = np.where(rows, codec.encode_line(name, typed), np.nan)
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
        low, high = (_bound(codec, name, end, default) for end, default in zip(span, (-np.inf, np.inf), strict=True))
        if low > high:
            raise ConditionError(f"given[{name!r}]: the range {span!r} is empty; its low end is above its high end")
        share, first, last = coder.cover(low, high)
        share = share * coder.emit[: coder.line]
        if not share.sum() > 0:
            raise ConditionError(
                f"given[{name!r}]: no value in the range {span!r} can be drawn; the model's values go from "
                f"{coder.low[0]:g} to {coder.high[-1]:g}" + (" (in units since 1970)" if _dated(codec, name) else "")
            )
        self.allowed[name] = np.append(share, [0.0, 0.0])
        self.ranges[name] = Range(low, high, first, last)

    def _members(self, codec: Codec, name: str, values: list[Any]) -> None:
        """Restrict a column to some values."""
        coder = codec.coders[name]
        if isinstance(coder, QuantileCoder):
            raise ConditionError(
                f"given[{name!r}]: a list of values is for a column of categories; give a range instead"
            )
        known = _like(codec, name, pd.Series(values, dtype=object))
        tokens = codec.encode_column(name, known)
        if isinstance(coder, ValueCoder):
            pooled = [value for value in known.dropna() if value in coder.public]
            if pooled:
                self.members[name] = [value for value in known.dropna() if value not in pooled], pooled
            else:
                tokens = tokens[tokens != coder.rare]
        allowed = np.zeros(coder.size)
        allowed[tokens] = 1.0
        allowed *= coder.emit
        if not (allowed * coder.counts).sum() > 0:
            raise ConditionError(
                f"given[{name!r}]: the model knows none of {listed(values)}; it knows {listed(coder.values, 10)}"
            )
        self.allowed[name] = allowed


def present_only(codec: Codec) -> dict[str, Floats]:
    """Allowed shares that rule nothing out but a missing value, for every learned column."""
    out = {}
    for name, coder in codec.coders.items():
        out[name] = coder.emit.astype(np.float64)
        out[name][coder.missing] = 0.0
        if not out[name].any():  # a column that was never there cannot be filled
            out[name][coder.missing] = 1.0
    return out


def _like(codec: Codec, name: str, values: pd.Series) -> pd.Series:
    """Given values in the type of their column, so that 1 and 1.0 and True are not strangers."""
    coder: Coder = codec.coders[name]
    values = values.rename(name)
    if isinstance(coder, ValueCoder) and coder.values and not isinstance(codec.schema[name], (Identifier, Text)):
        table = {value: value for value in (*coder.values, *coder.public)}
        out = pd.Series([None] * len(values), dtype=object, name=name)
        here = values.notna().to_numpy()
        out[here] = np.array([table.get(value, value) for value in values[here]], dtype=object)
        return out
    return values


def _bound(codec: Codec, name: str, end: Any, default: float) -> float:
    """One end of a range in the units of the column's line."""
    if end is None:
        return default
    if _dated(codec, name):
        column = codec.schema[name]
        return float(codec.encode_line(name, instants(pd.Series([end], name=name), getattr(column, "format", None)))[0])
    try:
        value = float(end)
    except (TypeError, ValueError) as error:
        raise ConditionError(f"given[{name!r}]: the end {end!r} of the range is not a number") from error
    if np.isnan(value):
        raise ConditionError(f"given[{name!r}]: an end of the range is missing; use None for an open end")
    return value


def _dated(codec: Codec, name: str) -> bool:
    """Whether a column holds dates."""
    return isinstance(codec.schema[name], Datetime)


def mixed(
    schema: Schema, mixture: Mapping[Any, float], given: Mapping[str, Any] | pd.DataFrame | None, rows: int
) -> list[tuple[dict[str, Any], int]]:
    """The condition and the number of rows of each source of a mixture.

    Raises:
        ConditionError: The table has no source column, or the shares are not shares.
    """
    held = schema.with_role("source") or [name for name in schema if name == "_source"]
    if len(held) != 1:
        raise ConditionError("mixture needs one column of role 'source', or one called '_source'; the table has none")
    if isinstance(given, pd.DataFrame) or held[0] in (given or {}):
        raise ConditionError(f"mixture decides the column {held[0]!r} of every row; give the rest as a mapping")
    shares = np.array(list(mixture.values()), dtype=np.float64)
    if not len(shares) or not np.isfinite(shares).all() or (shares < 0).any() or not shares.sum() > 0:
        raise ConditionError(f"mixture must name sources and shares of at least 0, not {dict(mixture)!r}")
    ends = np.rint(np.cumsum(shares) / shares.sum() * rows).astype(int)
    counts = np.diff(ends, prepend=0)
    parts = zip(mixture, counts.tolist(), strict=True)
    return [({**(given or {}), held[0]: source}, count) for source, count in parts if count]
