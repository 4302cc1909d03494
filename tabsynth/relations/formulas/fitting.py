"""Exact fits of a number by formulas, up to its rounding, and the evidence that they do not agree by chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.relations.formulas.rule import ROUNDINGS, tolerance

DIGITS = (1, 2, 3, 4, 5, 6, 8, 12, 16)
"""Significant digits to which coefficients are rounded, the fewest that are exact."""

MAX_ROUNDING_NOISE = 3.0
"""Maximum variance that a candidate leaves unexplained, relative to that of the rounding of a column."""

MIN_UNEXPLAINED, MAX_UNEXPLAINED = 1e-9, 0.15
"""Least and largest share of the variance that a candidate may leave unexplained, whatever the rounding."""


N_HALVINGS = 50
"""Number of halvings by which the ends of exact factors are found."""


@dataclass(frozen=True)
class Line:
    """A constant plus multiples of features, rounded.

    Attributes:
        constant: The constant.
        factors: The multiple of each feature.
        rounding: How the result is rounded, one of ``ROUNDINGS``.
    """

    constant: float
    factors: tuple[float, ...]
    rounding: str

    @property
    def digits(self) -> int:
        """The significant digits of all coefficients together."""
        return sum(len(f"{own:.12g}".strip("-0.").replace(".", "")) for own in (self.constant, *self.factors))


def unexplained_limits(variances: Floats, steps: Floats) -> Floats:
    """Return the share of each column's variance that its rounding leaves unexplained, 0 where that is too much."""
    with np.errstate(all="ignore"):
        limit = np.maximum(MAX_ROUNDING_NOISE / 12 * steps**2 / variances, MIN_UNEXPLAINED)
    return np.where((variances > 0) & (limit <= MAX_UNEXPLAINED), limit, 0.0)


def fit_line(observed: Floats, features: Floats, step: float | Floats) -> tuple[Line, ...]:
    """Fit a number as a constant plus multiples of features, one line for each rounding; none if no fit is exact.

    Args:
        observed: The numbers, none missing, shape (n,).
        features: Shape (features, n).
        step: The rounding step, 0 for none; of all numbers, or of each, shape (n,).
    """
    steps = np.broadcast_to(np.asarray(step, dtype=np.float64), observed.shape)
    size = float(np.abs(observed).max())
    middle = features.mean(axis=1, keepdims=True)
    spread = np.maximum(features.std(axis=1, keepdims=True), 1e-300)
    scaled, centred = (features - middle) / spread, observed - observed.mean()
    weights = np.linalg.lstsq(scaled.T, centred, rcond=1e-10)[0]
    # Least squares leave no more unexplained than a line that is exact.
    error = float(np.sqrt(np.mean((centred - weights @ scaled) ** 2)))
    if error > 0.51 * float(steps.max()) + float(tolerance(np.array(2 * size), float(steps.max()))):
        return ()
    exact = (weights / spread[:, 0]).tolist()
    for factors in _rounded(exact):
        lines = _constant(observed - np.array(factors) @ features, factors, steps, size)
        if lines:
            return lines
    if len(features) == 1 and steps.all():
        factor = _feasible_factor(observed, features[0], steps, exact[0])
        if factor is not None:
            return _constant(observed - factor * features[0], (factor,), steps, size)
    return ()


def _feasible_factor(observed: Floats, feature: Floats, steps: Floats, near: float) -> float | None:
    """Return the factor of fewest digits that is exact up to the rounding, None if there is none."""

    def excess(factor: float) -> float:
        rest = observed - factor * feature
        return float((rest - steps / 2).max() - (rest + steps / 2).min())

    # The excess is convex in the factor.
    reach = 2 * float(steps.max()) / max(float(feature.std()), 1e-300)
    low, high = near - reach, near + reach
    for _ in range(N_HALVINGS):
        one, other = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, other) if excess(one) <= excess(other) else (one, high)
    best = (low + high) / 2
    if excess(best) > 0:
        return None
    ends = []
    for outer in (near - 2 * reach, near + 2 * reach):
        inner = best
        for _ in range(N_HALVINGS):
            middle = (inner + outer) / 2
            inner, outer = (middle, outer) if excess(middle) <= 0 else (inner, middle)
        ends.append(inner)
    return _fewest_digits(min(ends), max(ends))


def _rounded(factors: list[float]) -> Iterator[tuple[float, ...]]:
    """Yield factors with few digits, simple fractions, and then with more digits."""
    yield tuple(float(round(own)) for own in factors)
    for digits in DIGITS:
        yield tuple(float(f"{own:.{digits - 1}e}") for own in factors)
        if digits == 3:
            yield tuple(float(Fraction(own).limit_denominator(12)) for own in factors)


def _constant(rest: Floats, factors: tuple[float, ...], steps: Floats, size: float) -> tuple[Line, ...]:
    """Return the line of each rounding, none if the rest differs by more than the rounding."""
    least, most = float(rest.min()), float(rest.max())
    slack = float(tolerance(np.array(max(size, abs(least), abs(most))), float(steps.min())))
    if most - least <= 2 * slack:  # no rounding is involved
        number = _fewest_digits(most - slack, least + slack)
        return tuple(Line(number, factors, rounding) for rounding in ROUNDINGS)
    lines = []
    for rounding, (low, high) in ROUNDINGS.items():
        # Each rest must be between constant + low and constant + high.
        first = float((rest - high * steps).max()) + (slack if rounding == "up" else -slack)
        last = float((rest - low * steps).min()) - (slack if rounding == "down" else -slack)
        if first <= last:
            lines.append(Line(_fewest_digits(first, last), factors, rounding))
    return tuple(lines)


def simplest(lines: Sequence[Line]) -> Line | None:
    """Return the line whose coefficients have the fewest digits."""
    return min(lines, key=lambda line: line.digits, default=None)


def _fewest_digits(low: float, high: float) -> float:
    """Return the number with the fewest digits between two ends."""
    if low <= 0 <= high:
        return 0.0
    middle, width = (low + high) / 2, (high - low) / 2
    for digits in range(16):
        number = float(f"{middle:.{digits}e}")
        if abs(number - middle) <= width:
            return number
    return middle


def chance_matches(observed: Floats, predicted: Floats, step: float) -> Floats:
    """Return the share of the observed numbers that would agree with each prediction by chance, shape (n,)."""
    every = np.sort(observed)
    slack = step / 2 + tolerance(np.abs(predicted), step)
    upper = np.searchsorted(every, predicted + slack, side="right")
    return np.asarray((upper - np.searchsorted(every, predicted - slack)) / len(every))
