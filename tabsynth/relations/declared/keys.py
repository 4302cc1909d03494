"""Enforce declared unique keys: repeated keys get other values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from math import prod
from typing import Any

import numpy as np

from tabsynth.common.arrays import Bools, Integers
from tabsynth.errors import InputError
from tabsynth.relations.declared.grids import Grid
from tabsynth.relations.declared.hot_deck import Columns, put, take
from tabsynth.schema.constraints import Unique
from tabsynth.schema.constraints.base import is_missing

N_TURNS = 30
"""Rounds of random values for repeated keys, after which the unused keys are enumerated."""

MAX_KEYS = 1_000_000
"""Maximum number of keys that are enumerated."""


def make_unique(
    key: Unique,
    values: Columns,
    free: Mapping[str, Bools],
    grids: Mapping[str, Grid],
    check: Callable[[Columns, Integers], Bools],
    rng: np.random.Generator,
    *,
    strict: bool = True,
) -> None:
    """Give repeated keys other values, in place.

    Args:
        key: The key.
        values: The columns of all rows.
        free: Cells that may change.
        grids: The possible values of numeric columns.
        check: Function that returns the rows that satisfy all other rules.
        rng: Random generator.
        strict: Raise if keys are still repeated.

    Raises:
        InputError: There are fewer keys than rows.
    """
    names = [name for name in reversed(key.of) if free[name].any()]
    n = len(values[key.of[0]])
    order = np.argsort(np.sum([free[name] for name in key.of], axis=0), kind="stable")
    for turn in range(N_TURNS):
        rows = _repeated(key, values, order)
        if not len(rows):
            return
        trial = take(values, rows)
        for name in names[: 1 + turn % max(len(names), 1)]:
            here = free[name][rows]
            trial[name][here] = _some(values[name], grids.get(name), turn, len(rows), rng)[here]
        put(values, rows, trial, check(trial, rows))
    _enumerate(key, values, free, grids, check, rng, order)
    rows = _repeated(key, values, order)
    if len(rows) and strict:
        raise InputError(
            f"{len(rows)} of {n} rows repeat the key ({', '.join(key.of)}), which has too few different values that "
            "satisfy the other rules; sample fewer rows, or add a column to the key"
        )


def _repeated(key: Unique, values: Columns, order: Integers) -> Integers:
    """Return the rows whose key is that of an earlier row in the order, in which fixed keys come first."""
    return np.sort(order[~key.holds(take({name: values[name] for name in key.of}, order))])


def _some(cells: Any, grid: Grid | None, turn: int, n: int, rng: np.random.Generator) -> Any:
    """Sample values of a column: first from other rows, in later rounds from its whole grid."""
    if grid is None or turn < N_TURNS // 3 or not grid.step or not np.isfinite([grid.first, grid.last]).all():
        return cells[rng.integers(len(cells), size=n)]
    return grid.snap(rng.uniform(grid.first, grid.last, n))


def _enumerate(
    key: Unique,
    values: Columns,
    free: Mapping[str, Bools],
    grids: Mapping[str, Grid],
    check: Callable[[Columns, Integers], Bools],
    rng: np.random.Generator,
    order: Integers,
) -> None:
    """Assign unused keys to rows that repeat one, in place."""
    lists = [_all_values(values[name], grids.get(name)) for name in key.of]
    if prod(len(column_values) for column_values in lists) > MAX_KEYS:
        return
    used = set(zip(*(values[name].tolist() for name in key.of), strict=True))
    unused = [one for one in product(*lists) if one not in used]
    for at in rng.permutation(len(unused)).tolist():
        rows = _repeated(key, values, order)
        if not len(rows):
            return
        pairs = list(zip(key.of, unused[at], strict=True))
        fits = np.logical_and.reduce([free[name][rows] | (values[name][rows] == value) for name, value in pairs])
        first = rows[fits.astype(bool)][:1]
        if len(first):
            trial = take(values, first)
            for name, value in pairs:
                trial[name][0] = value
            put(values, first, trial, check(trial, first))


def _all_values(cells: Any, grid: Grid | None) -> list[Any]:
    known = cells[~is_missing(cells)]
    if grid is None or not grid.step or not np.isfinite([grid.first, grid.last]).all():
        return list(dict.fromkeys(known.tolist()))
    count = round((grid.last - grid.first) / grid.step) + 1
    grid_values = np.asarray(grid.first + grid.step * np.arange(min(count, MAX_KEYS + 1)), dtype=np.float64)
    return list(grid.snap(grid_values).tolist())
