"""Run a pipeline: read, split, fit, sample, evaluate, audit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tabsynth.common.atomic_files import check_outputs, check_writable
from tabsynth.data.sample_datasets import open_table
from tabsynth.data.table import Table
from tabsynth.data.train_test_split import check_target, split
from tabsynth.errors import ConditionError, SourceError, quote
from tabsynth.evaluation.gates import unmet_requirements
from tabsynth.evaluation.score import Score
from tabsynth.pipeline.config import AuditStep, EvaluateStep, Job, SampleStep, job_from_dict, read_job
from tabsynth.pipeline.linked_tables import read_linked, run_linked
from tabsynth.pipeline.outputs import (
    CHUNK_ROWS,
    StagedOutputs,
    check_report_output,
    check_table_output,
    checkpoint_path,
    copy_to_database,
    write_sample,
)
from tabsynth.pipeline.requirements import unmet_audit
from tabsynth.schema.columns import Datetime, Numeric
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.registry import create_on_device, supports_checkpoints

FAILED_FOLDER = "failed"
"""Where the results of a run go that did not succeed."""

RESULT_FILES = ("model", "synthetic", "report", "train", "holdout", "audit")


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
        verdict: The audit's verdict.
        scores: The report's scores by name.
        summary: The report as text, with the verdict in its first line.
        unmet: A sentence for each requirement that failed.
        rows: Numbers of training, held-out and synthetic rows.
        seeds: The seed of each step.
    """

    model: Path
    synthetic: Path | None = None
    report: Path | None = None
    train: Path | None = None
    holdout: Path | None = None
    audit: Path | None = None
    verdict: str | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    summary: str = ""
    unmet: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data, scores by value and interval only."""
        return {
            **{name: None if getattr(self, name) is None else str(getattr(self, name)) for name in RESULT_FILES},
            "rows": dict(self.rows),
            "seeds": dict(self.seeds),
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
    subfolder ``failed``.

    Args:
        source: A YAML file, a mapping (relative paths start at the working folder), or a validated job.
        say: Called with a line about each step.
        progress: Show progress bars; by default on a terminal.

    Raises:
        TabsynthError: The pipeline or one of its tables is invalid.

    Example:
        >>> run({"version": 1, "input": "patients.csv", "output": "out", "smaple": {"rows": 10}})
        Traceback (most recent call last):
        ...
        tabsynth.errors.InputError: pipeline: unknown key 'smaple' (did you mean 'sample'?); allowed are ...
    """
    if (linked := read_linked(source)) is not None:
        return Result(**run_linked(linked, say, progress))
    described = job_from_dict(source) if isinstance(source, Mapping) else source
    job = described if isinstance(described, Job) else read_job(described)
    model, paths = create_on_device(job.model.kind, job.model.options), _output_paths(job)
    seeds = _seeds(job)
    table = open_table(job.input, job.schema, job.read)
    target = job.target or next(iter(table.schema.with_role("target")), None)
    if target is not None:
        check_target(table, target)
    train, holdout = _split_rows(job, table, target, seeds["split"])
    given = None if job.sample is None else _parse_conditions(job.sample.given, train)
    check_conditions(model, train, given)
    say(f"read {len(table):,} rows of {len(table.schema)} columns from {job.input}")

    job.output.mkdir(parents=True, exist_ok=True)
    checkpoint = checkpoint_path(paths["model"])
    staged = StagedOutputs(job.output, paths)
    try:
        result = _run_steps(job, model, (train, holdout, target, given), staged.aside, checkpoint, seeds, say, progress)
    except BaseException:
        for path in staged.move(FAILED_FOLDER).values():
            say(f"wrote {path}: the pipeline was not finished")
        raise
    moved = staged.move(FAILED_FOLDER if result.unmet else "")
    for path in moved.values():
        say(f"wrote {path}")
    if result.unmet:
        say(f"a requirement is not met: earlier results in {job.output} are unchanged")
    files: Any = {name: moved.get(name) for name in RESULT_FILES}
    return replace(result, **files)


