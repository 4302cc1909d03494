"""PostgreSQL through ADBC: rows are streamed as Arrow batches, and written with COPY in one transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.data.sql.create_table import create_statement
from tabsynth.data.sql.definitions import (
    DECIMAL_FIELD,
    INTEGER,
    INTERVAL,
    MONEY,
    TEXT,
    ColumnDefinition,
    TableDefinition,
)
from tabsynth.data.sql.names import TableName, check_names, quote_identifier, quote_literal
from tabsynth.data.sql.postgres_catalogue import PostgresCatalogue
from tabsynth.data.sql.urls import DatabaseUrl
from tabsynth.errors import DataError, missing_package

STAGING = "tabsynth_staging"
UNNAMED_TYPE = re.compile(r"unnamed<oid:(\d+)>")

_MONTH_SECONDS = 30 * 24 * 3600
"""PostgreSQL compares intervals with months of 30 days."""

AS_IS, AS_TEXT = "{0}", "{0}::text"

READ: dict[str, str] = {
    **dict.fromkeys(("bool", "int2", "int4", "int8", "float4", "float8", "numeric"), AS_IS),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "char", "date", "timestamp", "timestamptz"), AS_IS),
    **dict.fromkeys(("time", "timetz", "uuid", "json", "jsonb", "xml", "inet", "cidr", "macaddr"), AS_TEXT),
    "oid": "{0}::bigint",
    "money": "{0}::numeric",
    "bytea": "encode({0}, 'hex')",
    "interval": (
        f"((extract(year FROM {{0}}) * 12 + extract(month FROM {{0}})) * {_MONTH_SECONDS} "
        "+ extract(epoch FROM {0} - date_trunc('month', {0})))::double precision"
    ),
}
"""SQL expression that selects each type, by its name in ``pg_type``; arrays and enums become text."""


class Postgres(PostgresCatalogue):
    """A connection to PostgreSQL."""

    enums_have_names = True

    def __init__(self, url: DatabaseUrl) -> None:
        try:
            import adbc_driver_postgresql.dbapi as driver
        except ImportError as error:
            raise missing_package("reading PostgreSQL", "adbc-driver-postgresql", "sql") from error
        self._connection: Any = url.attempt("connect to", lambda: driver.connect(url.address))
        self._cursor: Any = self._connection.cursor()
        self._is_reading = False

    def execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; its rows, if it has any."""
        if parameters:
            self._cursor.execute(statement, parameters)
        else:
            self._cursor.execute(statement)
        return list(self._cursor.fetchall()) if self._cursor.description else []

    def batches(self, select: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query, in a transaction that can only read."""
        if not self._is_reading:  # all queries of a connection read one snapshot
            self._connection.rollback()
            self.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            self._is_reading = True
        inner = select.strip().rstrip(";").rstrip()
        fields = self._cursor.adbc_execute_schema(inner)
        check_names(fields.names)
        enums = {name for (name,) in self.execute("SELECT typname::text FROM pg_type WHERE typtype = 'e'")}
        expressions = [_read_expression(field, self._kind(field), enums) for field in fields]
        # A line break ends a comment at the end of the query.
        self._cursor.execute(f"SELECT {', '.join(expressions)} FROM (\n{inner}\n) AS tabsynth_source")
        reader = self._cursor.fetch_record_batch()
        schema = pa.schema([_plain_field(field) for field in reader.schema])
        count = 0
        for batch in reader:
            columns = [_plain_column(column, field) for column, field in zip(batch.columns, reader.schema, strict=True)]
            count += batch.num_rows
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
        if not count:
            yield pa.RecordBatch.from_pylist([], schema=schema)

    def _kind(self, field: pa.Field) -> str:
        """Return the name of a column's type; the driver has none for types such as ranges."""
        kind = str((field.metadata or {}).get(b"POSTGRESQL:type", b"").decode())
        number = UNNAMED_TYPE.fullmatch(kind)
        return kind if number is None else str(self.execute(f"SELECT format_type({number[1]}, NULL)")[0][0])

    def select(self, name: TableName) -> str:
        """Return the query of a whole table."""
        return f"SELECT * FROM {name.sql}"

    def type_of(self, kind: pa.DataType) -> str:
        """Return PostgreSQL's type for an Arrow type."""
        return _type_name(kind)

    def create(self, name: TableName, definition: TableDefinition) -> None:
        """Create a table, and the enums of its columns that do not exist."""
        types = []
        for column in definition.columns:
            own = TableName.parse(column.type).sql if column.labels else column.type
            if column.labels and not self.accepts(column.type):
                labels = ", ".join(map(quote_literal, column.labels))
                self.execute(f"CREATE TYPE {own} AS ENUM ({labels})")
            types.append(own)
        self.execute(create_statement(name, definition, types))

    def insert(self, name: TableName, definition: TableDefinition, rows: pa.Table) -> None:
        """Copy rows into a temporary table, and from there, converted by the server, into the table."""
        columns = [column for column in definition.columns if not column.generated]
        rows = pa.table({column.name: _staged(rows.column(column.name), column) for column in columns})
        self._cursor.adbc_ingest(STAGING, rows, mode="create", temporary=True)
        names = ", ".join(quote_identifier(column.name) for column in columns)
        values = ", ".join(_write_expression(column, rows.schema.field(column.name).type) for column in columns)
        self.execute(
            f'INSERT INTO {name.sql} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM pg_temp."{STAGING}"'
        )
        self.execute(f'DROP TABLE pg_temp."{STAGING}"')

    def empty_tables(self, names: Sequence[TableName]) -> None:
        """Remove the rows; readers see them until the commit."""
        for name in names:
            self.execute(f"DELETE FROM {name.sql}")

    def start_replacing(self, name: TableName, definition: TableDefinition | None) -> TableName:
        """Create the table that will take the place of another, with its columns, defaults, indexes and checks."""
        self.check_replaceable(name)
        written = TableName(f"{name.table[:40]}_tabsynth_new", name.schema)
        if definition is None:
            self.execute(f"CREATE TABLE {written.sql} (LIKE {name.sql} INCLUDING ALL)")
        else:
            self.create(written, definition)
        return written

    def finish_replacing(self, name: TableName, written: TableName) -> None:
        """Swap the tables; foreign keys, sequences, owner and privileges go over to the new one."""
        self.move_dependents(name, written)
        self.execute(f"DROP TABLE {name.sql}")
        self.execute(f"ALTER TABLE {written.sql} RENAME TO {quote_identifier(name.table)}")

    def commit(self) -> None:
        """Commit the transaction."""
        self._connection.commit()

    def close(self) -> None:
        """Close the connection; an open transaction is undone."""
        self._cursor.close()
        self._connection.close()


def _plain_field(field: pa.Field) -> pa.Field:
    kind = field.type
    if (field.metadata or {}).get(b"POSTGRESQL:type") == b"numeric":
        return pa.field(field.name, pa.string(), metadata=DECIMAL_FIELD)
    return pa.field(field.name, kind)


def _plain_column(column: pa.Array, field: pa.Field) -> pa.Array:
    if (field.metadata or {}).get(b"POSTGRESQL:type") != b"numeric":
        return column
    return column.storage if isinstance(column, pa.ExtensionArray) else column.cast(pa.string())


def _staged(values: pa.ChunkedArray, column: ColumnDefinition) -> pa.ChunkedArray:
    """Return the values in a type that the driver copies."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
    if pa.types.is_null(values.type):
        return values.cast(pa.string())
    if pa.types.is_unsigned_integer(values.type) or pa.types.is_large_string(values.type):
        return values.cast(pa.string() if pa.types.is_large_string(values.type) else pa.int64())
    if pa.types.is_floating(values.type) and column.family == INTEGER:
        # The server would round a fraction; NaN is how a column of floats spells a missing value.
        present = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        try:
            return present.cast(pa.int64())
        except pa.ArrowInvalid:
            pass
        raise DataError(
            f"column {column.name!r} is {column.type} in the database, but some values are not whole; "
            "round them, or use another type"
        )
    return values


def _write_expression(column: ColumnDefinition, kind: pa.DataType) -> str:
    """Return the SQL conversion of a staged value; an assignment refuses values that a cast would cut or round."""
    name = quote_identifier(column.name)
    if column.family == INTERVAL and not pa.types.is_string(kind):
        return f"make_interval(secs => {name}::double precision)"
    if column.family == MONEY and not pa.types.is_string(kind):
        return f"{name}::numeric::money"
    if column.family == "binary" and pa.types.is_string(kind):
        return f"decode({name}, 'hex')"
    if pa.types.is_string(kind) and column.family != TEXT:
        return f"{name}::{TableName.parse(column.type).sql if column.labels else column.type}"
    return name


def _read_expression(field: pa.Field, kind: str, enums: set[str]) -> str:
    """Return the expression that selects a column of a query.

    Raises:
        DataError: The column's type is none of those above.
    """
    name = quote_identifier(field.name)
    if kind in READ:
        form = READ[kind]
    elif kind in enums or kind.startswith("_"):
        form = AS_TEXT
    else:
        raise DataError(
            f"column {field.name!r} is of the type {kind or 'unknown'}, which tabsynth does not read; select it as "
            f"text, query='SELECT {name}::text ...', or leave it out"
        )
    return f"{form.format(name)} AS {name}"


def _type_name(kind: pa.DataType) -> str:
    """Return the PostgreSQL type for the values of an Arrow type."""
    if pa.types.is_dictionary(kind):
        return _type_name(kind.value_type)
    if pa.types.is_integer(kind):
        width = kind.bit_width * (2 if pa.types.is_unsigned_integer(kind) else 1)
        return "smallint" if width <= 16 else "integer" if width <= 32 else "bigint" if width <= 64 else "numeric"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{max(kind.scale, 0)})"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamp with time zone"
    names = {
        pa.bool_(): "boolean", pa.float32(): "real", pa.float64(): "double precision", pa.date32(): "date",
        pa.binary(): "bytea",
    }  # fmt: skip
    return "time" if pa.types.is_time(kind) else names.get(kind, "text")
