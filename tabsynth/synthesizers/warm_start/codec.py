"""Extend a codec by more rows: new categories, and numbers beyond the known range; old tokens keep their meaning."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tabsynth.codec.categorical_encoder import Coder, ValueCoder
from tabsynth.codec.codec import Codec, default_tokens
from tabsynth.codec.column_values import categorical_values, measure_column, numeric_values
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.pandas_dtypes import dtype_name
from tabsynth.codec.quantile_bins import measure_quantiles
from tabsynth.common.arrays import Floats, Integers
from tabsynth.data.table import Table
from tabsynth.schema.columns import Categorical, Column, Numeric


@dataclass(frozen=True, eq=False)
class ExtendedCoder:
    """The extended encoder of a column.

    Attributes:
        coder: The encoder, with the counts of all rows.
        place: The new token of each old one, shape (old size,); None if the column got a new encoding.
        origin: The old token from which each new one continues: a new category from RARE, a number beyond the ends from
            the outermost token, shape (size,).
    """

    coder: Coder
    place: Integers | None
    origin: Integers | None

    @property
    def moved(self) -> bool:
        """Whether an old ordinary token has another number now."""
        return self.place is None or bool((self.place[:-2] != np.arange(len(self.place) - 2)).any())


def extend_codec(old: Codec, table: Table, min_group: int) -> tuple[Codec, dict[str, ExtendedCoder]]:
    """Return the extended codec, and the relation of each column's tokens to the old ones.

    Args:
        old: The codec of the old rows.
        table: More rows of the same columns.
        min_group: Every new value is shared by at least this many of them.
    """
    columns: dict[str, Column] = {}
    dtypes: dict[str, str] = {}
    extended: dict[str, ExtendedCoder] = {}
    tokens = default_tokens(old.rows + len(table))
    for name, coder in old.coders.items():
        values, column = table.frame[name], table.schema[name]
        if column.origin == "inferred":
            column = replace(old.schema[name], nullable=old.schema[name].nullable or column.nullable)
        columns[name] = column
        dtypes[name] = dtype_name(values) if values.isna().any() else old.dtypes[name]
        if isinstance(coder, QuantileCoder):
            extended[name] = _extend_numbers(coder, numeric_values(column, values), column, tokens, min_group)
        elif column.kind in ("numeric", "datetime"):  # no number was known
            extended[name] = ExtendedCoder(measure_column(column, values, tokens, min_group, None), None, None)
        else:
            extended[name] = _extend_values(coder, categorical_values(column, values), column, min_group)
    codec = replace(
        old,
        schema=replace(table.schema, columns=columns),
        coders={name: column_extension.coder for name, column_extension in extended.items()},
        dtypes=dtypes,
        rows=old.rows + len(table),
    )
    return codec, extended


def _extend_values(old: ValueCoder, values: pd.Series, column: Column, min_group: int) -> ExtendedCoder:
    """Add the categories with enough new rows."""
    declared = column.values if isinstance(column, Categorical) and column.origin == "declared" else None
    fresh = ValueCoder.measure(values, declared=declared, ordered=old.ordered, min_group=min_group)
    known = set(old.values)
    ordinary = [*old.values, *(value for value in fresh.values if value not in known)]
    if old.ordered and len(ordinary) > len(known):
        rank = {value: i for i, value in enumerate(declared or ())}
        ordinary = sorted(ordinary, key=lambda value: rank.get(value, value))
    public = tuple(dict.fromkeys(value for value in (*old.public, *fresh.public) if value not in set(ordinary)))
    shares = old.public_shares if public == old.public else ()
    size = len(ordinary) + 2
    at = {value: i for i, value in enumerate(ordinary)}
    place = np.array([*(at[value] for value in old.values), size - 2, size - 1], dtype=np.int64)
    origin = np.full(size, old.rare, dtype=np.int64)
    origin[place] = np.arange(old.size)
    empty = ValueCoder(tuple(ordinary), np.zeros(size, np.int64), np.ones(size, bool), public, old.ordered, shares)
    new = np.bincount(empty.encode(values), minlength=size).astype(np.int64)
    counts, allowed = new.copy(), new >= max(min_group, 1)
    counts[place] += old.counts
    allowed[place] |= old.allowed_tokens
    allowed[empty.rare] &= bool(public)
    return ExtendedCoder(replace(empty, counts=counts, allowed_tokens=allowed), place, origin)


def _extend_numbers(old: QuantileCoder, data: Floats, column: Column, tokens: int, min_group: int) -> ExtendedCoder:
    """Add bins beyond the known range where there are enough new rows."""
    present = data[~np.isnan(data)]

    share = {
        end: max(1, round(tokens * len(new_values) / max(len(present), 1)))
        for end, new_values in beyond(old, present).items()
    }
    below, above = (
        measure_tail(old, new_values, column, share[end], min_group) for end, new_values in beyond(old, present).items()
    )
    coder, before = join_tails(old, below, above), 0 if below is None else below.n_ordered_tokens
    mass = np.zeros(len(coder.mass))
    n_before = 0 if below is None else len(below.mass)
    mass[n_before : n_before + len(old.mass)] = old.mass
    mass += np.bincount(coder.bin_index(present), minlength=len(mass))
    ordered = np.arange(old.n_ordered_tokens) + before
    place = np.concatenate([ordered, [coder.rare, coder.missing]]).astype(np.int64)
    origin = np.clip(np.arange(coder.size) - before, 0, old.n_ordered_tokens - 1)
    origin[place] = np.arange(old.size)
    new = np.bincount(coder.encode(data), minlength=coder.size).astype(np.int64)
    counts, allowed = new.copy(), new > 0
    counts[place] += old.counts
    allowed[coder.missing] = new[coder.missing] >= max(min_group, 1)
    allowed[place] |= old.allowed_tokens
    return ExtendedCoder(replace(coder, mass=mass, counts=counts, allowed_tokens=allowed), place, origin)


def beyond(coder: QuantileCoder, present: Floats) -> dict[str, Floats]:
    """Return the numbers below the first and above the last bin."""
    return {"below": present[present < coder.low[0]], "above": present[present > coder.high[-1]]}


def measure_tail(
    coder: QuantileCoder, numbers: Floats, column: Column, tokens: int, min_group: int
) -> QuantileCoder | None:
    """Return the encoder of numbers beyond an end of a column's encoder; None if too few rows have them."""
    bounds = (column.low, column.high) if isinstance(column, Numeric) else (None, None)
    return measure_quantiles(
        numbers,
        tokens=tokens,
        decimals=coder.decimals,
        min_group=min_group,
        low=bounds[0],
        high=bounds[1],
        clock=coder.clock,
    )


