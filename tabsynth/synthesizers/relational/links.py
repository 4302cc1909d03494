"""The rows of a database as linked positions: checked keys, each child's parent row and root row."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.data.database.root_rows import check_keys
from tabsynth.errors import DataError, InputError, SchemaError, quote
from tabsynth.relations.declared.feasibility import check_feasible
from tabsynth.schema.columns import Identifier
from tabsynth.schema.constraints import Unique
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey

CHUNK_ROWS = 100_000
"""Rows of all tables in a chunk of a sample."""


def check_tables(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> None:
    """Check that the tables and keys agree with the schema.

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
    check_keys(tables, schema)
    for link in schema.foreign_keys:
        parent_rows(tables, schema, link)
    for name in schema.roots:
        if len(tables[name]) < 2:
            raise DataError(
                f"the table {name!r} has {len(tables[name])} rows; "
                "declare it in `reference` if it is public, or leave it out"
            )


def check_root_columns(name: str, columns: Collection[str]) -> None:
    """Check that a root table has columns to learn: columns other than keys, or plans of its children.

    Raises:
        DataError: There are no such columns.
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
        # A row without a parent counts as a root.
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


def requested_rows(
    schema: DatabaseSchema, training_rows: Mapping[str, int], n: int | Mapping[str, int] | None, scale: float | None
) -> dict[str, int]:
    """Return the number of rows to sample of each root table; see ``RelationalSynthesizer.sample``.

    Raises:
        InputError: ``n`` or ``scale`` is not a number of rows.
    """
    roots = schema.roots
    if scale is not None:
        if n is not None or isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < 1e6:
            raise InputError(f"scale must be a positive number, given instead of n; scale is {scale!r}, n is {n!r}")
        return {name: max(round(training_rows[name] * scale), 1) for name in roots}
    if isinstance(n, Mapping):
        unknown = [name for name in n if name not in roots]
        if unknown:
            raise InputError(f"n names {quote(unknown)}; the root tables are {quote(roots)}")
        wanted = {name: n.get(name, training_rows[name]) for name in roots}
    elif n is None or len(roots) == 1:
        wanted = {name: training_rows[name] if n is None else n for name in roots}
    else:
        raise InputError(f"there are several root tables: give n as {{{roots[0]!r}: {n!r}, ...}}, or scale")
    for name, rows in wanted.items():
        if isinstance(rows, bool) or not isinstance(rows, (int, np.integer)) or rows < 0:
            raise InputError(f"n of {name!r} must be a whole number of rows, not {rows!r}")
    return {name: int(rows) for name, rows in wanted.items()}


def split_rows(
    schema: DatabaseSchema, training_rows: Mapping[str, int], wanted: Mapping[str, int], chunk: int | None
) -> list[dict[str, int]]:
    """Return the rows of each root table in each chunk.

    Args:
        schema: The database.
        training_rows: Number of training rows of each table.
        wanted: Rows of each root table in all chunks.
        chunk: Rows of the largest root table in a chunk; by default those of about ``CHUNK_ROWS`` rows of all tables.
    """
    if chunk is None:
        total = sum(rows for name, rows in training_rows.items() if name not in schema.reference)
        chunk = max(1, CHUNK_ROWS * max(training_rows[name] for name in wanted) // max(total, 1))
    count = max(1, -(-max(wanted.values()) // chunk))
    return [
        {name: rows * (at + 1) // count - rows * at // count for name, rows in wanted.items()} for at in range(count)
    ]


def repeatable_key(*schemas: DatabaseSchema) -> str | None:
    """Return a description of a key that could occur in two chunks, because chunks are sampled independently.

    Such a key contains neither the table's primary key, nor a foreign key, nor an identifier.
    """
    for schema in schemas:
        for name, own in schema.tables.items():
            if name in schema.reference:
                continue
            links = [key for key in schema.foreign_keys if key.table == name]
            shared = {key.column for key in links if key.parent in schema.reference}
            fresh = {column for column in own if isinstance(own[column], Identifier)}
            fresh |= {key.column for key in links} | {schema.primary_keys.get(name, "")}
            keys = [rule.of for rule in own.constraints if isinstance(rule, Unique)]
            keys += [schema.composite_keys[name]] if name in schema.composite_keys else []
            for key in keys:
                if not (fresh - shared) & set(key):
                    return f"({', '.join(key)}) of {name!r}"
    return None
