"""Further foreign keys: each row gets a parent of the class that was sampled with the row.

The class is the value of one categorical column of the parent, the one that depends most on the row; for a reference
of a table to itself it is the level, the distance to a row without a parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.schema.columns import Boolean, Categorical
from tabsynth.schema.schema import Schema

MAX_CLASSES = 16
"""Maximum number of values of a parent's column that are classes of their own; all other values share one class."""

Degrees = tuple[tuple[int, int], ...]
"""Distribution of the number of rows per parent, as pairs (number of rows, number of parents with it)."""


def match_column(column: str) -> str:
    """Name of the learned column with the class of a foreign key's parent."""
    return f"{column}.match"


@dataclass(frozen=True)
class Match:
    """Matching of a further foreign key of a table.

    Attributes:
        via: Column of the main parent that equals the key in every training row, and from which the key is copied.
        column: Column of the parent whose values are the classes; None if all parents are of one class.
        values: Values with a class each, as text.
        levels: Whether the key refers to its own table; classes are then the levels of rows.
        within: Whether a row and its parent always have the same main parent.
        degrees: Distribution of the number of rows per parent, by class.
    """

    via: str | None = None
    column: str | None = None
    values: tuple[str, ...] = ()
    levels: bool = False
    within: bool = False
    degrees: Mapping[int, Degrees] = field(default_factory=dict)

    def classes(self, parent: pd.DataFrame) -> Integers:
        """Return the class of each row of the parent table, shape (rows,)."""
        if self.column is None:
            return np.zeros(len(parent), np.int64)
        return _classes(parent[self.column], self.values)

    def assign(
        self,
        wanted: Integers,
        classes: Integers,
        groups: Integers | None,
        rng: np.random.Generator,
    ) -> Integers:
        """Return the parent's row number of each row, -1 for none, shape (n,).

        Args:
            wanted: Class of each row's parent, -1 for none, shape (n,).
            classes: Class of each parent, shape (parents,).
            groups: Main parent of each row, used if ``within``; None for a root table.
            rng: Random generator.
        """
        out = np.full(len(wanted), -1, np.int64)
        for number in np.unique(wanted[wanted >= 0]):
            rows, parents = np.flatnonzero(wanted == number), np.flatnonzero(classes == number)
            if not len(parents) and not self.levels:
                parents = np.arange(len(classes))
            if not len(parents):
                continue
            if self.within and groups is not None:
                out[rows] = _pick_within(groups[rows], parents, groups[parents], rng)
            else:
                degrees = self.degrees.get(int(number)) or next(iter(self.degrees.values()))
                out[rows] = parents[_spread(len(rows), len(parents), degrees, rng)]
        return out

    def to_dict(self) -> dict[str, Any]:
        """Return the match as plain data."""
        degrees = {str(number): [list(pair) for pair in pairs] for number, pairs in self.degrees.items()}
        return {**vars(self), "values": list(self.values), "degrees": degrees}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        degrees = {int(n): tuple((int(a), int(b)) for a, b in pairs) for n, pairs in data["degrees"].items()}
        return cls(**{**data, "values": tuple(data["values"]), "degrees": degrees})


def fit_match(
    child: pd.DataFrame, rows: Integers, parent: pd.DataFrame, schema: Schema, roots: Integers, min_group: int
) -> tuple[Match, Integers]:
    """Return the match of a key to another table, and the class of each row's parent, -1 for none.

    Args:
        child: The rows that have the key, in the form in which they are learned.
        rows: The parent's row number of each, -1 for none, shape (n,).
        parent: The parent table without keys.
        schema: Its schema.
        roots: The root's row number of each parent, shape (parents,).
        min_group: Minimum number of roots with a parent of the class.
    """
    best, information = Match(), 0.0
    labels = [_labels(child[name]) for name in child]
    for name in schema:
        if not isinstance(schema[name], (Categorical, Boolean)):
            continue
        text = parent[name].astype(str)
        n_roots = pd.Series(roots).groupby(text.to_numpy()).nunique()
        values = tuple(str(value) for value in text.value_counts().index if n_roots[value] >= min_group)[:MAX_CLASSES]
        row_classes = np.append(_classes(parent[name], values), -1)[rows]
        total = sum(_information(row_classes[row_classes >= 0], one[row_classes >= 0]) for one in labels)
        if len(values) > 1 and total > information:
            best, information = Match(column=name, values=values), total
    classes = best.classes(parent)
    match = Match(column=best.column, values=best.values, degrees=_degrees(rows, classes))
    return match, np.append(classes, -1)[rows]


