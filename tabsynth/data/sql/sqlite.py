"""SQLite files through the standard library."""

from __future__ import annotations

import datetime
import re
import sqlite3
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from tabsynth.common.atomic_files import check_writable
from tabsynth.common.input_files import check_regular_file
from tabsynth.data.sql.create_table import create_statement
from tabsynth.data.sql.definitions import BOOLEAN, ColumnDefinition, Link, TableDefinition, type_family
from tabsynth.data.sql.names import TableName, quote_identifier
from tabsynth.data.sql.python_rows import BATCH_ROWS, batch_to_rows, row_batches
from tabsynth.data.sql.urls import DatabaseUrl
from tabsynth.errors import DataError

MAX_EXACT_DIGITS = 15
"""A decimal of no more digits is stored as a number without rounding, a longer one as text."""

_CHECK = re.compile(r"\bCHECK\s*\(", re.IGNORECASE)


class Sqlite:
    """A connection to a file of SQLite."""

    enums_have_names = False

    def __init__(self, url: DatabaseUrl, *, writable: bool) -> None:
        if writable:
            check_writable(url.path)
        else:
            check_regular_file(url.path)
        # Not "ro": what a killed process has left half-written is undone by the next one, which must be able to write.
        mode = "rwc" if writable else "rw"
        address = f"file:{quote(str(url.path))}?mode={mode}"
        # Transactions are begun and ended here, since the module would commit before a definition.
        self._connection = url.attempt("open", lambda: sqlite3.connect(address, uri=True, isolation_level=None))
        if not writable:
            self._connection.execute("PRAGMA query_only = ON")
        url.attempt("open", lambda: self._connection.execute("BEGIN IMMEDIATE" if writable else "BEGIN"))

    def table_names(self) -> list[TableName]:
        """Return the tables of the file."""
        rows = self._connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
        return [TableName(name) for (name,) in rows]

    def definition(self, name: TableName) -> TableDefinition | None:
        """Return the declaration of a table."""
        rows = self._connection.execute(
            'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?)', (name.table,)
        ).fetchall()
        if not rows:
            return None
        columns = tuple(
            ColumnDefinition(column, kind, not (required or key), generated=hidden > 1)
            for column, kind, required, key, hidden in rows
        )
        keys = sorted((key, column) for column, _, _, key, _ in rows if key)
        links: dict[int, list[tuple[str, str, str | None]]] = {}
        for number, parent, own, other in self._connection.execute(
            'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq', (name.table,)
        ):
            links.setdefault(number, []).append((parent, own, other))
        return TableDefinition(
            columns,
            tuple(column for _, column in keys),
            self._unique(name),
            tuple(
                Link(tuple(own for _, own, _ in parts), TableName(parts[0][0]), tuple(o for *_, o in parts if o))
                for parts in links.values()
            ),
            tuple(_checks(self._statement(name))),
        )

    def _statement(self, name: TableName) -> str:
        found = self._connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name.table,)).fetchone()
        return str(found[0] or "") if found else ""

    def _unique(self, name: TableName) -> tuple[str, ...]:
        indexes = self._connection.execute(
            "SELECT name FROM pragma_index_list(?) WHERE \"unique\" AND origin = 'u'", (name.table,)
        ).fetchall()
        columns = [self._connection.execute("SELECT name FROM pragma_index_info(?)", row).fetchall() for row in indexes]
        return tuple(found[0][0] for found in columns if len(found) == 1)

    def select(self, name: TableName) -> str:
        """Return the query of a whole table."""
        return f"SELECT * FROM {name.sql}"

    def batches(self, select: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query."""
        cursor = self._connection.execute(select)
        if cursor.description is None:
            raise DataError("the query returns no table; write a SELECT")
        names = [item[0] for item in cursor.description]
        yield from row_batches(names, iter(lambda: cursor.fetchmany(BATCH_ROWS), []), self._booleans(select))

    def _booleans(self, select: str) -> list[str]:
        """Return the columns declared as boolean, where a whole table is read: SQLite stores 0 and 1."""
        for name in self.table_names():
            if select == self.select(name):
                definition = self.definition(name)
                return [c.name for c in definition.columns if c.family == BOOLEAN] if definition else []
        return []

    def accepts(self, type: str) -> bool:
        """Return whether the type is a known one: SQLite itself accepts every name, and stores what fits it."""
        return type_family(type) != "other"

    def type_of(self, kind: pa.DataType) -> str:
        """Return SQLite's type for an Arrow type."""
        if pa.types.is_dictionary(kind):
            return self.type_of(kind.value_type)
        if pa.types.is_integer(kind):
            return "INTEGER"
        if pa.types.is_decimal(kind):
            return f"DECIMAL({kind.precision},{kind.scale})"
        if pa.types.is_floating(kind):
            return "REAL"
        if pa.types.is_boolean(kind):
            return "BOOLEAN"
        return "DATE" if pa.types.is_date(kind) else "TIMESTAMP" if pa.types.is_timestamp(kind) else "TEXT"

    def create(self, name: TableName, definition: TableDefinition) -> None:
        """Create a table."""
        types = ["TEXT" if column.labels else column.type for column in definition.columns]
        self._connection.execute(create_statement(name, definition, types))

    def insert(self, name: TableName, definition: TableDefinition, rows: pa.Table) -> None:
        """Append rows."""
        columns = [column.name for column in definition.columns if not column.generated]
        names, marks = ", ".join(map(quote_identifier, columns)), ", ".join("?" * len(columns))
        for chunk in batch_to_rows(rows, columns):
            stored = ([_stored(value) for value in row] for row in chunk)
            self._connection.executemany(f"INSERT INTO {name.sql} ({names}) VALUES ({marks})", stored)

    def empty_tables(self, names: Sequence[TableName]) -> None:
        """Remove the rows; readers see them until the commit."""
        for name in names:
            self._connection.execute(f"DELETE FROM {name.sql}")

    def start_replacing(self, name: TableName, definition: TableDefinition | None) -> TableName:
        """Empty the table, or recreate it with other columns: readers see the old one until the commit."""
        self._connection.execute(f"DELETE FROM {name.sql}" if definition is None else f"DROP TABLE {name.sql}")
        if definition is not None:
            self.create(name, definition)
        return name

    def finish_replacing(self, name: TableName, written: TableName) -> None:
        """Do nothing: the rows were written to the table itself."""

    def commit(self) -> None:
        """Commit the transaction."""
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; an open transaction is undone."""
        self._connection.close()


def _stored(value: Any) -> Any:
    """Return a value in one of SQLite's types: dates as ISO 8601 text."""
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value) if len(value.as_tuple().digits) <= MAX_EXACT_DIGITS else str(value)
    if isinstance(value, float) and value != value:
        return None
    return value


def _checks(statement: str) -> Iterator[str]:
    """Yield the expressions of CHECK constraints in the statement that created a table."""
    for found in _CHECK.finditer(statement):
        depth, quoted = 1, ""
        for place in range(found.end(), len(statement)):
            sign = statement[place]
            if quoted:
                quoted = "" if sign == quoted else quoted
            elif sign in "'\"":
                quoted = sign
            else:
                depth += (sign == "(") - (sign == ")")
            if not depth:
                yield statement[found.end() : place]
                break
