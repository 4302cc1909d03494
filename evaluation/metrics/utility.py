"""Utility: is a model that learned from the synthetic table as good on real rows as one that learned from real ones?

"Train on synthetic, test on real" (Esteban, Hyland and Rätsch, "Real-valued (medical) time series generation with
recurrent conditional GANs", 2017), with boosted trees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import t as student

from tabsynth.common.arrays import Floats
from tabsynth.errors import DataError
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.auc import weighted_auc
from tabsynth.evaluation.stats.boosted_trees import classifier, regressor, seed_of
from tabsynth.evaluation.stats.bootstrap import RARELY
from tabsynth.evaluation.stats.encoded_table import Coded

Task = Literal["binary", "multiclass", "regression"]

DRAWS = 200
"""Bootstrap draws of the test rows."""

LUCKY, LUCK_ROWS = 5, 5_000
"""Halvings that show the luck of the rows learned from, and real rows up to which it is looked for."""

FEWEST = 5
"""Rows that a class needs to be learned."""

MOST_ROWS = 100_000
"""Training rows; more add time and little else."""


@dataclass(frozen=True, eq=False)
class Question:
    """What is predicted: ``column`` is the target's place among the d columns."""

    column: int
    task: Task


def question(train: Coded, target: str) -> Question:
    """The task that the target's kind calls for.

    Categories are classified; a number with exactly two values is a binary class, any other is regressed.

    Raises:
        DataError: The target is not a scored column, or it does not vary in the training table.
    """
    if target not in train.book.names:
        raise DataError(f"the target {target!r} cannot be predicted: identifiers and free text are not scored")
    column = train.book.names.index(target)
    values = answers(train, column)
    distinct = np.unique(values[~np.isnan(values)])
    if len(distinct) < 2:
        raise DataError(
            f"the target {target!r} has {len(distinct)} value(s) in the training table; name a target that varies"
        )
    if len(distinct) == 2:
        return Question(column, "binary")
    return Question(column, "regression" if train.book.continuous[column] else "multiclass")


def utility_scores(
    train: Coded, synthetic: Coded, holdout: Coded, target: str, rng: np.random.Generator
) -> tuple[list[Score], list[str]]:
    """How good the synthetic-trained model is on the holdout, and what it lacks to the real-trained one.

    Args:
        train: The real training table.
        synthetic: The synthetic table.
        holdout: Real rows for the test.
        target: The column to predict.
        rng: Draws seeds and bootstrap weights.

    Returns:
        The scores, and notes on what could not be measured as usual.
    """
    asked = question(train, target)
    truth = answers(holdout, asked.column)
    known = ~np.isnan(truth)
    test, truth = holdout.take(known), truth[known]
    varies = len(np.unique(truth)) > 1
    if not varies:
        return [], [f"Utility is left out: the target {target!r} does not vary in the holdout."]
    seed = seed_of(rng)
    classes = np.unique(truth)
    notes: list[str] = []
    guesses = []
    for name, table in (("synthetic", synthetic), ("training", train)):
        guess, note = _learn(table, test, asked, classes, seed, rng)
        guesses.append(guess)
        if note:
            notes.append(f"Utility: the {name} table {note}, so its model can only guess.")
    weights = np.vstack([np.ones(len(truth)), rng.multinomial(len(truth), np.full(len(truth), 1 / len(truth)), DRAWS)])
    made, real = (judge(asked.task, truth, classes, guess, weights) for guess in guesses)
    unit = "R²" if asked.task == "regression" else "AUC"
    what = {
        "binary": "ROC AUC",
        "multiclass": "ROC AUC, one class against the rest, averaged over the classes",
        "regression": "R², the share of variance explained",
    }[asked.task]
    method = f"{what} on {len(truth):,} held-out rows; interval: {DRAWS} bootstrap draws of those rows."
    return [
        Score(
            name="utility",
            title="Usefulness",
            value=float(made[0]),
            interval=interval_of(made),
            better="higher",
            target=1.0,
            floor=float(real[0]),
            unit=unit,
            description=f"How well a model trained on synthetic rows predicts {target!r} of real ones.",
            method=f"{method} The floor is the same model trained on the real rows.",
        ),
        Score(
            name="utility_gap",
            title="Usefulness lost",
            value=float(real[0] - made[0]),
            interval=interval_of(real - made),
            better="lower",
            target=0.0,
            floor=0.0,
            unit=unit,
            description=f"What the model trained on synthetic rows lacks to the one trained on real rows ({target!r}).",
            method=f"{method} Paired: both models are judged on the same draws.",
            detail=_luck(train, test, truth, asked, classes, target, (real - made)[0], rng)
            if interval_of(real - made)[0] > 0
            else (),
        ),
    ], notes


