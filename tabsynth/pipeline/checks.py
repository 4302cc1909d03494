"""Checks before anything is written: output paths, conditions and seeds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tabsynth.common.atomic_files import check_outputs, check_writable
from tabsynth.data.table import Table
from tabsynth.errors import ConditionError, SourceError, did_you_mean, quote
from tabsynth.pipeline.config import Job
from tabsynth.pipeline.outputs import check_table_output, checkpoint_path
from tabsynth.pipeline.step_config import AuditStep, EvaluateStep, SampleStep
from tabsynth.reporting.report_files import check_report_output
from tabsynth.schema.columns import Datetime, Numeric
from tabsynth.synthesizers.base import Synthesizer

KEY_PASSWORD = "TABSYNTH_KEY_PASSWORD"
"""Environment variable with the password of the key that signs."""


def check_conditions(model: Synthesizer, table: Table, given: Mapping[str, Any] | None) -> None:
    """Raise ConditionError before a fit if the fitted model could not satisfy the conditions."""
    from tabsynth.codec.codec import Codec
    from tabsynth.synthesizers.sampling.conditions import Conditions
    from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer

    if not given:
        return
    if not isinstance(model, TokenSynthesizer):
        raise ConditionError(
            f"{type(model).__name__} does not support conditions; remove given, or use the model masked"
        )
    Conditions.of(Codec.measure(table, min_group=model.min_group, warn=False), given, 1)  # the fit warns


def parse_conditions(given: Mapping[str, Any] | None, table: Table) -> dict[str, Any] | None:
    """Return the conditions for ``sample(given=...)``: two values of a numeric or datetime column are a range."""
    unknown = [name for name in given or {} if name not in table.schema]
    if unknown:
        hint = did_you_mean(unknown[0], table.schema)
        raise ConditionError(
            f"given names unknown columns: {quote(unknown)}{hint}; there are {quote(table.schema, 12)}"
        )
    out = {}
    for name, value in (given or {}).items():
        span = isinstance(value, list) and len(value) == 2 and isinstance(table.schema[name], (Numeric, Datetime))
        out[name] = tuple(value) if span else value
    return out or None


def output_paths(job: Job) -> dict[str, Path]:
    """Return the output path of each step, checked to be writable."""
    steps: list[tuple[str, str | None]] = [("model", job.model.output)]
    steps += [("synthetic", job.sample.output)] if job.sample else []
    steps += [("report", job.evaluate.report), ("json", job.evaluate.json)] if job.evaluate else []
    steps += [("audit", job.audit.report), ("audit_json", job.audit.json)] if job.audit else []
    steps += [("release", job.release.output)] if job.release else []
    if job.split and isinstance(job.holdout, float):
        steps += [("train", job.split.train), ("holdout", job.split.holdout)]
    paths = {name: job.output / file for name, file in steps if file is not None}
    for path in paths.values():
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(job.output)):
            raise SourceError(
                f"the output {str(path)!r} is outside the folder {str(job.output)!r}; name a file inside it"
            )
    if job.linked:
        _check_apart(job, paths)
    inputs: list[str | Path | None] = [job.input, *job.files]
    inputs += [] if isinstance(job.holdout, float) or not job.holdout else [job.holdout]
    inputs += [] if job.release is None else [job.release.key, job.release.ledger]
    check_outputs([*paths.values(), checkpoint_path(paths["model"])], inputs)
    if job.output.exists() and not job.output.is_dir():
        raise SourceError(f"the output {str(job.output)!r} is not a folder; choose another path")
    checks: dict[str, Callable[[str | Path], None]] = {
        "model": check_writable,
        "synthetic": check_table_output,
        "report": check_report_output,
        "json": check_report_output,
        "audit": check_report_output,
        "audit_json": check_report_output,
        "train": check_table_output,
        "holdout": check_table_output,
        "release": lambda path: None,  # checked by the release itself
    }
    if job.linked:
        checks |= dict.fromkeys(("synthetic", "train", "holdout"), _check_folder)
    for name, path in paths.items():
        if path.parent != job.output and not path.parent.is_dir():
            raise SourceError(f"cannot write {str(path)!r}: the folder {str(path.parent)!r} does not exist")
        folder = path.parent
        while not folder.exists():
            folder = folder.parent
        try:
            checks[name](path if folder == path.parent else folder / path.name)
        except SourceError as error:
            raise SourceError(str(error).replace(str(folder / path.name), str(path), 1)) from error
    return paths


def _check_apart(job: Job, paths: Mapping[str, Path]) -> None:
    """Raise SourceError if an output of linked tables is the output folder itself, or inside a folder of inputs."""
    for path in paths.values():
        if os.path.realpath(path) == os.path.realpath(job.output):
            raise SourceError(f"the output {str(path)!r} is the folder of all results; name one inside it")
        for source in (job.input, job.holdout):
            if isinstance(source, Path) and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source)):
                raise SourceError(f"an output is inside the input {str(source)!r}; choose another output folder")


def _check_folder(path: str | Path) -> None:
    """Raise SourceError if a folder of tables could not be written; its content is checked later."""
    if Path(path).exists() and not Path(path).is_dir():
        raise SourceError(f"cannot write the folder {str(path)!r}: a file of this name exists")
    if not os.access(Path(path).parent, os.W_OK):
        raise SourceError(f"cannot write {str(path)!r}: {str(Path(path).parent)!r} is not writable")


def step_seeds(job: Job) -> dict[str, int]:
    """Return the seed of each step: its own, else the pipeline's."""
    own = {
        "fit": job.model.seed,
        "sample": (job.sample or SampleStep()).seed,
        "evaluate": (job.evaluate or EvaluateStep()).seed,
        "audit": (job.audit or AuditStep()).seed,
    }
    if job.mix is not None:
        own["mix"] = job.mix.seed
    return {"split": job.seed} | {step: job.seed if seed is None else seed for step, seed in own.items()}


def check_release(job: Job) -> None:
    """Raise before any work if the release could not be built for its key, gates, waivers or description.

    Raises:
        InputError: One of them is invalid.
        SourceError: A file cannot be read.
    """
    from tabsynth.evaluation.gates import parse_waiver, read_gates
    from tabsynth.release.about import About
    from tabsynth.release.encryption import check_recipients
    from tabsynth.release.keys import read_private_key

    step = job.release
    if step is None:
        return
    About.of(step.about)
    read_private_key(step.key, os.environ.get(KEY_PASSWORD))
    read_gates(step.gates, any_name=job.linked)
    check_recipients(step.recipients)
    for waiver in step.waivers:
        parse_waiver(waiver, "release: waivers")
