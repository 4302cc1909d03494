"""Evidence of bounds of two columns: rows that would violate them by chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.conditional.conditions import Condition
from tabsynth.relations.order_evidence import MIN_STEPS, edge_rows, logistic_violations, smooth_violations
from tabsynth.relations.rule_columns import Columns

MIN_EDGE_VALUES, EDGE_SHARE = 3, 0.1
"""Minimum different numbers of both columns in the rows nearest to the bound, and share of these rows."""

MIN_SHARP_ROWS = 12
"""Minimum rows with the least difference under a condition, if the odds of the condition say nothing about a bound."""


@dataclass(frozen=True)
class Pair:
    """Two columns, the one that is bounded from above first; their difference, or the logarithm of their ratio."""

    low: str
    high: str
    is_ratio: bool

    def of(self, numbers: Mapping[str, Floats]) -> Floats:
        """Return the difference or the logarithm of the ratio, NaN where it is undefined, shape (n,)."""
        low, high = numbers[self.low], numbers[self.high]
        if not self.is_ratio:
            return np.asarray(high - low)
        with np.errstate(all="ignore"):
            return np.where((low > 0) & (high > 0), np.log(high / low), np.nan)


@dataclass(frozen=True)
class Case:
    """A pair and a condition, None for all rows."""

    pair: Pair
    condition: Condition | None

    @property
    def is_own(self) -> bool:
        """Whether the condition is one on a column of the pair."""
        return self.condition is not None and self.condition.column in (self.pair.low, self.pair.high)

    @property
    def exempts_zero(self) -> bool:
        """Whether the condition exempts a zero of the pair: the other rows say nothing about the bound."""
        return self.is_own and self.condition is not None and self.condition.negated and self.condition.least == 0


def independent_violations(low: Floats, high: Floats, factor: float, gap: float) -> float:
    """Return the rows beyond the bound if the columns were independent; 0 if it is a bound of one of them."""
    edge = np.argsort(factor * high - low)[: max(int(EDGE_SHARE * len(low)), MIN_EDGE_VALUES)]
    if min(len(np.unique(own[edge])) for own in (low, high)) < MIN_EDGE_VALUES:
        return 0.0
    return float(np.searchsorted(np.sort(factor * high), low + gap).sum() / len(low))


def violations_elsewhere(margin: Floats, here: Bools) -> float:
    """Return the rows beyond the bound if the condition were independent of the difference or ratio."""
    if not here.any():
        return 0.0
    return float(here.sum() * (margin < margin[here].min()).sum() / len(margin))


def condition_evidence(margin: Floats, here: Bools, *, is_smooth: bool) -> float:
    """Return the rows beyond the bound if the difference or ratio did not depend on the condition.

    Args:
        margin: The difference or ratio in each row.
        here: Whether the condition holds.
        is_smooth: Whether the odds of the condition may have become small before the bound.
    """
    evidence = violations_elsewhere(margin, here)
    if not is_smooth or not here.any() or margin[~here].max(initial=-np.inf) < margin[here].min():
        return evidence
    return min(evidence, logistic_violations(margin, here, float(margin[here].min())))


def expected_violations(
    pair: Pair, low: Floats, high: Floats, factor: float, gap: float, columns: Columns, *, concave: bool
) -> float:
    """Return the rows expected beyond the bound if the difference, or the ratio, continued smoothly."""
    step = max(columns.steps[pair.low], columns.steps[pair.high])
    if not pair.is_ratio:
        smooth = smooth_violations(np.sort(high - low - gap), step, concave=concave)
        return (
            max(smooth, rows_at_edge(pair, low, high, gap, columns)) if is_sharp(high - low, pair, columns) else smooth
        )
    fine = low > MIN_STEPS * columns.steps[pair.low]
    return smooth_violations(np.sort(np.maximum(np.log(factor * high[fine] / low[fine]), 0.0)), 0.0, concave=concave)


def rows_at_edge(pair: Pair, low: Floats, high: Floats, gap: float, columns: Columns) -> float:
    """Return the rows beside the bound of a difference whose distribution breaks off there."""
    return edge_rows(np.sort(high - low - gap), max(columns.steps[pair.low], columns.steps[pair.high]))


def is_sharp(difference: Floats, pair: Pair, columns: Columns) -> bool:
    """Return whether as many rows have the least difference as the next one, so that no noise hides where it ends."""
    step = max(columns.steps[pair.low], columns.steps[pair.high])
    first, second = (int((difference < difference.min() + (at + 0.5) * step).sum()) for at in (0, 1))
    return first >= MIN_SHARP_ROWS and 3 * first >= second