def _luck(
    train: Coded,
    test: Coded,
    truth: Floats,
    asked: Question,
    classes: Floats,
    target: str,
    gap: float,
    rng: np.random.Generator,
) -> tuple[Part, ...]:
    """How far two models of one small real table differ by the luck of their rows; nothing for a large one.

    Models of ``LUCKY`` random halves against those of the other halves: fewer rows than the two tables have, so the
    luck is rather overstated.
    """
    if len(train) > LUCK_ROWS:
        return ()
    gaps = []
    for _ in range(LUCKY):
        order = rng.permutation(len(train))
        sides = (order[: len(order) // 2], order[len(order) // 2 :])
        seed = seed_of(rng)
        guesses = [_learn(train.take(side), test, asked, classes, seed, rng)[0] for side in sides]
        one, other = (judge(asked.task, truth, classes, guess, np.ones((1, len(truth))))[0] for guess in guesses)
        gaps.append(float(one - other))
    reach = float(student.isf(RARELY, LUCKY)) * float(np.sqrt(np.mean(np.square(gaps))))
    return (Part(columns=(target,), value=float(gap), floor=0.0, chance=reach),)


def answers(table: Coded, column: int) -> Floats:
    """The target as numbers, NaN for missing."""
    if table.book.continuous[column]:
        return table.values[:, int(table.book.continuous[:column].sum())]
    codes = table.codes[:, column].astype(np.float64)
    codes[codes == 0] = np.nan
    return codes


def _learn(
    table: Coded, test: Coded, asked: Question, classes: Floats, seed: int, rng: np.random.Generator
) -> tuple[Floats, str]:
    """What a model trained on ``table`` says of the test rows, shape (m,) or (m, classes); and why it cannot, if so."""
    known = answers(table, asked.column)
    if asked.task == "regression":
        usable = ~np.isnan(known)
    else:
        learned = [value for value in classes if (known == value).sum() >= FEWEST]
        usable = np.isin(known, learned)
    rows = np.flatnonzero(usable)
    if len(rows) > MOST_ROWS:
        rows = np.sort(rng.permutation(rows)[:MOST_ROWS])
    features = np.delete(table.features()[rows], asked.column, axis=1)
    questions = np.delete(test.features(), asked.column, axis=1)
    if asked.task == "regression":
        if len(rows) < FEWEST:
            return np.zeros(len(test)), f"has {len(rows)} rows with a target"
        return np.asarray(regressor(seed, len(rows)).fit(features, known[rows]).predict(questions)), ""
    out = np.zeros((len(test), len(classes)))
    if len(learned) < 2:
        return out, f"has fewer than two classes of the target with at least {FEWEST} rows"
    model = classifier(seed, len(rows)).fit(features, known[rows])
    out[:, np.searchsorted(classes, model.classes_)] = model.predict_proba(questions)
    return out, ""


def judge(task: Task, truth: Floats, classes: Floats, guess: Floats, weights: Floats) -> Floats:
    """The figure under every weighting of the test rows, shape (b,)."""
    if task == "regression":
        total = weights.sum(axis=1)
        mean = weights @ truth / total
        spread = weights @ truth**2 / total - mean**2
        missed = weights @ (truth - guess) ** 2 / total
        out: Floats = 1 - missed / np.where(spread > 0, spread, np.nan)
        return out
    if task == "binary" and len(classes) == 2:
        return weighted_auc(truth == classes[1], guess[:, 1], weights)
    each = [weighted_auc(truth == value, guess[:, k], weights) for k, value in enumerate(classes)]
    average: Floats = np.nanmean(each, axis=0)
    return average


def interval_of(draws: Floats) -> tuple[float, float]:
    """Percentile interval, widened to hold the estimate, which is the first of the draws."""
    low, high = np.nanquantile(draws[1:], [0.025, 0.975])
    return float(min(low, draws[0])), float(max(high, draws[0]))
