"""Run a pipeline: read or mix, split, fit, sample, evaluate, audit, release.

A step is skipped if its inputs, settings and versions are those of its record, and its outputs are intact. Results
replace earlier ones at the end, and only if every step succeeded and every requirement is met.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.common.atomic_files import sync
from tabsynth.errors import InputError
from tabsynth.evaluation.gates import unmet_requirements
from tabsynth.pipeline.checks import check_release, output_paths, step_seeds
from tabsynth.pipeline.config import Job, job_from_dict, read_job
from tabsynth.pipeline.linked_tables import read_linked, run_linked
from tabsynth.pipeline.records import (
    StepRecord,
    content_hash,
    locate_outputs,
    read_record,
    stale_reason,
    write_record,
)
from tabsynth.pipeline.requirements import unmet_audit
from tabsynth.pipeline.status import STATE_FOLDER, RunStatus, locked
from tabsynth.pipeline.steps import STEPS_BEFORE, Steps, checkpoint_of
from tabsynth.release.gates import GateError
from tabsynth.synthesizers.registry import create_on_device

if TYPE_CHECKING:
    from tabsynth.evaluation.score import Score


FAILED_FOLDER = "failed"
"""Folder for the results of a run that did not succeed."""

RESULT_FILES = ("model", "synthetic", "report", "train", "holdout", "audit", "release")

INTERNAL = ("model", "report", "json", "audit", "audit_json", "train", "holdout")
"""Outputs with facts of the real table, which are readable by their owner only."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """Result of a pipeline.

    Attributes:
        model: The model file.
        synthetic: The synthetic table's file; None without a sample.
        report: The report's file; None without an evaluation.
        train: The file of the training rows; None unless the pipeline split the table.
        holdout: The file of the held-out rows.
        audit: The audit's file; None without an audit.
        release: The release; None without one, and where it was refused.
        verdict: The audit's verdict.
        scores: The report's scores by name.
        summary: The report as text, with the verdict in its first line.
        unmet: A sentence for each requirement that failed.
        rows: Numbers of training, held-out and synthetic rows.
        seeds: The seed of each step.
        steps: For each step ``done`` or ``skipped``.
    """

    model: Path
    synthetic: Path | None = None
    report: Path | None = None
    train: Path | None = None
    holdout: Path | None = None
    audit: Path | None = None
    release: Path | None = None
    verdict: str | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    summary: str = ""
    unmet: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data, scores by value and interval only."""
        return {
            **{name: None if getattr(self, name) is None else str(getattr(self, name)) for name in RESULT_FILES},
            "rows": dict(self.rows),
            "seeds": dict(self.seeds),
            "steps": dict(self.steps),
            "scores": {
                name: {"value": s.value, "interval": s.interval and list(s.interval), "better": s.better}
                for name, s in self.scores.items()
            },
            "verdict": self.summary.partition("\n")[0],
            "audit_verdict": self.verdict,
            "unmet": list(self.unmet),
        }


def run(
    source: str | Path | Mapping[str, Any] | Job,
    *,
    say: Callable[[str], None] = lambda line: None,
    progress: bool | None = None,
) -> Result:
    """Run a pipeline.

    All keys, options, tables, conditions and output paths are checked before the fit and before anything is written.
    Results replace earlier ones when every step has succeeded; if a step or a requirement fails, they are kept in the
    subfolder ``failed``. A step whose inputs, settings and versions are unchanged is skipped, and a run that was killed
    goes on where it was.

    Args:
        source: A YAML file, a mapping (relative paths start at the working folder), or a validated job.
        say: Called with a line about each step.
        progress: Show progress bars; by default on a terminal.

    Raises:
        BusyError: Another run writes the same output folder.
        TabsynthError: The pipeline or one of its tables is invalid.

    Example:
        >>> run({"version": 1, "input": "patients.csv", "output": "out", "smaple": {"rows": 10}})
        Traceback (most recent call last):
        ...
        tabsynth.errors.InputError: pipeline: unknown key 'smaple' (did you mean 'sample'?); allowed are ...
    """
    if (linked := read_linked(source)) is not None:
        return Result(**run_linked(linked, say, progress))
    job, paths, steps = _prepare(source, say, progress)
    if any(item.reason for item in plan_steps(job, paths, steps)):
        _ = steps.tables  # what can be refused is refused before anything is written
    with locked(job.output) as folder:
        status = RunStatus(folder, steps.names)
        try:
            states, unmet = _run_steps(paths, steps, folder, status)
        except BaseException as error:
            for path in _settle(paths, steps, FAILED_FOLDER).values():
                say(f"wrote {path}: the pipeline was not finished")
            status.end("failed", error=f"{type(error).__name__}: {error}")
            raise
        for path in _settle(paths, steps, FAILED_FOLDER if unmet else "").values():
            say(f"wrote {path}")
        if unmet:
            say(f"a requirement is not met: earlier results in {job.output} are unchanged")
        status.end("unmet" if unmet else "done", unmet=unmet)
    return _result(steps, states, unmet)


def plan(source: str | Path | Mapping[str, Any] | Job) -> list[PlannedStep]:
    """Return the steps of a pipeline, and which of them would run now and why; nothing is written.

    Raises:
        TabsynthError: The pipeline is invalid.
    """
    if read_linked(source) is not None:
        raise InputError("a pipeline of linked tables has no plan: each of its runs does every step")
    return plan_steps(*_prepare(source, lambda line: None, False))