def _run_steps(
    job: Job,
    model: Synthesizer,
    data: tuple[Table, Table | None, str | None, Mapping[str, Any] | None],
    paths: Mapping[str, Path],
    checkpoint: Path,
    seeds: Mapping[str, int],
    say: Callable[[str], None],
    progress: bool | None,
) -> Result:
    """Fit, sample, evaluate and audit."""
    from tabsynth.data.read_write import write

    train, holdout, target, given = data
    if "train" in paths and holdout is not None:
        write(train, paths["train"])
        write(holdout, paths["holdout"])
    held = 0 if holdout is None else len(holdout)
    say(f"fitting {job.model.kind} to {len(train):,} rows ({held:,} held out)")
    keep = supports_checkpoints(model) if job.model.checkpoint is None else job.model.checkpoint
    model.fit(train, seed=seeds["fit"], progress=progress, checkpoint=checkpoint if keep else None)
    model.save(paths["model"])
    result = Result(model=paths["model"], rows={"train": len(train), "holdout": held}, seeds=seeds)
    if job.sample is None:
        return result

    count = job.sample.rows or len(train)
    say(f"sampling {count:,} rows")
    head = write_sample(
        model, paths["synthetic"], count, given=given, seed=seeds["sample"], keep=max(len(train), CHUNK_ROWS)
    )
    result = replace(result, rows={**result.rows, "synthetic": count})
    if job.evaluate is not None:
        from tabsynth.evaluation.evaluate import evaluate

        say("evaluating")
        report = evaluate(
            train, head, holdout, target=target, schema=train.schema, seed=seeds["evaluate"], card=model.card()
        )
        for name in ("report", "json"):
            if name in paths:
                report.save(paths[name])
        failed = tuple(unmet_requirements(report, job.evaluate.require))
        result = replace(result, scores=report.scores, summary=str(report), unmet=failed)
    if job.audit is not None:
        from tabsynth.privacy.audit.audit import audit

        say("auditing")
        attacks = audit(train, head, holdout, schema=train.schema, seed=seeds["audit"])
        for name in ("audit", "audit_json"):
            if name in paths:
                attacks.save(paths[name])
        failed = tuple(unmet_audit(attacks, job.audit.require))
        result = replace(result, verdict=attacks.verdict, unmet=(*result.unmet, *failed))
    if job.sample.database is not None and not result.unmet:
        say(f"writing {count:,} rows to {job.sample.database}")
        copy_to_database(paths["synthetic"], job.sample.database, train.schema, job.sample.mode)
    return result


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the fit repeats them
        Conditions.of(Codec.measure(table, min_group=model.min_group), given, 1)


def _parse_conditions(given: Mapping[str, Any] | None, table: Table) -> dict[str, Any] | None:
    """Conditions for ``sample(given=...)``: two values of a numeric or datetime column are a range."""
    unknown = [name for name in given or {} if name not in table.schema]
    if unknown:
        raise ConditionError(f"given names unknown columns: {quote(unknown)}; there are {quote(table.schema, 12)}")
    out = {}
    for name, value in (given or {}).items():
        span = isinstance(value, list) and len(value) == 2 and isinstance(table.schema[name], (Numeric, Datetime))
        out[name] = tuple(value) if span else value
    return out or None


def _output_paths(job: Job) -> dict[str, Path]:
    """The output path of each step, checked to be writable."""
    steps: list[tuple[str, str | None]] = [("model", job.model.output)]
    steps += [("synthetic", job.sample.output)] if job.sample else []
    steps += [("report", job.evaluate.report), ("json", job.evaluate.json)] if job.evaluate else []
    steps += [("audit", job.audit.report), ("audit_json", job.audit.json)] if job.audit else []
    if job.split and isinstance(job.holdout, float):
        steps += [("train", job.split.train), ("holdout", job.split.holdout)]
    paths = {name: job.output / file for name, file in steps if file is not None}
    for path in paths.values():
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(job.output)):
            raise SourceError(
                f"the output {str(path)!r} is outside the folder {str(job.output)!r}; name a file inside it"
            )
    inputs = [job.input, *([] if isinstance(job.holdout, float) or not job.holdout else [job.holdout]), *job.files]
    check_outputs([*paths.values(), checkpoint_path(paths["model"])], inputs)
    if job.output.exists() and not job.output.is_dir():
        raise SourceError(f"the output {str(job.output)!r} is not a folder; choose another path")
    checks = {
        "model": check_writable,
        "synthetic": check_table_output,
        "report": check_report_output,
        "json": check_report_output,
        "audit": check_report_output,
        "audit_json": check_report_output,
        "train": check_table_output,
        "holdout": check_table_output,
    }
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


def _seeds(job: Job) -> dict[str, int]:
    """The seed of each step: its own, else the pipeline's."""
    own = {
        "fit": job.model.seed,
        "sample": (job.sample or SampleStep()).seed,
        "evaluate": (job.evaluate or EvaluateStep()).seed,
        "audit": (job.audit or AuditStep()).seed,
    }
    return {"split": job.seed} | {step: job.seed if seed is None else seed for step, seed in own.items()}


def _split_rows(job: Job, table: Table, target: str | None, seed: int) -> tuple[Table, Table | None]:
    """Training and held-out rows."""
    from tabsynth.evaluation.inputs import relax_schema

    if job.holdout is None:
        return table, None
    if isinstance(job.holdout, (str, Path)):
        loose = relax_schema(table.schema)  # the holdout may contain values that the training rows do not
        options = {name: value for name, value in job.read.items() if name not in ("table", "query")}
        return table, open_table(job.holdout, loose, options if isinstance(job.holdout, Path) else None)
    return split(table, job.holdout, seed=seed, target=target)
