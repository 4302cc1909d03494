"""Detection: classifier two-sample tests, with attributions to columns and rows.

The test of Lopez-Paz and Oquab ("Revisiting classifier two-sample tests", ICLR 2017), with boosted trees and the area
under the ROC curve; 0.5 is random guessing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.auc import delong_auc
from tabsynth.evaluation.stats.boosted_trees import classifier, draw_seed
from tabsynth.evaluation.stats.design_matrix import FeatureEncoder
from tabsynth.evaluation.stats.encoded_table import EncodedTable

MAX_ROWS = 10_000
"""Maximum real, and synthetic, rows for the classifier."""

SHUFFLE_ROWS = 3_000
"""Maximum held-out rows for the permutation importance of a column."""

N_FOLDS = 3
N_QUANTILE_CELLS = 64
"""Number of quantile cells of a continuous column for its AUC."""


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """Rows, folds and cross-validated predictions of the classifier.

    Attributes:
        sides: The real and the synthetic rows, n each.
        rows: Positions of the rows in the synthetic table, shape (n,).
        is_synthetic: Whether each of the 2n rows is synthetic.
        folds: Training and held-out rows of each fold.
        probability: Cross-validated probability that a row is synthetic, shape (2n,).
        models: The classifier of each fold.
    """

    sides: tuple[EncodedTable, EncodedTable]
    rows: Integers
    is_synthetic: np.ndarray
    folds: list[tuple[Integers, Integers]]
    probability: Floats
    models: tuple[Any, ...]


def detection_scores(
    real: EncodedTable, synthetic: EncodedTable, rng: np.random.Generator, max_rows: int = MAX_ROWS
) -> tuple[list[Score], DetectionResult | None]:
    """Return the AUC of all columns together and that of the best single column, and the predictions.

    The parts of the first score are permutation importances, which include faults of joint distributions; those of the
    second are the AUC of each column alone, which shows faults of its distribution. There are no scores with fewer than
    six rows in a table.

    Args:
        real: The training table.
        synthetic: The synthetic table.
        rng: Generator of rows, folds and permutations.
        max_rows: Maximum real, and synthetic, rows for the classifier.
    """
    n = min(max_rows, len(real), len(synthetic))
    if n < 2 * N_FOLDS:
        return [], None
    chosen = [rng.permutation(len(table))[:n] for table in (real, synthetic)]
    sides = [table.take(rows) for table, rows in zip((real, synthetic), chosen, strict=True)]
    rows = np.vstack([side.features() for side in sides])
    is_synthetic = np.arange(2 * n) >= n
    names = real.encoding.names
    seed = draw_seed(rng)
    folds = list(StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed).split(rows, is_synthetic))
    probability, auc_drops, models = _cross_validate(rows, is_synthetic, folds, seed, rng)
    auc, interval = delong_auc(is_synthetic, probability, folds=N_FOLDS)
    column_scores = [_column_log_odds(sides, j, is_synthetic, folds) for j in range(len(names))]
    each = [delong_auc(is_synthetic, scores, len(names), N_FOLDS) for scores in column_scores]
    top = int(np.argmax([value for value, _ in each]))
    result = DetectionResult((sides[0], sides[1]), chosen[1], is_synthetic, folds, probability, models)
    return [
        Score(
            name="detection_auc",
            value=auc,
            interval=interval,
            better="target",
            target=0.5,
            floor=0.5,
            unit="AUC",
            description="AUC of boosted trees that separate synthetic from real rows: 0.5 is random guessing; far "
            "below 0.5 is a sign of copied rows.",
            method=f"{N_FOLDS}-fold cross-validation on {n:,} rows of each table; DeLong interval, widened for the "
            "folds; the floor is exact. Detail: decrease of the AUC when a column is permuted.",
            detail=_parts(names, auc_drops, 0.0),
        ),
        Score(
            name="detection_column_auc",
            value=each[top][0],
            interval=each[top][1],
            better="target",
            target=0.5,
            unit="AUC",
            description=f"AUC of the best single column, {names[top]}.",
            method="Smoothed odds of each value or quantile cell, cross-validated; DeLong interval, widened for the "
            f"largest of {len(names)} columns. Detail: the AUC of every column alone.",
            detail=_parts(names, np.array([value for value, _ in each]), 0.5),
        ),
    ], result


def _cross_validate(
    rows: Floats, is_synthetic: np.ndarray, folds: list[tuple[Integers, Integers]], seed: int, rng: np.random.Generator
) -> tuple[Floats, Floats, tuple[Any, ...]]:
    """Return the probability of every row, shape (2n,), permutation importances, shape (d,), and each fold's model."""
    models = []
    probability = np.empty(len(rows))
    auc_drops = np.zeros(rows.shape[1])
    for number, (train, test) in enumerate(folds):
        model = classifier(seed, len(train)).fit(rows[train], is_synthetic[train])
        models.append(model)
        probability[test] = model.predict_proba(rows[test])[:, 1]
        if number:  # importances from one fold suffice
            continue
        sample = test[rng.permutation(len(test))[:SHUFFLE_ROWS]]
        full_auc, _ = delong_auc(is_synthetic[sample], probability[sample])
        for j in range(rows.shape[1]):
            shuffled = rows[sample]
            shuffled[:, j] = rng.permutation(shuffled[:, j])
            auc_drops[j] = full_auc - delong_auc(is_synthetic[sample], model.predict_proba(shuffled)[:, 1])[0]
    return probability, auc_drops, tuple(models)


