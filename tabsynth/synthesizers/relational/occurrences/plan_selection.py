"""Selection of sampled plans, so that classes of children have the training shares among all child rows.

A model of a few hundred parents weakens the dependence between the number of children and the shares of their classes.
The parents with the most children determine the shares among child rows, so that small errors of that dependence become
large errors of the child table. The selection probabilities are those of logit calibration (Deville and Särndal, 1992).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit

from tabsynth.common.arrays import Arrays, Floats, Integers
from tabsynth.synthesizers.relational.occurrences.nested_shares import NestedShares

CANDIDATES = 4
"""Number of sampled plans of which one is selected."""

MIN_PARENTS, MAX_FITTED = 100, 8192
"""Minimum number of training parents, and maximum number of candidates from which the selection is fitted."""

MIN_DEVIATION = 1.5
"""Minimum root mean square of the errors of the mean totals, in standard errors, for which plans are selected."""

PENALTY = 10.0
"""Ridge penalty of the coefficients, divided by the number of training parents or of sampled parents."""

MAX_STEPS = 50
"""Maximum number of Newton steps."""

EPSILON = 1e-9
"""Distance from 0 or 1 below which an inclusion probability is decided."""

ARRAYS = ("most", "edges", "mean", "scale", "coefficients")

LEVELS = np.arange(1, 10) / 10
"""Quantile levels of the plan columns whose distribution the selection keeps."""


@dataclass(frozen=True)
class ChildPlan:
    """Plan columns of one child table.

    Attributes:
        columns: Columns of the number of children, and of the times of the first and the last if there are any.
        classes: Columns of the shares of classes.
        nesting: How the classes exclude and contain each other.
    """

    columns: Sequence[str]
    classes: Sequence[str]
    nesting: NestedShares

    def ends(self, parents: pd.DataFrame) -> Floats:
        """Return the number of children and the times, NaN if there are none, shape (parents, columns)."""
        return _numbers(parents, self.columns)

    def totals(self, parents: pd.DataFrame) -> Floats:
        """Return the number of children and of those of each class, shape (parents, 1 + classes)."""
        counts = np.nan_to_num(_numbers(parents, self.columns[:1])).round()
        totals = self.nesting.totals(_numbers(parents, self.classes), counts[:, 0].astype(np.int64))
        return np.concatenate([counts, totals], axis=1)


@dataclass(frozen=True, eq=False)
class PlanSelection:
    """Logistic model of the selection of candidates.

    The features of a plan are its totals, whether they are positive, and the quantiles that its ends exceed.

    Attributes:
        most: Largest value of each total; larger ones are clipped, shape (totals,).
        edges: Quantiles of each end, shape (ends, levels).
        mean, scale: Mean and standard deviation of each feature of the training parents, shape (features,).
        coefficients: Coefficients of the standardised features, shape (features,).
    """

    most: Floats
    edges: Floats
    mean: Floats
    scale: Floats
    coefficients: Floats

    @classmethod
    def fit(cls, plans: Sequence[ChildPlan], real: pd.DataFrame, candidates: pd.DataFrame, min_group: int) -> Self:
        """Fit coefficients with which the selected candidates have the mean features of the training parents.

        Args:
            plans: The plan columns.
            real: Training parents.
            candidates: Sampled parents.
            min_group: Number of training parents that have the largest total or a larger one.
        """
        totals = np.concatenate([one.totals(real) for one in plans], axis=1)
        ends = np.concatenate([one.ends(real) for one in plans], axis=1)
        most = np.sort(totals, axis=0)[-min(min_group, len(totals))]
        edges = np.nan_to_num(np.nanquantile(ends, LEVELS, axis=0)).T
        features = _features(plans, real, most, edges)
        spread = features.std(0)
        out = cls(most, edges, features.mean(0), np.where(spread > 0, spread, 1.0), np.zeros(features.shape[1]))
        return replace(out, coefficients=out._refit(out._standardised(plans, candidates), len(real)))

    def select(
        self,
        plans: Sequence[ChildPlan],
        candidates: pd.DataFrame,
        n: int,
        rng: np.random.Generator,
        *,
        calibrate: bool = True,
    ) -> Integers:
        """Return the row numbers of ``n`` different candidates, in order.

        Args:
            plans: The plan columns.
            candidates: Sampled parents.
            n: Number of candidates to select.
            rng: Random generator.
            calibrate: Whether the mean features should be those of the training parents; False for parents that meet a
                condition.
        """
        data = self._standardised(plans, candidates)
        logits = data @ (self._refit(data, n) if calibrate else self.coefficients)
        low, high = -logits.max() - 40.0, -logits.min() + 40.0
        for _ in range(100):  # bisection for the intercept with which n candidates are expected
            middle = (low + high) / 2
            low, high = (middle, high) if expit(logits + middle).sum() < n else (low, middle)
        chance = expit(logits + high)
        return draw_balanced(chance * (n / chance.sum()), data[:, : len(self.most)], rng)

    def deviation(self, plans: Sequence[ChildPlan], parents: pd.DataFrame) -> float:
        """Return the root mean square of the errors of the mean totals, in standard deviations of a parent's totals."""
        errors = self._standardised(plans, parents)[:, : len(self.most)].mean(0)
        return float(np.sqrt((errors**2).mean()))

    def _standardised(self, plans: Sequence[ChildPlan], parents: pd.DataFrame) -> Floats:
        """Return the features minus their training means, in standard deviations, shape (parents, features)."""
        return np.asarray((_features(plans, parents, self.most, self.edges) - self.mean) / self.scale)

    def _refit(self, data: Floats, parents: int) -> Floats:
        """Return coefficients near the present ones with which the selected rows have mean features of about 0.

        Args:
            data: Standardised features of the candidates, shape (candidates, features).
            parents: Number of parents that determine the mean; fewer parents change the coefficients less.
        """
        data = np.column_stack([np.ones(len(data)), data])
        share, ridge = 1 / CANDIDATES, np.full(data.shape[1], PENALTY / parents / CANDIDATES)
        ridge[0] = 0.0
        start = np.append(np.log(share / (1 - share)), self.coefficients)

        def objective(at: Floats) -> float:
            return float(np.logaddexp(0, data @ at).mean() - share * at[0] + ridge @ (at - start) ** 2 / 2)

        found = start
        for _ in range(MAX_STEPS):
            chance = expit(data @ found)
            slope = chance @ data / len(data) + ridge * (found - start)
            slope[0] -= share
            curvature = (data * (chance * (1 - chance))[:, None]).T @ data / len(data)
            step, length = np.linalg.solve(curvature + np.diag(ridge + 1e-9), slope), 1.0
            while length > 1e-3 and objective(found - length * step) > objective(found):
                length /= 2
            found = found - length * step
            if np.abs(length * step).max() < 1e-6:
                break
        return np.asarray(found[1:])

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``from_state``."""
        return {}, {name: getattr(self, name) for name in ARRAYS}

    @classmethod
    def from_state(cls, arrays: Arrays) -> Self:
        """Rebuild from a state."""
        return cls(**{name: arrays[name] for name in ARRAYS})


def fit_selection(
    plans: Sequence[ChildPlan], real: pd.DataFrame, sample: Callable[[int], pd.DataFrame], min_group: int
) -> PlanSelection | None:
    """Return the selection of a root table; None for few parents, or if the sampled totals are right without it.

    Args:
        plans: The plan columns of its children that have planned classes.
        real: Training parents.
        sample: Samples a number of parents.
        min_group: See ``PlanSelection.fit``.
    """
    if not plans or len(real) < MIN_PARENTS:
        return None
    candidates = sample(min(CANDIDATES * len(real), MAX_FITTED))
    selection = PlanSelection.fit(plans, real, candidates, min_group)
    return selection if selection.deviation(plans, candidates) * np.sqrt(len(real)) >= MIN_DEVIATION else None


def draw_balanced(chance: Floats, data: Floats, rng: np.random.Generator) -> Integers:
    """Draw a sample with sums close to the expected sums of the data: the cube method (Deville and Tillé, 2004).

    Args:
        chance: Inclusion probabilities, whose sum is a whole number, shape (n,).
        data: Numbers to balance, shape (n, numbers).
        rng: Random generator.

    Returns:
        The numbers of the drawn rows, in order.
    """
    chance = np.clip(chance, 0.0, 1.0)
    scale = np.where(data.std(0) > 0, data.std(0), 1.0)
    balanced = np.column_stack([np.ones(len(data)), (data - data.mean(0)) / scale])
    open_ = rng.permutation(np.flatnonzero((chance > EPSILON) & (chance < 1 - EPSILON)))
    width = balanced.shape[1] + 1
    active, begin = open_[:width], width
    while len(active) == width:
        change = np.linalg.svd(balanced[active].T)[2][-1]  # does not change the sums
        room = [_room(chance[active], change), _room(chance[active], -change)]
        forward = rng.random() * sum(room) < room[1]
        chance[active] += room[0] * change if forward else -room[1] * change
        active = active[(chance[active] > EPSILON) & (chance[active] < 1 - EPSILON)]
        count = width - len(active)
        active, begin = np.append(active, open_[begin : begin + count]), begin + count
    rest = np.concatenate([[0.0], np.cumsum(chance[active])])
    drawn = np.diff(np.floor(rest + rng.random())) if len(active) else np.zeros(0)
    chance[active] = drawn
    return np.flatnonzero(chance > 0.5)


def _room(chance: Floats, change: Floats) -> float:
    """Return the largest multiple of a change for which all probabilities stay between 0 and 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        limits = np.where(change > 0, (1 - chance) / change, np.where(change < 0, -chance / change, np.inf))
    return float(limits.min())


def _features(plans: Sequence[ChildPlan], parents: pd.DataFrame, most: Floats, edges: Floats) -> Floats:
    totals = np.concatenate([one.totals(parents) for one in plans], axis=1)
    ends = np.concatenate([one.ends(parents) for one in plans], axis=1)
    above = (ends[:, :, None] > edges[None]).reshape(len(ends), -1)
    return np.concatenate([np.minimum(totals, most), totals > 0, above], axis=1)


def _numbers(parents: pd.DataFrame, columns: Sequence[str]) -> Floats:
    return np.stack([parents[name].to_numpy(np.float64, na_value=np.nan) for name in columns], axis=1)
