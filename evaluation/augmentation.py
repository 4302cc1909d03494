"""Effect of added, balanced or adversarial rows on a classifier: AUC, parity gap, robustness.

Classifiers are trained several times and tested on held-out real rows; intervals include the variance of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.adversarial.perturbation import adversarial_rows
from tabsynth.adversarial.vat import VATClassifier
from tabsynth.common.arrays import Floats
from tabsynth.common.binomial import wilson
from tabsynth.data.table import Table, TableLike
from tabsynth.evaluation.metrics.utility import percentile_interval
from tabsynth.evaluation.repeated_training import RepeatedTraining
from tabsynth.evaluation.score import Part, Score
from tabsynth.schema.schema import Schema


def augmentation_scores(
    train: TableLike,
    augmented: TableLike,
    holdout: TableLike,
    *,
    target: str,
    schema: Schema | None = None,
    seeds: int = 5,
    seed: int = 0,
) -> dict[str, Score]:
    """Return the AUC of a classifier trained on the augmented table, and its gain over one trained on the real table.

    Args:
        train: The real rows.
        augmented: The real rows with added rows, or another training table.
        holdout: Real test rows.
        target: The column of classes.
        schema: The schema of the columns; by default the table's own, or inferred from ``train``.
        seeds: Number of trainings of each classifier.
        seed: Random seed.

    Returns:
        ``augmented_auc``, with the AUC of the real rows alone as its floor, and ``augmented_gain``, their paired
        difference.

    Raises:
        InputError: The tables differ in their columns, or the target has fewer than two classes in one of them.
    """
    trained = RepeatedTraining.of(train, augmented, holdout, target, schema, seeds, seed)
    baseline_auc, augmented_auc = (trained.auc(predictions) for predictions in trained.predictions)
    return {
        "augmented_auc": _auc_score(trained, augmented_auc, baseline_auc),
        "augmented_gain": _gain_score(trained, augmented_auc, baseline_auc),
    }


def parity_scores(
    train: TableLike,
    balanced: TableLike,
    holdout: TableLike,
    *,
    target: str,
    by: str,
    schema: Schema | None = None,
    seeds: int = 5,
    seed: int = 0,
) -> dict[str, Score]:
    """Return the demographic-parity gap of a classifier trained on the balanced table, and its cost in AUC.

    The demographic-parity gap is the largest difference between two groups in the share of rows that the classifier
    puts into a class (Agarwal et al., "A reductions approach to fair classification", arXiv 1803.02453, definition 1).

    Args:
        train: The baseline table: real rows, or an unbalanced synthetic table.
        balanced: The balanced table, such as a ``balanced_sample``.
        holdout: Real test rows.
        target: The column of classes.
        by: The column that defines the groups.
        schema: The schema of the columns; by default the table's own, or inferred from ``train``.
        seeds: Number of trainings of each classifier.
        seed: Random seed.

    Returns:
        ``parity_gap``, with the gap of the classifier trained on ``train`` as its floor; ``parity_reduction``, the
        relative reduction of that gap; ``augmented_auc`` and ``augmented_gain`` as in ``augmentation_scores``.

    Raises:
        InputError: As in ``augmentation_scores``, or fewer than two groups have ten held-out rows.
    """
    trained = RepeatedTraining.of(train, balanced, holdout, target, schema, seeds, seed)
    groups, labels = trained.groups(by)
    gaps = [trained.gap(predictions, groups) for predictions in trained.predictions]
    plain, fair = gaps[0], gaps[1]
    gap_name = f"{target!r} between groups of {by!r}"
    rates = trained.rates(trained.predictions[1], groups, np.ones((1, len(groups)))).mean(axis=0)[0]
    gap = Score(
        name="parity_gap",
        title="Demographic parity gap",
        value=float(fair[0]),
        interval=percentile_interval(fair),
        better="lower",
        target=0.0,
        floor=float(plain[0]),
        beside="the baseline table",
        description=f"Largest difference in predicted rates of {gap_name}.",
        method=f"{trained.method} The floor is the same classifier trained on the baseline table.",
        detail=tuple(
            Part(columns=(f"{by} = {label}",), value=float(rates[g, rates.shape[1] - 1]))
            for g, label in enumerate(labels)
        ),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(plain > 0, 1 - fair / plain, 0.0)
    reduction = Score(
        name="parity_reduction",
        title="Parity gap reduction",
        value=float(share[0]),
        interval=percentile_interval(share),
        better="higher",
        target=1.0,
        floor=0.0,
        description=f"Relative reduction of the gap in predicted rates of {gap_name}.",
        method=f"{trained.method} Paired: both classifiers are scored on the same draws.",
    )
    baseline_auc, augmented_auc = (trained.auc(predictions) for predictions in trained.predictions)
    scores = (
        gap,
        reduction,
        _auc_score(trained, augmented_auc, baseline_auc),
        _gain_score(trained, augmented_auc, baseline_auc),
    )
    return {score.name: score for score in scores}


def robustness_scores(
    model: VATClassifier,
    holdout: pd.DataFrame | Table,
    y: Any,
    *,
    epsilon: float = 0.25,
    flips: int = 1,
    fixed: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Score]:
    """Return the accuracy of a classifier on held-out rows, unchanged and adversarially perturbed.

    Args:
        model: The fitted classifier.
        holdout: Rows that were not used for training.
        y: Their labels, shape (n,).
        epsilon: Maximum change of each number, in standard deviations; see ``adversarial_rows``.
        flips: Maximum number of changed categories of a row.
        fixed: Columns that are not changed.
        seed: Random seed of the perturbation.

    Returns:
        ``accuracy`` and ``robust_accuracy``; the floor of the second is the first.
    """
    frame, truth = (holdout.frame if isinstance(holdout, Table) else holdout), np.asarray(y)
    changed = adversarial_rows(model, frame, epsilon, y=truth, flips=flips, fixed=fixed, seed=seed)
    n_correct = [int((model.predict(rows) == truth).sum()) for rows in (frame, changed)]
    n = len(frame)
    method = f"Share of {n:,} held-out rows; Wilson interval."
    plain = Score(
        name="accuracy",
        title="Accuracy",
        value=n_correct[0] / n,
        interval=wilson(n_correct[0], n),
        better="higher",
        target=1.0,
        description="Share of rows classified correctly.",
        method=method,
    )
    robust = Score(
        name="robust_accuracy",
        title="Adversarial accuracy",
        value=n_correct[1] / n,
        interval=wilson(n_correct[1], n),
        better="higher",
        target=1.0,
        floor=n_correct[0] / n,
        beside="unchanged rows",
        description=f"Accuracy after changes of up to {epsilon:g} standard deviations and {flips} categories.",
        method=f"{method} The floor is the accuracy on unchanged rows; stronger attacks may reduce it further.",
    )
    return {"accuracy": plain, "robust_accuracy": robust}


def _auc_score(trained: RepeatedTraining, augmented_auc: Floats, baseline_auc: Floats) -> Score:
    return Score(
        name="augmented_auc",
        title="AUC of the augmented table",
        value=float(augmented_auc[0]),
        interval=percentile_interval(augmented_auc),
        better="higher",
        target=1.0,
        floor=float(baseline_auc[0]),
        beside="the baseline table",
        unit="AUC",
        description="How well a classifier trained on the table ranks real rows.",
        method=f"{trained.method} The floor is the same classifier trained on the baseline table.",
    )


def _gain_score(trained: RepeatedTraining, augmented_auc: Floats, baseline_auc: Floats) -> Score:
    return Score(
        name="augmented_gain",
        title="AUC gain",
        value=float(augmented_auc[0] - baseline_auc[0]),
        interval=percentile_interval(augmented_auc - baseline_auc),
        better="higher",
        floor=0.0,
        unit="AUC",
        description="AUC of the classifier minus that of one trained on the baseline table.",
        method=f"{trained.method} Paired: both classifiers are scored on the same draws.",
    )
