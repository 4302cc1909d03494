"""Hot-deck repair: rows that violate rules take cells from similar rows that satisfy them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Bools, Floats, Integers

N_NEIGHBOURS = 8
"""Number of nearest donors that are tried for each row, in random order."""

MAX_DONORS = 20_000
"""Maximum number of rows among which donors are searched."""

MAX_DISTANCES = 20_000_000
"""Maximum number of distances between rows and donors; with more rows, donors are searched among fewer."""

MIN_SEARCHED = 1_000
"""Minimum number of donors that are searched, whatever the number of rows."""

CHUNK_ROWS = 256
"""Number of rows whose distances are computed at once."""

MAX_CATEGORIES = 12
"""Most frequent categories of a column that a distance distinguishes; the rest are pooled."""

N_CANDIDATES = 60
"""Rounds of the search that combines cells of several donors."""

OWN_WEIGHT = 0.3
"""Weight of the replaced columns in a distance; the other columns have weight 1."""

Columns = dict[str, Any]
Check = Callable[[Columns, Integers, Sequence[str]], Bools]
"""Complete trial rows in place and return which satisfy the rules.

The arguments are the trial rows, their positions and the columns just replaced.
"""


def take(values: Mapping[str, Any], rows: Integers | Bools) -> Columns:
    """Copy some rows."""
    return {name: cells[rows] for name, cells in values.items()}


def put(values: Columns, rows: Integers, trial: Mapping[str, Any], chosen: Bools) -> None:
    """Write the chosen rows back, in place."""
    for name, cells in trial.items():
        values[name][rows[chosen]] = cells[chosen]


def replace_from_donors(
    values: Columns,
    rows: Integers,
    pool: Columns,
    columns: Sequence[str],
    free: Mapping[str, Bools],
    check: Check,
    rng: np.random.Generator,
) -> Integers:
    """Replace columns by those of a near donor where this satisfies the rules, in place; return the other rows.

    Args:
        values: All rows.
        rows: The rows to repair.
        pool: Rows that satisfy the rules.
        columns: The columns to replace.
        free: Cells of all rows that may change.
        check: See ``Check``.
        rng: Random generator.
    """
    size = len(next(iter(pool.values())))
    if not size or not len(rows) or not columns:
        return rows
    most = min(MAX_DONORS, max(MIN_SEARCHED, MAX_DISTANCES // len(rows)))
    sampled = rng.choice(size, most, replace=False) if size > most else np.arange(size)
    donors = take(pool, sampled)
    targets, coordinates = _features(take(values, rows), donors, set(columns))
    nearest = min(N_NEIGHBOURS, len(sampled))
    # Equal distances are frequent among categories; jitter breaks them at random.
    jitter = 1e-3 * rng.random(coordinates.shape)
    neighbours = rng.permuted(_nearest(targets, coordinates + jitter, nearest), axis=1)
    left = np.arange(len(rows))
    for turn in range(nearest):
        trial = take(values, rows[left])
        for name in columns:
            here = free[name][rows[left]]
            trial[name][here] = donors[name][neighbours[left, turn]][here]
        good = check(trial, rows[left], columns)
        put(values, rows[left], trial, good)
        left = left[~good]
        if not len(left):
            break
    return rows[left]


def combine_donors(
    values: Columns,
    rows: Integers,
    pool: Columns,
    columns: Sequence[str],
    free: Mapping[str, Bools],
    check: Check,
    rng: np.random.Generator,
) -> Integers:
    """Replace a few columns at a time by cells of random donors until the rules hold; arguments as above."""
    size = len(next(iter(pool.values())))
    for turn in range(N_CANDIDATES if size else 0):
        if not len(rows):
            break
        count = 1 + turn % min(3, len(columns))
        chosen = [str(name) for name in rng.choice(list(columns), count, replace=False)]
        trial = take(values, rows)
        for name in chosen:
            here = free[name][rows]
            trial[name][here] = pool[name][rng.integers(size, size=len(rows))][here]
        good = check(trial, rows, chosen)
        put(values, rows, trial, good)
        rows = rows[~good]
    return rows


def _nearest(targets: Floats, points: Floats, count: int) -> Integers:
    """Return the nearest points of each target in any order, shape (targets, count)."""
    norms, out = (points**2).sum(axis=1), np.zeros((len(targets), count), np.int64)
    for begin in range(0, len(targets), CHUNK_ROWS):  # a tree is slower than products with so many coordinates
        own = targets[begin : begin + CHUNK_ROWS]
        distances = norms - 2 * own @ points.T  # without the square of the target, which is the same for all points
        out[begin : begin + CHUNK_ROWS] = np.argpartition(distances, count - 1, axis=1)[:, :count]
    return out


def _features(rows: Columns, donors: Columns, replaced: set[str]) -> tuple[Floats, Floats]:
    """Return coordinates of rows and donors in which similar rows are near."""
    size, parts = len(next(iter(rows.values()))), list[Floats]()
    for name, own in donors.items():
        weight = OWN_WEIGHT if name in replaced else 1.0
        both = np.concatenate([rows[name], own])
        if own.dtype != object:
            known = own[~np.isnan(own)]
            centre, spread = (float(np.median(known)), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)
            parts.append(np.nan_to_num((both - centre) * (weight / spread), nan=-2.0 * weight)[:, None])
            continue
        codes, values = pd.factorize(both)
        counts = np.bincount(codes[size:] + 1, minlength=len(values) + 1)[1:]
        frequent = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]
        parts.append(weight * (codes[:, None] == frequent[counts[frequent] > 0]))
    every = np.concatenate(parts, axis=1) if parts else np.zeros((size + len(next(iter(donors.values()))), 1))
    return every[:size], every[size:]
