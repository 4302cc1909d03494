"""The finer scores of an evaluation, stage by stage: what a mean over columns and pairs does not show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tabsynth.evaluation.booster import seed_of
from tabsynth.evaluation.coded import Coded
from tabsynth.evaluation.comparison import Comparison
from tabsynth.evaluation.dependence import dependence_scores
from tabsynth.evaluation.diversity import diversity_scores
from tabsynth.evaluation.fairness import model_scores, parity_score, sensitive_groups
from tabsynth.evaluation.inference import inference_score
from tabsynth.evaluation.inputs import Inputs
from tabsynth.evaluation.learners import learner_scores, train_all
from tabsynth.evaluation.missingness import missingness_scores
from tabsynth.evaluation.modes import mode_score
from tabsynth.evaluation.quality import quality_scores
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.subgroups import subgroup_scores
from tabsynth.evaluation.tails import tail_scores
from tabsynth.evaluation.utility import question

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
