"""Build a codec from public facts and noisy counts: declared values, public cells and their frequencies.

Nothing here reads a table, so the codec is post-processing of the counts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.categorical_encoder import Coder, ValueCoder
from tabsynth.codec.codec import Codec
from tabsynth.codec.identifiers import learn_pattern
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Floats, Integers
from tabsynth.privacy.public_schema import public_dtypes
from tabsynth.schema.columns import Categorical, Column, Identifier
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.bins.adaptive_bins import merge_cells
from tabsynth.synthesizers.marginal.bins.public_bins import Grid

MIN_TOKEN_SIGMAS = 4.0
"""Minimum count of a token in standard deviations of the noise; rarer values are pooled."""


def public_codec(
    schema: Schema,
    grids: Mapping[str, Grid],
    counts: Mapping[str, Floats],
    sigma: Mapping[str, float],
    bins: int,
    cuts: Mapping[str, Integers] | None = None,
) -> Codec:
    """Build a codec whose tokens have enough rows to exceed the noise.

    Args:
        schema: The declared schema; identifiers and text are not learned.
        grids: The cells of each learned column.
        counts: Estimated rows of each cell, none negative.
        sigma: Standard deviation of each column's noise.
        bins: Approximate number of tokens of a numeric column.
        cuts: Cells of numeric columns at which a token always begins.
    """
    rows = max(round(max((float(count.sum()) for count in counts.values()), default=0.0)), 1)
    coders: dict[str, Coder] = {}
    for name, column in schema.items():
        if name in grids:
            grid, cell_counts, least = grids[name], counts[name], MIN_TOKEN_SIGMAS * sigma[name]
            if grid.line:
                begin = None if cuts is None else cuts.get(name)
                coders[name] = _numeric_coder(column, grid, cell_counts, least, bins, begin)
            else:
                coders[name] = _categorical_coder(column, grid, cell_counts, least)
        else:
            coders[name] = ValueCoder(("present",), np.array([rows, 0, 0]), np.array([True, False, False]))
    patterns = {
        name: learn_pattern(pd.Series([], dtype=object), regex=column.pattern)
        for name, column in schema.items()
        if isinstance(column, Identifier)
    }
    return Codec(schema, coders, public_dtypes(schema), patterns, rows, 1)


def tokens_of_cells(grid: Grid, coder: Coder) -> npt.NDArray[np.int32]:
    """Return the token of each cell of a column, shape (cells,)."""
    if isinstance(coder, QuantileCoder):
        tokens = coder.token
    else:
        place = {value: token for token, value in enumerate(coder.values)}
        tokens = np.array([place.get(value, coder.rare) for value in grid.values])
    return np.append(tokens, [coder.missing] * grid.nullable).astype(np.int32)


def slot_counts(codec: Codec, position: int) -> npt.NDArray[np.int64]:
    """Return the rows of each token of a slot, from the counts of its column."""
    slot = codec.slots[position]
    counts = codec.coders[slot.column].counts
    if slot.digit is None:
        return counts
    high, low = (codec.slots[at].size for at in codec.positions(slot.column))
    table = np.zeros(high * low, np.int64)
    table[: len(counts)] = counts
    return np.asarray(table.reshape(high, low).sum(1 - slot.digit))


def _numeric_coder(
    column: Column, grid: Grid, counts: Floats, min_rows: float, bins: int, cuts: Integers | None
) -> QuantileCoder:
    """Build a coder by merging cells into tokens; the counts define the distribution within a token."""
    n_ordered = len(grid.low)
    mass = counts[:n_ordered]
    token = merge_cells(mass, bins, min_rows)
    if cuts is not None:
        begins = np.append(False, np.diff(token) > 0)
        begins[cuts] = True
        token = np.cumsum(begins)
    size = int(token[-1]) + 3
    rows = np.zeros(size)
    rows[: size - 2] = np.bincount(token, weights=mass)
    rows[size - 1] = counts[n_ordered:].sum()
    allowed = np.ones(size, bool)
    allowed[size - 2 :] = False, column.nullable
    # Cells that appear empty keep a little mass, so that a range condition can be satisfied there.
    spread = np.maximum(mass, max(1e-6 * mass.sum(), 1e-3) / n_ordered)
    whole = np.maximum(np.rint(rows), allowed).astype(np.int64)
    return QuantileCoder(grid.low, grid.high, spread, token, grid.edges, whole, allowed, grid.decimals)


def _categorical_coder(column: Column, grid: Grid, counts: Floats, min_rows: float) -> ValueCoder:
    """Build a coder with a token for each value whose count exceeds the noise; other values are pooled."""
    declared = counts[: len(grid.values)]
    often = np.flatnonzero(declared >= min_rows)
    seldom = np.flatnonzero(declared < min_rows)
    if len(seldom) == 1:  # pooling one value alone hides nothing
        often, seldom = np.arange(len(declared)), seldom[:0]
    ordered = isinstance(column, Categorical) and column.ordered
    if not ordered:
        often = often[np.lexsort((often, -declared[often]))]
    rows = np.concatenate([declared[often], [declared[seldom].sum()], [counts[len(declared) :].sum()]])
    emit = np.ones(len(rows), bool)
    emit[-2:] = len(seldom) > 0, column.nullable
    pooled = np.maximum(declared[seldom], 1e-6)
    whole: npt.NDArray[np.int64] = np.maximum(np.rint(rows), emit).astype(np.int64)
    return ValueCoder(
        values=tuple(grid.values[i] for i in often),
        counts=whole,
        allowed_tokens=emit,
        public=tuple(grid.values[i] for i in seldom),
        ordered=ordered,
        public_shares=tuple(float(share) for share in pooled / pooled.sum()),
    )
