"""Preserved regression conclusions: sign and significance of coefficients.

A coefficient that is significant in the real table should keep its sign and its significance (Karr et al., "A
framework for evaluating the utility of data altered to protect confidentiality", The American Statistician 60, 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from tabsynth.common.arrays import Floats
from tabsynth.common.binomial import wilson
from tabsynth.evaluation.metrics.utility import PredictionTask, target_values
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.bootstrap import subsample
from tabsynth.evaluation.stats.design_matrix import FeatureEncoder
from tabsynth.evaluation.stats.encoded_table import EncodedTable

MAX_ROWS = 20_000
SIGNIFICANCE = 0.05
MAX_FEATURES = 500
"""Maximum number of features, because the time of the solver grows with its cube."""

MIN_SIGNIFICANT = 3
"""Minimum number of significant coefficients of the real table."""

RIDGE = 1e-6
MAX_NEWTON_STEPS = 25


@dataclass(frozen=True, eq=False)
class RegressionFit:
    """Coefficients and their standard errors, shape (f,)."""

    beta: Floats
    error: Floats

    @property
    def significant(self) -> np.ndarray:
        """Whether each coefficient differs from zero at ``SIGNIFICANCE``."""
        return np.abs(self.beta) > float(norm.ppf(1 - SIGNIFICANCE / 2)) * self.error


def inference_score(
    train: EncodedTable, synthetic: EncodedTable, holdout: EncodedTable, task: PredictionTask, rng: np.random.Generator
) -> Score | None:
    """Return the share of significant coefficients that keep sign and significance; None if there are fewer than three.

    The regression is linear for a number and logistic for a class (of several, the most frequent against the rest).
    """
    n = min(len(train), len(synthetic), MAX_ROWS)
    samples = [subsample(table, n, rng) for table in (train, synthetic)]
    encoder = FeatureEncoder.of(train, without=task.column, drop_first=True)
    if len(encoder.names) > MAX_FEATURES:
        return None
    positive_class = _positive_class(train, task)
    samples.append(subsample(holdout, n, rng))
    base, other, held_out = (_fit_regression(table, encoder, task, positive_class) for table in samples)
    if base is None or base.significant.sum() < MIN_SIGNIFICANT:
        return None
    significant_at = np.flatnonzero(base.significant)
    preserved = _preserved(base, other, significant_at)
    floor = _preserved(base, held_out, significant_at)
    low, high = wilson(float(preserved.sum()), len(significant_at))
    order = sorted(
        range(len(significant_at)),
        key=lambda i: (bool(preserved[i]), -abs(base.beta[significant_at[i]]) / base.error[significant_at[i]]),
    )
    target = train.encoding.names[task.column]
    return Score(
        name="conclusions",
        value=100 * float(preserved.mean()),
        interval=(100 * low, 100 * high),
        better="higher",
        target=100.0,
        floor=100 * float(floor.mean()),
        unit="%",
        description=f"Coefficients of a regression of {target!r} that keep sign and significance.",
        method=f"{'Linear' if task.kind == 'regression' else 'Logistic'} regression on {n:,} rows; the "
        f"{len(significant_at)} coefficients significant at {SIGNIFICANCE:g} in the real table; Wilson interval. "
        f"Floor: the same on {min(n, len(holdout)):,} held-out rows. Detail: 100 if preserved, 0 if lost.",
        detail=tuple(
            Part(
                columns=(encoder.names[significant_at[i]],),
                value=100.0 * float(preserved[i]),
                floor=100.0 * float(floor[i]),
            )
            for i in order[:60]
        ),
    )


def _preserved(base: RegressionFit, other: RegressionFit | None, significant_at: np.ndarray) -> np.ndarray:
    if other is None:
        return np.zeros(len(significant_at), dtype=bool)
    return np.asarray((np.sign(base.beta) == np.sign(other.beta))[significant_at] & other.significant[significant_at])


def _positive_class(train: EncodedTable, task: PredictionTask) -> float:
    """Return the class that the logistic regression predicts."""
    values = target_values(train, task.column)
    classes, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    return float(classes[-1] if task.kind == "binary" else classes[np.argmax(counts)])


def _fit_regression(
    table: EncodedTable, encoder: FeatureEncoder, task: PredictionTask, positive_class: float
) -> RegressionFit | None:
    """Fit the regression to one table; None if the target does not vary."""
    values = target_values(table, task.column)
    known = ~np.isnan(values)
    rows = encoder.features(table.take(known))
    x = np.column_stack([np.ones(len(rows)), rows])
    y = values[known] if task.kind == "regression" else (values[known] == positive_class).astype(np.float64)
    if len(y) <= x.shape[1] or y.std() == 0:
        return None
    beta, error = _fit_linear(x, y) if task.kind == "regression" else _fit_logistic(x, y)
    used = rows.std(axis=0) > 0
    return RegressionFit(np.where(used, beta[1:], 0.0), np.where(used, error[1:], np.inf))


def _fit_linear(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    inverse = np.linalg.inv(x.T @ x + RIDGE * len(y) * np.eye(x.shape[1]))
    beta = inverse @ (x.T @ y)
    rest = y - x @ beta
    # White's heteroscedasticity-consistent covariance.
    middle = (x * (rest**2)[:, None]).T @ x
    return beta, np.sqrt(np.maximum(np.diag(inverse @ middle @ inverse), 0.0))


def _fit_logistic(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Fit by Newton's method, with a small ridge penalty for separable columns."""
    beta = np.zeros(x.shape[1])
    penalty = RIDGE * len(y) * np.eye(x.shape[1])
    inverse = np.linalg.inv(penalty + np.eye(x.shape[1]))
    for _ in range(MAX_NEWTON_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        inverse = np.linalg.inv((x * (probability * (1 - probability))[:, None]).T @ x + penalty)
        step = inverse @ (x.T @ (y - probability) - penalty @ beta)
        step *= min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        beta = beta + step
        if float(np.abs(step).max()) < 1e-6:
            break
    return beta, np.sqrt(np.diag(inverse))
