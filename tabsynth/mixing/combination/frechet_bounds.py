"""Fréchet bounds on the joint distribution of columns that were never observed together.

If p(y) and p(z) are known within a group of rows, p(y, z) there lies between max(0, p(y) + p(z) - 1) and the smaller
of p(y) and p(z) (Fréchet, "Sur les tableaux de corrélation dont les marges sont données", 1951). Averaging the
bounds over groups defined by the common columns makes them at least as narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

from tabsynth.common.arrays import Floats, Integers

N_STANDARD_ERRORS = 3.0
"""Standard errors by which the interval of each share is widened."""

MIN_GROUP_ROWS = 150
"""Minimum rows of a group on both sides."""

N_BINS = 5
"""Quantile classes of numbers and dates with many values."""

MAX_UNBINNED_VALUES = 20


def to_classes(columns: Sequence[pd.Series], bins: int = N_BINS) -> tuple[list[Integers], list[str]]:
    """Return common classes of a column in several tables, and their names; missing is a class.

    Numbers and dates with many values are cut at their quantiles over all tables.
    """
    every = pd.concat([column.astype(object) for column in columns], ignore_index=True)
    ordered = all(
        pd.api.types.is_datetime64_any_dtype(c.dtype)
        or (pd.api.types.is_numeric_dtype(c.dtype) and not pd.api.types.is_bool_dtype(c.dtype))
        for c in columns
    )
    if ordered and every.nunique() > MAX_UNBINNED_VALUES:
        values = pd.concat(list(columns), ignore_index=True)
        edges = np.unique(values.dropna().quantile(np.linspace(0, 1, bins + 1)[1:-1]).to_numpy())
        codes = np.searchsorted(edges, values.to_numpy(), side="left").astype(np.int64)
        low, high = ["-inf", *map(str, edges)], [*map(str, edges), "inf"]
        names = [f"({a}, {b}]" for a, b in zip(low, high, strict=True)]
        codes[values.isna().to_numpy()] = -1
    else:
        codes, values_found = pd.factorize(every)
        names = [str(value) for value in values_found]
    if (codes < 0).any():
        codes = np.where(codes < 0, len(names), codes)
        names.append("missing")
    ends = np.cumsum([len(column) for column in columns])
    return [codes[end - len(c) : end].astype(np.int64) for end, c in zip(ends, columns, strict=True)], names


def group_rows(left: Floats, right: Floats, target: Integers, seed: int) -> tuple[Integers, Integers]:
    """Group rows by a tree that predicts the columns that only the right table has from the common columns.

    Args:
        left: The left table's common columns as numbers, shape (n, d).
        right: The right table's, shape (m, d).
        target: Classes of the columns that only the right table has, shape (m, t).
        seed: Seed of the tree and of its half of the rows.

    Returns:
        The group of each left and each right row; -1 for right rows that trained the tree.
    """
    training = np.random.default_rng(seed).permutation(len(right)) < len(right) // 2
    min_leaf_rows = max(MIN_GROUP_ROWS, int(np.ceil(MIN_GROUP_ROWS * len(right) / max(len(left), 1))))
    if training.sum() < 2 * min_leaf_rows:
        return np.zeros(len(left), np.int64), np.zeros(len(right), np.int64)
    tree = DecisionTreeClassifier(min_samples_leaf=min_leaf_rows, random_state=seed).fit(
        right[training], target[training]
    )
    left_groups, right_groups = tree.apply(left), tree.apply(right)
    large_groups = {
        leaf
        for leaf in np.unique(right_groups)
        if (left_groups == leaf).sum() >= MIN_GROUP_ROWS <= (right_groups[~training] == leaf).sum()
    }
    # Groups that are too small on a side are merged.
    left_groups, right_groups = (
        np.where(np.isin(side, list(large_groups)), side, 0).astype(np.int64) for side in (left_groups, right_groups)
    )
    right_groups[training] = -1
    return left_groups, right_groups


def joint_bounds(
    y: Integers, z: Integers, mine: Integers, theirs: Integers, shape: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Return lower and upper bounds of p(y, z), shape (classes of y, classes of z) each.

    Sampling error widens the bounds: each share within a group is moved by ``N_STANDARD_ERRORS`` standard errors.

    Args:
        y: Classes of the left column.
        z: Classes of the right column.
        mine: The group of each left row.
        theirs: The group of each right row; negative for rows to ignore.
        shape: Number of classes of y and z.
    """
    by_group = _mean_bounds(y, z, mine, theirs, shape)
    over_all = _mean_bounds(y, z, np.zeros(len(y), np.int64), np.zeros(len(z), np.int64), shape)
    return np.maximum(by_group[0], over_all[0]), np.minimum(by_group[1], over_all[1])


def _mean_bounds(
    y: Integers, z: Integers, mine: Integers, theirs: Integers, shape: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Return the mean of the bounds within groups, weighted by the left rows."""
    low, high = np.zeros(shape), np.zeros(shape)
    for group in np.unique(mine):
        here, there = mine == group, theirs == group
        weight = here.mean()
        if not there.any():
            high += weight * np.minimum(_share_intervals(y[here], shape[0])[1][:, None], 1.0)
            continue
        (y_low, y_high), (z_low, z_high) = _share_intervals(y[here], shape[0]), _share_intervals(z[there], shape[1])
        low += weight * np.maximum(0.0, y_low[:, None] + z_low[None, :] - 1)
        high += weight * np.minimum(y_high[:, None], z_high[None, :])
    return low, high


def _share_intervals(codes: Integers, count: int) -> tuple[Floats, Floats]:
    """Return the Wilson interval of each class's share."""
    n = len(codes)
    share = np.bincount(codes, minlength=count) / n
    centre = (share + N_STANDARD_ERRORS**2 / (2 * n)) / (1 + N_STANDARD_ERRORS**2 / n)
    half = (
        N_STANDARD_ERRORS
        / (1 + N_STANDARD_ERRORS**2 / n)
        * np.sqrt(share * (1 - share) / n + N_STANDARD_ERRORS**2 / (4 * n**2))
    )
    return np.asarray(np.clip(centre - half, 0, 1), np.float64), np.asarray(np.clip(centre + half, 0, 1), np.float64)


def cramers_v(table: Any) -> float:
    """Return Cramér's V of a table of counts or shares: 0 for independent columns, 1 where one determines the other."""
    shares = np.asarray(table, np.float64)
    shares = shares[shares.sum(axis=1) > 0][:, shares.sum(axis=0) > 0]
    if min(shares.shape, default=0) < 2:
        return 0.0
    shares = shares / shares.sum()
    free = shares.sum(axis=1, keepdims=True) * shares.sum(axis=0, keepdims=True)
    return float(np.sqrt(((shares - free) ** 2 / free).sum() / (min(shares.shape) - 1)))
