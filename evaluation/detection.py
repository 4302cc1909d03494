"""Detection: can a classifier tell synthetic rows from real ones, and by which columns?

The classifier two-sample test of Lopez-Paz and Oquab ("Revisiting classifier two-sample tests", ICLR 2017), with
boosted trees and the area under the ROC curve: 0.5 is guessing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.auc import delong
from tabsynth.evaluation.booster import classifier, seed_of
from tabsynth.evaluation.coded import Coded
from tabsynth.evaluation.score import Part, Score

MOST_ROWS = 10_000
"""Rows a side that the classifier sees."""

SHUFFLE_ROWS = 3_000
"""Held-out rows on which a column is shuffled to see what the classifier loses."""

FOLDS = 3
CELLS = 64
"""Quantile cells of a continuous column when it is judged alone."""


@dataclass(frozen=True, eq=False)
class Detected:
    """What the classifier was shown and what it believed.

    Attributes:
        sides: The real and the synthetic rows, n each.
        rows: Which rows of the synthetic table these are, shape (n,).
        fake: Which of the 2n rows are synthetic.
        folds: Rows learned from and rows held out.
        belief: Cross-validated belief that a row is synthetic, shape (2n,).
        models: The classifier of each fold.
    """

    sides: tuple[Coded, Coded]
    rows: Integers
    fake: np.ndarray
    folds: list[tuple[Integers, Integers]]
    belief: Floats
    models: tuple[Any, ...]


def detection_scores(
    real: Coded, synthetic: Coded, rng: np.random.Generator, most: int = MOST_ROWS
) -> tuple[list[Score], Detected | None]:
    """The AUC of all columns together, and of the most telling column alone; and what was seen, row by row.

    The detail of the first is the AUC lost when one column is shuffled (finds joint faults as well); that of the second
    is the AUC of each column alone (finds faults of its distribution). Empty below six rows a side.

    Args:
        real: The training table.
        synthetic: The synthetic table.
        rng: Draws rows, folds and shuffles.
        most: Rows a side that the classifier sees.
    """
    n = min(most, len(real), len(synthetic))
    if n < 2 * FOLDS:
        return [], None
    picked = [rng.permutation(len(table))[:n] for table in (real, synthetic)]
    sides = [table.take(rows) for table, rows in zip((real, synthetic), picked, strict=True)]
    rows = np.vstack([side.features() for side in sides])
    fake = np.arange(2 * n) >= n
    names = real.book.names
    seed = seed_of(rng)
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows, fake))
    belief, lost, models = _together(rows, fake, folds, seed, rng)
    auc, interval = delong(fake, belief, folds=FOLDS)
    alone = [_alone(sides, j, fake, folds) for j in range(len(names))]
    each = [delong(fake, scores, len(names), FOLDS) for scores in alone]
    top = int(np.argmax([value for value, _ in each]))
    seen = Detected((sides[0], sides[1]), picked[1], fake, folds, belief, models)
    return [
        Score(
            name="detection_auc",
            title="Detection",
            value=auc,
            interval=interval,
            better="target",
            target=0.5,
            floor=0.5,
            unit="AUC",
            description="How well boosted trees tell synthetic rows from real ones; 0.5 is guessing, 1 never errs.",
            method=f"{FOLDS}-fold cross-validation on {n:,} rows a side; interval by DeLong, widened for the folds; "
            "the floor is exact: real rows cannot be told from real rows. Detail: AUC lost when a column is shuffled.",
            detail=_parts(names, lost, 0.0),
        ),
        Score(
            name="detection_column_auc",
            title="Detection, one column",
            value=each[top][0],
            interval=each[top][1],
            better="target",
            target=0.5,
            unit="AUC",
            description=f"How well the most telling column alone ({names[top]}) tells synthetic rows from real ones.",
            method="Smoothed odds of each value or quantile cell, cross-validated; interval by DeLong, widened for the "
            f"largest of {len(names)} columns. Detail: the AUC of every column alone.",
            detail=_parts(names, np.array([value for value, _ in each]), 0.5),
        ),
    ], seen


def _together(
    rows: Floats, fake: np.ndarray, folds: list[tuple[Integers, Integers]], seed: int, rng: np.random.Generator
) -> tuple[Floats, Floats, tuple[Any, ...]]:
    """Belief of every row, shape (2n,), the AUC lost by shuffling each column, shape (d,), and each fold's model."""
    models = []
    belief = np.empty(len(rows))
    lost = np.zeros(rows.shape[1])
    for number, (fit, held) in enumerate(folds):
        model = classifier(seed, len(fit)).fit(rows[fit], fake[fit])
        models.append(model)
        belief[held] = model.predict_proba(rows[held])[:, 1]
        if number:  # one fold's model is enough to say where it looks
            continue
        some = held[rng.permutation(len(held))[:SHUFFLE_ROWS]]
        whole, _ = delong(fake[some], belief[some])
        for j in range(rows.shape[1]):
            shuffled = rows[some]
            shuffled[:, j] = rng.permutation(shuffled[:, j])
            lost[j] = whole - delong(fake[some], model.predict_proba(shuffled)[:, 1])[0]
    return belief, lost, tuple(models)


def _alone(sides: list[Coded], j: int, fake: np.ndarray, folds: list[tuple[Integers, Integers]]) -> Floats:
    """Cross-validated log odds by the cell of one column, shape (2n,)."""
    book = sides[0].book
    if book.continuous[j]:
        at = int(book.continuous[:j].sum())
        values = np.concatenate([side.values[:, at] for side in sides])
        present = values[~np.isnan(values)]
        edges = np.unique(np.quantile(present, np.linspace(0, 1, CELLS + 1)[1:-1])) if len(present) else np.zeros(1)
        # a value that is an edge gets a cell of its own: spikes (zero, a default) tell more than the spread around them
        cells = np.searchsorted(edges, values, "left") + np.searchsorted(edges, values, "right") + 1
        cells[np.isnan(values)] = 0
        size = 2 * len(edges) + 2
    else:
        cells = np.concatenate([side.codes[:, j] for side in sides])
        size = int(book.sizes[j])
    out = np.empty(len(cells))
    for fit, held in folds:
        yes = np.bincount(cells[fit][fake[fit]], minlength=size)
        no = np.bincount(cells[fit][~fake[fit]], minlength=size)
        out[held] = np.log((yes + 1.0) / (no + 1.0))[cells[held]]
    return out


def _parts(names: tuple[str, ...], values: Floats, floor: float) -> tuple[Part, ...]:
    """Parts from the most telling column down."""
    order = np.argsort(-values, kind="stable")
    return tuple(Part(columns=(names[j],), value=float(values[j]), floor=floor) for j in order)
