"""Which rows give the synthetic table away, by which of their columns, and what a plain linear model sees of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.auc import delong
from tabsynth.evaluation.detection import Detected
from tabsynth.evaluation.encode import Encoder
from tabsynth.evaluation.score import Part, Score

MOST_TOLD = 20
"""Rows that are named."""

STAND_INS = 24
"""Real rows whose values stand in for a column's, to see what the column adds to the belief."""

STEPS = 20
"""Classes of belief in the histogram."""

MOST_ITERATIONS = 200


def logistic_score(trial: Detected) -> Score:
    """How well a logistic regression on standardised columns and indicators tells synthetic rows from real ones."""
    encoder = Encoder.of(trial.sides[0])
    rows = np.vstack([encoder.features(side) for side in trial.sides])
    belief = np.empty(len(rows))
    weight = np.zeros(rows.shape[1])
    for fit, held in trial.folds:
        model = LogisticRegression(C=1.0, max_iter=MOST_ITERATIONS, tol=1e-3).fit(rows[fit], trial.fake[fit])
        belief[held] = model.decision_function(rows[held])
        weight += np.abs(model.coef_[0]) * rows[fit].std(axis=0) / len(trial.folds)
    auc, interval = delong(trial.fake, belief, folds=len(trial.folds), steady=True)
    names = trial.sides[0].book.names
    each = np.zeros(len(names))
    np.maximum.at(each, encoder.sources, weight)
    order = np.argsort(-each, kind="stable")
    return Score(
        name="detection_logistic_auc",
        title="Detection, linear",
        value=auc,
        interval=interval,
        better="target",
        target=0.5,
        floor=0.5,
        unit="AUC",
        description="How well a logistic regression tells synthetic rows from real ones: it sees shifts only.",
        method=f"{len(trial.folds)}-fold cross-validation on {len(trial.rows):,} rows a side; interval by DeLong, "
        "widened for the folds; the floor is exact. Detail: the largest standardised coefficient of each column.",
        detail=tuple(Part(columns=(names[j],), value=float(each[j]), floor=0.0) for j in order),
    )


def telltale_rows(trial: Detected) -> dict[str, Any]:
    """What the classifier believed of real and of synthetic rows, and the synthetic rows that it was surest of.

    Returns:
        ``steps``: edges of belief; ``real`` and ``synthetic``: the share of rows in each, in percent; ``rows``: number
        of the row in the synthetic table (from 0), ``belief``, and ``columns``: name and how much the belief falls,
        on average, when real values stand in for the column's.
    """
    n = len(trial.rows)
    edges = np.linspace(0, 1, STEPS + 1)
    shares = [np.histogram(part, edges)[0] / n * 100 for part in (trial.belief[:n], trial.belief[n:])]
    order = np.argsort(-trial.belief[n:], kind="stable")[:MOST_TOLD]
    lost = _occluded(trial, order)
    names = trial.sides[0].book.names
    rows = []
    for place, each in zip(order, lost, strict=True):
        top = [j for j in np.argsort(-each, kind="stable")[:3] if each[j] > 0.01]
        rows.append(
            {
                "row": int(trial.rows[place]),
                "belief": round(float(trial.belief[n + place]), 4),
                "columns": [{"name": names[j], "lost": round(float(each[j]), 4)} for j in top],
            }
        )
    return {
        "steps": [round(float(edge), 3) for edge in edges],
        "real": [round(float(x), 3) for x in shares[0]],
        "synthetic": [round(float(x), 3) for x in shares[1]],
        "rows": rows,
    }


def _occluded(trial: Detected, order: np.ndarray) -> Floats:
    """How much the belief of each row falls when real values stand in for one column, shape (rows, d)."""
    real, made = (side.features() for side in trial.sides)
    d = real.shape[1]
    n = len(trial.rows)
    fold_of = np.empty(2 * n, dtype=np.int64)
    for number, (_, held) in enumerate(trial.folds):
        fold_of[held] = number
    others = real[np.linspace(0, n - 1, STAND_INS).astype(np.int64)]
    out = np.zeros((len(order), d))
    for at, place in enumerate(order):
        changed = np.repeat(made[place][None], d * len(others), axis=0).reshape(d, len(others), d)
        for j in range(d):
            changed[j, :, j] = others[:, j]
        model = trial.models[fold_of[n + place]]
        belief = model.predict_proba(changed.reshape(-1, d))[:, 1].reshape(d, -1).mean(axis=1)
        out[at] = trial.belief[n + place] - belief
    return out
