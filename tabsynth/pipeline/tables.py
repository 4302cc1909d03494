"""Load a pipeline's tables: read or mix the sources, and split off the held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.data.sample_datasets import open_table
from tabsynth.data.table import Table
from tabsynth.data.train_test_split import check_target, split, split_independently
from tabsynth.evaluation.inputs import fingerprint, relax_schema
from tabsynth.pipeline.checks import parse_conditions
from tabsynth.pipeline.config import Job
from tabsynth.pipeline.records import content_hash, data_hash


@dataclass(frozen=True, eq=False)
class PipelineTables:
    """Training and held-out rows.

    Attributes:
        train: The rows to learn.
        holdout: The rows to compare with.
        target: The column to predict.
        given: Conditions for ``sample``.
        mask: Of mixed rows, which cells their source has.
    """

    train: Table
    holdout: Table | None
    target: str | None
    given: Mapping[str, Any] | None
    mask: pd.DataFrame | None = None

    @property
    def rows(self) -> dict[str, int]:
        """Numbers of rows."""
        return {"train": len(self.train), "holdout": 0 if self.holdout is None else len(self.holdout)}


class SourceTable:
    """The pipeline's input: its content's hash, and the table where it is needed."""

    def __init__(self, job: Job, seeds: Mapping[str, int]) -> None:
        self._job, self._seeds = job, seeds
        self._table: Table | None = None

    def hash(self) -> str:
        """Hash of the contents of all sources; a source that is not a file is read for it."""
        job = self._job
        if job.mix is not None:
            from tabsynth.mixing.plan.plan import Plan

            plan = Plan.load(job.mix.plan)
            files = {name: content_hash(plan.folder / str(item.uri)) for name, item in plan.inputs.items()}
            found: Any = {"plan": content_hash(job.mix.plan), "files": files}
        elif isinstance(job.input, Path):
            found = content_hash(job.input)
        else:
            found = fingerprint(self._read().frame)
        held: str | None = None
        if isinstance(job.holdout, Path):
            held = content_hash(job.holdout)
        elif isinstance(job.holdout, str):
            held = fingerprint(open_table(job.holdout).frame)
        return data_hash({"input": found, "holdout": held})

    def load(self, say: Callable[[str], None]) -> PipelineTables:
        """Read or mix, check the target and the conditions, and split.

        Raises:
            InputError: A table, the target or a condition is invalid.
        """
        job, mask = self._job, None
        if job.mix is None:
            table = self._read()
        else:
            table, mask, held = self._mix()
        target = job.target or next(iter(table.schema.with_role("target")), None)
        if target is not None:
            check_target(table, target)
        if job.mix is not None and isinstance(job.holdout, float):
            train = Table(table.frame[~held].reset_index(drop=True), table.schema)
            holdout: Table | None = Table(table.frame[held].reset_index(drop=True), table.schema)
            mask = None if mask is None else mask[~held].reset_index(drop=True)
        else:
            train, holdout = self._split(table, target)
        given = None if job.sample is None else parse_conditions(job.sample.given, train)
        say(f"read {len(table):,} rows of {len(table.schema)} columns from {job.input}")
        return PipelineTables(train, holdout, target, given, mask)

    def _read(self) -> Table:
        if self._table is None:
            schema = self._job.table_schema
            if self._job.model.privacy is not None and schema is not None:
                schema = relax_schema(schema)  # a private fit clamps what its schema does not allow
            self._table = open_table(self._job.input, schema, self._job.read)
        return self._table

    def _mix(self) -> tuple[Table, pd.DataFrame, npt.NDArray[np.bool_]]:
        """Return the mixed table, its mask, and the rows of the entities to hold out."""
        from tabsynth.mixing.mix import mix
        from tabsynth.mixing.plan.plan import Plan

        step, job = self._job.mix, self._job
        assert step is not None
        plan = Plan.load(step.plan)
        if step.accept_changes:
            now = {
                name: replace(item, sha256=content_hash(plan.folder / str(item.uri)))
                for name, item in plan.inputs.items()
            }
            plan = replace(plan, inputs=now)
        mixed = mix(plan, seed=self._seeds["mix"])
        share = job.holdout if isinstance(job.holdout, float) else 0.0
        held = mixed.split(share, self._seeds["split"]) if share else np.zeros(len(mixed.frame), bool)
        return mixed.table(), mixed.mask, held

    def _split(self, table: Table, target: str | None) -> tuple[Table, Table | None]:
        """Return the training and held-out rows."""
        job = self._job
        if job.holdout is None:
            return table, None
        if isinstance(job.holdout, (str, Path)):
            loose = relax_schema(table.schema)  # the holdout may contain values that the training rows do not
            options = {name: value for name, value in job.read.items() if name not in ("table", "query")}
            return table, open_table(job.holdout, loose, options if isinstance(job.holdout, Path) else None)
        if job.model.privacy is not None:
            return split_independently(table, job.holdout, seed=self._seeds["split"], unit=job.model.privacy.unit)
        return split(table, job.holdout, seed=self._seeds["split"], target=target)
