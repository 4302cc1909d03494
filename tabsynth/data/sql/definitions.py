"""The declarations of a table in a database: types, NOT NULL, keys, checks and enums."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from tabsynth.data.sql.names import TableName

TEXT, INTEGER, DECIMAL, FLOAT, BOOLEAN, DATE, DATETIME, TIME = (
    "text", "integer", "decimal", "float", "boolean", "date", "datetime", "time",
)  # fmt: skip
INTERVAL, UUID, JSON, XML, BINARY, ARRAY, MONEY, ENUM, OTHER = (
    "interval", "uuid", "json", "xml", "binary", "array", "money", "enum", "other",
)  # fmt: skip

FAMILIES: dict[str, str] = {
    "smallint": INTEGER, "integer": INTEGER, "bigint": INTEGER, "int": INTEGER, "int2": INTEGER, "int4": INTEGER,
    "int8": INTEGER, "tinyint": INTEGER, "mediumint": INTEGER, "hugeint": INTEGER, "utinyint": INTEGER,
    "usmallint": INTEGER, "uinteger": INTEGER, "ubigint": INTEGER, "oid": INTEGER,
    "numeric": DECIMAL, "decimal": DECIMAL, "money": MONEY,
    "real": FLOAT, "float": FLOAT, "float4": FLOAT, "float8": FLOAT, "double": FLOAT, "double precision": FLOAT,
    "boolean": BOOLEAN, "bool": BOOLEAN,
    "text": TEXT, "varchar": TEXT, "character varying": TEXT, "character": TEXT, "char": TEXT, "bpchar": TEXT,
    "name": TEXT, "nvarchar": TEXT, "string": TEXT, "clob": TEXT, "inet": OTHER, "cidr": OTHER, "macaddr": OTHER,
    "date": DATE, "datetime": DATETIME, "timestamp": DATETIME, "timestamp without time zone": DATETIME,
    "timestamp with time zone": DATETIME, "timestamptz": DATETIME, "time": TIME, "time without time zone": TIME,
    "time with time zone": TIME, "timetz": TIME, "interval": INTERVAL, "uuid": UUID, "json": JSON, "jsonb": JSON,
    "xml": XML, "bytea": BINARY, "blob": BINARY,
}  # fmt: skip
"""Column kind of an SQL type, by its name without length, precision and scale."""

_TYPE = re.compile(r"[A-Za-z_\"][\w \".$]*(\(\s*\d+\s*(,\s*-?\d+\s*)?\))?[\w ]*(\[\d*\])*")
_ARRAY = re.compile(r"\[(\d*)\]\s*$")
_SIZE = re.compile(r"\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\)")


@dataclass(frozen=True)
class ColumnDefinition:
    """A column of a table in a database.

    Attributes:
        name: Its name.
        type: Its type as the database spells it.
        nullable: False for NOT NULL.
        labels: The values of an enum.
        generated: The database computes it, so it cannot be written.
    """

    name: str
    type: str
    nullable: bool = True
    labels: tuple[str, ...] = ()
    generated: bool = False

    @property
    def family(self) -> str:
        """The kind of the column."""
        return ENUM if self.labels else type_family(self.type)


@dataclass(frozen=True)
class Link:
    """A foreign key."""

    columns: tuple[str, ...]
    parent: TableName
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class TableDefinition:
    """A table in a database.

    Attributes:
        columns: Its columns in their order.
        primary_key: The columns of the primary key.
        unique: Columns that are unique on their own.
        links: Its foreign keys.
        checks: The expressions of its CHECK constraints.
    """

    columns: tuple[ColumnDefinition, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    checks: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [column.name for column in self.columns]


class Database(Protocol):
    """An open database, in one transaction until ``commit``.

    Attributes:
        enums_have_names: Whether an enum is a named type.
    """

    enums_have_names: bool

    def table_names(self) -> list[TableName]:
        """Return the tables that can be read without naming a database schema."""

    def definition(self, name: TableName) -> TableDefinition | None:
        """Return the declaration of a table; None if it does not exist."""

    def batches(self, select: str) -> Iterator[pa.RecordBatch]:
        """Return the rows of a query, in Arrow's plain types; exact decimals are text with ``DECIMAL_FIELD``."""

    def select(self, name: TableName) -> str:
        """Return the query of a whole table."""

    def accepts(self, type: str) -> bool:
        """Return whether the database knows a type by this name."""

    def type_of(self, kind: pa.DataType) -> str:
        """Return the database's type for an Arrow type."""

    def create(self, name: TableName, definition: TableDefinition) -> None:
        """Create a table."""

    def insert(self, name: TableName, definition: TableDefinition, rows: pa.Table) -> None:
        """Append rows."""

    def empty_tables(self, names: Sequence[TableName]) -> None:
        """Remove the rows of tables that refer to each other, children before their parents."""

    def start_replacing(self, name: TableName, definition: TableDefinition | None) -> TableName:
        """Empty a table, or prepare another that will take its place; return the table to insert into.

        Args:
            name: The table.
            definition: The definition of the new table; None to keep that of the old one.
        """

    def finish_replacing(self, name: TableName, written: TableName) -> None:
        """Put the written table in place of the old one."""

    def commit(self) -> None:
        """Make all changes durable."""

    def close(self) -> None:
        """Close the connection; changes that are not committed are undone."""


ENUM_TYPE = "ENUM"
"""Type of an enum without a name."""

DECIMAL_FIELD = {b"tabsynth": b"decimal"}
"""Metadata of a field of text that holds exact decimals."""


def type_family(type: str) -> str:
    """Return the column kind of an SQL type.

    Example:
        >>> type_family("NUMERIC(10, 2)"), type_family("integer[]"), type_family("timestamp(3) with time zone")
        ('decimal', 'array', 'datetime')
    """
    if _ARRAY.search(type):
        return ARRAY
    plain = " ".join(_SIZE.sub(" ", type.lower()).split()).removesuffix(" unsigned")
    return FAMILIES.get(plain, OTHER)


def array_length(type: str) -> int | None:
    """Return the length of an array type such as ``FLOAT[3]``; None for arrays of any length and other types."""
    found = _ARRAY.search(type)
    return int(found[1]) if found and found[1] else None


def type_size(type: str) -> tuple[int, int] | None:
    """Return the precision and scale, or the length, of a type such as ``numeric(10,2)``."""
    found = _SIZE.search(type)
    return (int(found[1]), int(found[2] or 0)) if found else None


def is_type_name(type: str) -> bool:
    """Return whether a text has the form of a type, so that it cannot end a definition and start another statement."""
    return bool(_TYPE.fullmatch(type)) and type.count('"') % 2 == 0
