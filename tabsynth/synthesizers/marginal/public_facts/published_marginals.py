"""Published distributions, such as census margins: fitted, but neither measured nor charged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats, Integers
from tabsynth.errors import InputError, quote
from tabsynth.schema.columns import Datetime
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.bins.public_bins import Grid

WEIGHTS = ("share", "count")
"""Names of the last column of a published table."""

MAX_DISAGREEMENT = 0.001
"""Maximum total variation distance of two published distributions of one column, which may be rounded."""

Names = tuple[str, ...]


def to_plain(given: Any) -> Any:
    """Return frames as plain data for the model file, a list of cells by column; plain data is returned unchanged."""
    if not isinstance(given, (list, tuple)) or not any(isinstance(table, pd.DataFrame) for table in given):
        return given
    return [
        {str(name): table[name].tolist() for name in table} if isinstance(table, pd.DataFrame) else table
        for table in given
    ]


def read_published(given: Any, schema: Schema, grids: Mapping[str, Grid]) -> dict[Names, Floats]:
    """Return the published shares of cells, by column or pair of columns.

    Args:
        given: A list of tables: each a frame, or a mapping from column to cells, of one or two columns of the schema,
            and then ``share`` or ``count``.
        schema: The declared schema.
        grids: The cells of each column.

    Raises:
        InputError: A table is of another form, or contains a value that is not declared.
    """
    if given is None:
        return {}
    if not isinstance(given, (list, tuple)):
        raise InputError(f"public_marginals must be a list of tables, not {type(given).__name__}")
    out: dict[Names, Floats] = {}
    for number, table in enumerate(to_plain(given), 1):
        names, shares = _read_table(table, schema, grids, f"public_marginals: table {number}")
        if names in out or names[::-1] in out:
            raise InputError(f"public_marginals: there are two tables of {quote(names)}; leave one out")
        out[names] = shares
    return out


def single_shares(published: Mapping[Names, Floats]) -> dict[str, Floats]:
    """Return the published distribution of each column, given alone or in a pair.

    Raises:
        InputError: Two tables disagree.
    """
    out: dict[str, Floats] = {}
    for names, table in sorted(published.items(), key=lambda item: len(item[0])):
        for axis, name in enumerate(names):
            distribution = table if len(names) == 1 else table.sum(1 - axis)
            if name in out and np.abs(out[name] - distribution).sum() / 2 > MAX_DISAGREEMENT:
                raise InputError(
                    f"public_marginals: two tables disagree on the distribution of {name!r}; correct or leave out one"
                )
            out.setdefault(name, distribution)
    return out


def _read_table(table: Any, schema: Schema, grids: Mapping[str, Grid], where: str) -> tuple[Names, Floats]:
    if not isinstance(table, Mapping) or not all(isinstance(values, Sequence) for values in table.values()):
        raise InputError(f"{where} must be a frame, or a mapping from column to a list of cells")
    *names, last = map(str, table) if table else ("",)
    if last not in WEIGHTS or not 1 <= len(names) <= 2 or any(name not in grids for name in names):
        raise InputError(
            f"{where} has the columns {quote(table, 8)}: give one or two learned columns of the schema, and then "
            "'share' or 'count'"
        )
    weights = pd.to_numeric(pd.Series(list(table[last]), dtype=object), errors="coerce").to_numpy(np.float64)
    if any(len(table[name]) != len(weights) for name in names):
        raise InputError(f"{where}: its columns differ in length")
    if not len(weights) or not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise InputError(f"{where}: {last!r} must hold numbers that are not negative, and not all zero")
    cells = [_cells(schema, grids[name], name, list(table[name]), where) for name in names]
    shares = np.zeros([grids[name].size for name in names])
    np.add.at(shares, tuple(cells), weights)
    if len(np.unique(np.stack(cells), axis=1).T) < len(weights):
        raise InputError(f"{where}: a value or pair of values occurs twice; add up its rows")
    return tuple(names), shares / shares.sum()


def _cells(schema: Schema, grid: Grid, name: str, values: list[Any], where: str) -> Integers:
    """Return the cell of each published value of a column."""
    absent = [bool(pd.isna(value)) for value in values]
    if isinstance(schema[name], Datetime) or (grid.low < grid.high).any():
        raise InputError(
            f"{where}: a distribution of {name!r} cannot be given, because its cells hold several values each; declare "
            "a column of few values, such as an age in years or a band"
        )
    known = set(grid.low.tolist() if grid.line else grid.values)
    strange = [value for value, no in zip(values, absent, strict=True) if not (grid.nullable if no else value in known)]
    if strange:
        raise InputError(f"{where}: {quote(strange)} is not declared of column {name!r}; declare it in the schema")
    return grid.encode(schema[name], pd.Series(values, dtype="float64" if grid.line else object))