def join_tails(coder: QuantileCoder, below: QuantileCoder | None, above: QuantileCoder | None) -> QuantileCoder:
    """Return an encoder with the bins of two more before and after its own, each with separate tokens."""
    out = coder
    if below is not None:
        out = _joined(below, out, float(coder.low[0]))
    if above is not None:
        out = _joined(out, above, float(np.nextafter(coder.high[-1], np.inf)))
    old = coder.rounding
    if old is None or out is coder:
        return out
    first, last = old.block[0], old.block[-1]
    n_below, n_above = (0 if tail is None else len(tail.mass) for tail in (below, above))
    low, high = old.low.copy(), old.high.copy()
    start, end = out.local(np.array([out.low[0], out.high[-1]]))
    low[first], high[last] = min(low[first], start), max(high[last], end)
    block = np.concatenate([np.full(n_below, first), old.block, np.full(n_above, last)])
    return replace(out, rounding=replace(old, block=block, low=low, high=high))


def _joined(first: QuantileCoder, second: QuantileCoder, edge: float) -> QuantileCoder:
    """Return an encoder of the bins of two, whose masses and counts are set later."""
    return replace(
        second,
        low=np.concatenate([first.low, second.low]),
        high=np.concatenate([first.high, second.high]),
        mass=np.concatenate([first.mass, second.mass]),
        token=np.concatenate([first.token, second.token + first.n_ordered_tokens]),
        edges=np.concatenate([first.edges, second.local(np.array([edge])), second.edges]),
        decimals=first.decimals,
        unit=math.gcd(first.unit, second.unit),
        rounding=None,
    )
