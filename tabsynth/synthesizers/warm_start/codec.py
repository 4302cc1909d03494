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
from tabsynth.schema.columns import Categorical, Column


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
        coders={name: own.coder for name, own in extended.items()},
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

    def tail(beyond: Floats) -> QuantileCoder | None:
        share = max(1, round(tokens * len(beyond) / max(len(present), 1)))
        low, high = getattr(column, "low", None), getattr(column, "high", None)
        bounds = {} if column.kind != "numeric" else {"low": low, "high": high}
        found = measure_quantiles(beyond, tokens=share, decimals=old.decimals, min_group=min_group, **bounds)
        return found if found is not None else None

    below, above = tail(present[present < old.low[0]]), tail(present[present > old.high[-1]])
    coder, before = old, 0
    if below is not None:
        before = below.n_ordered_tokens
        coder = _joined(below, coder, float(old.low[0]))
    if above is not None:
        coder = _joined(coder, above, float(np.nextafter(old.high[-1], np.inf)))
    if old.rounding is not None and coder is not old:
        n_below = 0 if below is None else len(below.mass)
        n_above = 0 if above is None else len(above.mass)
        first, last = old.rounding.block[0], old.rounding.block[-1]
        block = np.concatenate([np.full(n_below, first), old.rounding.block, np.full(n_above, last)])
        low, high = old.rounding.low.copy(), old.rounding.high.copy()
        low[first], high[last] = min(low[first], coder.low[0]), max(high[last], coder.high[-1])
        coder = replace(coder, rounding=replace(old.rounding, block=block, low=low, high=high))
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


def _joined(first: QuantileCoder, second: QuantileCoder, edge: float) -> QuantileCoder:
    """Return an encoder of the bins of two, whose masses and counts are set later."""
    return replace(
        second,
        low=np.concatenate([first.low, second.low]),
        high=np.concatenate([first.high, second.high]),
        mass=np.concatenate([first.mass, second.mass]),
        token=np.concatenate([first.token, second.token + first.n_ordered_tokens]),
        edges=np.concatenate([first.edges, [edge], second.edges]),
        decimals=first.decimals,
        unit=math.gcd(first.unit, second.unit),
        rounding=None,
    )
