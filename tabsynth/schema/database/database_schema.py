"""The schema of a database: its tables, primary keys, foreign keys and the order of rows within a parent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tabsynth.common.input_files import check_depth
from tabsynth.errors import SchemaError, quote
from tabsynth.schema.columns import Datetime, Numeric
from tabsynth.schema.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1
"""Version of the JSON form; a file of a later version is refused."""


KEYS = {"version", "tables", "primary_keys", "foreign_keys", "order", "reference", "composite_keys"}
"""Keys of the JSON form."""


@dataclass(frozen=True)
class ForeignKey:
    """A column whose values are keys of another table's rows.

    Attributes:
        table: The child table.
        column: Its column of keys; missing where the row has no parent.
        parent: The parent table, which may be the child table itself.
    """

    table: str
    column: str
    parent: str

    def to_dict(self) -> dict[str, str]:
        """Return the foreign key as plain data."""
        return {"table": self.table, "column": self.column, "parent": self.parent}


@dataclass(frozen=True)
class DatabaseSchema:
    """Tables and the links between them.

    A table's first foreign key to another table is its main one: its rows are children of that parent's rows and are
    modelled as the parent's history. Further foreign keys are matched so that the number of rows per parent is kept.

    Attributes:
        tables: The schema of each table.
        primary_keys: The key column of each table that has one.
        foreign_keys: The foreign keys, each table's main one first.
        order: The column by which a child table's rows are ordered within a parent, a date or a number.
        reference: Public tables, such as a list of countries: they are copied, and keys to them are learned as values.
        composite_keys: The columns that together identify a row, of tables whose primary key has several columns.
        questions: Open questions about a proposed schema, by table or ``table.column``.

    Raises:
        SchemaError: An unknown table or column, a parent without a primary key of one column, two links from one
            column (a polymorphic reference), or a cycle of tables.
    """

    tables: Mapping[str, Schema]
    primary_keys: Mapping[str, str] = field(default_factory=dict)
    foreign_keys: tuple[ForeignKey, ...] = ()
    order: Mapping[str, str] = field(default_factory=dict)
    reference: tuple[str, ...] = ()
    composite_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    questions: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "foreign_keys", tuple(self.foreign_keys))
        object.__setattr__(self, "composite_keys", {name: tuple(key) for name, key in self.composite_keys.items()})
        object.__setattr__(self, "reference", tuple(self.reference))
        for table, column in [*self.primary_keys.items(), *self.order.items()]:
            self._require_column(table, column)
        for name in self.reference:
            self._require_table(name)
        self._check_composite_keys()
        linked: dict[tuple[str, str], str] = {}
        for key in self.foreign_keys:
            self._require_column(key.table, key.column)
            self._require_table(key.parent)
            other = linked.setdefault((key.table, key.column), key.parent)
            if other != key.parent:
                raise SchemaError(
                    f"{key.table}.{key.column} refers to {other!r} and to {key.parent!r}: a polymorphic reference; "
                    "split the column into one foreign key for each parent, missing where it does not apply"
                )
            if key.parent in self.composite_keys:
                raise SchemaError(
                    f"{key.table}.{key.column} refers to {key.parent!r}, whose key has the columns "
                    f"{quote(self.composite_keys[key.parent])}; add a key of one column to both tables"
                )
            if key.parent not in self.primary_keys:
                raise SchemaError(
                    f"{key.table}.{key.column} refers to the table {key.parent!r}, which has no primary key; "
                    f'add primary_keys={{"{key.parent}": ...}}'
                )
        for table, column in self.order.items():
            if not isinstance(self.tables[table][column], (Datetime, Numeric)):
                raise SchemaError(f"{table}.{column} cannot order rows: it is {self.tables[table][column].kind}")
        self.sorted_tables  # noqa: B018 - raises for a cycle

    def _check_composite_keys(self) -> None:
        for table, columns in self.composite_keys.items():
            for column in columns:
                self._require_column(table, column)
            if len(set(columns)) < 2:
                raise SchemaError(
                    f"composite_keys of {table!r} needs several columns, not {quote(columns) or 'none'}; "
                    "declare a key of one column in primary_keys"
                )
            if table in self.primary_keys:
                raise SchemaError(f"{table!r} has a key in primary_keys and in composite_keys; remove one of them")

    def _require_table(self, table: str) -> None:
        if table not in self.tables:
            raise SchemaError(f"no table {table!r}; there are {quote(self.tables)}")

    def _require_column(self, table: str, column: str) -> None:
        self._require_table(table)
        if not isinstance(column, str):
            raise SchemaError(
                f"a key of the table {table!r} must be one column, not {column!r}; "
                "declare a primary key of several columns in composite_keys"
            )
        if column not in self.tables[table]:
            raise SchemaError(f"the table {table!r} has no column {column!r}; it has {quote(self.tables[table])}")

    @property
    def sorted_tables(self) -> tuple[str, ...]:
        """The tables, each after its parents."""
        graph = {
            name: {key.parent for key in self.foreign_keys if key.table == name and key.parent != name}
            for name in self.tables
        }
        try:
            return tuple(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise SchemaError(f"tables refer to each other in a cycle: {' -> '.join(error.args[1])}") from None

    def main_key(self, table: str) -> ForeignKey | None:
        """Return the foreign key to the parent whose history the table's rows are; None for a root table."""
        for key in self.foreign_keys:
            if key.table == table and key.parent != table and key.parent not in self.reference:
                return key
        return None

    def other_keys(self, table: str) -> tuple[ForeignKey, ...]:
        """Return the foreign keys that are assigned after the rows are sampled."""
        main = self.main_key(table)
        own = (key for key in self.foreign_keys if key.table == table and key.parent not in self.reference)
        return tuple(key for key in own if key != main)

    def children(self, table: str) -> tuple[str, ...]:
        """Return the tables whose main parent a table is."""
        links = ((name, self.main_key(name)) for name in self.sorted_tables)
        return tuple(name for name, key in links if key is not None and key.parent == table)

    @property
    def roots(self) -> tuple[str, ...]:
        """The tables without a main parent that are not reference tables."""
        return tuple(name for name in self.sorted_tables if self.main_key(name) is None and name not in self.reference)

    @classmethod
    def infer(cls, frames: Mapping[str, pd.DataFrame], schemas: Mapping[str, Schema] | None = None) -> Self:
        """Propose the schema of a database from its tables.

        A primary key is an identifier column without repeats or missing values. A foreign key is a column all of
        whose values are in a primary key of another table, where at least half of the child's distinct values or ten
        of them agree; among several candidates the parent whose name the column contains is preferred. ``questions``
        lists what the user should decide.

        Args:
            frames: The tables by name.
            schemas: The schema of each table; inferred when left out.
        """
        from tabsynth.schema.database.key_inference import propose_keys
        from tabsynth.schema.database.key_questions import find_questions, without_key_questions

        if schemas is None:
            schemas = {name: Schema.infer(frame) for name, frame in frames.items()}
        primary, foreign, order = propose_keys(frames, schemas)
        schemas, links = without_key_questions(schemas, foreign), tuple(ForeignKey(*link) for link in foreign)
        return cls(schemas, primary, links, order, questions=find_questions(frames, schemas, primary, foreign, order))

    @classmethod
    def from_sdv(cls, metadata: Any) -> Self:
        """Read SDV metadata of several tables: a ``Metadata`` object, its dictionary, or a path to its JSON file.

        Raises:
            SchemaError: Not such metadata, or a composite key.
        """
        from tabsynth.schema.sdv_metadata import from_sdv, read_metadata

        data = read_metadata(metadata)
        if not isinstance(data.get("tables"), Mapping):
            raise SchemaError('this is not SDV metadata of several tables: it has no "tables"')
        version = data.get("METADATA_SPEC_VERSION", "V1")
        tables = {name: from_sdv({**item, "METADATA_SPEC_VERSION": version}) for name, item in data["tables"].items()}
        keys = {name: item["primary_key"] for name, item in data["tables"].items() if item.get("primary_key")}
        primary, composite = _split_keys(keys)
        order = {name: item["sequence_index"] for name, item in data["tables"].items() if item.get("sequence_index")}
        try:
            links = tuple(
                ForeignKey(item["child_table_name"], item["child_foreign_key"], item["parent_table_name"])
                for item in data.get("relationships", [])
            )
        except (KeyError, TypeError) as error:
            raise SchemaError(f"a relationship of SDV metadata is malformed: {error!r}") from error
        return cls(tables, primary, links, order, composite_keys=composite)

    def _repr_html_(self) -> str:
        """Return a row for each table, and the open questions, for notebooks."""
        from tabsynth.schema.database.schema_files import to_html

        return to_html(self)

    def to_json(self, path: str | Path) -> None:
        """Write the schema: YAML if the suffix is .yaml or .yml, with evidence and questions as comments, else JSON.

        Raises:
            SourceError: The file cannot be written.
        """
        from tabsynth.schema.database.schema_files import write_database_schema

        write_database_schema(self, path)

    @classmethod
    def from_json(cls, path: str | Path) -> Self:
        """Read a schema that ``to_json`` wrote, or a file of SDV metadata of several tables.

        Raises:
            SchemaError: The file cannot be read, or is not a database schema.
        """
        from tabsynth.schema.schema_files import read_schema

        data = read_schema(path)
        try:
            if isinstance(data, Mapping) and ("relationships" in data or "METADATA_SPEC_VERSION" in data):
                return cls.from_sdv(data)
            return cls.from_dict(data)
        except SchemaError as error:
            raise SchemaError(f"{str(path)!r}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain data."""
        return {
            "version": VERSION,
            "tables": {name: schema.to_dict() for name, schema in self.tables.items()},
            "primary_keys": dict(self.primary_keys),
            "foreign_keys": [key.to_dict() for key in self.foreign_keys],
            "order": dict(self.order),
            "reference": list(self.reference),
            **({"composite_keys": {n: list(k) for n, k in self.composite_keys.items()}} if self.composite_keys else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read a schema from plain data; the inverse of ``to_dict``.

        Raises:
            SchemaError: Not such a mapping, an unknown key, or a later version.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("tables"), Mapping):
            raise SchemaError('a database schema is a mapping with "tables": {name: schema}')
        check_depth(data, "the database schema", SchemaError)
        if unknown := set(data) - KEYS:
            raise SchemaError(f"unknown keys in a database schema: {quote(sorted(unknown, key=str))}")
        if not isinstance(data.get("version", VERSION), int) or data.get("version", VERSION) > VERSION:
            raise SchemaError(f"database schema version {data['version']!r} is later than {VERSION}: upgrade tabsynth")
        try:
            links = tuple(ForeignKey(**item) for item in data.get("foreign_keys", ()))
            primary, composite = _split_keys({**data.get("composite_keys", {}), **data.get("primary_keys", {})})
            order = dict(data.get("order", {}))
        except (TypeError, ValueError) as error:
            raise SchemaError(f"keys of a database schema: {error}") from error
        tables: dict[str, Schema] = {}
        try:
            for name, item in data["tables"].items():
                tables[name] = Schema.from_dict(item)
        except SchemaError as error:
            raise SchemaError(f"table {name!r}: {error}") from error
        return cls(tables, primary, links, order, tuple(data.get("reference", ())), composite)


def _split_keys(keys: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return the keys of one column, and of several."""
    single = {name: key[0] if isinstance(key, list) else key for name, key in keys.items() if not _is_composite(key)}
    return single, {name: tuple(key) for name, key in keys.items() if _is_composite(key)}


def _is_composite(key: Any) -> bool:
    return isinstance(key, (list, tuple)) and len(key) != 1
