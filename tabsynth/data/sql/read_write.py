"""Read tables and queries of databases in batches, and write tables in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.data.parquet_files import arrow_to_frame
from tabsynth.data.sql.create_table import new_definition
from tabsynth.data.sql.definitions import DECIMAL_FIELD, Database, TableDefinition
from tabsynth.data.sql.names import TableName
from tabsynth.data.sql.row_writer import CHUNK_ROWS, MARKS, insert_rows, mark_written, to_arrow
from tabsynth.data.sql.table_schema import schema_from_definition
from tabsynth.data.sql.urls import DUCKDB, POSTGRESQL, SQLITE, DatabaseUrl, parse_url
from tabsynth.errors import DataError, SourceError, quote
from tabsynth.schema.schema import Schema

Mode = Literal["create", "append", "replace"]
MODES = ("create", "append", "replace")

MAX_EXACT_DIGITS = 15
"""A decimal of no more digits is a float64 without rounding."""


@contextmanager
def open_database(url: DatabaseUrl, *, writable: bool = False) -> Iterator[Database]:
    """Open a database; changes that are not committed are rolled back at the end.

    Raises:
        SourceError: It cannot be opened.
        MissingDependencyError: The extra ``sql`` is not installed.
    """
    database: Database
    if url.dialect == POSTGRESQL:
        from tabsynth.data.sql.postgres import Postgres

        database = Postgres(url)
    elif url.dialect == SQLITE:
        from tabsynth.data.sql.sqlite import Sqlite

        database = Sqlite(url, writable=writable)
    elif url.dialect == DUCKDB:
        from tabsynth.data.sql.duckdb_files import DuckDb

        database = DuckDb(url, writable=writable)
    else:
        from tabsynth.data.sql.sqlalchemy_urls import SqlAlchemy

        database = SqlAlchemy(url)
    try:
        yield database
    finally:
        url.attempt("close", database.close)


def table_of(url: DatabaseUrl, table: str | None) -> TableName:
    """Return the table that an argument or the URL's fragment names.

    Raises:
        SourceError: Neither or both name one.
    """
    if table is not None and url.table is not None:
        raise SourceError(f"{url.label} and table={table!r} both name a table; give one")
    name = table if table is not None else url.table
    if name is None:
        raise SourceError(f"{url.label} is a whole database; name its table: table='patients', or {url.label}#patients")
    return TableName.parse(name)


def read_batches(
    name: str, *, table: str | None = None, query: str | None = None, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a table or query as Arrow batches; the connection closes after the last one.

    Args:
        name: The URL.
        table: The table, if the URL does not name it.
        query: A query instead of a table.
        columns: The columns of a table; all by default.

    Raises:
        SourceError: The database, table or query cannot be read.
        DataError: A column is of a type that is not supported.
    """
    url = parse_url(name)
    if query is not None and (table is not None or url.table is not None):
        raise SourceError("table and query exclude each other; give one")
    target = None if query is not None else table_of(url, table)
    with open_database(url) as database:
        action = "run the query in" if target is None else f"read the table {str(target)!r} from"
        statement = query or ""
        if target is not None:
            definition = url.attempt(action, lambda: database.definition(target))
            if definition is None:
                others = url.attempt(action, database.table_names)
                raise SourceError(f"{url.label} has no table {str(target)!r}; it has {quote(map(str, others), 12)}")
            statement = database.select(target)
        batches = database.batches(statement)
        while True:
            batch = url.attempt(action, lambda: next(batches, None))
            if batch is None:
                return
            yield batch if columns is None else batch.select(columns)


def read_frame(name: str, *, table: str | None = None, query: str | None = None) -> tuple[pd.DataFrame, Schema | None]:
    """Return the whole table or result of a query, and what the database declares of its columns.

    Raises:
        SourceError: The database, table or query cannot be read.
        DataError: No rows, or a column of a type that is not supported.
    """
    frame = frame_of(read_batches(name, table=table, query=query))
    if not len(frame):
        raise DataError(f"{parse_url(name).label}: the table or the query's result has no rows")
    return frame, None if query is not None else _declared(name, table)


def frame_of(batches: Iterable[pa.RecordBatch]) -> pd.DataFrame:
    """Return the rows of all batches, converted column by column, so that little more than the result is in memory."""
    found = list(batches)
    if not found:
        return pd.DataFrame()
    table = _concatenate(found)
    columns: dict[str, pd.Series] = {}
    for place, field in enumerate(table.schema):
        is_text = pa.types.is_string(field.type) and not _is_decimal(field)
        columns[field.name] = _text(table.column(place)) if is_text else to_frame(table.select([place]))[field.name]
        pa.default_memory_pool().release_unused()  # it keeps what conversions used
    return pd.DataFrame(columns, copy=False)


def _text(values: pa.ChunkedArray) -> pd.Series:
    """Return a column of text; equal values of a batch share one object: to share those of all takes much memory."""
    return pd.Series(np.concatenate([batch.to_pandas().to_numpy() for batch in values.chunks]), dtype=object)


def _declared(name: str, table: str | None) -> Schema | None:
    url = parse_url(name)
    target = table_of(url, table)
    with open_database(url) as database:
        definition = url.attempt("read the definition of a table in", lambda: database.definition(target))
    return None if definition is None else schema_from_definition(definition)


