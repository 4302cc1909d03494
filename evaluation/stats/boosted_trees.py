"""Boosted-tree models of all metrics, with one setting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from tabsynth.common.arrays import Floats

N_TREES = 150
MIN_EARLY_STOPPING_ROWS = 200
"""Rows from which early stopping can hold some back."""

MIN_PRESENT_VALUES = 10
"""Present values below which a column's missing ones are filled in: scikit-learn cannot learn from a column that has
none, and a fold, or the rows that early stopping holds back, may leave it none."""


@dataclass(eq=False)
class Booster:
    """Boosted trees that also take columns in which hardly a value, or none, is present.

    Attributes:
        model: The model of scikit-learn.
        fill_values: Value that replaces a missing one in each column, NaN where it stays missing; shape (d,).
    """

    model: Any
    fill_values: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def classes_(self) -> Any:
        """The classes learned, in the order of ``predict_proba``."""
        return self.model.classes_

    def fit(self, rows: Floats, answers: Any) -> Booster:
        """Learn from rows, shape (n, d), and return itself."""
        present = ~np.isnan(rows)
        below = np.where(present, rows, np.inf).min(axis=0, initial=1.0) - 1
        self.fill_values = np.where(present.sum(axis=0) < MIN_PRESENT_VALUES, below, np.nan)
        self.model.fit(self._fill_missing(rows), answers)
        return self

    def predict(self, rows: Floats) -> Any:
        """Return the answers for rows, shape (n,)."""
        return self.model.predict(self._fill_missing(rows))

    def predict_proba(self, rows: Floats) -> Any:
        """Return the chance of each class, shape (n, classes)."""
        return self.model.predict_proba(self._fill_missing(rows))

    def _fill_missing(self, rows: Floats) -> Floats:
        return np.where(np.isnan(rows), self.fill_values, rows)


def classifier(seed: int, rows: int) -> Booster:
    """Return a boosted-tree classifier for a training table of so many rows."""
    return Booster(
        HistGradientBoostingClassifier(
            random_state=seed, max_iter=N_TREES, early_stopping=rows >= MIN_EARLY_STOPPING_ROWS
        )
    )


def regressor(seed: int, rows: int) -> Booster:
    """Return a boosted-tree regressor for a training table of so many rows."""
    return Booster(
        HistGradientBoostingRegressor(
            random_state=seed, max_iter=N_TREES, early_stopping=rows >= MIN_EARLY_STOPPING_ROWS
        )
    )


def draw_seed(rng: np.random.Generator) -> int:
    """Return a seed for scikit-learn, which takes no Generator."""
    return int(rng.integers(2**31 - 1))
