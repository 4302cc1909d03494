"""The steps of a pipeline of linked tables, from a folder or a database; results are folders of tables."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tabsynth.common.input_files import read_json
from tabsynth.data.database.folders import check_folder_output, read_folder, table_files, write_folder
from tabsynth.data.database.read_write import DatabaseMode, check_database_output, read_database, write_database
from tabsynth.data.database.root_rows import split_by_root
from tabsynth.errors import ConditionError, InputError, did_you_mean, quote
from tabsynth.evaluation.inputs import fingerprint
from tabsynth.evaluation.relational.database_specs import check_score_names
from tabsynth.evaluation.relational.encoded_database import relax_database
from tabsynth.pipeline.outputs import write_sampled_folder
from tabsynth.pipeline.records import content_hash, data_hash
from tabsynth.pipeline.step_config import ModelStep
from tabsynth.pipeline.steps import Steps
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

if TYPE_CHECKING:
    from tabsynth.evaluation.relational.database_report import DatabaseReport

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True, eq=False)
class LinkedTables:
    """Training and held-out tables of one schema; a root row and all below it are on one side."""

    train: Tables
    holdout: Tables | None
    schema: DatabaseSchema

    @property
    def rows(self) -> dict[str, int]:
        """Numbers of rows by side and table."""
        sides = (("train", self.train), ("holdout", self.holdout or {}))
        return {f"{side} {name}": len(frame) for side, tables in sides for name, frame in tables.items()}


@dataclass
class LinkedSteps(Steps):
    """Steps over linked tables."""

    @staticmethod
    def check_options(model: ModelStep) -> None:
        """Raise InputError for an option that the model does not have."""
        known = inspect.signature(RelationalSynthesizer).parameters
        unknown = [name for name in model.options if name not in known]
        if unknown:
            raise InputError(f"a model of linked tables has no option {quote(unknown)}; it has {quote(known)}")
        if model.checkpoint:
            raise InputError("a fit of linked tables writes no checkpoint; leave out model: checkpoint")

    def check(self) -> None:
        """Read the tables; check conditions, and that no folder of other files would be replaced."""
        schema, sample = self.tables.schema, self.job.sample
        if self.job.evaluate is not None:
            check_score_names(self.job.evaluate.require, schema, "evaluate: require")
        for table, own in ((None if sample is None else sample.given) or {}).items():
            if table not in schema.roots:
                raise ConditionError(f"conditions are on root tables ({quote(schema.roots)}), not on {table!r}")
            unknown = [name for name in own if name not in schema.tables[table]]
            if unknown:
                columns = quote(schema.tables[table], 12)
                hint = did_you_mean(unknown[0], schema.tables[table])
                raise ConditionError(
                    f"given names unknown columns of {table!r}: {quote(unknown)}{hint}; there are {columns}"
                )
        if sample is not None and sample.database is not None and sample.mode != "create":
            check_database_output(sample.database, schema)
        for name in ("synthetic", "train", "holdout"):
            if name in self.aside:
                final = self.job.output / self.aside[name].relative_to(self.work)
                if final.parent.is_dir():
                    check_folder_output(final, tuple(schema.tables), self._format)

    @property
    def _format(self) -> str:
        return "parquet" if self.job.sample is None else self.job.sample.format

    @cached_property
    def _input(self) -> tuple[dict[str, pd.DataFrame], DatabaseSchema]:
        schema = self.job.database_schema
        if self.job.model.privacy is None or schema is None:
            return self._open(self.job.input, schema)
        # A private fit clamps what its schema does not allow.
        return self._open(self.job.input, relax_database(schema))[0], schema

    def _open(
        self, source: str | Path, schema: DatabaseSchema | None
    ) -> tuple[dict[str, pd.DataFrame], DatabaseSchema]:
        options = {name: value for name, value in self.job.read.items() if name != "tables"}
        if isinstance(source, Path):
            return read_folder(source, schema, options)
        if options:
            raise InputError(f"read: {quote(options)} is for files, and {source} is a database; leave it out")
        return read_database(source, schema, self.job.read.get("tables"))

    def source_hash(self) -> str:
        """Return the hash of the contents of all tables; those of a database are read for it."""
        held = self.job.holdout
        if isinstance(self.job.input, Path):
            found = {name: content_hash(path) for name, path in table_files(self.job.input).items()}
        else:
            found = {name: fingerprint(frame) for name, frame in self._input[0].items()}
        holdout: Any = None
        if isinstance(held, Path):
            holdout = {name: content_hash(path) for name, path in table_files(held).items()}
        elif isinstance(held, str):
            holdout = {name: fingerprint(frame) for name, frame in self._held_out.items()}
        return data_hash({"input": found, "holdout": holdout})

    @cached_property
    def _held_out(self) -> dict[str, pd.DataFrame]:
        assert isinstance(self.job.holdout, (str, Path))
        return self._open(self.job.holdout, relax_database(self._input[1]))[0]

    @cached_property
    def tables(self) -> LinkedTables:
        """The tables, read once, and split by root rows."""
        tables, schema = self._input
        self.say(f"read {len(tables)} tables from {self.job.input}")
        held = self.job.holdout
        if isinstance(held, float):
            seed, private = self.seeds["split"], self.job.model.privacy is not None
            return LinkedTables(*split_by_root(tables, schema, held, seed=seed, independent=private), schema)
        return LinkedTables(tables, None if held is None else self._held_out, schema)

    @cached_property
    def model(self) -> RelationalSynthesizer:
        """The fitted model."""
        return RelationalSynthesizer.load(self.files["model"])

    @cached_property
    def evaluation(self) -> DatabaseReport:
        """The evaluation."""
        from tabsynth.evaluation.relational.database_report import DatabaseReport

        return DatabaseReport.from_dict(read_json(self.files["evaluation"], "evaluation"))

    @cached_property
    def synthetic(self) -> dict[str, pd.DataFrame]:
        """The synthetic tables."""
        return read_folder(self.files["synthetic"], relax_database(self.model.schema_))[0]

    def _read(self) -> dict[str, Any]:
        tables = self.tables
        if "train" in self.aside and tables.holdout is not None:
            write_folder(tables.train, self.aside["train"], tables.schema, self._format)
            write_folder(tables.holdout, self.aside["holdout"], tables.schema, self._format)
        return {"rows": tables.rows}

    def _fit(self) -> dict[str, Any]:
        tables, job = self.tables, self.job.model
        model = RelationalSynthesizer(**job.options)
        self.say(f"fitting relational to {', '.join(f'{name} ({len(t):,})' for name, t in tables.train.items())}")
        secret = {"seed": self.seeds["fit"]} if job.privacy is None else {"privacy": job.privacy}
        model.fit(tables.train, schema=tables.schema, progress=self.progress, **secret)
        model.save(self.aside["model"])
        self.model = model
        return {}

    def _sample(self) -> dict[str, Any]:
        step = self.job.sample
        assert step is not None
        self.say("sampling")
        written = write_sampled_folder(
            self.model,
            self.aside["synthetic"],
            step.rows,
            scale=step.scale,
            given=step.given,
            seed=self.seeds["sample"],
            format=step.format,
            progress=self.progress,
        )
        return {"rows": {f"synthetic {name}": rows for name, rows in written.items()}}

    def _compared(self, step: str) -> dict[str, Any]:
        tables = self.tables
        schema = relax_database(tables.schema) if step == "audit" else tables.schema
        return {"train": tables.train, "synthetic": self.synthetic, "holdout": tables.holdout, "schema": schema}

    def _copy(self, url: str, token: str) -> None:
        assert self.job.sample is not None
        mode: DatabaseMode = "create" if self.job.sample.mode == "create" else "replace"
        write_database(self.synthetic, url, self.model.schema_, mode, token=token if mode == "create" else None)

    @property
    def _released(self) -> dict[str, Any]:
        return {"data": self.synthetic, "model": self.files["model"]}
