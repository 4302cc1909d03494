"""DuckDB files. Extensions are neither installed nor loaded, and queries cannot read other files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from tabsynth.common.atomic_files import check_writable
from tabsynth.common.input_files import check_regular_file
from tabsynth.data.sql.create_table import create_statement
from tabsynth.data.sql.definitions import (
    ARRAY,
    BINARY,
    ENUM_TYPE,
    INTERVAL,
    TEXT,
    ColumnDefinition,
    Link,
    TableDefinition,
    type_family,
)
from tabsynth.data.sql.names import TableName, check_names, quote_identifier, quote_literal
from tabsynth.data.sql.urls import DatabaseUrl
from tabsynth.errors import DataError, missing_package

OFFLINE = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
BATCH_ROWS = 1 << 16
STAGING = "tabsynth_staging"


class DuckDb:
    """A connection to a file of DuckDB."""

    enums_have_names = False

    def __init__(self, url: DatabaseUrl, *, writable: bool) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise missing_package("reading DuckDB files", "duckdb", "sql") from error
        if writable:
            check_writable(url.path)
        else:
            check_regular_file(url.path)
        self._connection: Any = url.attempt(
            "open", lambda: duckdb.connect(str(url.path), read_only=not writable, config=dict(OFFLINE))
        )
        for setting in ("enable_external_access = false", "lock_configuration = true"):
            self._connection.execute(f"SET {setting}")
        self._connection.execute("BEGIN TRANSACTION")

    def _rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(statement, list(parameters)).fetchall())

    def table_names(self) -> list[TableName]:
        """Return the tables of the main schema."""
        rows = self._rows(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' AND NOT internal ORDER BY 1"
        )
        return [TableName(name) for (name,) in rows]

    def definition(self, name: TableName) -> TableDefinition | None:
        """Return the declaration of a table."""
        where = "WHERE table_name = ? AND schema_name = ? AND database_name = current_database()"
        place = (name.table, name.schema or "main")
        rows = self._rows(
            f"SELECT column_name, data_type, is_nullable FROM duckdb_columns() {where} ORDER BY column_index", *place
        )
        if not rows:
            return None
        columns = tuple(
            ColumnDefinition(column, ENUM_TYPE if _labels(kind) else kind, free, _labels(kind))
            for column, kind, free in rows
        )
        key: tuple[str, ...] = ()
        unique, links, checks = [], [], []
        for kind, expression, own, parent, others in self._rows(
            "SELECT constraint_type, expression, constraint_column_names, referenced_table, referenced_column_names "
            f"FROM duckdb_constraints() {where}",
            *place,
        ):
            if kind == "PRIMARY KEY":
                key = tuple(own)
            elif kind == "UNIQUE" and len(own) == 1:
                unique += own
            elif kind == "FOREIGN KEY":
                links.append(Link(tuple(own), TableName(parent, name.schema), tuple(others)))
            elif kind == "CHECK":
                checks.append(expression)
        return TableDefinition(columns, key, tuple(unique), tuple(links), tuple(checks))

    def select(self, name: TableName) -> str:
        """Return the query of a whole table."""
        return f"SELECT * FROM {name.sql}"

    def batches(self, select: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query."""
        inner = select.strip().rstrip(";").rstrip()
        described = self._rows(f"DESCRIBE {inner}")
        check_names([row[0] for row in described])
        expressions = ", ".join(_read_expression(name, kind) for name, kind, *_ in described)
        result = self._connection.sql(f"SELECT {expressions} FROM (\n{inner}\n) AS tabsynth_source")
        yield from result.to_arrow_reader(BATCH_ROWS)

    def accepts(self, type: str) -> bool:
        """Return whether DuckDB reads a type of this name as what it holds elsewhere."""
        if type_family(type) in ("other", "xml", "money"):
            return False
        try:
            self._connection.sql(f"SELECT NULL::{type}")
        except Exception:  # the driver's own classes
            return False
        return True

    def type_of(self, kind: pa.DataType) -> str:
        """Return DuckDB's type for an Arrow type."""
        if pa.types.is_dictionary(kind):
            return self.type_of(kind.value_type)
        if pa.types.is_decimal(kind):
            return f"DECIMAL({kind.precision},{kind.scale})"
        if pa.types.is_timestamp(kind):
            return "TIMESTAMP" if kind.tz is None else "TIMESTAMP WITH TIME ZONE"
        names = {
            pa.bool_(): "BOOLEAN", pa.int8(): "TINYINT", pa.int16(): "SMALLINT", pa.int32(): "INTEGER",
            pa.int64(): "BIGINT", pa.uint8(): "UTINYINT", pa.uint16(): "USMALLINT", pa.uint32(): "UINTEGER",
            pa.uint64(): "UBIGINT", pa.float32(): "FLOAT", pa.float64(): "DOUBLE", pa.date32(): "DATE",
            pa.binary(): "BLOB",
        }  # fmt: skip
        return names.get(kind, "VARCHAR")

    def create(self, name: TableName, definition: TableDefinition) -> None:
        """Create a table; an enum is part of its column's type."""
        types = [
            f"ENUM ({', '.join(map(quote_literal, column.labels))})" if column.labels else column.type
            for column in definition.columns
        ]
        self._connection.execute(create_statement(name, definition, types))

    def insert(self, name: TableName, definition: TableDefinition, rows: pa.Table) -> None:
        """Append rows."""
        columns = [column for column in definition.columns if not column.generated]
        names = ", ".join(quote_identifier(column.name) for column in columns)
        values = ", ".join(_write_expression(column, rows.schema.field(column.name).type) for column in columns)
        self._connection.register(STAGING, rows)
        self._connection.execute(f"INSERT INTO {name.sql} ({names}) SELECT {values} FROM {STAGING}")
        self._connection.unregister(STAGING)

    def empty_tables(self, names: Sequence[TableName]) -> None:
        """Recreate the tables: DuckDB keeps the keys of deleted rows until the commit."""
        definitions = {name: self.definition(name) for name in names}
        for name in names:
            self._connection.execute(f"DROP TABLE {name.sql}")
        for name in reversed(names):
            definition = definitions[name]
            assert definition is not None
            self.create(name, definition)

    def start_replacing(self, name: TableName, definition: TableDefinition | None) -> TableName:
        """Create the table that will take the place of another."""
        definition = definition or self.definition(name)
        assert definition is not None
        written = TableName(f"{name.table[:40]}_tabsynth_new", name.schema)
        self.create(written, definition)
        return written

    def finish_replacing(self, name: TableName, written: TableName) -> None:
        """Swap the tables."""
        self._connection.execute(f"DROP TABLE {name.sql}")
        self._connection.execute(f"ALTER TABLE {written.sql} RENAME TO {quote_identifier(name.table)}")

    def commit(self) -> None:
        """Commit the transaction."""
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; an open transaction is undone."""
        self._connection.close()


def _labels(type: str) -> tuple[str, ...]:
    """Return the values of ``ENUM('a', 'b')``."""
    if not type.startswith("ENUM("):
        return ()
    return tuple(label.replace("''", "'") for label in re.findall(r"'((?:[^']|'')*)'", type))


def _read_expression(name: str, type: str) -> str:
    quoted, family = quote_identifier(name), type_family(type)
    if type.endswith("]"):
        family = ARRAY
    if type.startswith(("STRUCT", "MAP", "UNION", "BIT", "VARINT", "BIGNUM")):
        raise DataError(
            f"column {name!r} is of the type {type.partition('(')[0]}, which tabsynth does not read; select it as "
            f"text, query='SELECT {quoted}::VARCHAR ...', or leave it out"
        )
    if family == INTERVAL:
        return f"epoch({quoted}) AS {quoted}"
    if family == BINARY:
        return f"hex({quoted}) AS {quoted}"
    if family in (ARRAY, "time", "uuid", "json") or type.startswith("ENUM("):
        return f"{quoted}::VARCHAR AS {quoted}"
    return quoted


def _write_expression(column: ColumnDefinition, kind: pa.DataType) -> str:
    name = quote_identifier(column.name)
    if column.family == INTERVAL and not pa.types.is_string(kind):
        return f"to_microseconds(({name} * 1000000)::BIGINT)"
    if column.family == BINARY and pa.types.is_string(kind):
        return f"unhex({name})"
    if pa.types.is_string(kind) and column.family not in (TEXT, "enum"):
        return f"{name}::{column.type}"
    return name
