"""The result of a mix: table, schema, lineage and report."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.atomic_files import check_writable, write_text
from tabsynth.common.html_tables import html_frame, html_table
from tabsynth.data.provenance import get_provenance, write_sidecar
from tabsynth.data.read_write import write
from tabsynth.data.table import Table
from tabsynth.errors import PrivacyError
from tabsynth.mixing.linkage.clusters import split_entities
from tabsynth.mixing.report import report_text
from tabsynth.schema.columns import Identifier, Numeric
from tabsynth.schema.schema import Schema


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixed:
    """The result of ``mix``.

    Attributes:
        frame: The table, with the column ``_source``; local keys are prefixed by their source.
        mask: True where the row's source has the column (its value may still be missing), shape of ``frame``.
        weights: The weight of each row, mean 1, shape (rows,).
        weighed: Whether the plan weights rows; otherwise all weights are 1.
        lineage: ``_source``, ``_row``, ``_entity`` and ``_weight`` of each row, for internal use.
        origin: The source of each cell's value, if the plan requests it.
        schema: The table's schema; ``_source`` has the role ``source``.
        plan_hash: The hash of the applied plan.
        report: Changes and checks, without values of fewer than five rows.
    """

    frame: pd.DataFrame
    mask: pd.DataFrame = field(repr=False)
    weights: npt.NDArray[np.float64] = field(repr=False)
    weighed: bool = False
    lineage: pd.DataFrame = field(repr=False)
    origin: pd.DataFrame | None = field(default=None, repr=False)
    schema: Schema = field(repr=False)
    plan_hash: str
    publish: bool = False
    report: dict[str, Any] = field(repr=False)

    def _repr_html_(self) -> str:
        """Return the rows of each source and the first rows, for notebooks."""
        rows = self.frame["_source"].value_counts(sort=False)
        sources = html_table(("source", "rows"), rows.items())
        return f"<div><strong>{len(self.frame):,} rows</strong>{sources}{html_frame(self.frame)}</div>"

    def split(self, share: float = 0.2, seed: int = 0) -> npt.NDArray[np.bool_]:
        """Return the boolean mask of rows to hold out, shape (rows,); all rows of an entity are on one side.

        Args:
            share: Share of the entities to hold out.
            seed: Random seed.
        """
        return split_entities({"": self.lineage["_entity"].to_numpy()}, share, seed)[""]

    def table(self, person: bool = False) -> Table:
        """Return the table with its schema, as for a file or a fit.

        Args:
            person: Whether to add ``_entity``, the person of each row: a key that is never learned, which ``split``
                keeps whole and ``Privacy(unit="_entity", rows_per_person=...)`` caps.

        Returns:
            The frame, with ``_weight`` where the plan weights rows, and its schema.
        """
        frame, columns = self.frame.copy(deep=False), dict(self.schema.columns)
        if self.weighed:
            frame["_weight"], columns["_weight"] = self.weights, Numeric(name="_weight", role="weight", low=0)
        if person:
            frame["_entity"] = self.lineage["_entity"].to_numpy()
            columns["_entity"] = Identifier(name="_entity", role="person")
        return Table(frame, Schema(columns, self.schema.constraints))

    def save(
        self,
        path: str | Path,
        *,
        report: str | Path | None = None,
        lineage: str | Path | None = None,
        schema: str | Path | None = None,
        person: bool = False,
    ) -> None:
        """Write the table, and optionally the report (JSON), the schema (JSON) and the lineage.

        The file records its provenance, which a model fitted on it keeps: Parquet in its metadata, other formats in a
        sidecar file.

        Args:
            path: The table's file.
            report: The report's file.
            lineage: The lineage's file.
            schema: The schema's file.
            person: Whether to add the column ``_entity``; see ``table``.

        Raises:
            PrivacyError: The lineage is requested, but the plan does not publish it.
            SourceError: A file cannot be written.
        """
        if lineage is not None and not self.publish:
            raise PrivacyError(
                "the lineage identifies the source row of each row, and the plan does not publish it: set "
                "publish: true under lineage in the plan to write it"
            )
        for target in (path, report, lineage, schema):
            if target is not None:
                check_writable(target)
        table = self.table(person)
        write(table, path)
        info = get_provenance(table.frame)
        if info is not None and not str(path).lower().endswith((".parquet", ".pq")):
            write_sidecar(path, info)
        if schema is not None:
            table.schema.to_json(schema)
        if report is not None:
            write_text(report, report_text(self.report))
        if lineage is not None:
            write(self.lineage, lineage)
