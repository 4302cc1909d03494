"""The tables of a release: the names of their files, the public facts of their columns, and their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from tabsynth.errors import InputError
from tabsynth.release.about import CONTRACT, TABLE_SCHEMA
from tabsynth.release.documents.contract import PublicColumn, public_columns
from tabsynth.release.manifest import is_safe_name
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema

CONTRACTS, TABLE_SCHEMAS = "contracts/", "table-schemas/"
"""Folders of the documents of linked tables."""


@dataclass(frozen=True, eq=False)
class ReleasedTable:
    """One table of a release.

    Attributes:
        name: The name of its files: the release's, or the table's where there are several.
        frame: Its rows.
        columns: Public facts of its columns.
        is_linked: Whether it is one of several.
        primary_key: The columns of its key, if it has one.
        foreign_keys: Column, name of the parent table and the parent's key, of each link.
    """

    name: str
    frame: pd.DataFrame
    columns: list[PublicColumn]
    is_linked: bool = False
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[tuple[str, str, str], ...] = ()

    @property
    def parquet(self) -> str:
        """The Parquet file."""
        return f"data/{self.name}.parquet"

    @property
    def csv(self) -> str:
        """The CSV file."""
        return f"data/{self.name}.csv"

    @property
    def contract(self) -> str:
        """The file of the pandera schema."""
        return f"{CONTRACTS}{self.name}.yaml" if self.is_linked else CONTRACT

    @property
    def table_schema(self) -> str:
        """The file of the Table Schema."""
        return f"{TABLE_SCHEMAS}{self.name}.json" if self.is_linked else TABLE_SCHEMA


def single_table(name: str, frame: pd.DataFrame, schema: Schema) -> list[ReleasedTable]:
    """Return the table of a release of one table."""
    return [ReleasedTable(name, frame, public_columns(frame, schema))]


def linked_tables(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> list[ReleasedTable]:
    """Return the tables of a release of linked tables, parents first.

    Raises:
        InputError: A table is missing, or its name cannot be that of a file.
    """
    out = []
    for name in schema.sorted_tables:
        if name not in tables:
            raise InputError(f"the table {name!r} of the schema is missing; add it, or remove it from the schema")
        if not is_safe_name(f"data/{name}.parquet") or "/" in name:
            raise InputError(f"the table {name!r} cannot be released: a file cannot have this name; rename the table")
        key = schema.primary_keys.get(name)
        links = [link for link in schema.foreign_keys if link.table == name]
        out.append(
            ReleasedTable(
                name,
                tables[name],
                public_columns(tables[name], schema.tables[name]),
                is_linked=True,
                primary_key=(key,) if key is not None else schema.composite_keys.get(name, ()),
                foreign_keys=tuple((link.column, link.parent, schema.primary_keys[link.parent]) for link in links),
            )
        )
    return out
