"""Utility: train on synthetic, test on real (TSTR), with boosted trees.

Esteban, Hyland and Rätsch, "Real-valued (medical) time series generation with recurrent conditional GANs", 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from tabsynth.common.arrays import Floats
from tabsynth.errors import DataError
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.auc import weighted_auc
from tabsynth.evaluation.stats.boosted_trees import classifier, draw_seed, regressor
from tabsynth.evaluation.stats.bootstrap import calibrate_draws, error_interval
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.training_noise import (
    MAX_RESAMPLED_ROWS,
    compare_with_resamples,
    familywise_gap,
    resampled_performance,
    widen_interval,
)

TaskKind = Literal["binary", "multiclass", "regression"]

N_DRAWS = 200
"""Number of bootstrap draws of the test rows."""

N_CALIBRATION_BINS = 10
"""Number of equal-count bins of the predicted probability."""

MIN_CLASS_ROWS = 5
"""Minimum number of training rows of a class."""

MAX_ROWS = 100_000
"""Maximum number of training rows; more increase the time, but hardly the performance."""


@dataclass(frozen=True, eq=False)
class PredictionTask:
    """Prediction task; ``column`` is the target's position among the d columns."""

    column: int
    kind: TaskKind


def prediction_task(train: EncodedTable, target: str) -> PredictionTask:
    """Return the prediction task for a target.

    Categories and numbers with exactly two values are classified; other numbers are predicted by regression.

    Raises:
        DataError: The target is not a scored column, or it does not vary in the training table.
    """
    if target not in train.encoding.names:
        raise DataError(f"the target {target!r} cannot be predicted: identifiers and free text are not scored")
    column = train.encoding.names.index(target)
    values = target_values(train, column)
    distinct = np.unique(values[~np.isnan(values)])
    if len(distinct) < 2:
        raise DataError(
            f"the target {target!r} has {len(distinct)} value(s) in the training table; choose a target that varies"
        )
    if len(distinct) == 2:
        return PredictionTask(column, "binary")
    return PredictionTask(column, "regression" if train.encoding.continuous[column] else "multiclass")


def utility_scores(
    train: EncodedTable, synthetic: EncodedTable, holdout: EncodedTable, target: str, rng: np.random.Generator
) -> tuple[list[Score], list[str]]:
    """Return the performance of the synthetic-trained model on the holdout, and its gap to the real-trained one.

    Args:
        train: The real training table.
        synthetic: The synthetic table.
        holdout: Real test rows.
        target: The column to predict.
        rng: Generator of seeds and bootstrap weights.

    Returns:
        The scores, and notes on limitations.
    """
    task = prediction_task(train, target)
    truth = target_values(holdout, task.column)
    known = ~np.isnan(truth)
    test, truth = holdout.take(known), truth[known]
    varies = len(np.unique(truth)) > 1
    if not varies:
        return [], [f"Utility is left out: the target {target!r} does not vary in the holdout."]
    seed = draw_seed(rng)
    classes = np.unique(truth)
    notes: list[str] = []
    predictions = []
    for name, table in (("synthetic", synthetic), ("training", train)):
        predicted, note = _fit_and_predict(table, test, task, classes, seed, rng)
        predictions.append(predicted)
        if note:
            notes.append(f"Utility: the {name} table {note}, so its predictions are constant.")
    weights = np.vstack(
        [np.ones(len(truth)), rng.multinomial(len(truth), np.full(len(truth), 1 / len(truth)), N_DRAWS)]
    )
    on_synthetic, on_real = (predictive_score(task.kind, truth, classes, each, weights) for each in predictions)
    unit = "R²" if task.kind == "regression" else "AUC"
    what = {
        "binary": "ROC AUC",
        "multiclass": "ROC AUC, one class against the rest, averaged over the classes",
        "regression": "R², the share of variance explained",
    }[task.kind]
    method = f"{what} on {len(truth):,} held-out rows; interval: {N_DRAWS} bootstrap draws of those rows."
    utility = Score(
        name="utility",
        value=float(on_synthetic[0]),
        interval=percentile_interval(on_synthetic),
        better="higher",
        target=1.0,
        floor=float(on_real[0]),
        unit=unit,
        description=f"Performance of a model of {target!r} trained on synthetic and tested on real rows.",
        method=f"{method} The floor is the same model trained on the real rows.",
    )
    gap = Score(
        name="utility_gap",
        value=float(on_real[0] - on_synthetic[0]),
        interval=percentile_interval(on_real - on_synthetic),
        better="lower",
        target=0.0,
        floor=0.0,
        unit=unit,
        description=f"Performance of the real-trained model of {target!r} minus that of the synthetic-trained one.",
        method=f"{method} Paired: both models are scored on the same draws.",
    )
    assert gap.interval is not None
    if gap.interval[0] <= 0 or len(train) > MAX_RESAMPLED_ROWS:
        return [utility, gap], notes

    def performance(rows: EncodedTable) -> float:
        predicted, _ = _fit_and_predict(rows, test, task, classes, draw_seed(rng), rng)
        return float(predictive_score(task.kind, truth, classes, predicted, weights[:1])[0])

    gaps = float(on_real[0]) - resampled_performance(train, min(len(synthetic), MAX_ROWS), performance, rng)
    part = Part(columns=(target,), value=gap.value, floor=0.0, chance=familywise_gap(gaps))
    return [widen_interval(utility, gaps), replace(compare_with_resamples(gap, gaps), detail=(part,))], notes


