"""A fitted database: a model of each table and of its keys, fitted parents first and sampled in the same order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.codec.pandas_dtypes import dtype_name
from tabsynth.codec.rare_value_pooling import pooling_warnings
from tabsynth.common.arrays import Integers
from tabsynth.common.progress import Progress
from tabsynth.relations.categories.token_rules import describe
from tabsynth.relations.declared.satisfy import satisfy_linked
from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.relational.child_model import ParentFeatures, fit_history, sample_history
from tabsynth.synthesizers.relational.database_keys import DatabaseKeys, Sample
from tabsynth.synthesizers.relational.histories.history import History, vocabulary
from tabsynth.synthesizers.relational.keys import KeyNumbers
from tabsynth.synthesizers.relational.links import check_root_columns
from tabsynth.synthesizers.relational.occurrences.plan_selection import (
    CANDIDATES,
    ChildPlan,
    PlanSelection,
    fit_selection,
)
from tabsynth.synthesizers.relational.orphans import Orphans
from tabsynth.synthesizers.relational.plan import plan_columns, with_regular_counts
from tabsynth.synthesizers.relational.tables import (
    add_history_kinds,
    history_bounds,
    prepare_tables,
    restore_dates,
    sort_tables,
    with_code,
)
from tabsynth.synthesizers.relational.timeline import Timeline

CONTEXT_TOKENS = 32
"""Maximum number of tokens of a parent's numeric column as an input of the networks of its children."""


