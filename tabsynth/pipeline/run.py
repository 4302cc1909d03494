"""Run a pipeline: read or mix, split, fit, sample, evaluate, audit, release.

A step is skipped if its inputs, settings and versions are those of its record, and its outputs are intact. Results
replace earlier ones at the end, and only if every step succeeded and every requirement is met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.errors import TabsynthError
from tabsynth.evaluation.gates import check_requirements
from tabsynth.pipeline.checks import check_release, output_paths, step_seeds
from tabsynth.pipeline.config import Job, job_from_dict, read_job, stated_output
from tabsynth.pipeline.linked_steps import LinkedSteps
from tabsynth.pipeline.runner import FAILED_FOLDER, PlannedStep, plan_steps, run_steps, settle
from tabsynth.pipeline.status import STATE_FOLDER, RunStatus, locked, record_refusal
from tabsynth.pipeline.steps import Steps
from tabsynth.pipeline.table_steps import TableSteps

if TYPE_CHECKING:
    from tabsynth.evaluation.score import Score

RESULT_FILES = ("model", "synthetic", "report", "train", "holdout", "audit", "release")


@dataclass(frozen=True, kw_only=True)
class Result:
    """Result of a pipeline.

    Attributes:
        model: The model file.
        synthetic: The synthetic table's file, or the folder of linked tables; None without a sample.
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
    try:
        job, paths, steps = _prepare(source, say, progress)
    except TabsynthError as error:
        if (output := stated_output(source)) is not None:
            record_refusal(output, [], error)
        raise
    try:
        if any(item.reason for item in plan_steps(paths, steps)):
            steps.check()  # what can be refused is refused before anything is written
    except TabsynthError as error:
        record_refusal(job.output, steps.names, error)
        raise
    with locked(job.output) as folder:
        status = RunStatus(folder, steps.names)
        try:
            states, unmet = run_steps(paths, steps, folder, status)
        except BaseException as error:
            for path in settle(paths, steps, FAILED_FOLDER).values():
                say(f"wrote {path}: the pipeline was not finished")
            status.end("failed", error=error)
            raise
        for path in settle(paths, steps, FAILED_FOLDER if unmet else "").values():
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
    return plan_steps(*_prepare(source, lambda line: None, False)[1:])


def _prepare(
    source: str | Path | Mapping[str, Any] | Job, say: Callable[[str], None], progress: bool | None
) -> tuple[Job, dict[str, Path], Steps]:
    """Return the job, checked, and its steps."""
    described = job_from_dict(source) if isinstance(source, Mapping) else source
    job = described if isinstance(described, Job) else read_job(described)
    kind = LinkedSteps if job.linked else TableSteps
    kind.check_options(job.model)
    if job.evaluate is not None and not job.linked:
        check_requirements(job.evaluate.require, "evaluate: require")
    paths, state = output_paths(job), job.output / STATE_FOLDER
    check_release(job)
    aside = {name: state / "work" / path.relative_to(job.output) for name, path in paths.items()}
    aside |= {"evaluation": state / "evaluation.json", "attacks": state / "attacks.json"}
    if job.release is not None:
        aside["release"] = paths["release"]  # a release replaces an earlier one by itself
    return job, paths, kind(job, step_seeds(job), aside, say, progress)


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
