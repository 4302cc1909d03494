"""Proposals for primary keys, foreign keys and the order of rows, from the tables of a database."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tabsynth.schema.columns import Datetime, Identifier, Numeric
from tabsynth.schema.schema import Schema

MIN_SHARED_KEYS = 10
"""Minimum distinct values that a foreign key shares with its parent; small tables need half of their values."""

GENERIC = frozenset({"id", "key", "uuid"})
"""Generic names of keys, which do not name a table."""

Link = tuple[str, str, str]
"""Child table, its column, parent table."""


def propose_keys(
    frames: Mapping[str, pd.DataFrame], schemas: Mapping[str, Schema]
) -> tuple[dict[str, str], list[Link], dict[str, str]]:
    """Propose primary keys, foreign keys and order columns.

    Args:
        frames: The tables by name.
        schemas: Their schemas.
    """
    primary = {name: key for name in frames if (key := _primary_key(name, frames[name], schemas[name])) is not None}
    links = [link for name in frames for link in _foreign_keys(name, frames, schemas, primary)]
    children = {child for child, _, parent in links if child != parent}
    dates = {
        name: [column for column in schemas[name] if isinstance(schemas[name][column], Datetime)] for name in children
    }
    order = {name: columns[0] for name, columns in dates.items() if columns}
    return primary, links, order


def _primary_key(name: str, frame: pd.DataFrame, schema: Schema) -> str | None:
    """Return the column without repeats or missing values whose name is most like a key of its table."""
    unique = [
        column
        for column in schema
        if may_be_key(schema, column) and frame[column].notna().all() and frame[column].is_unique
    ]
    stem = name.lower().rstrip("s")
    named = [column for column in unique if column.lower() in {*GENERIC, f"{stem}_id", f"{stem}id", stem}]
    identifiers = [column for column in unique if isinstance(schema[column], Identifier)]
    return next(iter([*named, *identifiers]), None)


def may_be_key(schema: Schema, column: str) -> bool:
    """Return whether a column may contain keys: identifiers, or whole numbers."""
    kind = schema[column]
    return isinstance(kind, Identifier) or (isinstance(kind, Numeric) and kind.decimals in (0, None))


def _foreign_keys(
    name: str, frames: Mapping[str, pd.DataFrame], schemas: Mapping[str, Schema], primary: Mapping[str, str]
) -> list[Link]:
    """Return the foreign keys of one table, the parent with the smallest groups first."""
    found: list[tuple[int, Link]] = []
    for column in schemas[name]:
        values = frames[name][column].dropna()
        distinct = values.unique()
        candidates = []
        for parent, key in primary.items():
            if not len(distinct) or (parent == name and column == key):
                continue
            own = frames[parent][key]
            shared = min(MIN_SHARED_KEYS, max(len(own) // 2, 1))
            if own.dtype.kind == values.dtype.kind and len(distinct) >= shared and pd.Series(distinct).isin(own).all():
                stem = parent.lower().rstrip("s")
                candidates.append(
                    (stem not in column.lower(), column.lower() != key.lower() or key.lower() in GENERIC, parent)
                )
        named = [one for one in candidates if not (one[0] and one[1])]
        textual = [one for one in candidates if values.dtype.kind not in "iuf" and column != primary.get(name)]
        chosen = min(named or textual, default=None)
        if chosen is not None:
            found.append((-len(distinct) if chosen[2] != name else 0, (name, column, chosen[2])))
    return [link for _, link in sorted(found, key=lambda one: one[0])]
