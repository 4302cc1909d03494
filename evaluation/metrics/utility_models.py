"""Utility with several learners, trained on synthetic rows, on real rows, and on both.

Beside the area under the curve: is the synthetic-trained model calibrated on real rows, and does it rest on the same
columns as the real-trained one?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.metrics.utility import DRAWS, FEWEST, Question, answers, interval_of, judge
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.boosted_trees import classifier, regressor
from tabsynth.evaluation.stats.bootstrap import around, calibrated, half_width, sampled
from tabsynth.evaluation.stats.design_matrix import Encoder
from tabsynth.evaluation.stats.encoded_table import Coded

MOST_ROWS = 8_000
"""Training rows of each learner."""

MOST_TEST = 5_000
TREES, DEPTH = 40, 10
CELLS = 10
"""Classes of predicted probability in which calibration is judged."""

KINDS = ("linear", "forest", "boosted")
TRAINED = ("synthetic", "real", "both")
SHUFFLES = 3


@dataclass(frozen=True, eq=False)
class Trained:
    """What each learner, trained on each table, says of the test rows.

    Attributes:
        asked: The question.
        test: Held-out rows with a known answer.
        truth: Their answers, shape (n,).
        classes: The classes, if it is a class that is asked for.
        guesses: By learner and table, shape (n,) or (n, classes).
        boosters: The boosted model of each table.
    """

    asked: Question
    test: Coded
    truth: Floats
    classes: Floats
    guesses: dict[tuple[str, str], Floats]
    boosters: dict[str, Any]


def train_all(
    train: Coded, synthetic: Coded, holdout: Coded, asked: Question, seed: int, rng: np.random.Generator
) -> Trained | None:
    """Train every learner on every table; None where a table has too few answers to learn from."""
    real, made = (_answered(table, asked, rng, MOST_ROWS) for table in (train, synthetic))
    test = _answered(holdout, asked, rng, MOST_TEST)
    truth = answers(test, asked.column)
    classes = np.unique(truth)
    half = [sampled(table, max(1, MOST_ROWS // 2), rng) for table in (real, made)] if len(real) + len(made) else []
    tables = {"synthetic": [made], "real": [real], "both": half if len(real) + len(made) > MOST_ROWS else [real, made]}
    encoder = Encoder.of(train, without=asked.column)
    guesses, boosters = {}, {}
    for name, parts in tables.items():
        y = np.concatenate([answers(part, asked.column) for part in parts])
        if asked.task != "regression":
            learned = [value for value in classes if (y == value).sum() >= FEWEST]
            if len(learned) < 2:
                return None
        elif len(y) < FEWEST:
            return None
        usable = np.isin(y, learned) if asked.task != "regression" else np.ones(len(y), dtype=bool)
        plain = np.vstack([np.delete(part.features(), asked.column, axis=1) for part in parts])[usable]
        coded = np.vstack([encoder.features(part) for part in parts])[usable]
        question, coded_question = np.delete(test.features(), asked.column, axis=1), encoder.features(test)
        for kind in KINDS:
            x, z = (plain, question) if kind == "boosted" else (coded, coded_question)
            model = _learner(kind, asked, seed, len(x)).fit(x, y[usable])
            guesses[kind, name] = _guess(model, z, asked, classes)
            if kind == "boosted":
                boosters[name] = model
    return Trained(asked, test, truth, classes, guesses, boosters)


def learner_scores(trained: Trained, rng: np.random.Generator, draws: int = DRAWS) -> list[Score]:
    """Mean over the learners, what both tables together gain, calibration, and agreement of importances."""
    asked, truth = trained.asked, trained.truth
    n = len(truth)
    weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), draws)])
    judged = {key: judge(asked.task, truth, trained.classes, guess, weights) for key, guess in trained.guesses.items()}
    unit = "R²" if asked.task == "regression" else "AUC"
    mean = {table: np.mean([judged[kind, table] for kind in KINDS], axis=0) for table in TRAINED}
    target = trained.test.book.names[asked.column]
    method = (
        f"Linear model, random forest and boosted trees on up to {MOST_ROWS:,} rows, judged on {n:,} held-out rows; "
        f"interval: {draws} bootstrap draws of those rows."
    )
    scores = []
    for table, name, title, text in (
        (
            "synthetic",
            "utility_learners",
            "Usefulness, several learners",
            f"How well three kinds of models trained on synthetic rows predict {target!r} of real ones.",
        ),
        (
            "both",
            "utility_both",
            "Usefulness, real and synthetic",
            f"The same for models trained on real and synthetic rows together ({target!r}).",
        ),
    ):
        parts = [(kind, float(judged[kind, table][0]), float(judged[kind, "real"][0])) for kind in KINDS]
        scores.append(
            Score(
                name=name,
                title=title,
                value=float(mean[table][0]),
                interval=interval_of(mean[table]),
                better="higher",
                target=1.0,
                floor=float(mean["real"][0]),
                unit=unit,
                description=text,
                method=f"{method} The floor is the same trained on real rows.",
                detail=tuple(Part(columns=(kind,), value=value, floor=floor) for kind, value, floor in parts),
            )
        )
    if asked.task != "regression":
        scores.append(_calibration(trained, weights, target))
    agreement = _importance(trained, weights, target, rng)
    return [*scores, agreement] if agreement is not None else scores


def _answered(table: Coded, asked: Question, rng: np.random.Generator, most: int) -> Coded:
    return sampled(table.take(~np.isnan(answers(table, asked.column))), most, rng)


def _learner(kind: str, asked: Question, seed: int, rows: int) -> Any:
    if asked.task == "regression":
        if kind == "linear":
            return Ridge(alpha=1.0)
        if kind == "forest":
            return RandomForestRegressor(TREES, max_depth=DEPTH, max_features=0.5, random_state=seed)
        return regressor(seed, rows)
    if kind == "linear":
        return LogisticRegression(C=1.0, max_iter=200, tol=1e-3)
    if kind == "forest":
        return RandomForestClassifier(TREES, max_depth=DEPTH, random_state=seed)
    return classifier(seed, rows)


def _guess(model: Any, rows: Floats, asked: Question, classes: Floats) -> Floats:
    if asked.task == "regression":
        return np.asarray(model.predict(rows))
    out = np.zeros((len(rows), len(classes)))
    out[:, np.searchsorted(classes, model.classes_)] = model.predict_proba(rows)
    return out


def _calibration(trained: Trained, weights: Floats, target: str) -> Score:
    """Expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015) of the boosted models' top class."""
    gaps = [_cells(trained.guesses["boosted", name], trained, weights) for name in ("synthetic", "real")]
    made, real = (float(np.abs(each[0]).sum()) for each in gaps)
    deviation = gaps[0][1:] - gaps[0][1:].mean(axis=0)
    low, high = around(made, calibrated(deviation, deviation, gaps[0][0], lambda x: np.abs(x).sum(axis=-1), made))
    return Score(
        name="calibration_error",
        title="Calibration",
        value=100 * made,
        interval=(low, high),
        better="lower",
        target=0.0,
        floor=100 * real,
        unit="%",
        description=f"How far the predicted chance of {target!r} is from its frequency, for a synthetic-trained model.",
        method=f"Expected calibration error of boosted trees over {CELLS} cells of {len(trained.truth):,} rows "
        f"not seen; interval: {len(weights) - 1} bootstrap draws. The floor is the real-trained model's.",
    )


