"""Columns that declared lookups determine: they are derived from other columns rather than measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Floats, Integers
from tabsynth.schema.columns import Datetime, Numeric
from tabsynth.schema.constraints import Lookup
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.product_mixture import Mixture
from tabsynth.synthesizers.marginal.public_codec import tokens_of_cells

GridMap = Mapping[str, Grid]


@dataclass(frozen=True, eq=False)
class Determined:
    """A column that another one determines.

    Attributes:
        root: The other column, which is itself not determined.
        cells: The column's cell for each cell of the root.
    """

    root: str
    cells: Integers


def determined_columns(schema: Schema, grids: GridMap) -> dict[str, Determined]:
    """Return the columns whose cells all follow from a measured column by the schema's lookups."""
    steps: dict[str, Determined] = {}
    for rule in schema.constraints:
        if not isinstance(rule, Lookup) or rule.column in steps or _root(rule.by, steps) == rule.column:
            continue
        if rule.column in grids and rule.by in grids and (cells := _looked_up(rule, schema, grids)) is not None:
            steps[rule.column] = Determined(rule.by, cells)
    out = {}
    for name, step in steps.items():
        root, cells = step.root, step.cells
        while root in steps:
            cells, root = cells[steps[root].cells], steps[root].root
        out[name] = Determined(root, cells)
    return out


def _root(name: str, steps: Mapping[str, Determined]) -> str:
    while name in steps:
        name = steps[name].root
    return name


def _looked_up(rule: Lookup, schema: Schema, grids: GridMap) -> Integers | None:
    """Return the column's cell for each cell of ``by``; None if the lookup does not determine all of them."""
    column, grid, by = schema[rule.column], grids[rule.column], grids[rule.by]
    has_dates = any(isinstance(schema[name], Datetime) and grids[name].line for name in rule.columns)
    if grid.nullable or by.nullable or has_dates or (by.low < by.high).any():
        return None
    known = dict(rule.pairs)
    keys = by.low.tolist() if by.line else list(by.values)
    if not all(key in known for key in keys):
        return None
    values = [known[key] for key in keys]
    if isinstance(column, Numeric):
        inside = all(grid.low[0] <= value <= grid.high[-1] for value in values)
    else:
        inside = all(value in grid.values for value in values)
    return grid.encode(column, pd.Series(values, dtype=None if grid.line else object)) if inside else None


def determined_counts(determined: Mapping[str, Determined], grids: GridMap, counts: dict[str, Floats]) -> None:
    """Add the counts of determined columns, in place."""
    for name, one in determined.items():
        counts[name] = np.zeros(grids[name].size)
        np.add.at(counts[name], one.cells, counts[one.root])


def token_shares(codec: Codec, grids: GridMap, counts: Mapping[str, Floats], name: str, one: Determined) -> Floats:
    """Return the distribution of the column's tokens in each token of its root, shape (tokens, tokens)."""
    root = tokens_of_cells(grids[one.root], codec.coders[one.root])
    dependent = tokens_of_cells(grids[name], codec.coders[name])[one.cells]
    shares = np.zeros((codec.coders[one.root].size, codec.coders[name].size))
    np.add.at(shares, (root, dependent), np.maximum(counts[one.root], 1e-6))
    total = shares.sum(1, keepdims=True)
    return np.asarray(np.divide(shares, total, out=np.full_like(shares, 1 / shares.shape[1]), where=total > 0))


def add_determined(
    model: Mixture, codec: Codec, active: Sequence[int], shares: Mapping[str, tuple[str, Floats]]
) -> Mixture:
    """Return a mixture of all active slots, given one of those that no lookup determines.

    Args:
        model: The mixture of the other slots.
        codec: The vocabulary.
        active: Positions of the active slots in the codec's token matrix.
        shares: The root of each determined column, and the result of ``token_shares``.
    """
    measured = [at for at in active if codec.slots[at].column not in shares]
    parts = dict(zip(measured, model.parts, strict=True))
    every = model.components
    for name, (root, table) in shares.items():
        whole = np.ones((every, len(table)), np.float32)
        for at, digit in zip(
            codec.positions(root), codec.split(root, np.arange(len(table), dtype=np.int32)).T, strict=True
        ):
            whole *= parts[at][:, digit] if at in parts else 1
        column = (whole @ table).astype(np.float32)
        column /= np.maximum(column.sum(1, keepdims=True), 1e-30)
        for at, digit in zip(
            codec.positions(name), codec.split(name, np.arange(table.shape[1], dtype=np.int32)).T, strict=True
        ):
            if at in active:
                part = np.zeros((codec.slots[at].size, every), np.float32)
                np.add.at(part, digit, column.T)
                parts[at] = part.T.copy()
    return Mixture(tuple(parts[at] for at in active))