def target_values(table: EncodedTable, column: int) -> Floats:
    """Return the target as numbers, NaN for missing."""
    if table.encoding.continuous[column]:
        return table.values[:, int(table.encoding.continuous[:column].sum())]
    codes = table.codes[:, column].astype(np.float64)
    codes[codes == 0] = np.nan
    return codes


def _fit_and_predict(
    table: EncodedTable, test: EncodedTable, task: PredictionTask, classes: Floats, seed: int, rng: np.random.Generator
) -> tuple[Floats, str]:
    """Return predictions of a model trained on ``table``, shape (m,) or (m, classes), and the reason of a failure."""
    targets = target_values(table, task.column)
    if task.kind == "regression":
        usable = ~np.isnan(targets)
    else:
        frequent_classes = [value for value in classes if (targets == value).sum() >= MIN_CLASS_ROWS]
        usable = np.isin(targets, frequent_classes)
    rows = np.flatnonzero(usable)
    if len(rows) > MAX_ROWS:
        rows = np.sort(rng.permutation(rows)[:MAX_ROWS])
    features = np.delete(table.features()[rows], task.column, axis=1)
    test_features = np.delete(test.features(), task.column, axis=1)
    if task.kind == "regression":
        if len(rows) < MIN_CLASS_ROWS:
            return np.zeros(len(test)), f"has {len(rows)} rows with a target"
        return np.asarray(regressor(seed, len(rows)).fit(features, targets[rows]).predict(test_features)), ""
    out = np.zeros((len(test), len(classes)))
    if len(frequent_classes) < 2:
        return out, f"has fewer than two classes of the target with at least {MIN_CLASS_ROWS} rows"
    model = classifier(seed, len(rows)).fit(features, targets[rows])
    out[:, np.searchsorted(classes, model.classes_)] = model.predict_proba(test_features)
    return out, ""


def predictive_score(kind: TaskKind, truth: Floats, classes: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Return the AUC or R² for each weighting of the test rows, shape (b,)."""
    if kind == "regression":
        total = weights.sum(axis=1)
        mean = weights @ truth / total
        spread = weights @ truth**2 / total - mean**2
        squared_error = weights @ (truth - predicted) ** 2 / total
        out: Floats = 1 - squared_error / np.where(spread > 0, spread, np.nan)
        return out
    if kind == "binary" and len(classes) == 2:
        return weighted_auc(truth == classes[1], predicted[:, 1], weights)
    each = [weighted_auc(truth == value, predicted[:, k], weights) for k, value in enumerate(classes)]
    average: Floats = np.nanmean(each, axis=0)
    return average


def percentile_interval(draws: Floats) -> tuple[float, float]:
    """Return the percentile interval of all draws but the first, widened to include the first, the estimate."""
    low, high = np.nanquantile(draws[1:], [0.025, 0.975])
    return float(min(low, draws[0])), float(max(high, draws[0]))


def calibration_score(
    synthetic: Floats, real: Floats, truth: Floats, classes: Floats, weights: Floats, target: str
) -> Score:
    """Return the expected calibration error of the top class (Naeini, Cooper and Hauskrecht, AAAI 2015)."""
    gaps = [_calibration_gaps(predicted, truth, classes, weights) for predicted in (synthetic, real)]
    on_synthetic, on_real = (float(np.abs(each[0]).sum()) for each in gaps)
    deviation = gaps[0][1:] - gaps[0][1:].mean(axis=0)
    low, high = error_interval(
        on_synthetic, calibrate_draws(deviation, deviation, gaps[0][0], lambda x: np.abs(x).sum(axis=-1), on_synthetic)
    )
    return Score(
        name="calibration_error",
        value=100 * on_synthetic,
        interval=(low, high),
        better="lower",
        target=0.0,
        floor=100 * on_real,
        unit="%",
        description=f"Difference of predicted probability and frequency of {target!r}, for a synthetic-trained model.",
        method=f"Expected calibration error of boosted trees over {N_CALIBRATION_BINS} bins of {len(truth):,} "
        f"held-out rows; interval: {len(weights) - 1} bootstrap draws. The floor is the real-trained model's.",
    )


def _calibration_gaps(predicted: Floats, truth: Floats, classes: Floats, weights: Floats) -> Floats:
    """Return the accuracy of the top class minus its confidence in each bin, shape (1 + draws, bins)."""
    confidence = predicted.max(axis=1)
    correct = (classes[predicted.argmax(axis=1)] == truth).astype(np.float64)
    bins = (rankdata(confidence, method="ordinal") - 1) * N_CALIBRATION_BINS // len(confidence)
    inside = (bins[:, None] == np.arange(N_CALIBRATION_BINS)) * (correct - confidence)[:, None]
    return np.asarray(weights @ inside / weights.sum(axis=1, keepdims=True))
