"""Public facts of linked tables in a private fit: schemas, links and maxima, checked without reading a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from tabsynth.codec.identifiers import learn_pattern
from tabsynth.errors import InputError, PrivacyError, SchemaError, quote
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.mechanisms.contribution_bounding import check_person_column
from tabsynth.privacy.public_schema import private_schema, to_public_schema
from tabsynth.relations.declared.feasibility import check_feasible
from tabsynth.schema.columns import Categorical, Column, Identifier
from tabsynth.schema.constraints import Combinations
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.keys import KeyMaker
from tabsynth.synthesizers.relational.links import check_root_columns


@dataclass(frozen=True, eq=False)
class PublicTables:
    """The public facts of the tables of a private fit.

    Attributes:
        schema: Tables and keys.
        root: The root table, whose rows are the units of privacy.
        visible: The schema of each learned table without keys, parents first.
    """

    schema: DatabaseSchema
    root: str
    visible: dict[str, Schema]

    @property
    def children(self) -> list[str]:
        """The child tables, parents first."""
        return [name for name in self.visible if name != self.root]

    def parent(self, name: str) -> str:
        """Return the parent of a child table."""
        link = self.schema.main_key(name)
        assert link is not None
        return link.parent

    def key_makers(self) -> dict[str, KeyMaker]:
        """Return the format of primary keys, from the schema alone."""
        keys = {name: key for name, key in self.schema.primary_keys.items() if name in self.visible}
        return {name: _key_maker(self.schema.tables[name][key]) for name, key in keys.items()}


def prepare_public_tables(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema | None,
    privacy: Any,
    max_children: Mapping[str, int] | None,
) -> PublicTables:
    """Check the arguments of a private fit by public facts alone.

    Args:
        tables: The tables by name.
        schema: Their declared schema.
        privacy: The requested privacy.
        max_children: Declared maximum number of children of a parent in each table.

    Raises:
        PrivacyError: A fact is not public, the unit is not the root row, or a link is not supported.
        InputError: A table is missing or unknown.
        SchemaError: The columns differ from those of the schema.
        DataError: The root table has no column to learn.
    """
    if not isinstance(privacy, Privacy):
        raise PrivacyError(f"privacy must be a tabsynth.Privacy, such as Privacy(epsilon=1.0, ...), not {privacy!r}")
    if schema is None:
        raise PrivacyError(
            "a private fit needs a declared schema: an inferred one leaks information about the data. Declare the "
            "tables, keys and order of a DatabaseSchema"
        )
    _check_columns(tables, schema)
    root = _root(schema)
    key = schema.primary_keys.get(root)
    if key is None or privacy.unit != key:
        raise PrivacyError(
            f"the unit of privacy of linked tables is a row of the root table {root!r} with all rows below it: use "
            f"Privacy(unit={key or 'its primary key'!r}, rows_per_person=...), not unit={privacy.unit!r}"
        )
    for link in schema.foreign_keys:
        if link.parent not in schema.reference:
            check_person_column(tables[link.table][link.column])
            check_person_column(tables[link.parent][schema.primary_keys[link.parent]])
    visible = {}
    for name in schema.sorted_tables:
        if name not in schema.reference:
            try:
                visible[name] = _public_columns(name, tables, schema)
            except (PrivacyError, SchemaError) as error:
                raise type(error)(f"table {name!r}: {error}") from error
    unknown = [name for name in max_children or {} if name not in visible or name == root]
    if unknown:
        raise InputError(f"max_children names {quote(unknown)}, which are no child tables; there are {quote(visible)}")
    check_root_columns(root, [*visible[root], *schema.children(root)])
    return PublicTables(schema, root, visible)


def _root(schema: DatabaseSchema) -> str:
    """Return the only root table.

    Raises:
        PrivacyError: There are several, or a table has further foreign keys.
    """
    if len(schema.roots) != 1:
        raise PrivacyError(
            f"a private fit needs one root table, whose rows are the persons, not {quote(schema.roots) or 'none'}: "
            "declare public tables in `reference`, and leave out or link the others"
        )
    further = [f"{name}.{link.column}" for name in schema.tables for link in schema.other_keys(name)]
    if further:
        raise PrivacyError(
            f"a private fit learns one parent of each table, but there are further foreign keys: {quote(further)}; "
            "declare their parents in `reference` if they are public, or leave the columns out"
        )
    return schema.roots[0]


def _check_columns(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> None:
    missing, unknown = set(schema.tables) - set(tables), set(tables) - set(schema.tables)
    if missing or unknown:
        raise InputError(
            f"the tables are not those of the schema: missing {quote(sorted(missing)) or 'none'}, "
            f"not in the schema {quote(sorted(unknown)) or 'none'}"
        )
    for name, table_schema in schema.tables.items():
        if sorted(tables[name].columns, key=str) != sorted(table_schema):
            absent = [column for column in table_schema if column not in tables[name]]
            extra = [column for column in tables[name].columns if column not in table_schema]
            raise SchemaError(
                f"the schema does not match the table {name!r}: columns only in the table: {quote(extra) or 'none'}; "
                f"columns only in the schema: {quote(absent) or 'none'}; change one of them"
            )


def _public_columns(name: str, tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> Schema:
    """Return the public schema of a table without keys; keys to reference tables are declared categories.

    The order column counts as never missing, so that a row without one has the last time.
    """
    keys = {link.column: link for link in schema.foreign_keys if link.table == name}
    table_schema, columns = schema.tables[name], dict[str, Column]()
    for column, kind in table_schema.items():
        link = keys.get(column)
        if column == schema.primary_keys.get(name) or (link is not None and link.parent not in schema.reference):
            continue
        if link is not None:
            values = tables[link.parent][schema.primary_keys[link.parent]].tolist()
            kind = Categorical(name=column, values=tuple(values), nullable=kind.nullable)
        columns[column] = replace(kind, nullable=False) if column == schema.order.get(name) else kind
    constraints = tuple(rule for rule in table_schema.constraints if set(rule.columns) <= set(columns))
    unlisted = [rule.to_dict() for rule in constraints if isinstance(rule, Combinations) and rule.values is None]
    if unlisted:
        raise PrivacyError(f"the constraint {unlisted[0]} takes its values from the table: list them in a private fit")
    out = Schema(columns, constraints)
    private_schema(out)
    check_feasible(out)
    return to_public_schema(out)


def _key_maker(column: Column) -> KeyMaker:
    if isinstance(column, Identifier):
        return KeyMaker(learn_pattern(pd.Series([], dtype=object), regex=column.pattern), "object")
    return KeyMaker(None, "int64")
