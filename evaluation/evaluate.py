"""Evaluate a synthetic table against the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

import numpy as np
import pandas as pd

from tabsynth.common.threads import single_threaded
from tabsynth.common.validation import check_callables, checked_arguments, validate_seed
from tabsynth.data.table import TableLike
from tabsynth.errors import DataError, InputError, SchemaError, quote
from tabsynth.evaluation.detailed_scores import detailed_scores
from tabsynth.evaluation.findings import find_faults, find_value_faults
from tabsynth.evaluation.inputs import Inputs, check_inputs, collect_provenance
from tabsynth.evaluation.metric_specs import AREAS, area_of
from tabsynth.evaluation.metrics.detection import MAX_ROWS, detection_scores, logistic_score, most_detectable_rows
from tabsynth.evaluation.metrics.fidelity import fidelity_scores
from tabsynth.evaluation.metrics.memorisation import memorisation_scores
from tabsynth.evaluation.metrics.utility import prediction_task, utility_scores
from tabsynth.evaluation.relational.database_report import DatabaseReport
from tabsynth.evaluation.relational.evaluate_database import evaluate_database
from tabsynth.evaluation.rendering.drilldown import picture_data
from tabsynth.evaluation.rendering.histograms import distributions
from tabsynth.evaluation.report import Report
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.sdmetrics_adapter import is_installed, sdmetrics_scores
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.schema.columns import Identifier, Text
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema

STAGES = (
    "fidelity",
    "detection",
    "utility",
    "memorisation",
    "sdmetrics",
    "pictures",
    "dependence",
    "diversity",
    "learners",
    "fairness",
)
"""Stages of an evaluation. A stage's position seeds its generator, so new stages are appended."""
STAGE_ORDER = (*STAGES[:4], *STAGES[6:], *STAGES[4:6])
"""The order in which stages run, for progress."""

MAX_SDMETRICS_COLUMNS = 60
"""Maximum columns for SDMetrics by default: its time grows with their square and is most of that of a wide table."""
QUICK_ROWS = 2_000
"""Maximum real, and synthetic, rows for detection in a quick evaluation."""


Tables = Mapping[str, pd.DataFrame]