def _cells(guess: Floats, trained: Trained, weights: Floats) -> Floats:
    """How much more often the top class is right than its chance says, in each cell, shape (1 + draws, CELLS)."""
    chance = guess.max(axis=1)
    right = (trained.classes[guess.argmax(axis=1)] == trained.truth).astype(np.float64)
    cells = (rankdata(chance, method="ordinal") - 1) * CELLS // len(chance)
    inside = (cells[:, None] == np.arange(CELLS)) * (right - chance)[:, None]
    return np.asarray(weights @ inside / weights.sum(axis=1, keepdims=True))


def _importance(trained: Trained, weights: Floats, target: str, rng: np.random.Generator) -> Score | None:
    """Rank correlation of the two boosted models' permutation importances (Breiman, Machine Learning 45, 2001)."""
    rows = np.delete(trained.test.features(), trained.asked.column, axis=1)
    d = rows.shape[1]
    if d < 3:
        return None
    orders = rng.permuted(np.tile(np.arange(len(rows)), (SHUFFLES * d, 1)), axis=1)
    lost = {name: _losses(trained, name, rows, orders) for name in ("synthetic", "real")}
    draws = np.array([_ranked(w @ lost["synthetic"], w @ lost["real"]) for w in weights])
    half = half_width(draws[1:])
    value = float(draws[0])
    names = [name for j, name in enumerate(trained.test.book.names) if j != trained.asked.column]
    made, real = (weights[0] @ lost[name] / len(rows) for name in ("synthetic", "real"))
    order = np.argsort(-np.abs(made - real), kind="stable")
    return Score(
        name="importance_agreement",
        title="Importances agree",
        value=value,
        interval=(max(-1.0, value - half), min(1.0, value + half)),
        better="higher",
        target=1.0,
        unit="ρ",
        description=f"Do models of {target!r} rest on the same columns when trained on synthetic rows?",
        method=f"Spearman's rank correlation of permutation importances of boosted trees on {len(rows):,} rows; "
        f"interval: {DRAWS} bootstrap draws. Detail: loss per row, floor: of the real-trained model.",
        detail=tuple(Part(columns=(names[j],), value=float(made[j]), floor=float(real[j])) for j in order),
    )


def _losses(trained: Trained, name: str, rows: Floats, orders: np.ndarray) -> Floats:
    """What each test row's loss gains when a column is shuffled, shape (n, d)."""
    model = trained.boosters[name]
    d = rows.shape[1]
    guess = _guess(model, rows, trained.asked, trained.classes)
    before = _loss(trained, guess)
    out = np.zeros((len(rows), d))
    for k, order in enumerate(orders):
        j = k % d
        shuffled = rows[order, j]
        # a row that gets an equal value keeps its loss
        moved = np.flatnonzero((shuffled != rows[:, j]) & ~(np.isnan(shuffled) & np.isnan(rows[:, j])))
        if not len(moved):
            continue
        changed = rows[moved]
        changed[:, j] = shuffled[moved]
        after = guess.copy()
        after[moved] = _guess(model, changed, trained.asked, trained.classes)
        out[:, j] += _loss(trained, after) - before
    return out / SHUFFLES


def _loss(trained: Trained, guess: Floats) -> Floats:
    if trained.asked.task == "regression":
        return np.asarray((guess - trained.truth) ** 2)
    chance = guess[np.arange(len(guess)), np.searchsorted(trained.classes, trained.truth)]
    return np.asarray(-np.log(np.maximum(chance, 1e-4)))


def _ranked(left: Floats, right: Floats) -> float:
    a, b = rankdata(left), rankdata(right)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
