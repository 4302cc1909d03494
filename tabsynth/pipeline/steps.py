"""The steps of a pipeline: their dependencies and their execution."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tabsynth.common.input_files import read_json
from tabsynth.pipeline.checks import KEY_PASSWORD, check_conditions
from tabsynth.pipeline.config import Job
from tabsynth.pipeline.outputs import checkpoint_path, copy_to_database, read_head, write_sample
from tabsynth.pipeline.records import StepRecord, content_hash, data_hash, versions_hash
from tabsynth.pipeline.tables import PipelineTables, SourceTable
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.registry import create_on_device, load, supports_checkpoints

if TYPE_CHECKING:
    from tabsynth.evaluation.report import Report
    from tabsynth.privacy.audit.report import AuditReport

STEP_OUTPUTS: dict[str, tuple[str, ...]] = {
    "read": ("train", "holdout"),
    "fit": ("model",),
    "sample": ("synthetic",),
    "evaluate": ("report", "json", "evaluation"),
    "audit": ("audit", "audit_json", "attacks"),
    "release": ("release",),
    "export": (),
}
"""Steps in their order, and their outputs; ``evaluation`` and ``attacks`` are kept with the records."""

STEPS_BEFORE: dict[str, tuple[str, ...]] = {
    "read": (),
    "fit": ("read",),
    "sample": ("fit",),
    "evaluate": ("read", "fit", "sample"),
    "audit": ("read", "fit", "sample"),
    "release": ("read", "fit", "sample", "evaluate", "audit"),
    "export": ("fit", "sample"),
}
"""The steps that each depends on."""


@dataclass
class Steps:
    """One run's steps; tables, model and reports are loaded where a step needs them.

    Attributes:
        job: The pipeline.
        seeds: The seed of each step.
        aside: Where each output is written.
        checkpoint: The state of a long fit.
        files: Where each output of a finished step is.
        hashes: SHA-256 of each output of a finished step.
        sources: What each finished step was made from.
        facts: Facts of each finished step.
    """

    job: Job
    seeds: Mapping[str, int]
    aside: Mapping[str, Path]
    checkpoint: Path
    say: Callable[[str], None]
    progress: bool | None
    files: dict[str, Path] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Mapping[str, str]] = field(default_factory=dict)
    facts: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._source = SourceTable(self.job, self.seeds)
        self._fitted: Synthesizer | None = None

    @property
    def names(self) -> list[str]:
        """The steps that the pipeline has, in order."""
        job = self.job
        wanted: dict[str, Any] = {
            "sample": job.sample,
            "evaluate": job.evaluate,
            "audit": job.audit,
            "release": job.release,
        }
        wanted["export"] = None if job.sample is None else job.sample.database
        return [step for step in STEP_OUTPUTS if wanted.get(step, True) is not None]

    def outputs(self, step: str) -> list[str]:
        """Return the outputs of a step that the pipeline asks for."""
        return [name for name in STEP_OUTPUTS[step] if name in self.aside]

    @cached_property
    def tables(self) -> PipelineTables:
        """The tables, read once; conditions are checked against what the model could give."""
        model = create_on_device(self.job.model.kind, self.job.model.options)
        tables = self._source.load(self.say)
        check_conditions(model, tables.train, tables.given)
        return tables

    @property
    def model(self) -> Synthesizer:
        """The fitted model."""
        if self._fitted is None:
            self._fitted = load(self.files["model"])
        return self._fitted

    @cached_property
    def evaluation(self) -> Report:
        """The evaluation."""
        from tabsynth.evaluation.report import Report

        return Report.from_dict(read_json(self.files["evaluation"], "evaluation"))

    @cached_property
    def attacks(self) -> AuditReport:
        """The audit."""
        from tabsynth.privacy.audit.report import AuditReport

        return AuditReport.from_dict(read_json(self.files["attacks"], "audit"))

    @cached_property
    def synthetic(self) -> pd.DataFrame:
        """The first synthetic rows, as many as an evaluation takes."""
        return read_head(self.files["synthetic"], max(self.facts["read"]["rows"]["train"], 1), self.model.schema_)

    def sources_of(self, step: str) -> dict[str, str]:
        """Return the hashes of everything that a step depends on; its earlier steps are finished."""
        job, seeds = self.job, self.seeds
        made_of: dict[str, Any] = {}
        if step == "read":
            settings: Any = [
                job.schema and job.schema.to_dict(),
                dict(job.read),
                job.target,
                str(job.holdout),
                seeds["split"],
            ]
            settings += [job.mix and (job.mix.accept_changes, seeds.get("mix")), sorted(self.outputs(step))]
            made_of = {"input": self._source.hash()}
        elif step == "fit":
            privacy = job.model.privacy
            settings = [job.model.kind, dict(job.model.options), seeds["fit"], privacy and asdict(privacy)]
            made_of = {"rows": data_hash(self.sources["read"])}
        elif step == "sample":
            assert job.sample is not None
            settings = [job.sample.rows, job.sample.given, seeds["sample"], job.sample.output]
            made_of = {"model": self.hashes["model"]}
        elif step in ("evaluate", "audit"):
            settings = [
                job.target,
                seeds[step],
                sorted(self.outputs(step)),
                [self.aside[n].suffix for n in self.outputs(step)],
            ]
            made_of = {"rows": data_hash(self.sources["read"]), "synthetic": self.hashes["synthetic"]}
            made_of |= {"model": self.hashes["model"]}
        elif step == "export":
            assert job.sample is not None
            settings = [job.sample.database, job.sample.mode]
            made_of = {"synthetic": self.hashes["synthetic"]}
        else:
            assert job.release is not None
            release = job.release
            gates = content_hash(release.gates) if isinstance(release.gates, Path) else release.gates
            settings = [dict(release.about), release.output, gates, release.waivers, release.recipients]
            made_of = {name: self.hashes[name] for name in ("model", "synthetic", "evaluation", "attacks")}
            made_of |= {"key": content_hash(release.key)}
        return {**made_of, "settings": data_hash(settings), "versions": versions_hash()}

    def finish(self, step: str, record: StepRecord, files: Mapping[str, Path]) -> None:
        """Take over a finished step."""
        self.sources[step], self.facts[step] = record.sources, record.facts
        self.files |= files
        self.hashes |= record.outputs

    def run(self, step: str) -> dict[str, Any]:
        """Run a step whose earlier steps are finished; returns its facts."""
        facts: dict[str, Any] = getattr(self, f"_{step}")()
        return facts

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
            model.fit(tables.train.frame, schema=self.job.schema, privacy=job.privacy, progress=self.progress)
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
        self._fitted = model
        return {}

    def _sample(self) -> dict[str, Any]:
        assert self.job.sample is not None
        # Under privacy the model's number of rows is a noisy one.
        count = self.job.sample.rows or self.model.rows_
        given = None if self.job.sample.given is None else self.tables.given
        self.say(f"sampling {count:,} rows")
        write_sample(self.model, self.aside["synthetic"], count, given=given, seed=self.seeds["sample"])
        return {"rows": {"synthetic": count}}

    def _evaluate(self) -> dict[str, Any]:
        from tabsynth.evaluation.evaluate import evaluate

        self.say("evaluating")
        tables, schema = self.tables, self.tables.train.schema
        report = evaluate(
            tables.train,
            self.synthetic,
            tables.holdout,
            target=tables.target,
            schema=schema,
            seed=self.seeds["evaluate"],
            card=self.model.card(),
        )
        for name in self.outputs("evaluate"):
            report.save(self.aside[name])
        return {}

    def _audit(self) -> dict[str, Any]:
        from tabsynth.privacy.audit.audit import audit

        self.say("auditing")
        tables = self.tables
        claim = self.job.model.privacy
        attacks = audit(
            tables.train,
            self.synthetic,
            tables.holdout,
            schema=tables.train.schema,
            privacy=claim,
            seed=self.seeds["audit"],
        )
        for name in self.outputs("audit"):
            attacks.save(self.aside[name])
        return {}

    def _release(self) -> dict[str, Any]:
        from tabsynth.release.build import build

        step = self.job.release
        assert step is not None
        self.say("building the release")
        build(
            self.job.output / step.output,
            self.files["synthetic"],
            about=step.about,
            key=step.key,
            password=os.environ.get(KEY_PASSWORD),
            model=self.model,
            evaluation=self.evaluation,
            audit=self.attacks,
            ledger=step.ledger,
            gates=step.gates,
            waivers=step.waivers,
            recipients=step.recipients,
        )
        return {}

    def _export(self) -> dict[str, Any]:
        step = self.job.sample
        assert step is not None
        assert step.database is not None
        self.say(f"writing the synthetic rows to {step.database}")
        copy_to_database(self.files["synthetic"], step.database, self.model.schema_, step.mode)
        return {}


def checkpoint_of(job: Job) -> Path:
    """Return the checkpoint beside the model file."""
    return checkpoint_path(job.output / job.model.output)