@dataclass(frozen=True)
class PlannedStep:
    """A step that would run for a reason, or would be skipped."""

    step: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.step}: {f'run ({self.reason})' if self.reason else 'skip (unchanged)'}"


def plan_steps(job: Job, paths: Mapping[str, Path], steps: Steps) -> list[PlannedStep]:
    """Return which steps would run, and why."""
    out: dict[str, PlannedStep] = {}
    for step in steps.names:
        earlier = next((name for name in STEPS_BEFORE[step] if name in out and out[name].reason), None)
        reason = f"{earlier} runs" if earlier else _resume(step, paths, steps, job.output / STATE_FOLDER)
        out[step] = PlannedStep(step, reason)
    return list(out.values())


def _prepare(
    source: str | Path | Mapping[str, Any] | Job, say: Callable[[str], None], progress: bool | None
) -> tuple[Job, dict[str, Path], Steps]:
    """Return the job, checked, and its steps."""
    described = job_from_dict(source) if isinstance(source, Mapping) else source
    job = described if isinstance(described, Job) else read_job(described)
    create_on_device(job.model.kind, job.model.options)
    paths, state = output_paths(job), job.output / STATE_FOLDER
    check_release(job)
    aside = {name: state / "work" / path.relative_to(job.output) for name, path in paths.items()}
    aside |= {"evaluation": state / "evaluation.json", "attacks": state / "attacks.json"}
    if job.release is not None:
        aside["release"] = paths["release"]  # a release replaces an earlier one by itself
    return job, paths, Steps(job, step_seeds(job), aside, checkpoint_of(job), say, progress)


def _resume(step: str, paths: Mapping[str, Path], steps: Steps, folder: Path) -> str:
    """Reuse a step from its record; return why it must run, empty if it was reused."""
    record, sources = read_record(folder / "steps", step), steps.sources_of(step)
    reason = stale_reason(record, sources)
    if reason or record is None:
        return reason
    places = {name: _places(name, paths, steps) for name in steps.outputs(step)}
    found = locate_outputs(record, places)
    if found is None:
        return "an output is missing or was changed"
    steps.finish(step, record, found)
    return ""


def _places(name: str, paths: Mapping[str, Path], steps: Steps) -> list[Path]:
    """Return the possible paths of an output: set aside, in place, or in the folder of a failed run."""
    output = steps.job.output
    final = paths.get(name)
    more = [] if final is None else [final, output / FAILED_FOLDER / final.relative_to(output)]
    return [steps.aside[name], *more]


def _run_steps(
    paths: Mapping[str, Path], steps: Steps, folder: Path, status: RunStatus
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Run or skip each step; returns their states and the requirements that are not met."""
    states: dict[str, str] = {}
    (folder / "steps").mkdir(exist_ok=True)
    for path in steps.aside.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    for step in steps.names:
        if step in ("release", "export") and (unmet := _unmet(steps)):
            return states, unmet
        reason = _resume(step, paths, steps, folder)
        if not reason:
            states[step] = "skipped"
            status.step(step, "skipped")
            steps.say(f"{step}: unchanged, skipped")
            continue
        status.step(step, "running", reason)
        sources = steps.sources_of(step)
        try:
            facts = steps.run(step)
        except GateError as error:
            status.step(step, "failed")
            return states, error.unmet
        found = {name: steps.aside[name] for name in steps.outputs(step)}
        record = StepRecord(sources, {name: content_hash(path) for name, path in found.items()}, facts)
        write_record(folder / "steps", step, record)
        steps.finish(step, record, found)
        states[step] = "done"
        status.step(step, "done")
    return states, _unmet(steps)


def _unmet(steps: Steps) -> tuple[str, ...]:
    """Return a sentence for each requirement on evaluation and audit that is not met."""
    job = steps.job
    out: list[str] = []
    if job.evaluate is not None:
        out += unmet_requirements(steps.evaluation, job.evaluate.require)
    if job.audit is not None:
        out += unmet_audit(steps.attacks, job.audit.require)
    return tuple(out)


def _settle(paths: Mapping[str, Path], steps: Steps, subfolder: str) -> dict[str, Path]:
    """Move results into place, or only this run's into the subfolder of failed runs; return the moved paths."""
    output, moved = steps.job.output, {}
    for name, final in paths.items():
        aside = steps.aside[name]
        here = aside if subfolder else steps.files.get(name, aside)
        target = output / subfolder / final.relative_to(output)
        if name == "release" or here == target or not here.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if name in INTERNAL:
            with suppress(OSError):
                here.chmod(0o600)
        real = Path(os.path.realpath(target))
        here.replace(real)
        sync(real.parent)
        moved[name] = steps.files[name] = target
    shutil.rmtree(output / STATE_FOLDER / "work", ignore_errors=True)
    return moved


def _result(steps: Steps, states: Mapping[str, str], unmet: tuple[str, ...]) -> Result:
    job, files = steps.job, dict(steps.files)
    if "release" not in states:
        files.pop("release", None)
    rows = {**steps.facts["read"]["rows"], **steps.facts.get("sample", {}).get("rows", {})}
    found: Any = {name: files.get(name) for name in RESULT_FILES}
    result = Result(**found, rows=rows, seeds=steps.seeds, steps=states)
    if job.evaluate is not None:
        result = replace(result, scores=steps.evaluation.scores, summary=str(steps.evaluation))
    if job.audit is not None:
        result = replace(result, verdict=steps.attacks.verdict)
    return replace(result, unmet=unmet)
