"""The detailed scores: dependence, tails, subgroups, diversity, several models, fairness and data quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tabsynth.evaluation.inputs import Inputs
from tabsynth.evaluation.metrics.data_quality import quality_scores
from tabsynth.evaluation.metrics.dependence import dependence_scores
from tabsynth.evaluation.metrics.diversity import diversity_scores
from tabsynth.evaluation.metrics.fairness import group_model_scores, parity_score, sensitive_groups
from tabsynth.evaluation.metrics.missingness import missingness_scores
from tabsynth.evaluation.metrics.mode_coverage import mode_score
from tabsynth.evaluation.metrics.regression_inference import inference_score
from tabsynth.evaluation.metrics.rounding import rounding_scores
from tabsynth.evaluation.metrics.subgroups import subgroup_scores
from tabsynth.evaluation.metrics.tails import tail_scores
from tabsynth.evaluation.metrics.utility import prediction_task
from tabsynth.evaluation.metrics.utility_models import compare_learners_with_resamples, learner_scores, train_models
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.boosted_trees import draw_seed
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.table_comparison import Comparison

MIN_ROWS = 20
"""Minimum number of rows of each table."""


def detailed_scores(
    inputs: Inputs,
    encoded_train: EncodedTable,
    encoded_synthetic: EncodedTable,
    encoded_holdout: EncodedTable | None,
    rng_of: Callable[[str], np.random.Generator],
    report_stage: Callable[[str], None],
    add: Callable[[Sequence[Score]], None],
) -> list[str]:
    """Compute the detailed scores, and pass them to ``add``.

    Returns:
        Notes on omissions.
    """
    quality = quality_scores(inputs.train, inputs.schema, inputs.synthetic)
    if min(len(table) for table in (encoded_train, encoded_synthetic, encoded_holdout) if table is not None) < MIN_ROWS:
        add(quality)
        return [f"The detailed scores are left out: a table has fewer than {MIN_ROWS} rows."]
    notes = []
    report_stage("dependence")
    rng = rng_of("dependence")
    comparison = Comparison.of(encoded_train, encoded_synthetic, encoded_holdout, rng)
    sensitive = inputs.schema.with_role("sensitive")
    by = [*sensitive, *([inputs.target] if inputs.target is not None else [])]
    add(dependence_scores(comparison))
    add(rounding_scores(comparison, inputs.schema))
    add(missingness_scores(comparison) + tail_scores(comparison) + subgroup_scores(comparison, by))
    report_stage("diversity")
    rng = rng_of("diversity")
    add(diversity_scores(encoded_train, encoded_synthetic, encoded_holdout, comparison, rng))
    modes = mode_score(comparison, rng)
    add([modes] if modes is not None else [])
    report_stage("learners")
    rng = rng_of("learners")
    task = prediction_task(encoded_train, inputs.target) if inputs.target is not None else None
    trained = None
    if task is not None and encoded_holdout is not None:
        trained = train_models(encoded_train, encoded_synthetic, encoded_holdout, task, draw_seed(rng), rng)
        if trained is None:
            notes.append("The models of the detailed scores are left out: a table has too few rows with a target.")
        else:
            n, noise_rng = len(encoded_synthetic), rng.spawn(1)[0]
            scores = learner_scores(trained, rng)
            add([compare_learners_with_resamples(score, trained, encoded_train, n, noise_rng) for score in scores])
        inference = inference_score(encoded_train, encoded_synthetic, encoded_holdout, task, rng)
        if inference is None:
            notes.append(
                "Regression conclusions are left out: fewer than 3 significant coefficients, or more than 500 features."
            )
        else:
            add([inference])
    report_stage("fairness")
    groups = sensitive_groups(encoded_train, sensitive)
    if not sensitive:
        notes.append("Fairness is left out: no column has the role 'sensitive' in the schema.")
    elif not groups or task is None:
        notes.append("Fairness is left out: it needs a target and two groups with enough rows.")
    else:
        add([parity_score(comparison, task, groups)])
        add(group_model_scores(trained, groups, rng_of("fairness")) if trained is not None else [])
    add(quality)
    return notes
