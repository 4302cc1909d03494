"""One call: compare a synthetic table with the real one and get a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.threads import single_threaded
from tabsynth.data.table import Table
from tabsynth.errors import DataError, quote
from tabsynth.evaluation.findings import find
from tabsynth.evaluation.inputs import Inputs, check_inputs, provenance
from tabsynth.evaluation.metric_specs import AREAS, area_of
from tabsynth.evaluation.metrics.data_quality import quality_scores
from tabsynth.evaluation.metrics.dependence import dependence_scores
from tabsynth.evaluation.metrics.detection import MOST_ROWS, detection_scores, logistic_score, telltale_rows
from tabsynth.evaluation.metrics.diversity import diversity_scores
from tabsynth.evaluation.metrics.fairness import model_scores, parity_score, sensitive_groups
from tabsynth.evaluation.metrics.fidelity import fidelity_scores
from tabsynth.evaluation.metrics.memorisation import memorisation_scores
from tabsynth.evaluation.metrics.missingness import missingness_scores
from tabsynth.evaluation.metrics.mode_coverage import mode_score
from tabsynth.evaluation.metrics.regression_inference import inference_score
from tabsynth.evaluation.metrics.subgroups import subgroup_scores
from tabsynth.evaluation.metrics.tails import tail_scores
from tabsynth.evaluation.metrics.utility import question, utility_scores
from tabsynth.evaluation.metrics.utility_models import learner_scores, train_all
from tabsynth.evaluation.rendering.histograms import distributions
from tabsynth.evaluation.rendering.projection import projection
from tabsynth.evaluation.report import Report
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.sdmetrics_adapter import available, sdmetrics_scores
from tabsynth.evaluation.stats.boosted_trees import seed_of
from tabsynth.evaluation.stats.encoded_table import Coded, code
from tabsynth.evaluation.stats.table_comparison import Comparison
from tabsynth.schema.columns import Identifier, Text
from tabsynth.schema.schema import Schema

FEWEST = 20
"""Rows that each table needs."""


def finer_scores(
    inputs: Inputs,
    real: Coded,
    made: Coded,
    fresh: Coded | None,
    rng_of: Callable[[str], np.random.Generator],
    tell: Callable[[str], None],
    add: Callable[[Sequence[Score]], None],
) -> list[str]:
    """Dependence, missing values, tails, subgroups, diversity, learners, conclusions, fairness and input quality.

    Args:
        inputs: The frames and the schema.
        real: The real table.
        made: The synthetic table.
        fresh: Real rows that the model has not seen, if any.
        rng_of: The generator of a stage.
        tell: Called with each stage as it begins.
        add: Called with the scores of each part as soon as they are computed.

    Returns:
        Notes on what was left out.
    """
    quality = quality_scores(inputs.train, inputs.schema, inputs.synthetic)
    if min(len(table) for table in (real, made, fresh) if table is not None) < FEWEST:
        add(quality)
        return [f"Finer scores are left out: a table has fewer than {FEWEST} rows."]
    notes = []
    tell("dependence")
    rng = rng_of("dependence")
    comparison = Comparison.of(real, made, fresh, rng)
    sensitive = inputs.schema.with_role("sensitive")
    by = [*sensitive, *([inputs.target] if inputs.target is not None else [])]
    add(dependence_scores(comparison))
    add(missingness_scores(comparison) + tail_scores(comparison) + subgroup_scores(comparison, by))
    tell("diversity")
    rng = rng_of("diversity")
    add(diversity_scores(real, made, fresh, comparison, rng))
    modes = mode_score(comparison, rng)
    add([modes] if modes is not None else [])
    tell("learners")
    rng = rng_of("learners")
    asked = question(real, inputs.target) if inputs.target is not None else None
    trained = None
    if asked is not None and fresh is not None:
        trained = train_all(real, made, fresh, asked, seed_of(rng), rng)
        if trained is None:
            notes.append("Several learners are left out: a table has too few rows with an answer.")
        else:
            add(learner_scores(trained, rng))
        kept = inference_score(real, made, fresh, asked, rng)
        if kept is None:
            notes.append("Statistical conclusions are left out: the real table allows too few.")
        else:
            add([kept])
    tell("fairness")
    groups = sensitive_groups(real, sensitive)
    if not sensitive:
        notes.append("Fairness is left out: no column has the role 'sensitive' in the schema.")
    elif not groups or asked is None:
        notes.append("Fairness is left out: it needs a target and two groups of enough rows.")
    else:
        add([parity_score(comparison, asked, groups)])
        add(model_scores(trained, groups, rng_of("fairness")) if trained is not None else [])
    add(quality)
    return notes


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
"""The order numbers the generators, so that a new stage changes no earlier one's draws."""
SHOWN = (*STAGES[:4], *STAGES[6:], *STAGES[4:6])
"""The order in which stages come, for progress."""

QUICK_ROWS = 2_000
"""Rows a side for the detection of a quick evaluation."""


