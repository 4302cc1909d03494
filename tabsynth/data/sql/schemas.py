"""Schemas of tables and of whole databases, from what a database declares; no row is read."""

from __future__ import annotations

from collections.abc import Iterable

from tabsynth.data.sql.definitions import Database, TableDefinition
from tabsynth.data.sql.names import TableName
from tabsynth.data.sql.read_write import open_database, table_of
from tabsynth.data.sql.table_schema import schema_from_definition
from tabsynth.data.sql.urls import DatabaseUrl, parse_url
from tabsynth.errors import SourceError, quote
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema


def read_schema(url: str, table: str | None = None) -> Schema:
    """Return the schema that a database declares for a table: kinds, NOT NULL, keys, enums, ranges and lists of values.

    No row is read, so the schema depends on no person. Columns whose kind only the rows could decide are marked
    ``inferred`` and have a question.

    Args:
        url: The database, such as ``postgresql://user@host/clinic``; ``#table`` may name the table.
        table: The table, also as ``schema.table``.

    Raises:
        SourceError: The database cannot be read, or has no such table.

    Example:
        schema = read_schema("postgresql://ann@db.example.org/clinic", "patients")
    """
    place = parse_url(url)
    name = table_of(place, table)
    with open_database(place) as database:
        return schema_from_definition(_definition(database, place, name))


def database_schema(url: str, tables: Iterable[str] | None = None) -> DatabaseSchema:
    """Return the tables of a database and the links between them, as it declares them.

    Args:
        url: The database.
        tables: Which tables; all that need no name of a schema, by default. A link to a table that is left out, or of
            several columns, is left out too.

    Raises:
        SourceError: The database cannot be read, or has no such table.
        SchemaError: Tables refer to each other in a cycle.
    """
    place = parse_url(url)
    with open_database(place) as database:
        names = (
            place.attempt("list the tables of", database.table_names)
            if tables is None
            else [TableName.parse(table) for table in tables]
        )
        found = {str(name): _definition(database, place, name) for name in names}
    if not found:
        raise SourceError(f"{place.label} has no tables")
    keys = {name: item.primary_key for name, item in found.items()}
    links = [
        ForeignKey(name, link.columns[0], str(link.parent))
        for name, item in found.items()
        for link in item.links
        if len(link.columns) == 1
        and str(link.parent) in found
        and keys[str(link.parent)] in (link.parent_columns, () if link.parent_columns else keys[str(link.parent)])
    ]
    return DatabaseSchema(
        {name: schema_from_definition(item) for name, item in found.items()},
        {name: key[0] for name, key in keys.items() if len(key) == 1},
        tuple(links),
        composite_keys={name: key for name, key in keys.items() if len(key) > 1},
    )


def _definition(database: Database, url: DatabaseUrl, name: TableName) -> TableDefinition:
    definition = url.attempt("read the definition of a table in", lambda: database.definition(name))
    if definition is None:
        others = url.attempt("list the tables of", database.table_names)
        raise SourceError(f"{url.label} has no table {str(name)!r}; it has {quote(map(str, others), 12)}")
    return definition
