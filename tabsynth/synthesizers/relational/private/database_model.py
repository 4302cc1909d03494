"""A privately fitted database: a mixture of each table, parents first, fitted to noisy marginals under one ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.privacy.accounting.explanation import explain_ledger
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.private_fit import guarantee_statement
from tabsynth.synthesizers.relational.database_keys import DatabaseKeys, Sample
from tabsynth.synthesizers.relational.keys import KeyNumbers
from tabsynth.synthesizers.relational.private.history_model import HistoryMarginals
from tabsynth.synthesizers.relational.private.sampling import DrawnTable, draw_children
from tabsynth.synthesizers.relational.timeline import Timeline

N_SIMULATED = 4000
"""Number of root rows that are sampled to estimate expected counts of other tables."""


@dataclass(eq=False)
class PrivateDatabase:
    """A privately fitted database.

    Attributes:
        schema: Tables and keys.
        visible: The public schema of each learned table without keys, parents first.
        timelines: Encoding of the times of each ordered child table.
        caps: Maximum number of children of a parent in each child table.
        keys: Generator of the keys.
        references: Unchanged reference tables.
        root: Model of the root table.
        histories: Model of each child table.
        ledger: The privacy ledger of the fit.
    """

    schema: DatabaseSchema
    visible: dict[str, Schema]
    timelines: dict[str, Timeline]
    caps: dict[str, int]
    keys: DatabaseKeys
    references: dict[str, pd.DataFrame]
    root: MarginalSynthesizer
    histories: dict[str, HistoryMarginals]
    ledger: PrivacyLedger

    @property
    def rows(self) -> dict[str, int]:
        """Approximate number of rows of each table, from the noisy counts."""
        drawn = self.draw({self.schema.roots[0]: min(self.root.rows_, N_SIMULATED)}, {}, np.random.default_rng(0))
        scale = self.root.rows_ / max(len(drawn[self.schema.roots[0]].tokens), 1)
        estimates = {name: round(scale * len(table.tokens)) for name, table in drawn.items()}
        return {
            name: estimates[name] if name in estimates else len(self.references[name]) for name in self.schema.tables
        }

    def relations(self) -> dict[str, list[str]]:
        """Return the exact relations between columns of each table."""
        every = {self.schema.roots[0]: self.root.relations_}
        every |= {name: history.relations_ for name, history in self.histories.items()}
        return {name: relations.describe() for name, relations in every.items() if relations.describe()}

    def privacy_card(self) -> dict[str, Any]:
        """Return the privacy statement of the model card."""
        return {
            "privacy": guarantee_statement(self.ledger),
            "privacy_meaning": explain_ledger(self.ledger),
            "max_children": self.caps,
            "ledger": self.ledger.to_dict(),
        }

    def draw(
        self, wanted: Mapping[str, int], given: Mapping[str, Mapping[str, Any]], rng: np.random.Generator
    ) -> dict[str, DrawnTable]:
        """Sample the fitted tables without keys; see ``sample``."""
        out: dict[str, DrawnTable] = {}
        for name, visible in self.visible.items():
            link = self.schema.main_key(name)
            if link is None:
                learned = self.root.sample(wanted[name], given=given.get(name), seed=int(rng.integers(2**62)))
                out[name] = DrawnTable(
                    learned, learned[list(visible)], self.root.codec_.encode(learned)[:, self.root.active_]
                )
            elif name in self.histories:
                out[name] = draw_children(
                    self.histories[name],
                    name,
                    visible,
                    self.timelines.get(name),
                    out[link.parent],
                    self.visible[link.parent],
                    given.get(name),
                    rng,
                )
        return out

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
            wanted: Rows of the root table.
            given: Conditions by table; every row of the table satisfies them.
            rng: Random generator.
            progress: Ignored, because sampling is fast.
            numbers: Number of rows in earlier chunks; by default there are no other chunks.

        Raises:
            ConditionError: A condition cannot be met.
        """
        drawn = self.draw(wanted, given, rng)
        parents = {name: table.parents for name, table in drawn.items() if table.parents is not None}
        visible = {name: table.visible for name, table in drawn.items()}
        learned = {name: table.learned for name, table in drawn.items()}
        if numbers is not None:
            codecs = {self.schema.roots[0]: self.root.codec_}
            codecs |= {name: one.codec_ for name, one in self.histories.items()}
            visible = numbers.renew_identifiers(visible, codecs)
        tables = self.keys.add_to(self.schema, Sample(visible, learned, parents), rng, numbers)
        return {
            name: tables[name][list(columns)] if name in tables else self.references[name].copy()
            for name, columns in self.schema.tables.items()
        }