def fit_levels(rows: Integers, groups: Integers | None) -> tuple[Match, Integers]:
    """Return the match of a table's reference to itself, and the level of each row's parent, -1 for none.

    Rows that refer to each other in a cycle have no level; they are treated as rows without a parent.

    Args:
        rows: The parent's row number of each row, -1 for none, shape (n,).
        groups: The main parent of each row, None for a root table.
    """
    levels = np.where(rows < 0, 0, -1)
    while True:
        above = np.append(levels, -1)[rows]
        new = (levels < 0) & (above >= 0)
        if not new.any():
            break
        levels[new] = above[new] + 1
    known = (rows >= 0) & (levels > 0)
    within = groups is not None and bool(known.any() and (groups[rows[known]] == groups[known]).all())
    return Match(levels=True, within=within, degrees=_degrees(np.where(known, rows, -1), levels)), np.maximum(
        levels - 1, -1
    )


def _degrees(rows: Integers, classes: Integers) -> dict[int, Degrees]:
    """Return the numbers of rows per parent of each class of parents."""
    counts = np.bincount(rows[rows >= 0], minlength=len(classes))
    out: dict[int, Degrees] = {}
    for number in np.unique(classes[classes >= 0]):
        value, often = np.unique(counts[classes == number], return_counts=True)
        out[int(number)] = tuple((int(a), int(b)) for a, b in zip(value, often, strict=True))
    return out


def _spread(n: int, size: int, degrees: Degrees, rng: np.random.Generator) -> Integers:
    """Return the position of the parent of each of n rows among ``size`` parents, shape (n,)."""
    value, often = (np.array(item, np.float64) for item in zip(*degrees, strict=True))
    degree = rng.choice(value, size, p=often / often.sum())
    if not degree.sum():
        degree = np.ones(size)
    exact = degree * (n / degree.sum())
    whole = np.floor(exact).astype(np.int64)
    shuffled = rng.permutation(size)
    whole[shuffled[np.argsort(-(exact - whole)[shuffled], kind="stable")][: n - whole.sum()]] += 1
    return rng.permutation(np.repeat(np.arange(size), whole))


def _pick_within(groups: Integers, parents: Integers, parent_groups: Integers, rng: np.random.Generator) -> Integers:
    """Return a random parent of the same group for each row, -1 where there is none."""
    order = np.argsort(parent_groups, kind="stable")
    first = np.searchsorted(parent_groups[order], groups, side="left")
    count = np.searchsorted(parent_groups[order], groups, side="right") - first
    at = first + np.floor(rng.random(len(groups)) * count).astype(np.int64)
    return np.where(count > 0, parents[order][np.minimum(at, len(parents) - 1)], -1)


def _classes(values: pd.Series, known: tuple[str, ...]) -> Integers:
    """Return the class of each value: its index in ``known``; ``len(known)`` for other values."""
    at = pd.Index(known).get_indexer(pd.Index(values.astype(str)))
    return np.where(at < 0, len(known), at).astype(np.int64)


def _labels(values: pd.Series) -> Integers:
    """Return classes of a column: its most frequent values and the rest, or quantiles of a number."""
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > MAX_CLASSES:
        return np.asarray(pd.qcut(values, MAX_CLASSES // 2, labels=False, duplicates="drop").fillna(-1) + 1, np.int64)
    text = values.astype(str)
    return _classes(text, tuple(text.value_counts().index[:MAX_CLASSES]))


def _information(one: Integers, other: Integers) -> float:
    """Mutual information of two columns of classes above its mean under independence, in nats, at least 0."""
    if not len(one):
        return 0.0
    table = np.zeros((int(one.max()) + 1, int(other.max()) + 1))
    np.add.at(table, (one, other), 1)
    both = table / len(one)
    expected = both.sum(1, keepdims=True) * both.sum(0, keepdims=True)
    seen = both > 0
    excess = (np.sum(table.any(1)) - 1) * (np.sum(table.any(0)) - 1) / (2 * len(one))
    return max(float((both[seen] * np.log(both[seen] / expected[seen])).sum() - excess), 0.0)
