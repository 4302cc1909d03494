"""TSTR utility with three models, and feature importance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.metric_specs import excess_over_floor
from tabsynth.evaluation.metrics.utility import (
    MIN_CLASS_ROWS,
    N_DRAWS,
    PredictionTask,
    calibration_score,
    percentile_interval,
    predictive_score,
    target_values,
)
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.boosted_trees import classifier, draw_seed, regressor
from tabsynth.evaluation.stats.bootstrap import half_width, subsample
from tabsynth.evaluation.stats.design_matrix import FeatureEncoder
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.training_noise import MAX_RESAMPLED_ROWS, compare_with_resamples, resampled_performance

MAX_ROWS = 8_000
"""Maximum training rows of each model."""

MAX_TEST_ROWS = 5_000
N_TREES, MAX_DEPTH = 40, 10
MODEL_KINDS = ("linear", "forest", "boosted")
TRAINING_TABLES = ("synthetic", "real", "both")
N_SHUFFLES, MAX_SHUFFLES = 3, 90
"""Permutations of each column for its importance, and the maximum for all columns."""


@dataclass(frozen=True, eq=False)
class TrainedModels:
    """Predictions for the test rows by each model trained on each table.

    Attributes:
        task: The prediction task.
        test: Held-out rows with a target.
        truth: Their targets, shape (n,).
        classes: The classes, for classification.
        predictions: Predictions by model and table, shape (n,) or (n, classes).
        boosters: The boosted trees of each table.
    """

    task: PredictionTask
    test: EncodedTable
    truth: Floats
    classes: Floats
    predictions: dict[tuple[str, str], Floats]
    boosters: dict[str, Any]


def train_models(
    train: EncodedTable,
    synthetic: EncodedTable,
    holdout: EncodedTable,
    task: PredictionTask,
    seed: int,
    rng: np.random.Generator,
) -> TrainedModels | None:
    """Train every model on every table; None if a table has too few rows with a target."""
    real, sample = (_rows_with_target(table, task, rng, MAX_ROWS) for table in (train, synthetic))
    test = _rows_with_target(holdout, task, rng, MAX_TEST_ROWS)
    truth = target_values(test, task.column)
    classes = np.unique(truth)
    half = [subsample(table, MAX_ROWS // 2, rng) for table in (real, sample)]
    both = half if len(real) + len(sample) > MAX_ROWS else [real, sample]
    tables = {"synthetic": [sample], "real": [real], "both": both}
    encoder = FeatureEncoder.of(train, without=task.column)
    predictions: dict[tuple[str, str], Floats] = {}
    boosters = {}
    for name, parts in tables.items():
        fitted = _fit_models(parts, test, encoder, task, classes, seed)
        if fitted is None:
            return None
        predictions |= {(kind, name): predicted for kind, (_, predicted) in fitted.items()}
        boosters[name] = fitted["boosted"][0]
    return TrainedModels(task, test, truth, classes, predictions, boosters)


def _fit_models(
    parts: Sequence[EncodedTable],
    test: EncodedTable,
    encoder: FeatureEncoder,
    task: PredictionTask,
    classes: Floats,
    seed: int,
) -> dict[str, tuple[Any, Floats]] | None:
    """Return each model of the rows of all parts, and its predictions; None if there are too few rows."""
    y = np.concatenate([target_values(part, task.column) for part in parts])
    if task.kind != "regression":
        frequent_classes = [value for value in classes if (y == value).sum() >= MIN_CLASS_ROWS]
        if len(frequent_classes) < 2:
            return None
    elif len(y) < MIN_CLASS_ROWS:
        return None
    usable = np.isin(y, frequent_classes) if task.kind != "regression" else np.ones(len(y), dtype=bool)
    tree_rows = np.vstack([np.delete(part.features(), task.column, axis=1) for part in parts])[usable]
    encoded = np.vstack([encoder.features(part) for part in parts])[usable]
    tree_test, encoded_test = np.delete(test.features(), task.column, axis=1), encoder.features(test)
    out = {}
    for kind in MODEL_KINDS:
        x, z = (tree_rows, tree_test) if kind == "boosted" else (encoded, encoded_test)
        model = _make_model(kind, task, seed, len(x)).fit(x, y[usable])
        out[kind] = (model, _predict(model, z, task, classes))
    return out


def compare_learners_with_resamples(
    score: Score, trained: TrainedModels, train: EncodedTable, size: int, rng: np.random.Generator
) -> Score:
    """Compare ``utility_learners`` of a small table with models of resampled real rows, if it is below the floor."""
    if score.name != "utility_learners" or excess_over_floor(score) <= 0 or len(train) > MAX_RESAMPLED_ROWS:
        return score
    task, once = trained.task, np.ones((1, len(trained.truth)))
    encoder, known = FeatureEncoder.of(train, without=task.column), ~np.isnan(target_values(train, task.column))

    def performance(rows: EncodedTable) -> float:
        fitted = _fit_models([rows], trained.test, encoder, task, trained.classes, draw_seed(rng))
        if fitted is None:
            return score.floor or 0.0
        each = [predictive_score(task.kind, trained.truth, trained.classes, p, once)[0] for _, p in fitted.values()]
        return float(np.mean(each))

    return compare_with_resamples(
        score, resampled_performance(train.take(known), min(size, MAX_ROWS), performance, rng)
    )


def learner_scores(trained: TrainedModels, rng: np.random.Generator, draws: int = N_DRAWS) -> list[Score]:
    """Return the scores of mean utility, utility of both tables together, calibration and importances."""
    task, truth = trained.task, trained.truth
    n = len(truth)
    weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), draws)])
    scores_by_model = {
        key: predictive_score(task.kind, truth, trained.classes, predicted, weights)
        for key, predicted in trained.predictions.items()
    }
    unit = "R²" if task.kind == "regression" else "AUC"
    mean = {table: np.mean([scores_by_model[kind, table] for kind in MODEL_KINDS], axis=0) for table in TRAINING_TABLES}
    target = trained.test.encoding.names[task.column]
    method = (
        f"Linear model, random forest and boosted trees on up to {MAX_ROWS:,} rows, tested on {n:,} held-out rows; "
        f"interval: {draws} bootstrap draws of those rows."
    )
    scores = []
    for table, name, text in (
        (
            "synthetic",
            "utility_learners",
            f"Performance of three models of {target!r} trained on synthetic and tested on real rows.",
        ),
        (
            "both",
            "utility_both",
            f"Performance of three models of {target!r} trained on real and synthetic rows together.",
        ),
    ):
        parts = [
            (kind, float(scores_by_model[kind, table][0]), float(scores_by_model[kind, "real"][0]))
            for kind in MODEL_KINDS
        ]
        scores.append(
            Score(
                name=name,
                value=float(mean[table][0]),
                interval=percentile_interval(mean[table]),
                better="higher",
                target=1.0,
                floor=float(mean["real"][0]),
                unit=unit,
                description=text,
                method=f"{method} The floor is the same trained on real rows.",
                detail=tuple(Part(columns=(kind,), value=value, floor=floor) for kind, value, floor in parts),
            )
        )
    if task.kind != "regression":
        synthetic, real = (trained.predictions["boosted", name] for name in ("synthetic", "real"))
        scores.append(calibration_score(synthetic, real, truth, trained.classes, weights, target))
    agreement = _importance_score(trained, weights, target, rng)
    return [*scores, agreement] if agreement is not None else scores


def _rows_with_target(
    table: EncodedTable, task: PredictionTask, rng: np.random.Generator, max_rows: int
) -> EncodedTable:
    return subsample(table.take(~np.isnan(target_values(table, task.column))), max_rows, rng)


def _make_model(kind: str, task: PredictionTask, seed: int, rows: int) -> Any:
    if task.kind == "regression":
        if kind == "linear":
            return Ridge(alpha=1.0)
        if kind == "forest":
            return RandomForestRegressor(N_TREES, max_depth=MAX_DEPTH, max_features=0.5, random_state=seed)
        return regressor(seed, rows)
    if kind == "linear":
        return LogisticRegression(C=1.0, max_iter=200, tol=1e-3)
    if kind == "forest":
        return RandomForestClassifier(N_TREES, max_depth=MAX_DEPTH, random_state=seed)
    return classifier(seed, rows)


def _predict(model: Any, rows: Floats, task: PredictionTask, classes: Floats) -> Floats:
    if task.kind == "regression":
        return np.asarray(model.predict(rows))
    out = np.zeros((len(rows), len(classes)))
    out[:, np.searchsorted(classes, model.classes_)] = model.predict_proba(rows)
    return out


def _importance_score(trained: TrainedModels, weights: Floats, target: str, rng: np.random.Generator) -> Score | None:
    """Return the rank correlation of permutation importances (Breiman, Machine Learning 45, 2001)."""
    rows = np.delete(trained.test.features(), trained.task.column, axis=1)
    d = rows.shape[1]
    if d < 3:
        return None
    columns = np.arange(d) if d <= MAX_SHUFFLES else np.sort(rng.permutation(d)[:MAX_SHUFFLES])
    n_orders = int(np.clip(MAX_SHUFFLES // d, 1, N_SHUFFLES)) * len(columns)
    orders = rng.permuted(np.tile(np.arange(len(rows)), (n_orders, 1)), axis=1)
    losses = {name: _permutation_losses(trained, name, rows, columns, orders) for name in ("synthetic", "real")}
    draws = np.array([_rank_correlation(w @ losses["synthetic"], w @ losses["real"]) for w in weights])
    half = half_width(draws[1:])
    value = float(draws[0])
    names = [name for j, name in enumerate(trained.test.encoding.names) if j != trained.task.column]
    names = [names[j] for j in columns]
    on_synthetic, on_real = (weights[0] @ losses[name] / len(rows) for name in ("synthetic", "real"))
    order = np.argsort(-np.abs(on_synthetic - on_real), kind="stable")
    return Score(
        name="importance_agreement",
        value=value,
        interval=(max(-1.0, value - half), min(1.0, value + half)),
        better="higher",
        target=1.0,
        unit="ρ",
        description=f"Agreement of the column importances of synthetic-trained and real-trained models of {target!r}.",
        method=f"Spearman's rank correlation of permutation importances of boosted trees on {len(rows):,} rows, "
        f"of {len(columns)} columns; "
        f"interval: {N_DRAWS} bootstrap draws. Detail: loss per row, with that of the real-trained model as floor.",
        detail=tuple(Part(columns=(names[j],), value=float(on_synthetic[j]), floor=float(on_real[j])) for j in order),
    )


def _permutation_losses(
    trained: TrainedModels, name: str, rows: Floats, columns: np.ndarray, orders: np.ndarray
) -> Floats:
    """Return the increase of each test row's loss when a column is permuted, shape (n, columns)."""
    model = trained.boosters[name]
    d = len(columns)
    predicted = _predict(model, rows, trained.task, trained.classes)
    before = _loss(trained, predicted)
    out = np.zeros((len(rows), d))
    for k, order in enumerate(orders):
        j = columns[k % d]
        shuffled = rows[order, j]
        # The loss of rows with an unchanged value does not change.
        moved = np.flatnonzero((shuffled != rows[:, j]) & ~(np.isnan(shuffled) & np.isnan(rows[:, j])))
        if not len(moved):
            continue
        changed = rows[moved]
        changed[:, j] = shuffled[moved]
        after = predicted.copy()
        after[moved] = _predict(model, changed, trained.task, trained.classes)
        out[:, k % d] += _loss(trained, after) - before
    return np.asarray(out * d / len(orders))


def _loss(trained: TrainedModels, predicted: Floats) -> Floats:
    if trained.task.kind == "regression":
        return np.asarray((predicted - trained.truth) ** 2)
    confidence = predicted[np.arange(len(predicted)), np.searchsorted(trained.classes, trained.truth)]
    return np.asarray(-np.log(np.maximum(confidence, 1e-4)))


def _rank_correlation(left: Floats, right: Floats) -> float:
    a, b = rankdata(left), rankdata(right)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
