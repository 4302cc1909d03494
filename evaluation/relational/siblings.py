"""Siblings: ordered children of each parent, their aggregates, and features of each row's relatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.relational.encoded_database import EncodedDatabase, Mask
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.schema.columns import Datetime
from tabsynth.schema.database.database_schema import ForeignKey

N_LEVELS = 6
"""Number of most frequent categories whose shares among the children are aggregates."""

N_KIN_LEVELS = 3
"""Number of most frequent categories whose shares among the siblings of a row are features."""


@dataclass(frozen=True, eq=False)
class Siblings:
    """The children of a link, sorted by parent and order.

    Attributes:
        rows: Row numbers of the children that have a parent, sorted by parent and order, shape (k,).
        parent: Row number of each child's parent, shape (k,).
        follows: Whether the previous row is a sibling, shape (k,).
        place: Position among the siblings, from 0, shape (k,).
    """

    rows: Integers
    parent: Integers
    follows: Mask
    place: Integers

    @classmethod
    def of(cls, database: EncodedDatabase, key: ForeignKey) -> Siblings:
        """Sort the children of a link; rows with equal order values keep their order in the table."""
        parents = database.parents[key]
        order = database.order.get(key.table, np.zeros(len(parents)))
        rows = np.lexsort((order, parents))
        rows = rows[parents[rows] >= 0]
        parent = parents[rows]
        follows = np.zeros(len(rows), bool)
        follows[1:] = parent[1:] == parent[:-1]
        start = np.maximum.accumulate(np.where(follows, 0, np.arange(len(rows)))) if len(rows) else rows
        return cls(rows, parent, follows, np.arange(len(rows)) - start)


def count_children(database: EncodedDatabase, key: ForeignKey) -> Integers:
    """Return the number of children of each parent row."""
    rows = database.parents[key]
    return np.bincount(rows[rows >= 0], minlength=len(database.tables[key.parent]))


def aggregate(database: EncodedDatabase, key: ForeignKey, levels: int = N_LEVELS) -> tuple[tuple[str, ...], Floats]:
    """Aggregate the children of each parent, shape (parents, k); NaN if a parent has too few children.

    Aggregates are the number of children; mean, standard deviation and maximum of numbers and dates, and the sum of
    numbers; the number of distinct values of each category and the shares of the most frequent ones; with an order, the
    first value, the span, and mean and standard deviation of the steps.
    """
    table, n = database.tables[key.table], len(database.tables[key.parent])
    siblings = Siblings.of(database, key)
    parent, count = siblings.parent, count_children(database, key).astype(np.float64)
    names, columns = ["number"], [count]
    at = 0
    schema, order = database.schema.tables[key.table], database.schema.order.get(key.table)
    for j, name in enumerate(table.encoding.names):
        if table.encoding.continuous[j]:
            values = table.values[siblings.rows, at]
            at += 1
            if name == order:
                continue
            mean, spread = _moments(parent, values, n)
            names += [f"mean of {name}", f"spread of {name}", f"maximum of {name}"]
            columns += [mean, spread, _extreme(parent, values, n, np.fmax)]
            if not isinstance(schema[name], Datetime):
                names.append(f"sum of {name}")
                columns.append(mean * _present(parent, values, n))
        else:
            codes = table.codes[siblings.rows, j]
            pairs = np.unique(parent * int(table.encoding.sizes[j]) + codes)
            names.append(f"different {name}")
            distinct = np.bincount(pairs // int(table.encoding.sizes[j]), minlength=n).astype(np.float64)
            columns.append(np.where(count > 0, distinct, np.nan))
            for level in range(1, min(levels, len(table.encoding.labels[j])) + 1):
                names.append(f"share of {name} = {table.encoding.labels[j][level - 1]}")
                columns.append(_divide(np.bincount(parent[codes == level], minlength=n), count))
    if order is not None:
        values = database.order[key.table][siblings.rows]
        first, last = _extreme(parent, values, n, np.fmin), _extreme(parent, values, n, np.fmax)
        gaps = np.diff(values, prepend=np.nan)[siblings.follows]
        mean, spread = _moments(parent[siblings.follows], gaps, n)
        names += [f"first {order}", f"span of {order}", f"mean step of {order}", f"spread of steps of {order}"]
        columns += [first, last - first, mean, spread]
    return tuple(names), np.column_stack(columns)


def kin_features(database: EncodedDatabase, key: ForeignKey) -> tuple[tuple[str, ...], Floats, Integers]:
    """Return features of each child: its parent, its position, the previous sibling, and aggregates of all siblings.

    Returns:
        Names, features of shape (children, k), and the row numbers of the children.
    """
    table, above = database.tables[key.table], database.tables[key.parent]
    siblings = Siblings.of(database, key)
    own, parent = table.features()[siblings.rows], above.features()[siblings.parent]
    previous = np.full_like(own, np.nan)
    follows = np.flatnonzero(siblings.follows)
    previous[follows] = own[follows - 1]
    numbers = table.encoding.continuous
    change = own - previous
    change[:, ~numbers] = np.where(np.isnan(previous), np.nan, own == previous)[:, ~numbers]
    names, aggregates = aggregate(database, key, N_KIN_LEVELS)
    selected = [i for i, name in enumerate(names) if name.startswith(("number", "mean of", "spread of", "share of"))]
    columns = [own, parent, siblings.place[:, None], previous, change, aggregates[siblings.parent][:, selected]]
    titles = [
        *table.encoding.names,
        *(f"{key.parent}.{name}" for name in above.encoding.names),
        "place",
        *(f"{name} before" for name in table.encoding.names),
        *(f"{'step of' if n else 'same'} {name}" for name, n in zip(table.encoding.names, numbers, strict=True)),
        *(f"siblings: {names[i]}" for i in selected),
    ]
    return tuple(titles), np.hstack(columns), siblings.rows


def place_table(table: EncodedTable, rows: Integers) -> EncodedTable:
    """Select rows of a table by number; -1 gives a row of missing values."""
    codes = np.vstack([table.codes, np.zeros((1, table.codes.shape[1]), np.int64)])  # the last row is for -1
    values = np.vstack([table.values, np.full((1, table.values.shape[1]), np.nan)])
    return EncodedTable(table.encoding, codes[rows], values[rows])


def _present(parent: Integers, values: Floats, n: int) -> Floats:
    return np.bincount(parent[~np.isnan(values)], minlength=n).astype(np.float64)


def _moments(parent: Integers, values: Floats, n: int) -> tuple[Floats, Floats]:
    """Return the mean and standard deviation of the present values of each parent."""
    known = ~np.isnan(values)
    count = _present(parent, values, n)
    centre = float(values[known].mean()) if known.any() else 0.0
    shifted = values[known] - centre
    mean = _divide(np.bincount(parent[known], shifted, minlength=n), count)
    square = _divide(np.bincount(parent[known], shifted**2, minlength=n), count)
    variance = np.maximum(square - mean**2, 0.0) * _divide(count, count - 1)
    return mean + centre, np.sqrt(variance)


def _extreme(parent: Integers, values: Floats, n: int, which: np.ufunc) -> Floats:
    out = np.full(n, np.nan)
    which.at(out, parent, values)
    return out


def _divide(total: np.ndarray, count: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(count > 0, total / count, np.nan)
