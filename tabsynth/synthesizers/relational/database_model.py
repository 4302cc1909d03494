"""A fitted database: a model of each table and of its keys, fitted parents first and sampled in the same order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Integers
from tabsynth.common.progress import Progress
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.relational.child_model import ParentFeatures, fit_history, sample_history
from tabsynth.synthesizers.relational.history import History, vocabulary
from tabsynth.synthesizers.relational.keys import Assignment, KeyMaker
from tabsynth.synthesizers.relational.links import copied_from, parent_rows
from tabsynth.synthesizers.relational.tables import history_bounds, prepare_tables, restore_dates, sort_tables
from tabsynth.synthesizers.relational.timeline import Timeline

CONTEXT_TOKENS = 32
"""Tokens of a numeric column of a parent, as the networks of its children read it."""


@dataclass(eq=False)
class DatabaseModel:
    """What is kept of a fitted database.

    Attributes:
        schema: Tables and keys.
        columns: Columns of each table, in order.
        visible: Schema of each learned table, keys apart.
        timelines: How the times of each learned table are expressed.
        keys: How the primary keys of each table are made.
        assignments: How each further foreign key is assigned, by table and column.
        references: Reference tables, as they are.
        roots: Model of each root table.
        contexts: Vocabulary by which children read each parent table.
        histories: Model of each child table.
    """

    schema: DatabaseSchema
    columns: dict[str, list[str]]
    visible: dict[str, Schema]
    timelines: dict[str, Timeline | None]
    keys: dict[str, KeyMaker]
    assignments: dict[tuple[str, str], Assignment]
    references: dict[str, pd.DataFrame]
    roots: dict[str, MaskedSynthesizer]
    contexts: dict[str, Codec]
    histories: dict[str, History]

    def features(
        self, name: str, learned: pd.DataFrame, above: tuple[ParentFeatures, Integers] | None
    ) -> ParentFeatures:
        """What the children of a table's rows read: the rows' tokens, and those of the rows' parents.

        Args:
            name: The table.
            learned: Its rows as they are learned.
            above: What the rows themselves read, and the parent's row number of each; None for a root table.
        """
        codec = self.contexts[name]
        tokens = codec.encode(learned).astype(np.int64)
        sizes = codec.sizes
        if above is not None:
            tokens = np.concatenate([tokens, above[0].tokens[above[1]]], axis=1)
            sizes = [*sizes, *above[0].sizes]
        return ParentFeatures(tokens, sizes)

    def relations(self) -> dict[str, list[str]]:
        """The exact relations between columns of each table."""
        every = {name: root.relations_ for name, root in self.roots.items()}
        every |= {name: history.relations for name, history in self.histories.items()}
        return {name: relations.describe() for name, relations in every.items() if relations.describe()}

    def sample(
        self,
        wanted: Mapping[str, int],
        given: Mapping[str, Mapping[str, Any]],
        rng: np.random.Generator,
        progress: bool | None,
    ) -> dict[str, pd.DataFrame]:
        """Draw all tables.

        Args:
            wanted: Rows of each root table.
            given: Conditions by root table.
            rng: Source of random numbers.
            progress: Whether to show a bar.
        """
        learned: dict[str, pd.DataFrame] = {}
        visible: dict[str, pd.DataFrame] = {}
        features: dict[str, ParentFeatures] = {}
        parents: dict[str, Integers] = {}
        for name in self.visible:
            link, above = self.schema.main_key(name), None
            if link is None:
                seed = int(rng.integers(2**62))
                learned[name] = self.roots[name].sample(
                    wanted[name], given=given.get(name), seed=seed, progress=progress
                )
                visible[name] = learned[name][list(self.visible[name])]
            else:
                timeline, read = self.timelines[name], features[link.parent]
                bounds = history_bounds(timeline, visible[link.parent], self.visible[link.parent])
                drawn, learned[name] = sample_history(
                    self.histories[name], name, timeline, learned[link.parent], bounds, read.tokens, rng
                )
                visible[name] = restore_dates(learned[name], drawn.times, timeline, self.visible[name])
                parents[name], above = drawn.parents, (read, drawn.parents)
            if self.schema.children(name):
                features[name] = self.features(name, learned[name], above)
        return self._with_keys(visible, parents, rng)

    def _with_keys(
        self, visible: Mapping[str, pd.DataFrame], parents: Mapping[str, Integers], rng: np.random.Generator
    ) -> dict[str, pd.DataFrame]:
        """All tables in their columns, with keys."""
        out = {name: frame.copy() for name, frame in visible.items()}
        seed = int(rng.integers(2**62))
        for number, (name, maker) in enumerate(self.keys.items()):
            out[name][self.schema.primary_keys[name]] = maker.keys(len(out[name]), [seed, number])
        for name in visible:
            main = self.schema.main_key(name)
            if main is not None:
                out[name][main.column] = _taken(out[main.parent][self.schema.primary_keys[main.parent]], parents[name])
            for link in self.schema.other_keys(name):
                way = self.assignments[name, link.column]
                if way.via is not None and main is not None:
                    out[name][link.column] = _taken(out[main.parent][way.via], parents[name])
                    continue
                key = out[link.parent][self.schema.primary_keys[link.parent]]
                out[name][link.column] = _taken(key, way.assign(len(out[name]), len(key), rng))
        tables = {name: out[name][self.columns[name]] for name in out}
        return {name: tables[name] if name in tables else self.references[name].copy() for name in self.schema.tables}


def fit_database(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    *,
    epochs: int | None,
    min_group: int,
    seed: int,
    progress: bool | None,
    callbacks: tuple[Callable[[Progress], None], ...],
) -> DatabaseModel:
    """Learn checked tables, parents first; see ``RelationalSynthesizer.fit``."""
    ordered = sort_tables(tables, schema)
    parts = prepare_tables(ordered, schema, min_group=min_group)
    keys = {
        name: KeyMaker.fit(schema.tables[name][column], tables[name][column], min_group)
        for name, column in schema.primary_keys.items()
        if name in parts
    }
    model = DatabaseModel(
        schema,
        {name: list(frame.columns) for name, frame in tables.items()},
        {name: part.schema for name, part in parts.items()},
        {name: part.timeline for name, part in parts.items()},
        keys,
        _assignments(ordered, schema),
        {name: tables[name].reset_index(drop=True) for name in schema.reference},
        {},
        {},
        {},
    )
    features: dict[str, ParentFeatures] = {}
    for number, (name, part) in enumerate(parts.items()):
        link, own, above = schema.main_key(name), seed + number, None
        if link is None:
            root = MaskedSynthesizer(min_group=min_group)
            model.roots[name] = root.fit(
                part.learned, schema=part.learned_schema, seed=own, progress=progress, callbacks=callbacks
            )
        else:
            assert part.rows is not None
            above = (features[link.parent], part.rows)
            model.histories[name] = fit_history(
                name,
                part,
                parts[link.parent],
                features[link.parent],
                epochs=epochs,
                min_group=min_group,
                seed=own,
                progress=progress,
                callbacks=callbacks,
            )
        if schema.children(name):
            model.contexts[name], _ = vocabulary(
                part.learned, part.learned_schema, part.roots, min_group=min_group, tokens=CONTEXT_TOKENS
            )
            features[name] = model.features(name, part.learned, above)
    return model


def _assignments(tables: Mapping[str, pd.DataFrame], schema: DatabaseSchema) -> dict[tuple[str, str], Assignment]:
    """How each further foreign key is assigned."""
    out = {}
    for name in schema.tables:
        main = schema.main_key(name)
        rows = None if main is None else parent_rows(tables, schema, main)
        for link in schema.other_keys(name):
            own = parent_rows(tables, schema, link)
            via = None if rows is None else copied_from(tables, schema, link, rows)
            out[name, link.column] = Assignment.fit(own, len(tables[link.parent]), via, link.parent == name)
    return out


def _taken(values: pd.Series, rows: Integers) -> pd.Series:
    """Values by row number, missing for -1; whole numbers stay whole."""
    if (rows >= 0).all():
        return values.take(rows).reset_index(drop=True)
    index = pd.Series(rows).where(rows >= 0)
    if pd.api.types.is_integer_dtype(values.dtype):
        values = values.astype("Int64")
    return values.reindex(index).reset_index(drop=True)
