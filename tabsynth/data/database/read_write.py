"""Read and write all linked tables of a database: one snapshot is read, one transaction writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from tabsynth.data.read_write import cast_columns, infer_declared
from tabsynth.data.sql.create_table import new_definition
from tabsynth.data.sql.definitions import Database, Link, TableDefinition
from tabsynth.data.sql.names import TableName
from tabsynth.data.sql.read_write import frame_of, has_token, open_database
from tabsynth.data.sql.row_writer import MARKS, insert_rows, mark_written, to_arrow
from tabsynth.data.sql.schemas import database_schema
from tabsynth.data.sql.urls import parse_url
from tabsynth.data.table import Table
from tabsynth.errors import DataError, SourceError, quote
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey

DatabaseMode = Literal["create", "replace"]


def read_database(
    url: str, schema: DatabaseSchema | None = None, tables: Iterable[str] | None = None
) -> tuple[dict[str, pd.DataFrame], DatabaseSchema]:
    """Read linked tables, all from one snapshot where the database has such.

    Args:
        url: The database, such as ``postgresql://user@host/clinic``.
        schema: The schema, to which columns are cast. By default what the database declares, completed by what the rows
            suggest: kinds of columns, the order of histories, and keys where the database declares no link.
        tables: Which tables, also as ``schema.table``; by default those of the schema, else all that need no name of a
            schema.

    Returns:
        The tables by name, and their schema.

    Raises:
        SourceError: The database cannot be read, has no such table, or has one table only.
        InputError: A table has no rows, or does not fit the schema.
    """
    place = parse_url(url)
    wanted = list(tables) if tables is not None else None if schema is None else list(schema.tables)
    declared = database_schema(url, wanted)
    names = [name for name in declared.tables if name != str(MARKS)]
    if schema is None and len(names) < 2:
        raise SourceError(f"{place.label} has one table; name it: {place.label}#{names[0] if names else 'table'}")
    frames: dict[str, pd.DataFrame] = {}
    with open_database(place) as database:
        for name in names:
            select = database.select(TableName.parse(name))
            frames[name] = place.attempt(
                f"read the table {name!r} from",
                lambda select=select: frame_of(database.batches(select)),  # type: ignore[misc]
            )
    if schema is not None:
        missing = [name for name in schema.tables if name not in frames]
        if missing:
            raise SourceError(f"{place.label} has no tables {quote(missing)}; it has {quote(frames, 20)}")
        frames = {name: cast_columns(frames[name], own) for name, own in schema.tables.items()}
        filled = {name: Table.of(frame, schema.tables[name]).frame for name, frame in frames.items() if len(frame)}
        return {**frames, **filled}, schema
    empty = [name for name, frame in frames.items() if not len(frame)]
    if empty:
        raise DataError(f"{place.label}: the tables {quote(empty)} have no rows; declare a schema, or leave them out")
    read = {name: infer_declared(frame, declared.tables[name], name) for name, frame in frames.items()}
    frames = {name: table.frame for name, table in read.items()}
    proposed = DatabaseSchema.infer(frames, {name: table.schema for name, table in read.items()})
    return frames, _with_declared_keys(proposed, declared)


def _with_declared_keys(proposed: DatabaseSchema, declared: DatabaseSchema) -> DatabaseSchema:
    """Return the proposal with the declared links, in the proposed order: the first one is the main one."""
    links = [key for key in declared.foreign_keys if str(MARKS) not in (key.table, key.parent)]
    if not links:
        return proposed
    places = {key: place for place, key in enumerate(proposed.foreign_keys)}
    ranked = sorted(links, key=lambda key: places.get(key, len(places)))
    composite = {name: key for name, key in declared.composite_keys.items() if name in proposed.tables}
    primary = {**proposed.primary_keys, **declared.primary_keys}
    primary = {name: key for name, key in primary.items() if name in proposed.tables and name not in composite}
    return replace(proposed, primary_keys=primary, foreign_keys=tuple(ranked), composite_keys=composite, questions={})


def write_database(
    tables: Mapping[str, pd.DataFrame],
    url: str,
    schema: DatabaseSchema,
    mode: DatabaseMode = "create",
    *,
    token: str | None = None,
) -> None:
    """Write linked tables in one transaction: all rows of all tables appear at the end, or none.

    Args:
        tables: The tables by name.
        url: The database.
        schema: Types, NOT NULL, checks, primary and foreign keys of new tables.
        mode: ``create`` new tables, or ``replace`` the rows of those that exist and create the others.
        token: Marks this write in the database; nothing is written if it is there already.

    Raises:
        SourceError: A table exists (``create``), or the database refuses a row.
        DataError: A table that exists has other columns.
    """
    place = parse_url(url)
    if place.table is not None:
        raise SourceError(f"{place.label} names a table; linked tables need the URL of a database")
    if token is not None and place.is_there and has_token(url, token):
        return
    names = {name: TableName.parse(name) for name in schema.sorted_tables}
    with open_database(place, writable=True) as database:
        there: dict[str, TableDefinition] = {}
        for name, target in names.items():
            found = place.attempt("read", lambda target=target: database.definition(target))  # type: ignore[misc]
            if found is not None:
                there[name] = found
        if mode == "create" and there:
            raise SourceError(f"{place.label} has the tables {quote(there, 12)} already; write with mode='replace'")
        for name, definition in there.items():
            _check_columns(name, list(map(str, tables[name].columns)), definition)
        place.attempt("write to", lambda: database.empty_tables([names[name] for name in reversed(there)]))
        written: dict[str, TableDefinition] = {}
        for name in names:
            written[name] = place.attempt(
                f"write the table {name!r} to",
                lambda name=name: _write_table(  # type: ignore[misc]
                    database, name, tables[name], schema, there.get(name), written
                ),
            )
        if token is not None:
            place.attempt("write to", lambda: mark_written(database, token))
        place.attempt("write to", database.commit)


def check_database_output(url: str, schema: DatabaseSchema) -> None:
    """Raise early where the rows of existing tables could not be replaced later.

    Raises:
        SourceError: The database cannot be read.
        DataError: A table that exists has other columns.
    """
    place = parse_url(url)
    if not place.is_there:
        return
    with open_database(place) as database:
        for name in schema.sorted_tables:
            target = TableName.parse(name)
            found = place.attempt("read", lambda target=target: database.definition(target))  # type: ignore[misc]
            if found is not None:
                _check_columns(name, list(schema.tables[name]), found)


def _write_table(
    database: Database,
    name: str,
    frame: pd.DataFrame,
    schema: DatabaseSchema,
    existing: TableDefinition | None,
    parents: Mapping[str, TableDefinition],
) -> TableDefinition:
    """Create a table where it is missing, and insert its rows; returns its definition."""
    target, definition = TableName.parse(name), existing
    if definition is None:
        definition = new_definition(database, to_arrow(frame).schema, schema.tables[name])
        definition = _with_keys(definition, name, schema, parents)
        database.create(target, definition)
    own = [key for key in schema.foreign_keys if key.table == key.parent == name]
    for rows in _parents_first(frame, schema.primary_keys[name], [key.column for key in own]) if own else [frame]:
        insert_rows(database, target, definition, schema.tables[name], rows)
    return definition


def _parents_first(frame: pd.DataFrame, key: str, links: list[str]) -> Iterator[pd.DataFrame]:
    """Yield the rows of a table that refers to itself, each after the rows that it refers to; rows of a cycle last."""
    place = pd.Index(frame[key])
    parents = [place.get_indexer(pd.Index(frame[link])) for link in links] if place.is_unique else []
    waits = np.ones(len(frame), bool)
    while waits.any():
        ready = waits.copy()
        for rows in parents:
            ready &= (rows < 0) | ~waits[rows] | (rows == np.arange(len(frame)))
        if not ready.any():
            ready = waits
        yield frame[ready]
        waits = waits & ~ready


def _check_columns(name: str, columns: list[str], definition: TableDefinition) -> None:
    expected = [column.name for column in definition.columns if not column.generated]
    if sorted(columns) != sorted(expected):
        absent, extra = [c for c in expected if c not in columns], [c for c in columns if c not in expected]
        raise DataError(
            f"the table {name!r} of the database has other columns than its rows (only in the database: "
            f"{quote(absent) or 'none'}; only in the rows: {quote(extra) or 'none'}); change or drop that table"
        )


def _with_keys(
    definition: TableDefinition, name: str, schema: DatabaseSchema, parents: Mapping[str, TableDefinition]
) -> TableDefinition:
    """Return the definition with primary and foreign keys; a foreign key has the type of the key that it refers to."""
    key = schema.primary_keys.get(name)
    primary = (key,) if key is not None else tuple(schema.composite_keys.get(name, ()))
    links = [link for link in schema.foreign_keys if link.table == name]
    types = {link.column: _key_type(link, schema, {**parents, name: definition}) for link in links}
    columns = tuple(
        replace(
            column, type=types.get(column.name, column.type), nullable=column.nullable and column.name not in primary
        )
        for column in definition.columns
    )
    refers = [Link((link.column,), TableName.parse(link.parent), (schema.primary_keys[link.parent],)) for link in links]
    return replace(definition, columns=columns, primary_key=primary, links=tuple(refers))


def _key_type(link: ForeignKey, schema: DatabaseSchema, tables: Mapping[str, TableDefinition]) -> str:
    key = schema.primary_keys[link.parent]
    return next(column.type for column in tables[link.parent].columns if column.name == key)
