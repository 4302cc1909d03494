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


HALF = ROUNDINGS["nearest"][1]
"""Largest error of rounding to the nearest, in steps."""

MAX_FACTOR_CHANCE, MAX_CONSTANT_CHANCE = 0.1, 0.6
"""Maximum chance that a number of few digits is exact, for which it is preferred to the middle of the exact ones."""

N_HALVINGS = 50
"""Number of halvings by which the ends of exact factors are found."""


@dataclass(frozen=True)
class Line:
    """A constant plus multiples of features, rounded.

    Attributes:
        constant: The constant.
        factors: The multiple of each feature.
        rounding: How the result is rounded, one of ``ROUNDINGS``.
        digits: The significant digits of all coefficients together, of the simplest way to write them.
    """

    constant: float
    factors: tuple[float, ...]
    rounding: str
    digits: int


def _line(number: float, factors: tuple[float, ...], rounding: str) -> Line:
    """Return a line with the digits of its coefficients."""
    return Line(number, factors, rounding, sum(map(_digits, (number, *factors))))


def _digits(number: float) -> int:
    """Return the significant digits of a number."""
    return len(f"{number:.12g}".partition("e")[0].replace(".", "").strip("-0"))


def row_variances(block: Floats) -> Floats:
    """Return the variance of the numbers that are present in each row of a block, 0 for none, shape (rows,)."""
    present = ~np.isnan(block)
    counts = np.maximum(present.sum(axis=1), 1)
    centred = np.where(present, block - (np.nansum(block, axis=1) / counts)[:, None], 0.0)
    return np.asarray((centred**2).sum(axis=1) / counts)


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
    lines: tuple[Line, ...] = ()
    for factors in _rounded(exact):
        lines = _constant(observed - np.array(factors) @ features, factors, steps, size)
        if lines:
            break
    if len(features) > 1 or not steps.all():
        return lines
    if not lines:
        factor = _feasible_factor(observed, features[0], steps, exact[0])
        lines = () if factor is None else _constant(observed - factor * features[0], (factor,), steps, size)
    nearest = next((line for line in lines if line.rounding == "nearest"), None)
    multiple = _multiple(observed, features[0], steps, nearest) if nearest is not None else None
    return lines if multiple is None else (multiple, *(line for line in lines if line is not nearest))


def _multiple(observed: Floats, feature: Floats, steps: Floats, line: Line) -> Line | None:
    """Return an equal line of fewer digits that is a multiple of the feature plus a number, as (140 - age) / 72."""
    if not line.factors[0]:
        return None
    ratio = line.constant / line.factors[0]
    for digits in range(4):
        shift = float(f"{ratio:.{digits}e}")
        moved = feature + shift
        used = moved != 0
        ends = np.sort((observed[used] + np.array([[-HALF], [HALF]]) * steps[used]) / moved[used], axis=0)
        low, high = float(ends[0].max()), float(ends[1].min())
        if low <= high:
            factor = _fewest_digits(low, high)
            total = min(_digits(factor), _digits(1 / factor)) + _digits(shift)
            return Line(factor * shift, (factor,), "nearest", total) if total < line.digits else None
    return None


def _feasible_factor(observed: Floats, feature: Floats, steps: Floats, near: float) -> float | None:
    """Return the factor of fewest digits that is exact up to the rounding, None if there is none."""

    def excess(factor: float) -> float:
        rest = observed - factor * feature
        return float((rest - HALF * steps).max() - (rest + HALF * steps).min())

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
        if digits == 2:
            yield tuple(float(Fraction(own).limit_denominator(12)) for own in factors)
            if all(0 < abs(own) < 0.5 for own in factors):
                yield tuple(1 / round(1 / own) for own in factors)


def _constant(rest: Floats, factors: tuple[float, ...], steps: Floats, size: float) -> tuple[Line, ...]:
    """Return the line of each rounding, none if the rest differs by more than the rounding."""
    least, most = float(rest.min()), float(rest.max())
    slack = float(tolerance(np.array(max(size, abs(least), abs(most))), float(steps.min())))
    if most - least <= 2 * slack:  # no rounding is involved
        number = _fewest_digits(most - slack, least + slack, MAX_CONSTANT_CHANCE)
        return tuple(_line(number, factors, rounding) for rounding in ROUNDINGS)
    lines = []
    for rounding, (low, high) in ROUNDINGS.items():
        # Each rest must be between constant + low and constant + high.
        first = float((rest - high * steps).max()) + (slack if rounding == "up" else -slack)
        last = float((rest - low * steps).min()) - (slack if rounding == "down" else -slack)
        if first <= last:
            lines.append(_line(_fewest_digits(first, last, MAX_CONSTANT_CHANCE), factors, rounding))
    return tuple(lines)


def simplest(lines: Sequence[Line]) -> Line | None:
    """Return the line whose coefficients have the fewest digits."""
    return min(lines, key=lambda line: line.digits, default=None)


def _fewest_digits(low: float, high: float, chance: float = MAX_FACTOR_CHANCE) -> float:
    """Return the number between two ends that has the fewest digits, or whose reciprocal has far fewer."""
    if low <= 0 <= high:
        return 0.0
    number = _rounded_between(low, high, chance)
    other = _rounded_between(1 / high, 1 / low, chance)
    return 1 / other if _digits(other) + 1 < _digits(number) else number


def _rounded_between(low: float, high: float, chance: float) -> float:
    """Return the number between two ends that has the fewest digits, with one more if such a number is no surprise."""
    middle, width = (low + high) / 2, (high - low) / 2
    for digits in range(16):
        number = float(f"{middle:.{digits}e}")
        if abs(number - middle) <= width:
            spacing = 10.0 ** (np.floor(np.log10(abs(middle))) - digits)
            return number if 2 * width < chance * spacing else float(f"{middle:.{digits + 1}e}")
    return middle


def chance_matches(observed: Floats, predicted: Floats, step: float) -> Floats:
    """Return the share of the observed numbers that would agree with each prediction by chance, shape (n,)."""
    every = np.sort(observed)
    slack = step / 2 + tolerance(np.abs(predicted), step)
    upper = np.searchsorted(every, predicted + slack, side="right")
    return np.asarray((upper - np.searchsorted(every, predicted - slack)) / len(every))
