"""Rows of a database by the root row they belong to: a patient with all visits. Splits keep such histories whole."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.errors import DataError, InputError, quote
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey


def parent_rows(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, key: ForeignKey) -> Integers:
    """Return the parent's row number of each child row, -1 where the key is missing or has no parent, shape (n,).

    Keys are compared as numbers if both columns are numbers, else as text, so that 7, 7.0 and "7" are one key.
    """
    values, keys = tables[key.table][key.column], tables[key.parent][schema.primary_keys[key.parent]]
    if not all(pd.api.types.is_numeric_dtype(column.dtype) for column in (values, keys)):
        values, keys = (_as_text(column) for column in (values, keys))
    known = ~keys.isna().to_numpy() & ~keys.duplicated().to_numpy()
    rows = np.flatnonzero(known)
    found = pd.Index(keys[known]).get_indexer(pd.Index(values))
    found = np.where(values.isna().to_numpy(), -1, found)
    return np.where(found >= 0, rows[found] if len(rows) else -1, -1).astype(np.int64)


def check_keys(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> None:
    """Check the keys of a database, before its rows are learned or split.

    A split of a database with such rows would lose rows without a parent, and could put a person on both sides.

    Raises:
        DataError: A primary key repeats or is missing, or a foreign key has no parent.
    """
    for name, key in schema.primary_keys.items():
        values = tables[name][key]
        if values.isna().any():
            raise DataError(
                f"the primary key {name}.{key} is missing in {int(values.isna().sum())} rows; remove these rows"
            )
        repeated = values.duplicated()
        if repeated.any():
            raise DataError(
                f"the primary key {name}.{key} repeats in {int(repeated.sum())} rows, such as "
                f"{quote(values[repeated], 1)}; remove the repeated rows or declare another key"
            )
    for name, columns in schema.composite_keys.items():
        count = int(tables[name].duplicated(list(columns)).sum())
        if count:
            raise DataError(
                f"the primary key of {name!r} ({quote(columns)}) repeats in {count} rows; "
                "remove the repeated rows or declare another key"
            )
    for link in schema.foreign_keys:
        values = tables[link.table][link.column]
        dangling = values.notna().to_numpy() & (parent_rows(tables, schema, link) < 0)
        if dangling.any():
            raise DataError(
                f"{int(dangling.sum())} rows of {link.table}.{link.column} refer to no row of {link.parent}, such as "
                f"{quote(values[dangling], 1)}; remove these rows, or set the key to missing"
            )


def _as_text(values: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(values.dtype) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype(object).map(str, na_action="ignore")


def root_table(schema: DatabaseSchema) -> str:
    """Return the root table with the most tables below it: its rows are the units of a split."""
    return max(schema.roots, key=lambda name: len(tables_below(schema, name)))


def tables_below(schema: DatabaseSchema, name: str) -> list[str]:
    """Return a table and those whose rows are its histories, by main foreign keys."""
    out = [name]
    for child in schema.children(name):
        out += tables_below(schema, child)
    return out


def root_rows(
    tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, parents: Mapping[ForeignKey, Integers] | None = None
) -> dict[str, Integers]:
    """Return the row number, in its own root table, of the root of each row; -1 where a history has no root.

    Args:
        tables: The tables by name.
        schema: Their schema.
        parents: ``parent_rows`` of the main foreign keys, if known.
    """
    out: dict[str, Integers] = {}
    for name in schema.sorted_tables:
        key = schema.main_key(name)
        if key is None:
            out[name] = np.arange(len(tables[name]))
            continue
        rows = parent_rows(tables, schema, key) if parents is None else parents[key]
        out[name] = np.append(out[key.parent], -1)[rows]  # the last entry is for rows without a parent
    return out


def take_roots(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    chosen: npt.NDArray[np.bool_],
    *,
    rootless: bool = False,
) -> dict[str, pd.DataFrame]:
    """Return the database of some root rows and all below them; the other tables are kept whole.

    Foreign keys that are not a table's main one and refer to a row that is left out are set to missing.

    Args:
        tables: The tables by name.
        schema: Their schema.
        chosen: The chosen rows of the root table, shape (n,).
        rootless: Keep the rows whose history has no root.
    """
    roots, below = root_rows(tables, schema), tables_below(schema, root_table(schema))
    keep = {name: np.append(chosen, rootless)[roots[name]] for name in below}
    out = {n: frame[keep[n]].reset_index(drop=True) if n in keep else frame for n, frame in tables.items()}
    for key in schema.foreign_keys:
        if key.parent in keep and key != schema.main_key(key.table):
            left_out = out[key.table][key.column].notna().to_numpy() & (parent_rows(out, schema, key) < 0)
            if left_out.any():
                out[key.table] = out[key.table].assign(**{key.column: out[key.table][key.column].mask(left_out)})
    return out


def split_by_root(
    tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, share: float, *, seed: int, independent: bool = False
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """Split a database into training and held-out rows; a root row and all below it are on one side.

    Rows whose history has no root are training rows.

    Args:
        tables: The tables by name.
        schema: Their schema.
        share: Share of held-out root rows.
        seed: Fixes the split.
        independent: Hold out each root row independently at random, for a private fit: who is learned then depends on
            no other person, as in ``split_independently``.

    Raises:
        InputError: A side would have no root row.
        DataError: A primary key repeats, or a foreign key has no parent (not checked if ``independent``).
    """
    if not independent:  # an error would depend on the rows
        check_keys(tables, schema)
    rows, rng = len(tables[root_table(schema)]), np.random.default_rng(seed)
    if independent:
        chosen = rng.random(rows) < share
    else:
        chosen = np.isin(np.arange(rows), rng.permutation(rows)[: round(share * rows)])
    if chosen.all() or not chosen.any():
        count = "the" if independent else f"{rows}"
        raise InputError(f"a holdout of {share:g} of {count} rows of {root_table(schema)!r} leaves one side empty")
    return take_roots(tables, schema, ~chosen, rootless=True), take_roots(tables, schema, chosen)
