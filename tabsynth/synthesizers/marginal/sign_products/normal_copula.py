"""Joint distributions of two columns under a normal copula whose correlation follows from a mean product of signs."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from tabsynth.common.arrays import Floats

MAX_CORRELATION = 0.97
"""Maximum correlation of a copula."""

N_CORRELATIONS = 65
"""Grid of correlations for the inversion."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def bivariate_normal_cdf(a: Floats, b: Floats, correlation: Floats) -> Floats:
    """Compute P(X <= a, Y <= b) for standard normals with a correlation, shape of the broadcast arguments.

    The derivative with respect to the correlation is the bivariate density (Plackett 1954); it is integrated over the
    correlation's arcsine by Gauss-Legendre quadrature.
    """
    a, b = np.clip(a, -8.0, 8.0), np.clip(b, -8.0, 8.0)
    end = np.arcsin(correlation)[..., None]
    angle = end * (_NODES + 1) / 2
    a, b = a[..., None], b[..., None]
    exponent = -(a**2 + b**2 - 2 * a * b * np.sin(angle)) / (2 * np.cos(angle) ** 2)
    added = (np.exp(exponent) * _WEIGHTS * end / 2).sum(-1) / (2 * np.pi)
    return np.asarray(ndtr(a[..., 0]) * ndtr(b[..., 0]) + added)


def correlation_of_product(product: float, first_low: float, second_low: float) -> float:
    """Return the correlation of a normal copula with a given mean product of signs.

    Args:
        product: The mean product of the signs.
        first_low: Share of the first column's negative signs.
        second_low: Share of the second column's negative signs.
    """
    grid = MAX_CORRELATION * np.sin(np.linspace(-np.pi / 2, np.pi / 2, N_CORRELATIONS))
    first, second = (np.full(len(grid), ndtri(low)) for low in (first_low, second_low))
    both_low = bivariate_normal_cdf(first, second, grid)
    implied = 1 - 2 * (first_low + second_low - 2 * both_low)
    return float(np.interp(product, implied, grid))


def copula_table(first: Floats, second: Floats, correlation: float) -> Floats:
    """Return the joint distribution of two ordered columns, given their own distributions and the correlation."""
    first_ends, second_ends = (
        ndtri(np.concatenate([[0.0], np.minimum(np.cumsum(marginal), 1.0)[:-1], [1.0]])) for marginal in (first, second)
    )
    below = bivariate_normal_cdf(first_ends[:, None], second_ends[None, :], np.full((1, 1), correlation))
    return np.maximum(np.diff(np.diff(below, axis=0), axis=1), 0.0)
