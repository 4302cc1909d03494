"""Kinds of histories: parents whose children have similar shares of categories, numbers and gaps share a kind.

The kind is a column of the parent. It is sampled with the plan and is an input of the children's network, so that
siblings have similar values.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from tabsynth.common.arrays import Floats, Integers
from tabsynth.schema.columns import Numeric
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.histories.gaps import sibling_gaps

MAX_KINDS = 48

MAX_LEVELS, QUANTILES = 12, 4
"""Number of categories of a column, or of equal-mass bins of a number, whose shares distinguish kinds."""

PRIOR_ROWS = 1.0
"""Pseudo-rows with the shares of the whole table that are added to each history, which may be a single row."""

MAX_FITTED = 20_000
"""Maximum number of histories from which the kinds are learned; further histories get the nearest kind."""


def kinds_of(
    children: pd.DataFrame, schema: Schema, times: Floats | None, rows: Integers, roots: Integers, min_group: int
) -> Integers | None:
    """Return the kind of each parent's history, -1 without children, shape (parents up to the last that has any,).

    Args:
        children: Child rows, sorted by parent and time.
        schema: Their schema.
        times: Time of each child, None without order, shape (n,).
        rows: The parent's row number of each child, shape (n,).
        roots: The root's row number of each child, shape (n,).
        min_group: Minimum number of roots with histories of a kind.

    Returns:
        None where the histories do not differ enough to distinguish kinds.
    """
    parents, own = np.unique(rows, return_inverse=True)
    profiles = _profiles(children, schema, times, own, len(parents))
    wanted = min(MAX_KINDS, round(np.sqrt(len(parents))))
    if profiles is None or wanted < 2 or len(np.unique(profiles[:MAX_FITTED], axis=0)) < wanted:
        return None
    model = KMeans(wanted, n_init=2, random_state=0).fit(profiles[:: -(-len(parents) // MAX_FITTED)])
    kinds = _joined(model.predict(profiles), model.cluster_centers_, own, roots, min_group)
    if kinds.max() == 0:
        return None
    out = np.full(int(parents[-1]) + 1, -1)
    out[parents] = kinds
    return out


def _profiles(
    children: pd.DataFrame, schema: Schema, times: Floats | None, own: Integers, parents: int
) -> Floats | None:
    """Return the square roots of each history's shares of every class of every column, shape (parents, classes)."""
    parts = []
    for classes in _classes(children, schema, times, own):
        size = int(classes.max()) + 1
        if size > 1:
            counts = np.bincount(own * size + classes, minlength=parents * size).reshape(parents, size)
            counts = counts + PRIOR_ROWS * counts.sum(0) / counts.sum()
            parts.append(np.sqrt(counts / counts.sum(1, keepdims=True)).astype(np.float32))
    return np.concatenate(parts, axis=1) if parts else None


def _classes(children: pd.DataFrame, schema: Schema, times: Floats | None, own: Integers) -> list[Integers]:
    """Return the class of each child in each column, and of its gap, shape (n,) each."""
    out = []
    for name, column in schema.items():
        if isinstance(column, Numeric):
            out.append(_binned(pd.to_numeric(children[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)))
        elif column.kind in ("categorical", "boolean"):
            codes = pd.factorize(children[name])[0]
            order = np.argsort(-np.bincount(codes + 1), kind="stable")
            rank = np.empty(len(order), np.int64)
            rank[order] = np.arange(len(order))
            out.append(np.minimum(rank[codes + 1], MAX_LEVELS))
    if times is not None:
        starts = np.append(np.flatnonzero(np.diff(own, prepend=-1)), len(own))
        out.append(_binned(sibling_gaps(times, starts)))
    return out


def _binned(data: Floats) -> Integers:
    """Return the equal-mass bins, the last for missing numbers."""
    present = data[~np.isnan(data)]
    if not len(present):
        return np.zeros(len(data), np.int64)
    edges = np.unique(np.quantile(present, np.arange(1, QUANTILES) / QUANTILES))
    return np.where(np.isnan(data), len(edges) + 1, np.searchsorted(edges, data, side="right"))


def _joined(kinds: Integers, centres: Floats, own: Integers, roots: Integers, min_group: int) -> Integers:
    """Merge kinds of too few roots into the nearest other kind, and number the kinds from 0."""
    held = pd.Series(roots).groupby(kinds[own]).nunique()
    kept = held.index[held >= min_group].to_numpy()
    if len(kept) < 2:
        return np.zeros(len(kinds), np.int64)
    nearest = np.argmin(np.linalg.norm(centres[:, None] - centres[kept][None], axis=2), axis=1)
    return np.asarray(nearest[kinds], np.int64)
