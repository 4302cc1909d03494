"""A mixed table with where its rows come from, and what was done to make it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.atomic_files import check_writable, write_text
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
        frame: The table, with the column ``_source``; keys of persons are namespaced by source where they are local.
        mask: True where the row's source has the column (its value may still be missing), shape of ``frame``.
        weights: The weight of each row, mean 1, shape (rows,).
        weighed: Whether the plan weighs rows; otherwise all weigh 1.
        lineage: Of each row ``_source``, ``_row``, ``_entity`` and ``_weight``; it is for internal use.
        origin: By cell the source of its value, where the plan asks for it.
        schema: What the table is; ``_source`` has the role ``source``.
        plan_hash: The hash of the plan that was applied.
        report: What was done, without values that fewer than five rows share.
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

    def split(self, share: float = 0.2, seed: int = 0) -> npt.NDArray[np.bool_]:
        """Which rows to hold out, shape (rows,): all rows of an entity are on one side.

        Args:
            share: Share of the entities to hold out.
            seed: Seed of the choice.
        """
        return split_entities({"": self.lineage["_entity"].to_numpy()}, share, seed)[""]

    def table(self, person: bool = False) -> Table:
        """The table with its schema, as a file holds it and a fit takes it.

        Args:
            person: Whether to add ``_entity``, the person of each row as the plan tells persons apart: a key that is
                never learned, which ``split`` keeps whole and ``Privacy(unit="_entity", rows_per_person=...)`` caps.

        Returns:
            The frame with ``_weight`` where the plan weighs rows, and a schema that says what they are for.
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
        """Write the table, and where asked the report (JSON), the schema (JSON) and the lineage.

        The file tells which plan made it of what, and a model that is fitted on it keeps that: Parquet in its
        metadata, other files in a small one beside them.

        Args:
            path: Where to write the table.
            report: Where to write what was done.
            lineage: Where to write which row is from which.
            schema: Where to write what the columns are.
            person: Whether the table has the column ``_entity``; see ``table``.

        Raises:
            PrivacyError: The lineage is asked for, but the plan does not publish it.
            SourceError: A file cannot be written.
        """
        if lineage is not None and not self.publish:
            raise PrivacyError(
                "the lineage says which row of which source a row is from, and the plan keeps it in: set "
                "publish: true under lineage in the plan to write it"
            )
        for target in (path, report, lineage, schema):
            if target is not None:
                check_writable(target)
        table = self.table(person)
        write(table, path)
        told = get_provenance(table.frame)
        if told is not None and not str(path).lower().endswith((".parquet", ".pq")):
            write_sidecar(path, told)
        if schema is not None:
            table.schema.to_json(schema)
        if report is not None:
            write_text(report, report_text(self.report))
        if lineage is not None:
            write(self.lineage, lineage)