@single_threaded
def evaluate(
    train: pd.DataFrame | Table | str | Path,
    synthetic: pd.DataFrame | Table | str | Path,
    holdout: pd.DataFrame | Table | str | Path | None = None,
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
) -> Report:
    """Measure how close, how telling, how useful and how copied a synthetic table is.

    Args:
        train: The real rows that the model learned from: a frame, a Table or a path.
        synthetic: The rows that it made; the same columns.
        holdout: Real rows that it has not seen. Without them usefulness and memorisation are left out, and the floor
            of fidelity comes from halves of ``train``.
        target: The column to predict for usefulness; default: the one with the role ``target``, if any.
        schema: What the columns are; default: the Table's own, or inferred from ``train``.
        seed: Fixes every draw.
        sdmetrics: Whether to add SDMetrics' own reports; default: if the package is installed.
        thorough: Whether to look finer than the four main questions: triples, tails, missing values, subgroups,
            diversity, several learners, conclusions, fairness and the quality of the real table. The findings rest on
            these; it takes a few seconds.
        quick: Compute only the scores that train no model, and detection on ``QUICK_ROWS`` rows a side; overrides
            ``thorough``, and leaves SDMetrics' reports out unless ``sdmetrics=True``. The report's notes say so.
        card: Facts on the model (its card, its privacy ledger) to keep in the report.
        progress: Told the stage and the share done, from 0 to 1.
        on_scores: Called with the scores of each stage as soon as they are computed.

    Returns:
        The report: ``.scores``, ``.worst``, ``.save("report.html")``.

    Raises:
        SchemaError: Columns differ, the schema does not fit ``train``, or the target is unknown.
        DataError: A table is empty or holds values of another type.
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
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise DataError(f"seed must be a whole number of at least 0, not {seed!r}")
    inputs = check_inputs(train, synthetic, holdout, target, schema)
    frames = [frame for _, frame in inputs.named()]
    real, made, *rest = code(frames, inputs.schema)
    fresh = rest[0] if rest else None
    if inputs.target is not None:
        question(real, inputs.target)  # raises before any work
    tell = _teller(progress)
    thorough = thorough and not quick
    notes = _left_out(inputs, quick)
    scores: list[Score] = []

    def add(found: Sequence[Score], said: Sequence[str] = ()) -> None:
        scores.extend(found)
        notes.extend(said)
        if found and on_scores is not None:
            on_scores(found)

    tell("fidelity")
    add(fidelity_scores(real, made, fresh, _rng(seed, "fidelity")))
    tell("detection")
    found, trial = detection_scores(real, made, _rng(seed, "detection"), QUICK_ROWS if quick else MOST_ROWS)
    add(found)
    drilldown: dict[str, Any] = {}
    if trial is None:
        notes.append("Detection is left out: a table has fewer than six rows.")
    elif thorough:
        add([logistic_score(trial)])
        drilldown["telltale"] = telltale_rows(trial)
    if fresh is not None:
        if inputs.target is not None and not quick:
            tell("utility")
            add(*utility_scores(real, made, fresh, inputs.target, _rng(seed, "utility")))
        tell("memorisation")
        add(memorisation_scores(real, made, fresh, _rng(seed, "memorisation")))
    if thorough:
        notes += finer_scores(inputs, real, made, fresh, lambda stage: _rng(seed, stage), tell, add)
    if sdmetrics or (sdmetrics is None and available() and not quick):
        tell("sdmetrics")
        add(*sdmetrics_scores(inputs.train, inputs.synthetic, inputs.schema, _rng(seed, "sdmetrics")))
    elif sdmetrics is None and not quick:
        notes.append("SDMetrics' own scores are left out: the package sdmetrics is not installed.")
    tell("pictures")
    outline = projection(real, made, _rng(seed, "pictures"))
    if outline is not None:
        drilldown["projection"] = outline
    named = {score.name: score for score in sorted(scores, key=_place)}
    report = Report(
        scores=named,
        findings=[finding.to_dict() for finding in find(named, real, made, inputs.target)],
        drilldown=drilldown,
        distributions=distributions(real, made, inputs.schema),
        notes=notes,
        provenance=provenance(inputs, seed, card),
    )
    if progress is not None:
        progress("done", 1.0)
    return report


def _place(score: Score) -> int:
    """Scores of one area stand together, in the order of the areas."""
    return [*AREAS, "other", "sdmetrics"].index(area_of(score.name))


def _rng(seed: int, stage: str) -> np.random.Generator:
    """A generator for each stage, so that one stage's draws do not depend on whether another ran."""
    return np.random.default_rng([seed, STAGES.index(stage)])


def _teller(progress: Callable[[str, float], None] | None) -> Callable[[str], None]:
    def tell(stage: str) -> None:
        if progress is not None:
            progress(stage, SHOWN.index(stage) / len(SHOWN))

    return tell


def _left_out(inputs: Inputs, quick: bool) -> list[str]:
    """What is not measured, and why."""
    notes = []
    if quick:
        notes.append(
            f"Quick selection: scores that train no model, and detection on at most {QUICK_ROWS:,} rows a side. "
            "Usefulness and the finer scores are left out; evaluate without quick for these."
        )
    skipped = [name for name, column in inputs.schema.items() if isinstance(column, (Identifier, Text))]
    if skipped:
        notes.append(f"Identifiers and free text are in no score: {quote(skipped)}.")
    if inputs.holdout is None:
        notes.append("Usefulness and memorisation are left out: they need a holdout, real rows that were not learned.")
    elif inputs.target is None and not quick:
        notes.append("Usefulness is left out: it needs a target, the column to predict.")
    for title, frame in inputs.named():
        blank = [name for name in frame if frame[name].isna().all()]
        if blank:
            notes.append(
                f"The {title} table holds no value in {quote(blank)}: read scores with these columns with care."
            )
    return notes