@overload
def evaluate(
    train: TableLike,
    synthetic: TableLike,
    holdout: TableLike | None = None,
    *,
    target: str | None = None,
    schema: Schema | None = None,
    seed: int = 0,
    sdmetrics: bool | None = None,
    thorough: bool = True,
    quick: bool = False,
    card: Mapping[str, Any] | None = None,
    progress: Callable[[str, float], None] | None = None,
    on_scores: Callable[[Sequence[Score]], None] | None = None,
) -> Report: ...
@overload
def evaluate(
    train: Tables,
    synthetic: Tables,
    holdout: Tables | None = None,
    *,
    schema: DatabaseSchema | None = None,
    seed: int = 0,
    sdmetrics: bool | None = None,
    quick: bool = False,
    card: Mapping[str, Any] | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> DatabaseReport: ...
@checked_arguments
@single_threaded
def evaluate(
    train: TableLike | Tables,
    synthetic: TableLike | Tables,
    holdout: TableLike | Tables | None = None,
    *,
    target: str | None = None,
    schema: Schema | DatabaseSchema | None = None,
    seed: int = 0,
    sdmetrics: bool | None = None,
    thorough: bool = True,
    quick: bool = False,
    card: Mapping[str, Any] | None = None,
    progress: Callable[[str, float], None] | None = None,
    on_scores: Callable[[Sequence[Score]], None] | None = None,
) -> Report | DatabaseReport:
    """Measure fidelity, detectability, utility and memorisation of a synthetic table, or of linked tables.

    Mappings of frames by name are linked tables, for which ``evaluate_database`` scores tables, links and sequences.

    Args:
        train: The training rows of the model: a frame, a Table or a path; or frames by name.
        synthetic: The synthetic rows, with the same columns.
        holdout: Real rows that were not used for training. Without them utility and memorisation are left out, and
            the floor of fidelity comes from halves of ``train``.
        target: The column to predict for utility; default: the one with the role ``target``, if any.
        schema: The schema of the columns; default: the Table's own, or inferred from ``train``.
        seed: Random seed.
        sdmetrics: Whether to add the reports of SDMetrics; default: if installed, and at most 60 columns.
        thorough: Whether to add the detailed scores: three-way distributions, tails, missing values, subgroups,
            diversity, several models, regression conclusions, fairness and data quality. Findings depend on these.
        quick: Compute only the scores that train no model, and detection on ``QUICK_ROWS`` rows of each table. It
            overrides ``thorough``, and omits the reports of SDMetrics unless ``sdmetrics=True``.
        card: Facts about the model (its card, its privacy ledger) to store in the report.
        progress: Called with the stage and the share of completed work, from 0 to 1.
        on_scores: Called with the scores of each stage as soon as they are computed.

    Returns:
        The report: ``.scores``, ``.worst``, ``.save("report.html")``.

    Raises:
        SchemaError: Columns differ, the schema does not fit ``train``, or the target is unknown.
        DataError: A table is empty or has values of another type.
        MissingDependencyError: ``sdmetrics=True`` without the package.

    Example:
        >>> import pandas as pd
        >>> from tabsynth.schema.schema import Schema
        >>> schema = Schema.from_dict({"columns": {"x": {"kind": "numeric"}}})
        >>> real = pd.DataFrame({"x": range(100)})
        >>> report = evaluate(real, real, schema=schema, sdmetrics=False)
        >>> report.scores["shape_error"].value
        0.0
    """
    seed = validate_seed(seed)
    check_callables(progress=progress, on_scores=on_scores)
    if isinstance(train, Mapping):
        linked, held_out, database = _check_linked(synthetic, holdout, target, schema)
        return evaluate_database(
            train,
            linked,
            held_out,
            schema=database,
            seed=seed,
            quick=quick,
            sdmetrics=sdmetrics,
            card=card,
            progress=progress,
        )
    if isinstance(synthetic, Mapping) or isinstance(holdout, Mapping):
        raise DataError("train is one table, but another argument is several; pass all of them in the same form")
    if isinstance(schema, DatabaseSchema):
        raise SchemaError("a DatabaseSchema is for several tables; pass frames by name")
    inputs = check_inputs(train, synthetic, holdout, target, schema)
    frames = [frame for _, frame in inputs.named()]
    encoded_train, encoded_synthetic, *rest = encode_tables(frames, inputs.schema)
    encoded_holdout = rest[0] if rest else None
    if inputs.target is not None:
        prediction_task(encoded_train, inputs.target)  # raises before any work
    report_stage = _stage_reporter(progress)
    thorough = thorough and not quick
    notes = _omission_notes(inputs, quick)
    scores: list[Score] = []

    def add(new_scores: Sequence[Score], more_notes: Sequence[str] = ()) -> None:
        scores.extend(new_scores)
        notes.extend(more_notes)
        if new_scores and on_scores is not None:
            on_scores(new_scores)

    report_stage("fidelity")
    add(fidelity_scores(encoded_train, encoded_synthetic, encoded_holdout, _rng(seed, "fidelity")))
    report_stage("detection")
    new_scores, result = detection_scores(
        encoded_train, encoded_synthetic, _rng(seed, "detection"), QUICK_ROWS if quick else MAX_ROWS
    )
    add(new_scores)
    drilldown: dict[str, Any] = {}
    if result is None:
        notes.append("Detection is left out: a table has fewer than six rows.")
    elif thorough:
        add([logistic_score(result)])
        drilldown["telltale"] = most_detectable_rows(result)
    if encoded_holdout is not None:
        if inputs.target is not None and not quick:
            report_stage("utility")
            add(
                *utility_scores(encoded_train, encoded_synthetic, encoded_holdout, inputs.target, _rng(seed, "utility"))
            )
        report_stage("memorisation")
        add(memorisation_scores(encoded_train, encoded_synthetic, encoded_holdout, _rng(seed, "memorisation")))
    if thorough:
        notes += detailed_scores(
            inputs,
            encoded_train,
            encoded_synthetic,
            encoded_holdout,
            lambda stage: _rng(seed, stage),
            report_stage,
            add,
        )
    wide = len(inputs.schema) > MAX_SDMETRICS_COLUMNS
    if sdmetrics or (sdmetrics is None and is_installed() and not quick and not wide):
        report_stage("sdmetrics")
        add(*sdmetrics_scores(inputs.train, inputs.synthetic, inputs.schema, _rng(seed, "sdmetrics")))
    elif sdmetrics is None and not quick:
        why = f"with {len(inputs.schema)} columns they take longer than all others" if is_installed() else ""
        why = f"{why}; sdmetrics=True adds them (--sdmetrics)" if why else "the package sdmetrics is not installed"
        notes.append(f"The scores of SDMetrics are left out: {why}.")
    report_stage("pictures")
    tables = encoded_train, encoded_synthetic, encoded_holdout
    drilldown |= picture_data(*tables, inputs.schema, _rng(seed, "pictures"))
    named = {score.name: score for score in sorted(scores, key=_area_position)}
    findings = find_value_faults(inputs, named, encoded_train, encoded_synthetic)
    findings += find_faults(named, encoded_train, encoded_synthetic, inputs.target)
    report = Report(
        scores=named,
        findings=[finding.to_dict() for finding in findings],
        drilldown=drilldown,
        distributions=distributions(encoded_train, encoded_synthetic, inputs.schema),
        notes=notes,
        provenance={
            **collect_provenance(inputs, seed),
            "target": inputs.target,
            "card": None if card is None else dict(card),
        },
    )
    if progress is not None:
        progress("done", 1.0)
    return report


def _check_linked(
    synthetic: TableLike | Tables,
    holdout: TableLike | Tables | None,
    target: str | None,
    schema: Schema | DatabaseSchema | None,
) -> tuple[Tables, Tables | None, DatabaseSchema | None]:
    """Return the arguments of linked tables, checked to be in that form."""
    if not isinstance(synthetic, Mapping) or not (holdout is None or isinstance(holdout, Mapping)):
        raise DataError("train is several tables; pass synthetic and holdout as frames by name, too")
    if target is not None:
        raise InputError(f"target={target!r} is for one table; leave it out")
    if not (schema is None or isinstance(schema, DatabaseSchema)):
        raise SchemaError("the schema of several tables is a DatabaseSchema, not that of one table")
    return synthetic, holdout, schema


def _area_position(score: Score) -> int:
    """Return the position of a score's area in the report."""
    return [*AREAS, "other", "sdmetrics"].index(area_of(score.name))


def _rng(seed: int, stage: str) -> np.random.Generator:
    """Return the generator of a stage, independent of the other stages."""
    return np.random.default_rng([seed, STAGES.index(stage)])


def _stage_reporter(progress: Callable[[str, float], None] | None) -> Callable[[str], None]:
    def report_stage(stage: str) -> None:
        if progress is not None:
            progress(stage, STAGE_ORDER.index(stage) / len(STAGE_ORDER))

    return report_stage


def _omission_notes(inputs: Inputs, quick: bool) -> list[str]:
    """Return notes on scores that are not computed, with the reasons."""
    notes = []
    if quick:
        notes.append(
            f"Quick evaluation: scores that train no model, and detection on at most {QUICK_ROWS:,} rows per table. "
            "Utility and the detailed scores are left out; evaluate without quick to compute them."
        )
    skipped = [name for name, column in inputs.schema.items() if isinstance(column, (Identifier, Text))]
    if skipped:
        notes.append(f"Identifiers and free text are not scored: {quote(skipped)}.")
    if inputs.holdout is None:
        notes.append("Utility and memorisation are left out: they need a holdout.")
    elif inputs.target is None and not quick:
        notes.append("Utility is left out: it needs a target, the column to predict.")
    for title, frame in inputs.named():
        blank = [name for name in frame if frame[name].isna().all()]
        if blank:
            notes.append(
                f"The {title} table has only missing values in {quote(blank)}: interpret their scores with caution."
            )
    return notes
