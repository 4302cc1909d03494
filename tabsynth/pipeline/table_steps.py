"""The steps of a pipeline of one table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tabsynth.common.input_files import read_json
from tabsynth.pipeline.checks import check_conditions
from tabsynth.pipeline.outputs import checkpoint_path, copy_to_database, read_head, write_sample
from tabsynth.pipeline.step_config import ModelStep
from tabsynth.pipeline.steps import Steps
from tabsynth.pipeline.tables import PipelineTables, SourceTable
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.registry import create_on_device, load, supports_checkpoints

if TYPE_CHECKING:
    from tabsynth.evaluation.report import Report


@dataclass
class TableSteps(Steps):
    """Steps over one table, in memory but for the sample."""

    @cached_property
    def _source(self) -> SourceTable:
        return SourceTable(self.job, self.seeds)

    @staticmethod
    def check_options(model: ModelStep) -> None:
        """Raise InputError for an option that the model does not have."""
        create_on_device(model.kind, model.options)

    def check(self) -> None:
        """Read the table and check target and conditions."""
        _ = self.tables

    def source_hash(self) -> str:
        """Return the hash of the contents of all sources."""
        return self._source.hash()

    @property
    def checkpoint(self) -> Path:
        """The state of a long fit, beside the model file."""
        return checkpoint_path(self.job.output / self.job.model.output)

    @cached_property
    def tables(self) -> PipelineTables:
        """The tables, read once; conditions are checked against what the model could give."""
        model = create_on_device(self.job.model.kind, self.job.model.options)
        tables = self._source.load(self.say)
        check_conditions(model, tables.train, tables.given)
        return tables

    @cached_property
    def model(self) -> Synthesizer:
        """The fitted model."""
        return load(self.files["model"])

    @cached_property
    def evaluation(self) -> Report:
        """The evaluation."""
        from tabsynth.evaluation.report import Report

        return Report.from_dict(read_json(self.files["evaluation"], "evaluation"))

    @cached_property
    def synthetic(self) -> pd.DataFrame:
        """The first synthetic rows, as many as an evaluation takes."""
        rows = max(self.facts["read"]["rows"]["train"], 1)
        return read_head(self.files["synthetic"], rows, self.model.schema_, self._separator)

    @property
    def _separator(self) -> str | None:
        return None if self.job.sample is None else self.job.sample.separator

    def _read(self) -> dict[str, Any]:
        from tabsynth.data.read_write import write

        tables = self.tables
        if "train" in self.aside and tables.holdout is not None:
            write(tables.train, self.aside["train"])
            write(tables.holdout, self.aside["holdout"])
        return {"rows": tables.rows}

    def _fit(self) -> dict[str, Any]:
        job, tables = self.job.model, self.tables
        model = create_on_device(job.kind, job.options)
        rows = tables.rows
        self.say(f"fitting {job.kind} to {rows['train']:,} rows ({rows['holdout']:,} held out)")
        if job.privacy is not None:
            model.fit(tables.train.frame, schema=self.job.table_schema, privacy=job.privacy, progress=self.progress)
        else:
            keep = supports_checkpoints(model) if job.checkpoint is None else job.checkpoint
            model.fit(
                tables.train,
                seed=self.seeds["fit"],
                progress=self.progress,
                checkpoint=self.checkpoint if keep else None,
                mask=tables.mask if model.supports_weights else None,
            )
        model.save(self.aside["model"])
        self.model = model
        return {}

    def _sample(self) -> dict[str, Any]:
        step = self.job.sample
        assert step is not None
        # Under privacy the model's number of rows is a noisy one.
        count = step.rows or self.model.rows_
        given = None if step.given is None else self.tables.given
        self.say(f"sampling {count:,} rows")
        how: dict[str, Any] = {"given": given, "seed": self.seeds["sample"], "separator": step.separator}
        write_sample(self.model, self.aside["synthetic"], count, **how)
        return {"rows": {"synthetic": count}}

    def _compared(self, step: str) -> dict[str, Any]:
        tables = self.tables
        rows = {"train": tables.train, "synthetic": self.synthetic, "holdout": tables.holdout}
        target = {"target": tables.target} if step == "evaluate" else {}
        return {**rows, **target, "schema": tables.train.schema}

    def _copy(self, url: str, token: str) -> None:
        step = self.job.sample
        assert step is not None
        copy_to_database(self.files["synthetic"], url, self.model.schema_, step.mode, token)

    @property
    def _released(self) -> dict[str, Any]:
        from tabsynth.data.read_write import read

        rows = read(self.files["synthetic"], schema=self.model.schema_, separator=self._separator)
        return {"data": rows, "model": self.model}
