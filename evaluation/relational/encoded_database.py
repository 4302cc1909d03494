"""Encoded databases: codes and numbers of the tables, parents and root of each row, with one encoding for all sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.arrays import Floats, Integers
from tabsynth.data.database.root_rows import parent_rows, root_rows, tables_below
from tabsynth.data.table import Table
from tabsynth.errors import InputError, SchemaError, quote
from tabsynth.evaluation.inputs import relax_schema
from tabsynth.evaluation.stats.encoded_table import EncodedTable, Encoding, encode_tables, scored_columns
from tabsynth.schema.columns import Categorical, Datetime
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import to_instants, to_numbers

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class EncodedDatabase:
    """Encoded database: the real, the synthetic or the held-out one.

    Attributes:
        schema: The tables and links.
        tables: The scored columns of each table; keys are not scored.
        parents: Row number of each child's parent by link, -1 if there is none.
        roots: Row number of each row's root in its root table, -1 if there is none.
        order: Values of the order column of child tables that have one, NaN where missing.
    """

    schema: DatabaseSchema
    tables: Mapping[str, EncodedTable]
    parents: Mapping[ForeignKey, Integers]
    roots: Mapping[str, Integers]
    order: Mapping[str, Floats]

    def take(self, root: str, chosen: Mask) -> EncodedDatabase:
        """Select rows of a root table with all rows below them; other tables are complete."""
        keep = {name: np.append(chosen, False)[self.roots[name]] for name in tables_below(self.schema, root)}
        number = {name: np.append(np.where(mask, np.cumsum(mask) - 1, -1), -1) for name, mask in keep.items()}
        parents = {}
        for key, rows in self.parents.items():
            parent_numbers = number[key.parent][rows] if key.parent in keep else rows
            parents[key] = parent_numbers[keep[key.table]] if key.table in keep else parent_numbers
        renumbered = np.cumsum(chosen) - 1
        return replace(
            self,
            tables={n: table.take(keep[n]) if n in keep else table for n, table in self.tables.items()},
            parents=parents,
            roots={n: renumbered[rows[keep[n]]] if n in keep else rows for n, rows in self.roots.items()},
            order={n: values[keep[n]] if n in keep else values for n, values in self.order.items()},
        )


def encode_databases(
    sides: Sequence[Mapping[str, pd.DataFrame]], titles: Sequence[str], schema: DatabaseSchema
) -> list[EncodedDatabase]:
    """Encode databases with one encoding per table; the first one is the real one.

    Args:
        sides: The tables of each database by name.
        titles: Name of each database in messages.
        schema: The database's schema.

    Raises:
        InputError: A table is missing, or does not fit its schema.
    """
    for title, tables in zip(titles, sides, strict=True):
        missing = [name for name in schema.tables if name not in tables]
        if missing:
            raise InputError(f"the {title} database has no tables {quote(missing)}; it has {quote(tables, 20)}")
    encoded: list[dict[str, EncodedTable]] = [{} for _ in sides]
    order: list[dict[str, Floats]] = [{} for _ in sides]
    checked: list[dict[str, pd.DataFrame]] = [{} for _ in sides]
    for name, table in schema.tables.items():
        scored = scored_schema(schema, name)
        for side, title, tables in zip(checked, titles, sides, strict=True):
            side[name] = _validate(tables[name], title, name, table)
        if scored:
            coded = encode_tables([side[name] for side in checked], scored)
        else:
            coded = [_without_columns(len(side[name])) for side in checked]
        for i, found in enumerate(coded):
            encoded[i][name] = found
            if name in schema.order:
                order[i][name] = _order_values(checked[i][name][schema.order[name]], table, schema.order[name])
    out = []
    for tables, coded_tables, ordered in zip(checked, encoded, order, strict=True):
        parents = {key: parent_rows(tables, schema, key) for key in schema.foreign_keys}
        out.append(EncodedDatabase(schema, coded_tables, parents, root_rows(tables, schema, parents), ordered))
    return out


def relax_database(schema: DatabaseSchema) -> DatabaseSchema:
    """Return the schema without bounds, values and constraints, for reading the synthetic tables."""
    return replace(schema, tables={name: relax_schema(table) for name, table in schema.tables.items()})


def scored_schema(schema: DatabaseSchema, name: str) -> Schema:
    """Return the schema of a table's scored columns: without keys, except those to public tables, as categories."""
    public = {key.column for key in schema.foreign_keys if key.table == name and key.parent in schema.reference}
    keys = {key.column for key in schema.foreign_keys if key.table == name} - public
    keys |= {schema.primary_keys[name]} if name in schema.primary_keys else set()
    columns = {n: Categorical(name=n, nullable=True) if n in public else c for n, c in schema.tables[name].items()}
    plain = relax_schema(Schema({n: column for n, column in columns.items() if n not in keys}))
    return Schema({n: plain[n] for n in scored_columns(plain)})


def _validate(frame: pd.DataFrame, title: str, name: str, schema: Schema) -> pd.DataFrame:
    """Validate a table, and return it with its schema's columns."""
    missing = [column for column in schema if column not in frame]
    if missing:
        raise SchemaError(f"the table {name!r} of the {title} database has no columns {quote(missing)}; align them")
    if not len(frame):
        return frame[list(schema)]
    try:
        return Table.of(frame[list(schema)], relax_schema(schema)).frame
    except InputError as error:
        raise type(error)(f"the table {name!r} of the {title} database: {error}") from error


def _without_columns(rows: int) -> EncodedTable:
    """Return an encoded table without scored columns."""
    nothing = Encoding((), np.zeros(0, bool), np.zeros(0, np.int64), ())
    return EncodedTable(nothing, np.zeros((rows, 0), np.int64), np.zeros((rows, 0)))


def _order_values(values: pd.Series, schema: Schema, name: str) -> Floats:
    column = schema[name]
    if not isinstance(column, Datetime):
        return to_numbers(values)
    moments = to_instants(values, column.format).to_numpy()
    return np.asarray((moments - np.datetime64(0, "s")) / np.timedelta64(1, "s"), dtype=np.float64)
