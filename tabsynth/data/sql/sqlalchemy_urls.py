"""Any other database through SQLAlchemy: slower, row by row, with the types that all of them have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from tabsynth.data.sql.definitions import ENUM_TYPE, ColumnDefinition, Link, TableDefinition
from tabsynth.data.sql.names import TableName
from tabsynth.data.sql.python_rows import BATCH_ROWS, batch_to_rows, row_batches
from tabsynth.data.sql.urls import DatabaseUrl
from tabsynth.errors import DataError, missing_package


class SqlAlchemy:
    """A connection through SQLAlchemy."""

    enums_have_names = False

    def __init__(self, url: DatabaseUrl) -> None:
        try:
            import sqlalchemy
        except ImportError as error:
            raise missing_package("reading this database", "sqlalchemy", "sql") from error
        self._sql = sqlalchemy
        # Without parameters, its messages contain no values of rows.
        self._engine = url.attempt("connect to", lambda: sqlalchemy.create_engine(url.address, hide_parameters=True))
        self._connection = url.attempt("connect to", self._engine.connect)
        self._created: list[Any] = []

    def table_names(self) -> list[TableName]:
        """Return the tables of the default schema."""
        return [TableName(name) for name in self._inspect().get_table_names()]

    def _inspect(self) -> Any:
        return self._sql.inspect(self._connection)

    def definition(self, name: TableName) -> TableDefinition | None:
        """Return the declaration of a table."""
        inspector = self._inspect()
        if not inspector.has_table(name.table, schema=name.schema):
            return None
        place = {"table_name": name.table, "schema": name.schema}
        columns = tuple(
            ColumnDefinition(
                item["name"],
                ENUM_TYPE if getattr(item["type"], "enums", ()) else str(item["type"]),
                item["nullable"],
                tuple(getattr(item["type"], "enums", ())),
                generated="computed" in item,
            )
            for item in inspector.get_columns(**place)
        )
        links = tuple(
            Link(
                tuple(item["constrained_columns"]),
                TableName(item["referred_table"], item["referred_schema"]),
                tuple(item["referred_columns"]),
            )
            for item in inspector.get_foreign_keys(**place)
        )
        unique = [item["column_names"] for item in inspector.get_unique_constraints(**place)]
        try:
            checks = tuple(item["sqltext"] for item in inspector.get_check_constraints(**place))
        except NotImplementedError:  # of some databases
            checks = ()
        key = tuple(inspector.get_pk_constraint(**place)["constrained_columns"])
        return TableDefinition(columns, key, tuple(one[0] for one in unique if len(one) == 1), links, checks)

    def select(self, name: TableName) -> str:
        """Return the query of a whole table, with its name quoted as this database does."""
        return str(self._sql.select(self._sql.text("*")).select_from(self._table(name)).compile(self._engine))

    def _table(self, name: TableName) -> Any:
        return self._sql.table(self._quoted(name.table), schema=self._quoted(name.schema) if name.schema else None)

    def _quoted(self, name: str) -> Any:
        return self._sql.sql.quoted_name(name, quote=True)

    def batches(self, select: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query."""
        result = self._connection.execution_options(stream_results=True, yield_per=BATCH_ROWS).exec_driver_sql(select)
        yield from row_batches(list(result.keys()), result.partitions(BATCH_ROWS))

    def accepts(self, type: str) -> bool:
        """Return False: type names differ between databases."""
        return False

    def type_of(self, kind: pa.DataType) -> str:
        """Return SQLAlchemy's name of a type."""
        if pa.types.is_dictionary(kind):
            return self.type_of(kind.value_type)
        if pa.types.is_integer(kind):
            return "BigInteger"
        if pa.types.is_decimal(kind):
            return f"Numeric({kind.precision},{kind.scale})"
        if pa.types.is_timestamp(kind):
            return "DateTime" if kind.tz is None else "DateTime zone"
        names = {pa.bool_(): "Boolean", pa.date32(): "Date", pa.float32(): "Float", pa.float64(): "Double"}
        return names.get(kind, "Text")

    def _column_type(self, column: ColumnDefinition, *, is_key: bool) -> Any:
        name, _, size = column.type.partition("(")
        if name == "Numeric":
            precision, scale = (int(part) for part in size.rstrip(")").split(","))
            return self._sql.Numeric(precision, scale)
        if name == "DateTime zone":
            return self._sql.DateTime(timezone=True)
        # A key of text needs a length in some databases.
        return self._sql.String(255) if is_key and name == "Text" else getattr(self._sql, name)()

    def create(self, name: TableName, definition: TableDefinition) -> None:
        """Create a table."""
        columns = [
            self._sql.Column(
                self._quoted(column.name),
                self._column_type(column, is_key=column.name in definition.primary_key),
                nullable=column.nullable,
                primary_key=column.name in definition.primary_key,
                autoincrement=False,
            )
            for column in definition.columns
        ]
        # The expressions quote names as standard SQL does, which some databases read as text.
        standard = self._engine.dialect.identifier_preparer.initial_quote == '"'
        texts = [check.replace(":", r"\:") for check in definition.checks if standard]
        checks = [self._sql.CheckConstraint(self._sql.text(text)) for text in texts]
        metadata = self._sql.MetaData()
        checks += [self._link(link, name, metadata) for link in definition.links]
        table = self._sql.Table(self._quoted(name.table), metadata, *columns, *checks, schema=name.schema)
        table.create(self._connection)
        self._created.append(table)

    def _link(self, link: Link, name: TableName, metadata: Any) -> Any:
        """Return a foreign key; its parent is described by its key alone."""
        if link.parent != name:
            keys = [self._sql.Column(self._quoted(key)) for key in link.parent_columns]
            self._sql.Table(
                self._quoted(link.parent.table), metadata, *keys, schema=link.parent.schema, keep_existing=True
            )
        parent = ".".join(part for part in (link.parent.schema, link.parent.table) if part is not None)
        return self._sql.ForeignKeyConstraint(link.columns, [f"{parent}.{key}" for key in link.parent_columns])

    def insert(self, name: TableName, definition: TableDefinition, rows: pa.Table) -> None:
        """Append rows."""
        names = [column.name for column in definition.columns if not column.generated]
        table = self._sql.table(
            self._quoted(name.table),
            *(self._sql.column(self._quoted(column)) for column in names),
            schema=self._quoted(name.schema) if name.schema else None,
        )
        keys = [column.key for column in table.columns]
        for chunk in batch_to_rows(rows, names):
            values = [dict(zip(keys, map(_stored, row), strict=True)) for row in chunk]
            self._connection.execute(self._sql.insert(table), values)

    def empty_tables(self, names: Sequence[TableName]) -> None:
        """Remove the rows within the transaction."""
        for name in names:
            self._connection.execute(self._sql.delete(self._table(name)))

    def start_replacing(self, name: TableName, definition: TableDefinition | None) -> TableName:
        """Empty the table within the transaction; a table with other columns is not replaced.

        Raises:
            DataError: The columns differ: many databases cannot undo a change of a table's definition.
        """
        if definition is not None:
            raise DataError(f"the table {str(name)!r} has other columns; drop it first, and write with mode='create'")
        self._connection.execute(self._sql.delete(self._table(name)))
        return name

    def finish_replacing(self, name: TableName, written: TableName) -> None:
        """Do nothing: the rows were written to the table itself."""

    def commit(self) -> None:
        """Commit the transaction."""
        self._connection.commit()
        self._created = []

    def close(self) -> None:
        """Close the connection; roll back uncommitted changes, also a table that the database committed."""
        self._connection.rollback()
        for table in self._created:
            table.drop(self._connection, checkfirst=True)
            self._connection.commit()
        self._connection.close()
        self._engine.dispose()


def _stored(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value
