"""Private fit of linked tables: caps and times, then each table, parents first, under one ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial, reduce

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats, Integers
from tabsynth.privacy.accounting.measured_spending import check_same_dataset, compose_ledgers, get_measurement_ledger
from tabsynth.privacy.budget import Privacy, gaussian_rho
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.columns import Identifier, Text
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.count_source import NoisyCounts, Reader
from tabsynth.synthesizers.marginal.private_rows import CellRows, public_grids
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.options import FitOptions
from tabsynth.synthesizers.relational.database_keys import DatabaseKeys
from tabsynth.synthesizers.relational.plan import plan_columns
from tabsynth.synthesizers.relational.private.database_model import N_SIMULATED, PrivateDatabase
from tabsynth.synthesizers.relational.private.history_model import HistoryMarginals, HistoryRows, ParentContext
from tabsynth.synthesizers.relational.private.learned_tables import LearnedTables
from tabsynth.synthesizers.relational.private.linked_rows import read_linked_rows, truncate
from tabsynth.synthesizers.relational.private.public_tables import PublicTables
from tabsynth.synthesizers.relational.private.sampling import DrawnTable
from tabsynth.synthesizers.relational.private.structure import measure_caps, measure_timelines

CAP_SHARE, TIMELINE_SHARE, ROOT_SHARE = 0.04, 0.03, 0.4
"""Shares of the budget for maxima that are not declared, for the encoding of times, and for the root table; the rest is
for the child tables."""


def fit_private_database(
    tables: Mapping[str, pd.DataFrame],
    public: PublicTables,
    privacy: Privacy,
    max_children: Mapping[str, int],
    run: FitOptions,
) -> PrivateDatabase:
    """Learn linked tables with differential privacy of a root row with all rows below it.

    Args:
        tables: The raw tables; read only by mechanisms that have charged the ledger.
        public: Their schemas and links.
        privacy: The requested privacy; its unit is the root table's key.
        max_children: Maximum number of children of a parent in each child table; maxima that are not given are
            measured.
        run: Seed and progress of the steps after the noisy counts.

    Raises:
        PrivacyError: The budget does not allow it; nothing was read.
    """
    opened = privacy.opened()
    ledger = opened.open_ledger
    spent = [get_measurement_ledger(public.schema.tables[name]) for name in public.visible]
    for measured in spent:
        check_same_dataset(measured, privacy.unit, ledger.parent)
    fit = _PrivateFit(tables, public, opened, run)
    try:
        model = fit.run(max_children)
    finally:
        ledger.settle()
    model.ledger = reduce(lambda whole, part: compose_ledgers(part, whole), spent, ledger)
    return model


class _PrivateFit:
    """One private fit: its budget, its noise and its reads."""

    def __init__(
        self, tables: Mapping[str, pd.DataFrame], public: PublicTables, privacy: Privacy, run: FitOptions
    ) -> None:
        self.public, self.privacy, self.options, self.noise = public, privacy, run, privacy.noise()
        self.rho = gaussian_rho(privacy.epsilon, privacy.resolved_delta)
        self.choice = self.noise.branch(0)
        self.linked = cache(lambda: read_linked_rows(tables, public, self.choice))
        self.tables = {name: tables[name].reset_index(drop=True) for name in public.schema.reference}

    def run(self, declared: Mapping[str, int]) -> PrivateDatabase:
        """Measure the structure, then each table, parents first."""
        public, facts = self.public, (self.privacy.open_ledger, self.noise)
        opened = [name for name in public.children if name not in declared]
        ordered = [name for name in public.children if name in public.schema.order]
        caps = measure_caps(self.linked, public, declared, CAP_SHARE * self.rho, *facts)
        bounded = cache(lambda: truncate(self.linked(), public, caps))
        timelines = measure_timelines(bounded, public, TIMELINE_SHARE * self.rho, *facts, self.choice)
        learned = LearnedTables.of(public, caps, timelines)
        frames = cache(lambda: learned.frames(bounded()))
        rows = {
            name: CellRows(partial(_frame, frames, name), RuleSet.of(schema), self._grids(schema))
            for name, schema in learned.schemas.items()
        }
        left = 1 - CAP_SHARE * bool(opened) - TIMELINE_SHARE * bool(ordered)
        share = left * (ROOT_SHARE if public.children else 1.0)
        root = self._fit_root(rows[public.root], learned.schemas[public.root], share)
        model = PrivateDatabase(
            public.schema,
            public.visible,
            timelines,
            caps,
            DatabaseKeys(public.key_makers(), {}),
            self.tables,
            root,
            {},
            self.privacy.open_ledger,
        )
        share = (left - share) / max(len(public.children), 1)
        for name in public.children:
            parent = public.parent(name)
            above: MarginalSynthesizer = root if parent == public.root else model.histories[parent]
            history = HistoryMarginals()
            history.schema_, history.seed_ = learned.schemas[name], self.options.seed
            history._constraint_facts = {}
            most = self.privacy.max_rows_per_unit
            history.fit_history(
                HistoryRows(name, rows[name], bounded, rows[parent], above, most, self.choice),
                _expect_parents(model.draw(self._simulated(root), {}, self._rng()), public, name, above),
                self._source(name, share, most),
                self.privacy.n_public,
                self.options,
            )
            model.histories[name] = history
        return model

    def _fit_root(self, rows: CellRows, schema: Schema, share: float) -> MarginalSynthesizer:
        root = MarginalSynthesizer()
        root.schema_, root.seed_ = schema, self.options.seed
        root._constraint_facts = {}
        root._fit_rows(rows, self._source(self.public.root, share, 1), self.privacy.n_public, self.options)
        return root

    def _source(self, name: str, share: float, most: int) -> NoisyCounts:
        return TableCounts(share * self.rho, self.privacy.open_ledger, self.noise, most, table=name)

    def _simulated(self, root: MarginalSynthesizer) -> dict[str, int]:
        return {self.public.root: min(max(root.rows_, 500), N_SIMULATED)}

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng([self.options.seed, 1])

    @staticmethod
    def _grids(schema: Schema) -> dict[str, Grid]:
        model = RuleSet.of(schema).model_schema()
        learned = any(not isinstance(column, (Identifier, Text)) for column in model.values())
        return public_grids(model) if learned else {}


@dataclass(frozen=True)
class TableCounts(NoisyCounts):
    """Noisy counts of one of several tables; its name is recorded in the ledger.

    Attributes:
        table: The table.
    """

    table: str = ""

    def counts(
        self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]
    ) -> list[Floats]:
        """Return noisy counts, one charge for all."""
        return super().counts(reads, shares, f"{self.table}: {purpose}", [f"{self.table}.{name}" for name in columns])


def _frame(read: Callable[[], Mapping[str, pd.DataFrame]], name: str) -> pd.DataFrame:
    """Read one of several frames."""
    return read()[name]


def _expect_parents(
    drawn: Mapping[str, DrawnTable], public: PublicTables, name: str, above: MarginalSynthesizer
) -> ParentContext:
    """Return the expected counts of the parents of a child table's rows, with equal weights for all persons."""
    parent = public.parent(name)
    table, persons = drawn[parent], _persons(drawn, public, parent)
    children = np.nan_to_num(table.learned[plan_columns(name)[0]].to_numpy(np.float64))
    total = np.maximum(np.bincount(persons, children), 1.0)[persons]
    weights, first = children / total, float(((children > 0) / total).sum())
    counts = []
    for slot, tokens in enumerate(table.tokens.T):
        known = tokens >= 0
        expected = np.bincount(tokens[known], weights[known], above.layout_.sizes[slot])
        prior = above.counts_[above.active_[slot]].astype(np.float64)
        counts.append(expected + 1e-3 * max(expected.sum(), 1.0) * prior / prior.sum())
    names = [f"{parent}.{above.codec_.slots[i].column}" for i in above.active_]
    return ParentContext(names, counts, list(above.layout_.lines), first / max(float(weights.sum()), 1e-9))


def _persons(drawn: Mapping[str, DrawnTable], public: PublicTables, name: str) -> Integers:
    """Return the root's row number of each sampled row."""
    parents = drawn[name].parents
    if parents is None:
        return np.arange(len(drawn[name].tokens))
    return _persons(drawn, public, public.parent(name))[parents]