def _concatenate(batches: list[pa.RecordBatch]) -> pa.Table:
    """Return one table; a column without types in some batches takes that of the others."""
    tables = [pa.Table.from_batches([batch]) for batch in batches]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"a column has values of several types ({error}); cast it in a query") from error


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Convert Arrow to pandas: exact decimals become float64 where that is exact, else ``Decimal``."""
    for place, field in enumerate(table.schema):
        if _is_decimal(field):
            numbers = _decimals(table.column(place))
            table = table.set_column(place, pa.field(field.name, numbers.type), numbers)
    return arrow_to_frame(table)


def _is_decimal(field: pa.Field) -> bool:
    return (field.metadata or {}).get(b"tabsynth") == DECIMAL_FIELD[b"tabsynth"]


def _decimals(values: pa.ChunkedArray) -> pa.ChunkedArray:
    digits = pc.replace_substring_regex(values, r"^-?[0.]*|\.", "")
    longest = pc.max(pc.utf8_length(digits)).as_py() or 0
    fractions = pc.any(pc.match_substring(values, ".")).as_py()
    if longest <= MAX_EXACT_DIGITS or pc.any(pc.match_substring_regex(values, "[A-Za-z]")).as_py():
        return values.cast(pa.float64())
    if longest <= 18 and not fractions:
        return values.cast(pa.int64())
    # Arrow parses text to decimals of a fixed scale: that of the longest fraction.
    scale = pc.max(pc.utf8_length(pc.replace_substring_regex(values, r"^[^.]*\.?", ""))).as_py() or 0
    kind = pa.decimal128(38, scale) if longest <= 38 else pa.decimal256(76, scale)
    return values.cast(kind)


@contextmanager
def write_batches(
    name: str,
    *,
    table: str | None = None,
    mode: Mode = "create",
    schema: Schema | None = None,
    token: str | None = None,
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a table frame by frame in one transaction: all rows appear at the end, or none.

    Args:
        name: The URL.
        table: The table, if the URL does not name it.
        mode: ``create`` a new table, ``append`` to one, or ``replace`` it.
        schema: Types, NOT NULL, primary key and checks of a new table.
        token: Marks this write in the database, see ``has_token``.

    Raises:
        SourceError: The table exists, or does not, or the database refuses a row.
        DataError: No frame came, or the columns differ from those of the table.
    """
    if mode not in MODES:
        raise SourceError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    url = parse_url(name)
    target = table_of(url, table)
    action = f"write the table {str(target)!r} to"
    with open_database(url, writable=True) as database:
        existing = url.attempt(action, lambda: database.definition(target))
        if mode == "create" and existing is not None:
            raise SourceError(
                f"{url.label} has a table {str(target)!r} already; write with mode='append' or mode='replace'"
            )
        if mode == "append" and existing is None:
            raise SourceError(f"{url.label} has no table {str(target)!r} to append to; write with mode='create'")
        writer = _Writer(database, target, existing, mode, schema)

        def append(frame: pd.DataFrame) -> None:
            if len(frame):
                url.attempt(action, lambda: writer.append(frame))

        yield append
        if writer.written is None:
            raise DataError(f"nothing was written to {url.label}: there are no rows")
        if token is not None:
            url.attempt(action, lambda: mark_written(database, token))
        url.attempt(action, writer.finish)


def has_token(name: str, token: str) -> bool:
    """Return whether the database contains the rows of a write that was marked with a token."""
    url = parse_url(name)
    with open_database(url) as database:
        if url.attempt("read", lambda: database.definition(MARKS)) is None:
            return False
        batches = url.attempt("read", lambda: list(database.batches(database.select(MARKS))))
    return any(token in batch.column(0).to_pylist() for batch in batches)


class _Writer:
    """Writes frames into one table."""

    def __init__(
        self, database: Database, target: TableName, existing: TableDefinition | None, mode: Mode, schema: Schema | None
    ) -> None:
        self._database, self._target, self._existing, self._mode = database, target, existing, mode
        self._schema = schema
        self._definition: TableDefinition | None = None
        self.written: TableName | None = None

    def append(self, frame: pd.DataFrame) -> None:
        """Write rows; the first ones create the table."""
        if self.written is None or self._definition is None:
            self._start(to_arrow(frame.iloc[:CHUNK_ROWS]).schema)
        assert self._definition is not None
        assert self.written is not None
        insert_rows(self._database, self.written, self._definition, self._schema, frame)

    def _start(self, rows: pa.Schema) -> None:
        existing = self._existing
        if self._mode == "append" and existing is not None:
            self._definition, self.written = existing, self._target
            return
        columns = () if existing is None else existing.columns
        computed = {column.name for column in columns if column.generated}
        is_same = existing is not None and {column.name for column in columns} == {*rows.names, *computed}
        self._definition = (
            existing if existing is not None and is_same else new_definition(self._database, rows, self._schema)
        )
        if existing is None:
            self._database.create(self._target, self._definition)
            self.written = self._target
        else:
            self.written = self._database.start_replacing(self._target, None if is_same else self._definition)

    def finish(self) -> None:
        """Put the table in its place, and make it durable."""
        if self._mode == "replace" and self._existing is not None and self.written is not None:
            self._database.finish_replacing(self._target, self.written)
        self._database.commit()


def write_frame(
    data: pd.DataFrame, name: str, *, table: str | None = None, mode: Mode = "create", schema: Schema | None = None
) -> None:
    """Write a whole table in one transaction.

    Raises:
        SourceError: See ``write_batches``.
        DataError: See ``write_batches``.
    """
    with write_batches(name, table=table, mode=mode, schema=schema) as append:
        append(data)
