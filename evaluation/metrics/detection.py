"""Detection: classifier two-sample tests, with the columns and rows that a classifier detects.

The test of Lopez-Paz and Oquab ("Revisiting classifier two-sample tests", ICLR 2017), with boosted trees and the area
under the ROC curve: 0.5 is guessing.
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
"""Rows a side that the classifier sees."""

SHUFFLE_ROWS = 3_000
"""Held-out rows on which a column is shuffled to see what the classifier loses."""

N_FOLDS = 3
N_QUANTILE_CELLS = 64
"""Quantile cells of a continuous column for its own AUC."""


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """Rows, folds and cross-validated predictions of the classifier.

    Attributes:
        sides: The real and the synthetic rows, n each.
        rows: Positions of the rows in the synthetic table, shape (n,).
        is_synthetic: Whether each of the 2n rows is synthetic.
        folds: Rows learned from and rows held out.
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
    """Return the AUC of all columns together and of the best single column; and the predictions.

    The detail of the first is the AUC lost when one column is shuffled (finds joint faults as well); that of the second
    is the AUC of each column alone (finds faults of its distribution). Empty below six rows a side.

    Args:
        real: The training table.
        synthetic: The synthetic table.
        rng: Draws rows, folds and shuffles.
        max_rows: Rows a side that the classifier sees.
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
            description="AUC of boosted trees: 0.5 is guessing, far below 0.5 points to copied rows.",
            method=f"{N_FOLDS}-fold cross-validation on {n:,} rows a side; interval by DeLong, widened for the folds; "
            "the floor is exact. Detail: AUC lost when a column is shuffled.",
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
            method="Smoothed odds of each value or quantile cell, cross-validated; interval by DeLong, widened for the "
            f"largest of {len(names)} columns. Detail: the AUC of every column alone.",
            detail=_parts(names, np.array([value for value, _ in each]), 0.5),
        ),
    ], result


def _cross_validate(
    rows: Floats, is_synthetic: np.ndarray, folds: list[tuple[Integers, Integers]], seed: int, rng: np.random.Generator
) -> tuple[Floats, Floats, tuple[Any, ...]]:
    """Probability of every row, shape (2n,), AUC lost by shuffling each column, shape (d,), and each fold's model."""
    models = []
    probability = np.empty(len(rows))
    auc_drops = np.zeros(rows.shape[1])
    for number, (fit, held) in enumerate(folds):
        model = classifier(seed, len(fit)).fit(rows[fit], is_synthetic[fit])
        models.append(model)
        probability[held] = model.predict_proba(rows[held])[:, 1]
        if number:  # one fold suffices for permutation importance
            continue
        some = held[rng.permutation(len(held))[:SHUFFLE_ROWS]]
        whole, _ = delong_auc(is_synthetic[some], probability[some])
        for j in range(rows.shape[1]):
            shuffled = rows[some]
            shuffled[:, j] = rng.permutation(shuffled[:, j])
            auc_drops[j] = whole - delong_auc(is_synthetic[some], model.predict_proba(shuffled)[:, 1])[0]
    return probability, auc_drops, tuple(models)


def _column_log_odds(
    sides: list[EncodedTable], j: int, is_synthetic: np.ndarray, folds: list[tuple[Integers, Integers]]
) -> Floats:
    """Return the cross-validated log odds by the cell of one column, shape (2n,)."""
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
        # a value that is an edge gets a cell of its own: spikes (zero, a default) are informative
        cells = np.searchsorted(edges, values, "left") + np.searchsorted(edges, values, "right") + 1
        cells[np.isnan(values)] = 0
        size = 2 * len(edges) + 2
    else:
        cells = np.concatenate([side.codes[:, j] for side in sides])
        size = int(encoding.sizes[j])
    out = np.empty(len(cells))
    for fit, held in folds:
        yes = np.bincount(cells[fit][is_synthetic[fit]], minlength=size)
        no = np.bincount(cells[fit][~is_synthetic[fit]], minlength=size)
        out[held] = np.log((yes + 1.0) / (no + 1.0))[cells[held]]
    return out


def _parts(names: tuple[str, ...], values: Floats, floor: float) -> tuple[Part, ...]:
    """Return the parts by falling value."""
    order = np.argsort(-values, kind="stable")
    return tuple(Part(columns=(names[j],), value=float(values[j]), floor=floor) for j in order)


N_DETECTED_ROWS = 20
"""Rows that are listed."""

N_REFERENCE_ROWS = 24
"""Real rows whose values replace a column's, for its attribution."""

N_PROBABILITY_BINS = 20
MAX_ITERATIONS = 200


def logistic_score(result: DetectionResult) -> Score:
    """Return the AUC of a logistic regression on standardised columns and indicators."""
    encoder = FeatureEncoder.of(result.sides[0])
    rows = np.vstack([encoder.features(side) for side in result.sides])
    probability = np.empty(len(rows))
    weight = np.zeros(rows.shape[1])
    for fit, held in result.folds:
        model = LogisticRegression(C=1.0, max_iter=MAX_ITERATIONS, tol=1e-3).fit(rows[fit], result.is_synthetic[fit])
        probability[held] = model.decision_function(rows[held])
        weight += np.abs(model.coef_[0]) * rows[fit].std(axis=0) / len(result.folds)
    auc, interval = delong_auc(result.is_synthetic, probability, folds=len(result.folds), linear=True)
    names = result.sides[0].encoding.names
    each = np.zeros(len(names))
    np.maximum.at(each, encoder.sources, weight)
    order = np.argsort(-each, kind="stable")
    return Score(
        name="detection_logistic_auc",
        value=auc,
        interval=interval,
        better="target",
        target=0.5,
        floor=0.5,
        unit="AUC",
        description="AUC of a logistic regression that separates synthetic from real rows; it detects shifts only.",
        method=f"{len(result.folds)}-fold cross-validation on {len(result.rows):,} rows a side; interval by DeLong, "
        "widened for the folds; the floor is exact. Detail: the largest standardised coefficient of each column.",
        detail=tuple(Part(columns=(names[j],), value=float(each[j]), floor=0.0) for j in order),
    )


def most_detectable_rows(result: DetectionResult) -> dict[str, Any]:
    """Return the histogram of the predicted probabilities, and the synthetic rows detected most confidently.

    Returns:
        ``steps``: edges of probability; ``real`` and ``synthetic``: percent of rows in each; ``rows``: number
        of the row in the synthetic table (from 0), ``belief``, and ``columns``: name and how much it falls,
        on average, when real values replace the column's.
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
    """Return the fall of each row's probability when real values replace one column, shape (rows, d)."""
    real, synthetic = (side.features() for side in result.sides)
    d = real.shape[1]
    n = len(result.rows)
    fold_of = np.empty(2 * n, dtype=np.int64)
    for number, (_, held) in enumerate(result.folds):
        fold_of[held] = number
    others = real[np.linspace(0, n - 1, N_REFERENCE_ROWS).astype(np.int64)]
    out = np.zeros((len(order), d))
    for at, place in enumerate(order):
        changed = np.repeat(synthetic[place][None], d * len(others), axis=0).reshape(d, len(others), d)
        for j in range(d):
            changed[j, :, j] = others[:, j]
        model = result.models[fold_of[n + place]]
        probability = model.predict_proba(changed.reshape(-1, d))[:, 1].reshape(d, -1).mean(axis=1)
        out[at] = result.probability[n + place] - probability
    return out
