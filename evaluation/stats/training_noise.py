"""Variance due to the training table: models that are trained on few rows depend on the choice of these rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.stats import t as student

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.bootstrap import FAMILYWISE_RATE
from tabsynth.evaluation.stats.encoded_table import EncodedTable

N_RESAMPLES, MAX_RESAMPLED_ROWS = 6, 5_000
"""Number of resamples of the real table, and maximum number of its rows; in larger tables this variance is small."""


def resampled_performance(
    train: EncodedTable, size: int, performance: Callable[[EncodedTable], float], rng: np.random.Generator
) -> Floats:
    """Return the performance of models trained on ``size`` real rows each, sampled with replacement."""
    return np.array([performance(train.take(rng.integers(len(train), size=size))) for _ in range(N_RESAMPLES)])


def compare_with_resamples(score: Score, values: Floats) -> Score:
    """Set the floor of a score to the mean over resampled real rows, and widen its interval by their variance.

    Args:
        score: A score of models trained on the synthetic table.
        values: The same score of models of resampled real rows.
    """
    worse = max if score.better == "lower" else min
    method = f"{score.method} The floor is the mean of {len(values)} trainings on real rows drawn with replacement."
    return replace(
        widen_interval(score, values),
        floor=worse(float(values.mean()), score.floor or 0.0),
        beside="resampled real rows",
        method=f"{method} The interval includes the noise of training tables.",
    )


def widen_interval(score: Score, values: Floats) -> Score:
    """Add the variance due to the training table to an interval that covers the test rows only."""
    assert score.interval is not None
    half = float(student.ppf(0.975, len(values) - 1)) * _deviation(values)
    low, high = (float(np.hypot(score.value - end, half)) for end in score.interval)
    return replace(score, interval=(score.value - low, score.value + high))


def familywise_gap(values: Floats) -> float:
    """Return the bound of a gap between two real tables, from the gaps of resampled real rows."""
    return max(float(values.mean()), 0.0) + float(student.isf(FAMILYWISE_RATE, len(values) - 1)) * _deviation(values)


def _deviation(values: Floats) -> float:
    """Return the standard deviation of the difference between two tables: each has the variance of the resamples."""
    return float(np.sqrt(2) * values.std(ddof=1))
