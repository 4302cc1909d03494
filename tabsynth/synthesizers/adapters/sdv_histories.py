"""Adapter of PAR, sdv's model of histories, with the interface of ``RelationalSynthesizer``."""

from __future__ import annotations

import pandas as pd

from tabsynth.common.validation import check_positive_integers
from tabsynth.errors import DataError, SchemaError, quote
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.synthesizers.adapters.base import require_package
from tabsynth.synthesizers.adapters.sdv_tables import SdvDatabaseSynthesizer, describe_columns

CONTEXT = "context: "
"""Prefix of the root table's columns in the long table that PAR learns."""


class PARSynthesizer(SdvDatabaseSynthesizer):
    """SDV's probabilistic autoregressive model (PAR) of histories: one root table and one child table with an order.

    The columns of the root table are the context of each sequence; a root row without children is not learned.

    Args:
        epochs: Passes over the sequences.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    def __init__(self, *, epochs: int = 128, device: str = "auto") -> None:
        self.epochs = epochs
        self.device = device

    def _check_schema(self, schema: DatabaseSchema) -> None:
        check_positive_integers(epochs=self.epochs)
        learned = [name for name in schema.tables if name not in schema.reference]
        child = learned[-1] if len(learned) == 2 and schema.main_key(learned[-1]) else learned[0]
        if len(learned) != 2 or schema.main_key(child) is None or child not in schema.order:
            raise SchemaError(
                f"PARSynthesizer learns one root table and one child table with an order column, not {quote(learned)}; "
                "leave the other tables out"
            )

    def _fit_frames(self, tables: dict[str, pd.DataFrame], schema: DatabaseSchema, show_progress: bool) -> None:
        child = next(name for name in tables if schema.main_key(name) is not None)
        key = schema.main_key(child)
        assert key is not None
        self._link, self._key = key, schema.primary_keys[key.parent]
        parent = tables[key.parent].add_prefix(CONTEXT)
        primary_key = schema.primary_keys.get(child)
        rows = tables[child].drop(columns=[] if primary_key is None else [primary_key])
        long = rows.merge(parent, left_on=key.column, right_on=f"{CONTEXT}{self._key}").drop(
            columns=f"{CONTEXT}{self._key}"
        )
        columns = describe_columns(schema.tables[child], {key.column}, set())
        columns |= {
            f"{CONTEXT}{n}": facts
            for n, facts in describe_columns(schema.tables[key.parent], {self._key}, set()).items()
        }
        described = {
            "columns": {name: columns[name] for name in map(str, long)},
            "sequence_key": key.column,
            "sequence_index": schema.order[child],
        }
        if not len(long):
            raise DataError(f"no row of {child!r} has a parent; PARSynthesizer has nothing to learn")
        context = [name for name in map(str, long) if name.startswith(CONTEXT)]
        metadata = require_package("sdv.metadata", "PARSynthesizer").Metadata.load_from_dict(
            {"tables": {"history": described}, "relationships": [], "METADATA_SPEC_VERSION": "V1"}
        )
        self._model = require_package("sdv.sequential", "PARSynthesizer").PARSynthesizer(
            metadata,
            context_columns=context,
            epochs=self.epochs,
            cuda=self.device != "cpu",
            verbose=show_progress,
        )
        self._model.fit({"history": long})

    def _sample_frames(self, factor: float, roots: int) -> dict[str, pd.DataFrame]:
        self._model._data_processor.reset_sampling()
        self._model._context_synthesizer.reset_sampling()
        drawn = self._model.sample_sequences(num_sequences=max(round(factor * roots), 1))
        long = drawn["history"] if isinstance(drawn, dict) else drawn
        number = pd.factorize(long[self._link.column])[0]
        root = long.loc[~pd.Series(number, index=long.index).duplicated()]
        context = [name for name in long if name.startswith(CONTEXT)]
        parent = root[context].rename(columns=lambda name: name.removeprefix(CONTEXT)).reset_index(drop=True)
        parent[self._key] = range(1, len(parent) + 1)
        rows = long.drop(columns=context).reset_index(drop=True)
        rows[self._link.column] = number + 1
        for name in self._blank[self._link.table]:
            if name not in rows:  # the child's own key
                rows[name] = range(1, len(rows) + 1)
        return {self._link.parent: parent, self._link.table: rows}
