"""Boosted-tree models of all metrics, with common hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from tabsynth.common.arrays import Floats

N_TREES = 150
MIN_EARLY_STOPPING_ROWS = 200
"""Minimum number of rows for early stopping."""

MIN_PRESENT_VALUES = 10
"""Minimum number of present values of a column whose missing values are not filled in. scikit-learn cannot fit a column
without present values, and cross-validation or early stopping may leave none."""


@dataclass(eq=False)
class Booster:
    """Boosted trees that support columns with few or no present values.

    Attributes:
        model: The scikit-learn model.
        fill_values: Replacement of missing values in each column, NaN if they remain missing; shape (d,).
    """

    model: Any
    fill_values: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def classes_(self) -> Any:
        """The classes, in the order of ``predict_proba``."""
        return self.model.classes_

    def fit(self, rows: Floats, targets: Any) -> Booster:
        """Fit to rows of shape (n, d)."""
        present = ~np.isnan(rows)
        below = np.where(present, rows, np.inf).min(axis=0, initial=1.0) - 1
        self.fill_values = np.where(present.sum(axis=0) < MIN_PRESENT_VALUES, below, np.nan)
        self.model.fit(self._fill_missing(rows), targets)
        return self

    def predict(self, rows: Floats) -> Any:
        """Return the predicted targets, shape (n,)."""
        return self.model.predict(self._fill_missing(rows))

    def predict_proba(self, rows: Floats) -> Any:
        """Return the class probabilities, shape (n, classes)."""
        return self.model.predict_proba(self._fill_missing(rows))

    def _fill_missing(self, rows: Floats) -> Floats:
        return np.where(np.isnan(rows), self.fill_values, rows)


def classifier(seed: int, rows: int) -> Booster:
    """Create a boosted-tree classifier for a training table with ``rows`` rows."""
    return Booster(
        HistGradientBoostingClassifier(
            random_state=seed, max_iter=N_TREES, early_stopping=rows >= MIN_EARLY_STOPPING_ROWS
        )
    )


def regressor(seed: int, rows: int) -> Booster:
    """Create a boosted-tree regressor for a training table with ``rows`` rows."""
    return Booster(
        HistGradientBoostingRegressor(
            random_state=seed, max_iter=N_TREES, early_stopping=rows >= MIN_EARLY_STOPPING_ROWS
        )
    )


def draw_seed(rng: np.random.Generator) -> int:
    """Draw an integer seed for scikit-learn, which does not accept a Generator."""
    return int(rng.integers(2**31 - 1))