@dataclass(eq=False)
class DatabaseModel:
    """Parameters of a fitted database.

    Attributes:
        schema: Tables and keys.
        columns: Columns of each table, in order.
        visible: Schema of each learned table without its keys.
        timelines: Encoding of the times of each learned table.
        keys: Generation of primary keys and assignment of foreign keys.
        references: Unchanged reference tables.
        roots: Model of each root table.
        contexts: Codec of each parent table for the inputs of its children's networks.
        histories: Model of each child table that has rows.
        orphans: Number of rows of each child table without a main parent.
        empty: Dtypes of the columns of each child table without rows.
        selections: Selection of sampled plans of each root table with long histories.
    """

    schema: DatabaseSchema
    columns: dict[str, list[str]]
    visible: dict[str, Schema]
    timelines: dict[str, Timeline | None]
    keys: DatabaseKeys
    references: dict[str, pd.DataFrame]
    roots: dict[str, MaskedSynthesizer] = field(default_factory=dict)
    contexts: dict[str, Codec] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    orphans: dict[str, Orphans] = field(default_factory=dict)
    empty: dict[str, dict[str, str]] = field(default_factory=dict)
    selections: dict[str, PlanSelection] = field(default_factory=dict)

    def features(
        self, name: str, learned: pd.DataFrame, above: tuple[ParentFeatures, Integers] | None
    ) -> ParentFeatures:
        """Return the inputs of the networks of a table's children: tokens of the rows and of their parents.

        Args:
            name: The table.
            learned: Its rows as the model learns them.
            above: Features of the parents of the rows, and each row's parent; None for a root table.
        """
        codec = self.contexts[name]
        tokens = codec.encode(learned[list(codec.schema)]).astype(np.int64)
        sizes = codec.sizes
        if above is not None:
            tokens = np.concatenate([tokens, above[0].tokens[above[1]]], axis=1)
            sizes = [*sizes, *above[0].sizes]
        return ParentFeatures(tokens, sizes)

    def child_plans(self, name: str) -> list[ChildPlan]:
        """Return the plan columns of a table's children that have planned classes."""
        plans = []
        for child, history in self.histories.items():
            link, classes = self.schema.main_key(child), history.running.classes
            if link is not None and link.parent == name and classes.columns:
                columns = plan_columns(child)[: 1 if self.timelines[child] is None else 3]
                plans.append(ChildPlan(columns, classes.columns, classes.nesting))
        return plans

    def with_regular_counts(
        self, name: str, learned: pd.DataFrame, visible: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Return sampled rows whose plans fit the lengths of their histories; ``visible`` are the rows with dates."""
        for child, history in self.histories.items():
            link, timeline, classes = self.schema.main_key(child), self.timelines[child], history.running.classes
            regular = bool((classes.regular.units >= 0).any())
            if link is not None and link.parent == name and timeline is not None and regular:
                bounds = history_bounds(timeline, learned if visible is None else visible, self.visible[name])
                learned = with_regular_counts(learned, child, timeline, bounds, classes)
        return learned

    def _plans(
        self, name: str, rows: int, given: Mapping[str, Any] | None, seed: int, progress: bool | None
    ) -> pd.DataFrame:
        """Sample a root table, without selection."""
        return self.with_regular_counts(name, self.roots[name].sample(rows, given=given, seed=seed, progress=progress))

    def _sample_root(
        self,
        name: str,
        rows: int,
        given: Mapping[str, Any] | None,
        rng: np.random.Generator,
        progress: bool | None,
    ) -> pd.DataFrame:
        """Sample a root table with the plans of its children."""
        selection = self.selections.get(name)
        seed = int(rng.integers(2**62))
        wanted = rows if selection is None or not rows else CANDIDATES * rows
        candidates = self._plans(name, wanted, given, seed, progress)
        if selection is None or not rows:
            return candidates
        chosen = selection.select(self.child_plans(name), candidates, rows, rng, calibrate=not given)
        return candidates.iloc[chosen].reset_index(drop=True)

    def relations(self) -> dict[str, list[str]]:
        """Return the exact relations and functional dependencies between columns of each table."""
        out = {}
        for name, root in self.roots.items():
            columns = [root.codec_.slots[i].column for i in root.active_]
            out[name] = [*root.relations_.describe(), *(one["rule"] for one in describe(root.functions_, columns))]
        for name, history in self.histories.items():
            columns = [history.codec.slots[i].column for i in history.order]
            out[name] = [*history.relations.describe(), *(one["rule"] for one in describe(history.functions, columns))]
        return {name: texts for name, texts in out.items() if texts}

    def privacy_card(self) -> dict[str, Any]:
        """Return the privacy statement of the model card."""
        return {
            "privacy": "none: every released value occurs in at least min_group root rows, which is not a guarantee"
        }

    def sample(
        self,
        wanted: Mapping[str, int],
        given: Mapping[str, Mapping[str, Any]],
        rng: np.random.Generator,
        progress: bool | None,
        numbers: KeyNumbers | None = None,
    ) -> dict[str, pd.DataFrame]:
        """Sample all tables.

        Args:
            wanted: Rows of each root table.
            given: Conditions by table; every row of the table satisfies them.
            rng: Random generator.
            progress: Whether to show a bar.
            numbers: Number of rows in earlier chunks; by default there are no other chunks.
        """
        learned: dict[str, pd.DataFrame] = {}
        visible: dict[str, pd.DataFrame] = {}
        features: dict[str, ParentFeatures] = {}
        parents: dict[str, Integers] = {}
        for name in self.visible:
            link, above = self.schema.main_key(name), None
            if link is None:
                learned[name] = self._sample_root(name, wanted[name], given.get(name), rng, progress)
                visible[name] = learned[name][list(self.visible[name])]
            elif name not in self.histories:
                learned[name] = visible[name] = pd.DataFrame(
                    {column: pd.Series(dtype=dtype) for column, dtype in self.empty[name].items()}
                )
                parents[name] = np.zeros(0, np.int64)
                continue
            else:
                timeline, read = self.timelines[name], features[link.parent]
                bounds = history_bounds(timeline, visible[link.parent], self.visible[link.parent])
                drawn, learned[name], read = sample_history(
                    self.histories[name],
                    name,
                    timeline,
                    learned[link.parent],
                    bounds,
                    read,
                    self.orphans[name],
                    rng,
                    given.get(name),
                )
                rows = restore_dates(learned[name], drawn.times, timeline, self.visible[name])
                order = None if timeline is None else timeline.axis.column.name
                visible[name] = satisfy_linked(self.visible[name], rows, order, given.get(name, ()), rng)
                parents[name] = np.where(drawn.parents < len(visible[link.parent]), drawn.parents, -1)
                learned[name] = self.with_regular_counts(name, learned[name], visible[name])
                above = read, drawn.parents
            if self.schema.children(name):
                order, readable = self.schema.order.get(name), learned[name]
                if order is not None and order in self.contexts[name].schema and order not in readable:
                    readable = readable.assign(**{order: visible[name][order]})
                features[name] = self.features(name, readable, above)
        if numbers is not None:
            codecs = {name: one.codec_ for name, one in self.roots.items()}
            codecs |= {name: one.codec for name, one in self.histories.items()}
            visible = numbers.renew_identifiers(visible, codecs)
        tables = self.keys.add_to(self.schema, Sample(visible, learned, parents), rng, numbers)
        tables = {name: frame[self.columns[name]] for name, frame in tables.items()}
        return {name: tables[name] if name in tables else self.references[name].copy() for name in self.schema.tables}


def fit_database(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    *,
    totals: Mapping[str, tuple[RunningTotal, ...]],
    epochs: int | None,
    min_group: int,
    seed: int,
    progress: bool | None,
    callbacks: tuple[Callable[[Progress], None], ...],
) -> DatabaseModel:
    """Learn checked tables, parents first; see ``RelationalSynthesizer.fit``."""
    ordered = sort_tables(tables, schema)
    parts = prepare_tables(ordered, schema, totals, min_group=min_group)
    add_history_kinds(parts, schema, min_group=min_group)
    model = DatabaseModel(
        schema,
        {name: list(frame.columns) for name, frame in tables.items()},
        {name: part.schema for name, part in parts.items()},
        {name: part.timeline for name, part in parts.items()},
        DatabaseKeys.fit(parts, tables, ordered, schema, min_group),
        {name: tables[name].reset_index(drop=True) for name in schema.reference},
    )
    features: dict[str, ParentFeatures] = {}
    for number, (name, part) in enumerate(parts.items()):
        with pooling_warnings(name):
            link, own, above = schema.main_key(name), seed + number, None
            if link is None:
                check_root_columns(name, part.learned_schema.columns)
                root = MaskedSynthesizer(min_group=min_group)
                model.roots[name] = root.fit(
                    part.learned, schema=part.learned_schema, seed=own, progress=progress, callbacks=callbacks
                )
            elif not len(part.frame):
                model.empty[name] = {column: dtype_name(part.frame[column]) for column in part.schema}
                continue
            else:
                assert part.rows is not None
                above = features[link.parent].with_unknown(part.orphans), part.rows
                whole = part.timeline is not None and part.timeline.axis.seconds > 0
                model.orphans[name] = Orphans.fit(
                    part.orphans, part.linked, part.orphan_times(), whole=whole, min_group=min_group
                )
                model.histories[name] = fit_history(
                    name,
                    part,
                    parts[link.parent],
                    features[link.parent],
                    totals=totals.get(name, ()),
                    epochs=epochs,
                    min_group=min_group,
                    seed=own,
                    progress=progress,
                    callbacks=callbacks,
                )
            if schema.children(name):
                readable = with_code(part)
                model.contexts[name], _ = vocabulary(*readable, part.roots, min_group=min_group, tokens=CONTEXT_TOKENS)
                features[name] = model.features(name, readable[0], above)
    for number, name in enumerate(model.roots):
        sample = partial(model._plans, name, given=None, seed=seed + number, progress=False)
        selection = fit_selection(model.child_plans(name), parts[name].learned, sample, min_group)
        if selection is not None:
            model.selections[name] = selection
    return model
