"""Base class of the steps of a pipeline, and their dependencies."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.common.input_files import read_json
from tabsynth.pipeline.checks import KEY_PASSWORD
from tabsynth.pipeline.config import Job
from tabsynth.pipeline.outputs import export_token
from tabsynth.pipeline.records import StepRecord, content_hash, data_hash, versions_hash
from tabsynth.pipeline.status import STATE_FOLDER
from tabsynth.pipeline.step_config import ModelStep
from tabsynth.reporting.report_files import SavedReport

if TYPE_CHECKING:
    from tabsynth.evaluation.relational.database_report import DatabaseReport
    from tabsynth.evaluation.report import Report
    from tabsynth.privacy.audit.report import AuditReport
    from tabsynth.synthesizers.base import Synthesizer
    from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

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
class Steps(ABC):
    """One run's steps; tables, model and reports are loaded where a step needs them.

    Attributes:
        job: The pipeline.
        seeds: The seed of each step.
        aside: Temporary path of each output.
        say: Called with a line about each step.
        progress: Whether to show progress bars.
        files: Path of each output of a finished step.
        hashes: SHA-256 of each output of a finished step.
        sources: Hashes of the inputs of each finished step.
        facts: Facts of each finished step.
    """

    job: Job
    seeds: Mapping[str, int]
    aside: Mapping[str, Path]
    say: Callable[[str], None]
    progress: bool | None
    files: dict[str, Path] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Mapping[str, str]] = field(default_factory=dict)
    facts: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """Staging folder of the outputs."""
        return self.job.output / STATE_FOLDER / "work"

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

    @staticmethod
    @abstractmethod
    def check_options(model: ModelStep) -> None:
        """Raise InputError for an option that the model does not have."""

    @abstractmethod
    def check(self) -> None:
        """Read the tables, and raise InputError for what can be refused before anything is written."""

    @property
    @abstractmethod
    def model(self) -> Synthesizer | RelationalSynthesizer:
        """The fitted model."""

    @property
    @abstractmethod
    def evaluation(self) -> Report | DatabaseReport:
        """The evaluation."""

    @cached_property
    def attacks(self) -> AuditReport:
        """The audit."""
        from tabsynth.privacy.audit.report import AuditReport

        return AuditReport.from_dict(read_json(self.files["attacks"], "audit"))

    @abstractmethod
    def source_hash(self) -> str:
        """Return the hash of the contents of all sources."""

    def sources_of(self, step: str) -> dict[str, str]:
        """Return the hashes of what a step depends on, whose earlier steps are finished."""
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
            made_of = {"input": self.source_hash()}
        elif step == "fit":
            privacy = job.model.privacy
            settings = [job.model.kind, dict(job.model.options), seeds["fit"], privacy and asdict(privacy)]
            made_of = {"rows": data_hash(self.sources["read"])}
        elif step == "sample":
            assert job.sample is not None
            settings = [job.sample.rows, job.sample.given, seeds["sample"], job.sample.output]
            settings += [job.sample.scale, job.sample.format] if job.linked else []
            settings += [job.sample.separator] if job.sample.separator is not None else []
            made_of = {"model": self.hashes["model"]}
        elif step in ("evaluate", "audit"):
            settings = [
                job.target,
                seeds[step],
                sorted(self.outputs(step)),
                [self.aside[n].suffix for n in self.outputs(step)],
            ]
            if step == "evaluate" and job.evaluate is not None and job.evaluate.sdmetrics is not None:
                settings.append(job.evaluate.sdmetrics)
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
            evidence = ("model", "synthetic", "evaluation", "attacks")
            made_of = {name: self.hashes[name] for name in evidence if name in self.hashes}
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

    @abstractmethod
    def _read(self) -> dict[str, Any]:
        """Read the tables, and write those of a split."""

    @abstractmethod
    def _fit(self) -> dict[str, Any]:
        """Fit the model."""

    @abstractmethod
    def _sample(self) -> dict[str, Any]:
        """Sample."""

    @abstractmethod
    def _compared(self, step: str) -> dict[str, Any]:
        """Return real and synthetic rows and their schema, as keyword arguments of ``evaluate`` or ``audit``."""

    def _evaluate(self) -> dict[str, Any]:
        from tabsynth.evaluation.evaluate import evaluate

        self.say("evaluating")
        seed, card, step = self.seeds["evaluate"], self.model.card(), self.job.evaluate
        sdmetrics = None if step is None else step.sdmetrics
        report = evaluate(**self._compared("evaluate"), seed=seed, card=card, sdmetrics=sdmetrics)
        return self._save_report("evaluate", report)

    def _audit(self) -> dict[str, Any]:
        from tabsynth.privacy.audit.audit import audit

        self.say("auditing by person" if self.job.linked else "auditing")
        seed, privacy = self.seeds["audit"], self.job.model.privacy
        return self._save_report("audit", audit(**self._compared("audit"), privacy=privacy, seed=seed))

    def _save_report(self, step: str, report: SavedReport) -> dict[str, Any]:
        for name in self.outputs(step):
            report.save(self.aside[name])
        return {}

    @abstractmethod
    def _copy(self, url: str, token: str) -> None:
        """Copy the synthetic rows to a database, unless the database has the token already."""

    @property
    @abstractmethod
    def _released(self) -> Any:
        """The synthetic rows and the model, as keyword arguments of ``release.build``."""

    def _release(self) -> dict[str, Any]:
        from tabsynth.release.build import build

        step = self.job.release
        assert step is not None
        self.say("building the release")
        build(
            self.job.output / step.output,
            **self._released,
            about=step.about,
            key=step.key,
            password=os.environ.get(KEY_PASSWORD),
            evaluation=self.evaluation,
            audit=None if self.job.audit is None else self.attacks,
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
        # A run that was killed between the write and its record finds the token, and writes no row twice.
        self._copy(step.database, export_token(self.job.output, self.hashes["synthetic"], step))
        return {}
