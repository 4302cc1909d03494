"""The rows of a table larger than memory, in batches that are checked against its schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from tabsynth.data.batch_reader import Batches
from tabsynth.data.read_write import cast_columns
from tabsynth.data.sql.urls import is_database_url
from tabsynth.data.table import Table
from tabsynth.distributed.row_sample import sample_rows
from tabsynth.errors import DataError, SchemaError, quote
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.constraints import Combinations, RefusedRule, Unique
from tabsynth.schema.schema import Schema

UNSUPPORTED_ROLES = ("person", "weight")
"""Roles that need all rows of a person, or the weights of all rows, at once."""

REMEDY = "fit a random sample of the rows, with max_rows (--max-rows)"


@dataclass(frozen=True, eq=False)
class Source:
    """A table in a file, in a folder of files or in a database.

    Attributes:
        table: The path, pattern or URL.
        declared: The declared schema; None if it is inferred from the sample.
        sample_rows: Maximum rows of the sample.
        seed: Seed of the sample.
    """

    table: Path | str
    declared: Schema | None
    sample_rows: int
    seed: int

    @classmethod
    def of(cls, table: str | Path, schema: Schema | None, sample_rows: int, seed: int) -> Source:
        """Return a source.

        Raises:
            SchemaError: The schema declares what cannot be kept without having all rows in memory.
        """
        schema = None if schema is None else Schema.of(schema)
        if schema is not None:
            check_supported(schema)
        return cls(str(table) if is_database_url(table) else Path(table), schema, sample_rows, seed)

    @cached_property
    def _sampled(self) -> tuple[pd.DataFrame, int]:
        return sample_rows(self.table, self.sample_rows, seed=self.seed)

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return self._sampled[1]

    @cached_property
    def sample(self) -> Table:
        """A uniform random sample of the rows, in their order, without the columns that constraints derive.

        Raises:
            InputError: The source or the schema cannot be used.
        """
        frame = self._sampled[0]
        if self.declared is not None:
            return Table.of(cast_columns(frame, self.declared), self.declared)
        table = Table.of(frame)
        check_supported(table.schema)
        # A column without missing values in the sample may have some in other rows.
        columns = {name: replace(column, nullable=True) for name, column in table.schema.items()}
        return Table(table.frame, replace(table.schema, columns=columns))

    @property
    def schema(self) -> Schema:
        """The schema of all rows; an inferred one allows missing cells everywhere."""
        return self.sample.schema

    def tables(self, columns: list[str] | None = None) -> Iterator[Table]:
        """Yield all rows in batches, with some of the columns or with all, and the columns that constraints derive.

        Raises:
            SourceError: The source cannot be read.
            DataError: Rows do not fit the schema; the message names them.
        """
        schema = self.schema if columns is None else Schema({name: self.schema[name] for name in columns})
        rules, start = RuleSet.of(schema), 0
        for frame in Batches(self.table).frames(columns):
            try:
                yield rules.training_table(Table.of(cast_columns(frame, schema), schema))
            except DataError as error:
                raise DataError(f"rows {start} to {start + len(frame) - 1}: {error}") from error
            start += len(frame)


def check_supported(schema: Schema) -> None:
    """Raise for facts of a schema that need all rows in memory.

    Raises:
        SchemaError: There are some; the message names them.
    """
    for role in UNSUPPORTED_ROLES:
        if names := schema.with_role(role):
            raise SchemaError(
                f"an out-of-core fit cannot use the role {role!r} of {quote(names)}: it needs all rows in memory; "
                f"{REMEDY}, or change the role"
            )
    for rule in schema.constraints:
        learns = isinstance(rule, Combinations) and rule.values is None
        if isinstance(rule, RefusedRule) or (rule.on_violation == "error" and not (learns or isinstance(rule, Unique))):
            continue
        raise SchemaError(
            f"an out-of-core fit cannot keep the constraint {rule.to_dict()}: it needs all rows in memory; {REMEDY}, "
            "list the values of combinations, or set on_violation to error"
        )
