"""Densities of few parameters fitted to noisy counts of bins: normal with two standard deviations, and gamma.

With few rows under privacy there is little more to learn of a column than its place, its spread and its skewness. The
tails beyond follow from these, so the noise of the many empty bins of a wide range does not widen the column.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import leastsq
from scipy.special import gammainc, ndtr

from tabsynth.common.arrays import Floats

SKEW_PRIOR = 0.5
"""Standard deviation of the prior of the logarithm of the ratio of both standard deviations."""

N_STARTS = 3
"""Initial modes, at the pairs of neighbouring bins with the highest counts."""

MAX_SHAPE = 1e4
"""Maximum shape of the gamma density; with a larger one it is normal."""

Below = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Shape:
    """A fitted density.

    Attributes:
        below: Its distribution function, up to a factor.
        cost: Sum of the squared residuals in variances of the noise, and of the prior.
        parameters: Number of parameters.
    """

    below: Below
    cost: float
    parameters: int

    def shares(self, ends: Floats) -> Floats:
        """Return the probabilities of the bins between successive ends, scaled to a sum of 1."""
        mass = np.maximum(np.diff(self.below(ends)), 0.0)
        return np.asarray(mass / max(mass.sum(), 1e-300))

    def density(self, low: Floats, high: Floats) -> Floats:
        """Return the mean density between two ends, up to a factor."""
        least = 1e-9 * max(float(high[-1] - low[0]), 1e-300)
        half = np.maximum((high - low) / 2, least)
        middle = (low + high) / 2
        density = np.maximum((self.below(middle + half) - self.below(middle - half)) / (2 * half), 0.0)
        return np.asarray(np.maximum(density / max(float(density.max()), 1e-300), 1e-9))


def fit_shape(ends: Floats, counts: Floats, sigma: float, total: float) -> Shape:
    """Fit each density by weighted least squares, and return the one with the smallest expected error.

    Args:
        ends: Ends of the bins, ascending, shape (bins + 1,).
        counts: Noisy counts of the bins.
        sigma: Standard deviation of their noise.
        total: Number of rows in all bins.
    """
    span = ends[-1] - ends[0]
    width = np.maximum(np.diff(ends), 1e-9 * span)
    pairs = np.convolve(counts, [1.0, 1.0], "valid")
    starts = []
    for at in np.argsort(-pairs)[:N_STARTS].tolist():
        middle = (ends[at] + ends[at + 2]) / 2
        starts.append((middle, float(width[at : at + 2].mean())))
    # Ufuncs, as np.clip takes several times as long for one number.
    smallest, largest, log_max_shape = float(np.log(width.min() / 4)), float(np.log(span)), math.log(MAX_SHAPE)

    def split_normal(parameters: Floats) -> tuple[Below, float]:
        left, right = np.exp(np.minimum(np.maximum(parameters[1:], smallest), largest))
        return lambda x: _split_normal_below(x - parameters[0], left, right), (
            parameters[1] - parameters[2]
        ) / SKEW_PRIOR

    def gamma(parameters: Floats) -> tuple[Below, float]:
        shape = np.exp(np.minimum(np.maximum(parameters[1], -2.0), log_max_shape))
        scale = np.exp(np.minimum(np.maximum(parameters[0], smallest), largest)) / shape
        return lambda x: gammainc(shape, np.maximum(x - ends[0], 0.0) / scale), 0.0

    shapes = [_fit(split_normal, [[m, np.log(s), np.log(s)] for m, s in starts], ends, counts, sigma, total)]
    means = [(max(m - ends[0], width.min()), s) for m, s in starts]
    shapes.append(_fit(gamma, [[np.log(m), 2 * np.log(max(m / s, 1.0))] for m, s in means], ends, counts, sigma, total))
    return min(shapes, key=lambda shape: shape.cost + 2 * shape.parameters)


def _fit(
    family: Callable[[Floats], tuple[Below, float]],
    starts: list[list[float]],
    ends: Floats,
    counts: Floats,
    sigma: float,
    total: float,
) -> Shape:
    residual = np.empty(len(counts) + 1)

    def residuals(parameters: Floats) -> Floats:
        below, prior = family(parameters)
        values = below(ends)
        mass = np.maximum(values[1:] - values[:-1], 0.0)
        residual[:-1] = (mass * (total / max(mass.sum(), 1e-300)) - counts) / sigma
        residual[-1] = prior
        return residual.copy()

    best, least = np.array(starts[0]), math.inf
    for start in starts:
        scale = [1 / max(abs(start[0]) * 0.1, 1e-9), *[1.0] * (len(start) - 1)]
        # The differences of MINPACK's own code: ``least_squares`` takes them in Python, at twice the time.
        with np.errstate(all="ignore"):  # of the covariance, which is not used; a warning would depend on rows
            found, _, info, *_ = leastsq(
                residuals, start, full_output=True, ftol=1e-8, xtol=1e-8, gtol=1e-8, maxfev=800, diag=scale
            )
        cost = float(np.square(info["fvec"]).sum())
        if cost < least:
            best, least = found, cost
    return Shape(family(best)[0], least, len(best))


def _split_normal_below(distance: Floats, left: float, right: float) -> Floats:
    """Return the distribution function at distances from the mode, up to a factor."""
    is_left = distance < 0
    share = ndtr(distance / np.where(is_left, left, right))
    return np.asarray(np.where(is_left, 2 * left * share, left + right * (2 * share - 1)))
