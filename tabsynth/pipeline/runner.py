"""Run or skip each step, and put the results in place.

A step is skipped if its inputs, settings and versions are those of its record, and its outputs are intact.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tabsynth.common.atomic_files import put_in_place
from tabsynth.evaluation.gates import unmet_requirements
from tabsynth.pipeline.records import (
    StepRecord,
    content_hash,
    locate_outputs,
    read_record,
    stale_reason,
    write_record,
)
from tabsynth.pipeline.status import STATE_FOLDER, RunStatus
from tabsynth.pipeline.steps import STEPS_BEFORE, Steps
from tabsynth.release.gates import GateError

FAILED_FOLDER = "failed"
"""Folder for the results of a run that did not succeed."""

INTERNAL = ("model", "report", "json", "audit", "audit_json", "train", "holdout")
"""Outputs with facts of the real table, which are readable by their owner only."""


@dataclass(frozen=True)
class PlannedStep:
    """A step that would run for a reason, or would be skipped."""

    step: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.step}: {f'run ({self.reason})' if self.reason else 'skip (unchanged)'}"


def plan_steps(paths: Mapping[str, Path], steps: Steps) -> list[PlannedStep]:
    """Return which steps would run, and why."""
    out: dict[str, PlannedStep] = {}
    for step in steps.names:
        earlier = next((name for name in STEPS_BEFORE[step] if name in out and out[name].reason), None)
        reason = f"{earlier} runs" if earlier else _resume(step, paths, steps, steps.job.output / STATE_FOLDER)
        out[step] = PlannedStep(step, reason)
    return list(out.values())


def _resume(step: str, paths: Mapping[str, Path], steps: Steps, folder: Path) -> str:
    """Reuse a step from its record; return why it must run, empty if it was reused."""
    record, sources = read_record(folder / "steps", step), steps.sources_of(step)
    reason = stale_reason(record, sources)
    if reason or record is None:
        return reason
    places = {name: _candidate_paths(name, paths, steps) for name in steps.outputs(step)}
    found = locate_outputs(record, places)
    if found is None:
        return "an output is missing or was changed"
    steps.finish(step, record, found)
    return ""


def _candidate_paths(name: str, paths: Mapping[str, Path], steps: Steps) -> list[Path]:
    """Return the possible paths of an output: set aside, in place, or in the folder of a failed run."""
    output = steps.job.output
    final = paths.get(name)
    more = [] if final is None else [final, output / FAILED_FOLDER / final.relative_to(output)]
    return [steps.aside[name], *more]


def run_steps(
    paths: Mapping[str, Path], steps: Steps, folder: Path, status: RunStatus
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Run or skip each step; returns their states and the requirements that are not met."""
    states: dict[str, str] = {}
    (folder / "steps").mkdir(exist_ok=True)
    for path in steps.aside.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    for step in steps.names:
        if step in ("release", "export") and (unmet := _unmet_requirements(steps)):
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
    return states, _unmet_requirements(steps)


def _unmet_requirements(steps: Steps) -> tuple[str, ...]:
    """Return a sentence for each requirement on evaluation and audit that is not met."""
    job = steps.job
    out: list[str] = []
    if job.evaluate is not None:
        out += unmet_requirements(steps.evaluation, job.evaluate.require)
    if job.audit is not None:
        from tabsynth.privacy.audit.report import unmet_audit

        out += unmet_audit(steps.attacks, job.audit.require)
    return tuple(out)


def settle(paths: Mapping[str, Path], steps: Steps, subfolder: str) -> dict[str, Path]:
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
            for path in (here, *here.rglob("*")):
                with suppress(OSError):
                    path.chmod(0o700 if path.is_dir() else 0o600)
        put_in_place(here, Path(os.path.realpath(target)))
        moved[name] = steps.files[name] = target
    shutil.rmtree(steps.work, ignore_errors=True)
    if not subfolder:
        _remove_failed(paths, output)
    return moved


def _remove_failed(paths: Mapping[str, Path], output: Path) -> None:
    """Remove the results of an earlier failed run, which the new ones supersede."""
    for final in paths.values():
        old = output / FAILED_FOLDER / final.relative_to(output)
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old, ignore_errors=True)
        else:
            with suppress(OSError):
                old.unlink()
    with suppress(OSError):
        (output / FAILED_FOLDER).rmdir()  # only if nothing else is in it
