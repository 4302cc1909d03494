"""Statistical conclusions: does a regression on the synthetic table say what it says on the real one?

A coefficient that is significant in the real table should keep its sign and its significance (Karr et al., "A
framework for evaluating the utility of data altered to protect confidentiality", The American Statistician 60, 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from tabsynth.common.arrays import Floats
from tabsynth.common.binomial import wilson
from tabsynth.evaluation.metrics.utility import Question, answers
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.bootstrap import sampled
from tabsynth.evaluation.stats.design_matrix import Encoder
from tabsynth.evaluation.stats.encoded_table import Coded

MOST_ROWS = 20_000
LEVEL = 0.05
FEWEST = 3
"""Significant coefficients in the real table below which nothing is said."""

RIDGE = 1e-6
STEPS = 25


@dataclass(frozen=True, eq=False)
class Fit:
    """Coefficients and their standard errors, shape (f,)."""

    beta: Floats
    error: Floats

    @property
    def significant(self) -> np.ndarray:
        """Where the coefficient differs from zero at ``LEVEL``."""
        return np.abs(self.beta) > float(norm.ppf(1 - LEVEL / 2)) * self.error


def inference_score(
    train: Coded, synthetic: Coded, holdout: Coded, asked: Question, rng: np.random.Generator
) -> Score | None:
    """The share of the real table's significant coefficients that keep sign and significance; None with under three.

    The regression is linear for a number and logistic for a class (of several, the commonest against the rest).
    """
    n = min(len(train), len(synthetic), MOST_ROWS)
    real, made = sampled(train, n, rng), sampled(synthetic, n, rng)
    encoder = Encoder.of(train, without=asked.column, drop_first=True)
    goal = _goal(train, asked)
    fits = [_fitted(table, encoder, asked, goal) for table in (real, made, sampled(holdout, n, rng))]
    base, other, fresh = fits
    if base is None or base.significant.sum() < FEWEST:
        return None
    told = np.flatnonzero(base.significant)
    kept = _kept(base, other, told)
    floor = _kept(base, fresh, told)
    low, high = wilson(float(kept.sum()), len(told))
    order = sorted(range(len(told)), key=lambda i: (bool(kept[i]), -abs(base.beta[told[i]]) / base.error[told[i]]))
    target = train.book.names[asked.column]
    return Score(
        name="conclusions",
        title="Conclusions kept",
        value=100 * float(kept.mean()),
        interval=(100 * low, 100 * high),
        better="higher",
        target=100.0,
        floor=100 * float(floor.mean()),
        unit="%",
        description=f"Coefficients of a regression of {target!r} that keep sign and significance.",
        method=f"{'Linear' if asked.task == 'regression' else 'Logistic'} regression on {n:,} rows; the {len(told)} "
        f"coefficients significant at {LEVEL:g} in the real table; Wilson interval over them. Floor: the same on "
        f"{min(n, len(holdout)):,} held-out rows. Detail: 100 where kept, 0 where lost.",
        detail=tuple(
            Part(columns=(encoder.names[told[i]],), value=100.0 * float(kept[i]), floor=100.0 * float(floor[i]))
            for i in order[:60]
        ),
    )


def _kept(base: Fit, other: Fit | None, told: np.ndarray) -> np.ndarray:
    if other is None:
        return np.zeros(len(told), dtype=bool)
    return np.asarray((np.sign(base.beta) == np.sign(other.beta))[told] & other.significant[told])


def _goal(train: Coded, asked: Question) -> float:
    """The class that a logistic regression is about."""
    values = answers(train, asked.column)
    classes, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    return float(classes[-1] if asked.task == "binary" else classes[np.argmax(counts)])


def _fitted(table: Coded, encoder: Encoder, asked: Question, goal: float) -> Fit | None:
    """The regression on one table; None where it has no answer to explain."""
    values = answers(table, asked.column)
    known = ~np.isnan(values)
    rows = encoder.features(table.take(known))
    x = np.column_stack([np.ones(len(rows)), rows])
    y = values[known] if asked.task == "regression" else (values[known] == goal).astype(np.float64)
    if len(y) <= x.shape[1] or y.std() == 0:
        return None
    beta, error = _linear(x, y) if asked.task == "regression" else _logistic(x, y)
    used = rows.std(axis=0) > 0
    return Fit(np.where(used, beta[1:], 0.0), np.where(used, error[1:], np.inf))


def _linear(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    inverse = np.linalg.inv(x.T @ x + RIDGE * len(y) * np.eye(x.shape[1]))
    beta = inverse @ (x.T @ y)
    rest = y - x @ beta
    # White's sandwich: the spread of the residuals may differ from row to row
    meat = (x * (rest**2)[:, None]).T @ x
    return beta, np.sqrt(np.maximum(np.diag(inverse @ meat @ inverse), 0.0))


def _logistic(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Newton's steps; the little ridge keeps separated columns finite, and their errors large."""
    beta = np.zeros(x.shape[1])
    penalty = RIDGE * len(y) * np.eye(x.shape[1])
    inverse = np.linalg.inv(penalty + np.eye(x.shape[1]))
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        inverse = np.linalg.inv((x * (chance * (1 - chance))[:, None]).T @ x + penalty)
        step = inverse @ (x.T @ (y - chance) - penalty @ beta)
        step *= min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        beta = beta + step
        if float(np.abs(step).max()) < 1e-6:
            break
    return beta, np.sqrt(np.diag(inverse))
