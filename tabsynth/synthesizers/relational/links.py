"""The rows of a database as linked positions: checked keys, each child's parent row and root row."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.errors import DataError, InputError, SchemaError, quote
from tabsynth.relations.declared.feasibility import check_feasible
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey


def check_tables(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> None:
    """Check that tables and keys are what the schema says.

    Raises:
        InputError: A table is missing or unknown.
        SchemaError: Constraints of a table contradict each other.
        DataError: A primary key repeats or is missing, or a foreign key has no parent.
    """
    missing, unknown = set(schema.tables) - set(tables), set(tables) - set(schema.tables)
    if missing or unknown:
        raise InputError(
            f"the tables are not those of the schema: missing {quote(sorted(missing)) or 'none'}, "
            f"not in the schema {quote(sorted(unknown)) or 'none'}"
        )
    for name, own in schema.tables.items():
        try:
            check_feasible(own)
        except SchemaError as error:
            raise SchemaError(f"table {name!r}: {error}") from error
    for name, key in schema.primary_keys.items():
        values = tables[name][key]
        if values.isna().any():
            raise DataError(f"the primary key {name}.{key} is missing in {int(values.isna().sum())} rows")
        if not values.is_unique:
            raise DataError(
                f"the primary key {name}.{key} repeats in {int(values.duplicated().sum())} rows; "
                "remove the repeated rows or declare another key"
            )
    for name, columns in schema.composite_keys.items():
        repeated = int(tables[name].duplicated(list(columns)).sum())
        if repeated:
            raise DataError(
                f"the primary key of {name!r} ({quote(columns)}) repeats in {repeated} rows; "
                "remove the repeated rows or declare another key"
            )
    for link in schema.foreign_keys:
        parent_rows(tables, schema, link)
    for name in schema.roots:
        if len(tables[name]) < 2:
            raise DataError(
                f"the table {name!r} has {len(tables[name])} rows; "
                "declare it in `reference` if it is public, or leave it out"
            )


def check_root_columns(name: str, columns: Collection[str]) -> None:
    """Check that a root table has something to learn: columns besides its keys, or plans of its children.

    Raises:
        DataError: It has none.
    """
    if not columns:
        raise DataError(
            f"the table {name!r} has no column but its keys, and no table is below it: there is nothing to learn; "
            "declare it in `reference` if its keys are public, or leave out the table and the keys that refer to it"
        )


def parent_rows(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, link: ForeignKey) -> Integers:
    """Return the parent's row number of each row of the child table, -1 where the key is missing, shape (n,).

    Raises:
        DataError: A key has no parent.
    """
    values, keys = tables[link.table][link.column], tables[link.parent][schema.primary_keys[link.parent]]
    rows = pd.Index(keys).get_indexer(pd.Index(values)).astype(np.int64)
    dangling = (rows < 0) & values.notna().to_numpy()
    if dangling.any():
        raise DataError(
            f"{int(dangling.sum())} rows of {link.table}.{link.column} refer to no row of {link.parent}; "
            "remove these rows, or set the key to missing"
        )
    return np.where(values.isna().to_numpy(), -1, rows)


def root_rows(main: Mapping[str, Integers], schema: DatabaseSchema, sizes: Mapping[str, int]) -> dict[str, Integers]:
    """Return the root's row number of each row of each table, by main foreign keys.

    Args:
        main: The main parent's row number of each row of each child table.
        schema: The tables.
        sizes: Number of rows of each table.
    """
    out: dict[str, Integers] = {}
    for name in schema.sorted_tables:
        link = schema.main_key(name)
        if link is None:
            out[name] = np.arange(sizes[name])
            continue
        # A row without a parent is a root of its own.
        alone = sum(sizes.values()) * (1 + len(out)) + np.arange(sizes[name])
        out[name] = np.where(main[name] < 0, alone, np.append(out[link.parent], -1)[main[name]])
    return out


def copied_from(
    tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, link: ForeignKey, main: Integers
) -> str | None:
    """Return the column of the main parent that agrees with a foreign key in every row, if there is one."""
    main_key = schema.main_key(link.table)
    if main_key is None:
        return None
    values = tables[link.table][link.column].to_numpy(dtype=object)
    if main_key.parent == link.parent:
        key = schema.primary_keys[main_key.parent]
        candidates = [key]
    else:
        candidates = [k.column for k in schema.foreign_keys if k.table == main_key.parent and k.parent == link.parent]
    for column in candidates:
        parent = tables[main_key.parent][column].to_numpy(dtype=object)[main]
        if (pd.Series(values).astype(object).fillna("") == pd.Series(parent).astype(object).fillna("")).all():
            return column
    return None
