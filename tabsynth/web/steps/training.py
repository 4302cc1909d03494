"""The steps of a training job. Results that exist for the same inputs are reused, so an interrupted job resumes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tabsynth.data.read_write import write
from tabsynth.data.table import Table
from tabsynth.data.train_test_split import split, split_independently
from tabsynth.evaluation.inputs import relax_schema
from tabsynth.pipeline.outputs import checkpoint_path, write_sample
from tabsynth.schema.columns import Column, Datetime, Numeric
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import to_instants, to_numbers
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.registry import create, load
from tabsynth.web.project import FIT_SCHEMA, LEDGER, OUTPUT, RELEASE, SCHEMA, TABLE, Project
from tabsynth.web.steps.protection import Protection, declare, fit_privacy, measurement_privacy, needs_measurement
from tabsynth.web.steps.tables import read_frame

if TYPE_CHECKING:
    from tabsynth.web.worker import Reporter

HOLDOUT = 0.2
SEED = 0

MODEL, SYNTHETIC, DOWNLOAD = "model.tabsynth", "synthetic.parquet", "synthetic.csv"
REPORT, AUDIT = "report", "audit"
TRAIN, HELD = "real-train.parquet", "real-holdout.parquet"
RESULTS = (MODEL, SYNTHETIC, DOWNLOAD, "report.html", "report.json", "audit.html", "audit.json", TRAIN, HELD)

_INPUTS = "inputs.sha256"


def train(project: Project, reporter: Reporter) -> None:
    """Run the steps that are not done."""
    protection = Protection.of(project)
    folder = project.folder / OUTPUT
    folder.mkdir(mode=0o700, exist_ok=True)
    _forget_other_inputs(project)
    schema = project.schema
    train_rows, holdout = _split_rows(project, schema, protection)
    model_path = folder / MODEL
    if not model_path.exists():
        _fit(train_rows, schema, protection, project, reporter).save(model_path)
    model = load(model_path)
    if not (folder / SYNTHETIC).exists() or not (folder / DOWNLOAD).exists():
        reporter.phase("sample")
        # Under privacy the real number of rows is not public: the model knows a noisy one.
        rows = model.rows_
        write_sample(model, folder / SYNTHETIC, rows, seed=SEED)
        write_sample(model, folder / DOWNLOAD, rows, seed=SEED)
    # Measured codes of digits are text in the synthetic table; the schema of the fit knows which.
    loose = relax_schema(Schema.from_json(project.path(FIT_SCHEMA)) if protection.private else schema)
    synthetic = pd.read_parquet(folder / SYNTHETIC)
    if not (folder / "report.json").exists():
        from tabsynth.evaluation.evaluate import evaluate

        reporter.phase("evaluate")
        target = next(iter(schema.with_role("target")), None)
        report = evaluate(
            train_rows,
            synthetic,
            holdout,
            target=target,
            schema=loose,
            seed=SEED,
            sdmetrics=False,
            card=model.card(),
            progress=reporter.on_stage,
        )
        report.save(folder / "report.html")
        report.save(folder / "report.json")
    if not (folder / "audit.json").exists():
        from tabsynth.privacy.audit.audit import audit

        reporter.phase("audit")
        claim = protection.claim() if protection.private else None
        attacks = audit(
            train_rows, synthetic, holdout, schema=loose, privacy=claim, seed=SEED, progress=reporter.on_stage
        )
        attacks.save(folder / "audit.html")
        attacks.save(folder / "audit.json")


def _fit(
    frame: pd.DataFrame, schema: Schema, protection: Protection, project: Project, reporter: Reporter
) -> Synthesizer:
    """Learn the training rows, privately if that was chosen."""
    path, ledger = project.path(FIT_SCHEMA), project.path(LEDGER)
    if not protection.private:
        reporter.phase("learn")
        observed = _observed_bounds(read_frame(project), schema)
        observed.to_json(path)
        model = create("masked")
        checkpoint = checkpoint_path(project.folder / OUTPUT / MODEL)
        fitted = Table.of(frame, observed)
        return model.fit(fitted, seed=SEED, progress=False, checkpoint=checkpoint, callbacks=(reporter.on_fit,))
    if not path.exists():
        declared = declare(schema)
        if needs_measurement(declared):
            from tabsynth.privacy.domains import measure

            reporter.phase("measure")
            declared = measure(frame, declared, measurement_privacy(protection, ledger))
        declared.to_json(path)
    public = Schema.from_json(path)
    reporter.phase("learn")
    privacy = fit_privacy(protection, ledger, measured=bool(public.ledger))
    return create("marginal").fit(frame, schema=public, privacy=privacy, progress=False)


def _split_rows(project: Project, schema: Schema, protection: Protection) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training and held-out rows, from their files if these exist."""
    paths = project.output(TRAIN), project.output(HELD)
    if not all(path.exists() for path in paths):
        loose = relax_schema(schema)
        table = Table.of(read_frame(project), loose)
        if protection.private:
            parts = split_independently(table, HOLDOUT, seed=SEED, unit=protection.unit)
        else:
            parts = split(table, HOLDOUT, seed=SEED)
        for part, path in zip(parts, paths, strict=True):
            write(part.frame, path)
    return pd.read_parquet(paths[0]), pd.read_parquet(paths[1])


def _observed_bounds(frame: pd.DataFrame, schema: Schema) -> Schema:
    """Return the schema without declared bounds and values that rows violate: without protection nothing is clamped."""
    return Schema({name: _relaxed(frame[name], column) for name, column in schema.items()})


def _relaxed(values: pd.Series, column: Column) -> Column:
    nullable = column.nullable or bool(values.isna().any())
    column = replace(column, nullable=nullable)
    if isinstance(column, (Numeric, Datetime)) and count_outside(values, column):
        return replace(column, low=None, high=None)
    allowed = getattr(column, "values", None)
    if allowed is not None and not values.dropna().isin(list(allowed)).all():
        return replace(column, values=None, ordered=False)  # type: ignore[call-arg]
    return column


def count_outside(values: pd.Series, column: Numeric | Datetime) -> int:
    """Return the number of values beyond the declared bounds."""
    data: Any
    low: Any = column.low
    high: Any = column.high
    if isinstance(column, Datetime):
        data = to_instants(values, column.format)
        low, high = (None if bound is None else pd.Timestamp(bound) for bound in (low, high))
    else:
        data = pd.Series(to_numbers(values, column.format))
    outside = pd.Series(False, index=data.index)
    if low is not None:
        outside |= data < low
    if high is not None:
        outside |= data > high
    return int(outside.sum())


def _forget_other_inputs(project: Project) -> None:
    """Remove results that were made from another table, schema or protection."""
    digest = hashlib.sha256()
    for name in (TABLE, SCHEMA):
        digest.update(project.path(name).read_bytes())
    digest.update(json.dumps(project.state.get("protection"), sort_keys=True).encode())
    path = project.output(_INPUTS)
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    if known != digest.hexdigest():
        stale: list[Path] = [project.output(name) for name in RESULTS]
        kept_beside = [project.path(name) for name in (FIT_SCHEMA, RELEASE)]
        for old in (*stale, checkpoint_path(project.output(MODEL)), *kept_beside):
            old.unlink(missing_ok=True)
        from tabsynth.common.atomic_files import write_text

        write_text(path, digest.hexdigest())
