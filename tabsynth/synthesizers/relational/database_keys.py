"""Keys of a synthetic database: new primary keys, main foreign keys by position, further foreign keys by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.schema.columns import Categorical
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.composite_keys import make_unique
from tabsynth.synthesizers.relational.keys import KeyMaker, KeyNumbers
from tabsynth.synthesizers.relational.links import copied_from, parent_rows
from tabsynth.synthesizers.relational.matching import Match, fit_levels, fit_match, match_column
from tabsynth.synthesizers.relational.tables import TrainingTable


@dataclass(frozen=True, eq=False)
class Sample:
    """Sampled tables before they have keys.

    Attributes:
        visible: The rows of each table without keys.
        learned: The same rows in the form in which they are learned.
        parents: The main parent's row number of each row of each child table, -1 for none.
    """

    visible: Mapping[str, pd.DataFrame]
    learned: Mapping[str, pd.DataFrame]
    parents: Mapping[str, Integers]


@dataclass(frozen=True, eq=False)
class DatabaseKeys:
    """Generators of a database's keys.

    Attributes:
        makers: Makers of the primary keys of each table.
        matches: Match of each further foreign key, by table and column.
    """

    makers: dict[str, KeyMaker]
    matches: dict[tuple[str, str], Match]

    @classmethod
    def fit(
        cls,
        parts: Mapping[str, TrainingTable],
        tables: Mapping[str, pd.DataFrame],
        ordered: Mapping[str, pd.DataFrame],
        schema: DatabaseSchema,
        min_group: int,
    ) -> Self:
        """Learn the keys; the classes of further parents are added to the learned rows as columns.

        Args:
            parts: The tables as they are learned, which are changed.
            tables: The tables.
            ordered: The tables, with rows in the order of ``parts``.
            schema: Their schema.
            min_group: The floor on roots.
        """
        makers = {
            name: KeyMaker.fit(schema.tables[name][column], tables[name][column], min_group)
            for name, column in schema.primary_keys.items()
            if name in parts
        }
        matches = {}
        for name, part in parts.items():
            for link in schema.other_keys(name):
                matches[name, link.column] = _fit_match(part, link, parts, ordered, schema, min_group)
        return cls(makers, matches)

    def add_to(
        self, schema: DatabaseSchema, sample: Sample, rng: np.random.Generator, numbers: KeyNumbers | None = None
    ) -> dict[str, pd.DataFrame]:
        """Return the sampled tables with their keys; ``numbers`` continues the keys of earlier chunks."""
        out = {name: frame.copy() for name, frame in sample.visible.items()}
        numbers = KeyNumbers(int(rng.integers(2**62))) if numbers is None else numbers
        for at, (name, maker) in enumerate(self.makers.items()):
            first = numbers.drawn.get(name, 0)
            out[name][schema.primary_keys[name]] = maker.keys(len(out[name]), [numbers.seed, at], first)
        numbers.advance({name: len(frame) for name, frame in out.items()})
        for name in out:
            main = schema.main_key(name)
            if main is not None:
                keys = out[main.parent][schema.primary_keys[main.parent]]
                out[name][main.column] = _taken(keys, sample.parents[name])
            for link in schema.other_keys(name):
                out[name][link.column] = self._matched(link, schema, out, sample, rng)
        for name in out:
            if name in schema.composite_keys:
                out[name] = _unique_rows(name, out, schema, rng)
        return out

    def _matched(
        self,
        link: ForeignKey,
        schema: DatabaseSchema,
        tables: Mapping[str, pd.DataFrame],
        sample: Sample,
        rng: np.random.Generator,
    ) -> pd.Series:
        """Return the values of a further foreign key."""
        match, main = self.matches[link.table, link.column], schema.main_key(link.table)
        if match.via is not None and main is not None:
            return _taken(tables[main.parent][match.via], sample.parents[link.table])
        keys = tables[link.parent][schema.primary_keys[link.parent]]
        if not len(tables[link.table]):
            return _taken(keys, np.zeros(0, np.int64))
        drawn = pd.to_numeric(sample.learned[link.table][match_column(link.column)])
        wanted = np.nan_to_num(drawn.to_numpy(np.float64, na_value=np.nan), nan=-1).astype(np.int64)
        classes = wanted + 1 if match.levels else match.classes(sample.visible[link.parent])
        return _taken(keys, match.assign(wanted, classes, sample.parents.get(link.table), rng))

    def to_dict(self) -> dict[str, Any]:
        """Return the keys as plain data."""
        return {
            "makers": {name: maker.to_dict() for name, maker in self.makers.items()},
            "matches": [[table, column, match.to_dict()] for (table, column), match in self.matches.items()],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        makers = {name: KeyMaker.from_dict(item) for name, item in data["makers"].items()}
        return cls(makers, {(table, column): Match.from_dict(item) for table, column, item in data["matches"]})


def _fit_match(
    part: TrainingTable,
    link: ForeignKey,
    parts: Mapping[str, TrainingTable],
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    min_group: int,
) -> Match:
    """Fit the matching of a further foreign key; the class of each row's parent becomes a learned column."""
    rows = parent_rows(tables, schema, link)
    via = None if part.rows is None or part.orphans else copied_from(tables, schema, link, part.rows)
    if via is not None:
        return Match(via=via)
    if link.parent == link.table:
        match, classes = fit_levels(rows, part.rows)
    else:
        other = parts[link.parent]
        match, classes = fit_match(part.learned, rows, other.frame, other.schema, other.roots, min_group)
    column = match_column(link.column)
    text = pd.Series([str(one) if one >= 0 else None for one in classes], index=part.learned.index, dtype=object)
    kind = Categorical(name=column, nullable=bool((classes < 0).any()))
    part.learned = part.learned.assign(**{column: text})
    part.learned_schema = Schema({**part.learned_schema.columns, column: kind}, part.learned_schema.constraints)
    return match


def _unique_rows(
    name: str, tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema, rng: np.random.Generator
) -> pd.DataFrame:
    """Return rows without repeated composite keys: change a key to a second parent if possible, else a value."""
    key, frame = schema.composite_keys[name], tables[name]
    main, order = schema.main_key(name), schema.order.get(name)
    fixed = {order, None if main is None else main.column}
    others = {link.column: link.parent for link in schema.other_keys(name)}
    free = sorted((one for one in key if one not in fixed), key=lambda one: one not in others)
    column = free[0] if free else None
    if column in others:
        values = tables[others[column]][schema.primary_keys[others[column]]]
    else:
        values = frame[column or key[0]].dropna()
    return make_unique(frame, key, column, values, rng)


def _taken(values: pd.Series, rows: Integers) -> pd.Series:
    """Return the values by row number, missing for -1; whole numbers stay whole."""
    if (rows >= 0).all():
        return values.take(rows).reset_index(drop=True)
    index = pd.Series(rows).where(rows >= 0)
    if pd.api.types.is_integer_dtype(values.dtype):
        values = values.astype("Int64")
    return values.reindex(index).reset_index(drop=True)