def _column_log_odds(
    sides: list[EncodedTable], j: int, is_synthetic: np.ndarray, folds: list[tuple[Integers, Integers]]
) -> Floats:
    """Return the cross-validated log odds of each row by its cell of one column, shape (2n,)."""
    encoding = sides[0].encoding
    if encoding.continuous[j]:
        at = int(encoding.continuous[:j].sum())
        values = np.concatenate([side.values[:, at] for side in sides])
        present = values[~np.isnan(values)]
        edges = (
            np.unique(np.quantile(present, np.linspace(0, 1, N_QUANTILE_CELLS + 1)[1:-1]))
            if len(present)
            else np.zeros(1)
        )
        # Values equal to an edge get a separate cell, because point masses (zero, a default) are informative.
        cells = np.searchsorted(edges, values, "left") + np.searchsorted(edges, values, "right") + 1
        cells[np.isnan(values)] = 0
        size = 2 * len(edges) + 2
    else:
        cells = np.concatenate([side.codes[:, j] for side in sides])
        size = int(encoding.sizes[j])
    out = np.empty(len(cells))
    for train, test in folds:
        synthetic_counts = np.bincount(cells[train][is_synthetic[train]], minlength=size)
        real_counts = np.bincount(cells[train][~is_synthetic[train]], minlength=size)
        out[test] = np.log((synthetic_counts + 1.0) / (real_counts + 1.0))[cells[test]]
    return out


def _parts(names: tuple[str, ...], values: Floats, floor: float) -> tuple[Part, ...]:
    """Return the parts in descending order."""
    order = np.argsort(-values, kind="stable")
    return tuple(Part(columns=(names[j],), value=float(values[j]), floor=floor) for j in order)


N_DETECTED_ROWS = 20
"""Number of listed rows."""

N_REFERENCE_ROWS = 24
"""Number of real rows whose values replace those of a column, for its attribution."""

N_PROBABILITY_BINS = 20
MAX_ITERATIONS = 200


def logistic_score(result: DetectionResult) -> Score:
    """Return the AUC of a logistic regression on standardised columns and indicators."""
    encoder = FeatureEncoder.of(result.sides[0])
    rows = np.vstack([encoder.features(side) for side in result.sides])
    probability = np.empty(len(rows))
    weight = np.zeros(rows.shape[1])
    for train, test in result.folds:
        model = LogisticRegression(C=1.0, max_iter=MAX_ITERATIONS, tol=1e-3).fit(
            rows[train], result.is_synthetic[train]
        )
        probability[test] = model.decision_function(rows[test])
        weight += np.abs(model.coef_[0]) * rows[train].std(axis=0) / len(result.folds)
    auc, interval = delong_auc(result.is_synthetic, probability, folds=len(result.folds), linear=True)
    names = result.sides[0].encoding.names
    each = np.zeros(len(names))
    np.maximum.at(each, encoder.sources, weight)
    return Score(
        name="detection_logistic_auc",
        value=auc,
        interval=interval,
        better="target",
        target=0.5,
        floor=0.5,
        unit="AUC",
        description="AUC of a logistic regression that separates synthetic from real rows; it detects shifts only.",
        method=f"{len(result.folds)}-fold cross-validation, {len(result.rows):,} rows of each table; DeLong interval, "
        "widened for the folds; the floor is exact. Detail: the largest standardised coefficient of each column.",
        detail=_parts(names, each, 0.0),
    )


def most_detectable_rows(result: DetectionResult) -> dict[str, Any]:
    """Return the histogram of the predicted probabilities, and the synthetic rows with the highest ones.

    Returns:
        ``steps``, the edges of the bins; ``real`` and ``synthetic``, the percentage of rows in each; ``rows``, each
        with its number in the synthetic table (from 0), ``belief``, the probability, and ``columns``, the names with
        the mean decrease of the probability when real values replace those of the column (``lost``).
    """
    n = len(result.rows)
    edges = np.linspace(0, 1, N_PROBABILITY_BINS + 1)
    shares = [np.histogram(part, edges)[0] / n * 100 for part in (result.probability[:n], result.probability[n:])]
    order = np.argsort(-result.probability[n:], kind="stable")[:N_DETECTED_ROWS]
    auc_drops = _occlusion_attributions(result, order)
    names = result.sides[0].encoding.names
    rows = []
    for place, each in zip(order, auc_drops, strict=True):
        top = [j for j in np.argsort(-each, kind="stable")[:3] if each[j] > 0.01]
        rows.append(
            {
                "row": int(result.rows[place]),
                "belief": round(float(result.probability[n + place]), 4),
                "columns": [{"name": names[j], "lost": round(float(each[j]), 4)} for j in top],
            }
        )
    return {
        "steps": [round(float(edge), 3) for edge in edges],
        "real": [round(float(x), 3) for x in shares[0]],
        "synthetic": [round(float(x), 3) for x in shares[1]],
        "rows": rows,
    }


def _occlusion_attributions(result: DetectionResult, order: np.ndarray) -> Floats:
    """Return the decrease of each row's probability when real values replace a column, shape (rows, d)."""
    real, synthetic = (side.features() for side in result.sides)
    d = real.shape[1]
    n = len(result.rows)
    fold_of = np.empty(2 * n, dtype=np.int64)
    for number, (_, test) in enumerate(result.folds):
        fold_of[test] = number
    reference = real[np.linspace(0, n - 1, N_REFERENCE_ROWS).astype(np.int64)]
    out = np.zeros((len(order), d))
    for at, place in enumerate(order):
        changed = np.repeat(synthetic[place][None], d * len(reference), axis=0).reshape(d, len(reference), d)
        for j in range(d):
            changed[j, :, j] = reference[:, j]
        model = result.models[fold_of[n + place]]
        probability = model.predict_proba(changed.reshape(-1, d))[:, 1].reshape(d, -1).mean(axis=1)
        out[at] = result.probability[n + place] - probability
    return out
