"""The tree ensemble that evaluation lets judge, with one setting everywhere."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

TREES = 150
ENOUGH = 200
"""Rows from which early stopping can hold some back."""


def classifier(seed: int, rows: int) -> HistGradientBoostingClassifier:
    """A boosted-tree classifier for a training table of so many rows."""
    return HistGradientBoostingClassifier(random_state=seed, max_iter=TREES, early_stopping=rows >= ENOUGH)


def regressor(seed: int, rows: int) -> HistGradientBoostingRegressor:
    """A boosted-tree regressor for a training table of so many rows."""
    return HistGradientBoostingRegressor(random_state=seed, max_iter=TREES, early_stopping=rows >= ENOUGH)


def seed_of(rng: np.random.Generator) -> int:
    """A seed for scikit-learn, which takes no Generator."""
    return int(rng.integers(2**31 - 1))
