"""Signs of tokens, and noisy sums of their products over the rows.

A column's tokens are split into two halves of about equal mass with signs 1 and -1. The mean product of the signs of
two columns measures their dependence with half the noise of a table of two by two cells, because nothing is spent on
the columns' own distributions. The product of three signs shows what no table of two columns does, such as an
exclusive or.

Sensitivity: a product is between -1 and 1, so a unit of k rows changes each sum by at most k. Each sum has independent
noise and is charged its own share.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.marginal.count_source import MeasuredRows, Reader

Signs = npt.NDArray[np.int8]


def balanced_signs(marginal: Floats, n_ordered: int) -> Signs:
    """Split a column's tokens into halves of about equal mass; return the sign of each token, shape (tokens,).

    Ordered tokens are cut at one place; tokens after them (missing values) get zero, so that they do not count.
    Unordered tokens are assigned to the lighter half, the most frequent first.

    Args:
        marginal: The distribution of the column.
        n_ordered: Number of leading tokens that are ordered.
    """
    out = np.zeros(len(marginal), np.int8)
    if n_ordered > 1:
        below = np.cumsum(marginal[:n_ordered])
        cut = int(np.argmin(np.abs(below[:-1] - below[-1] / 2)))
        out[:n_ordered] = np.where(np.arange(n_ordered) <= cut, -1, 1)
        return out
    mass = {-1: 0.0, 1: 0.0}
    for token in np.argsort(-marginal, kind="stable"):
        sign = -1 if mass[-1] <= mass[1] else 1
        out[token] = sign
        mass[sign] += float(marginal[token])
    return out


def measure_products(
    signs: Sequence[Signs], tuples: Sequence[tuple[int, ...]], measured: MeasuredRows, share: float
) -> tuple[Floats, float]:
    """Measure the mean product of the signs of some tuples of columns for one charge; also return its noise.

    Args:
        signs: The sign of each token of each column.
        tuples: Positions of the columns of each product.
        measured: The rows to count.
        share: Share of the budget to spend.

    Returns:
        The noisy means, shape (tuples,), and the standard deviation of their noise.
    """
    each = share / len(tuples)

    @cache
    def read() -> Signs:
        tokens = measured.tokens()
        return np.stack([sign[tokens[:, column]] for column, sign in enumerate(signs)])

    reads = [_product_reader(read, columns) for columns in tuples]
    purpose = f"products of the signs of {len(tuples)} sets of {len(tuples[0])} columns"
    sums = measured.counts(reads, [each] * len(tuples), purpose)
    return np.array([float(total[0]) for total in sums]) / measured.rows, measured.relative_sigma(each)


def _product_reader(signs: Reader, columns: tuple[int, ...]) -> Reader:
    """Return a reader of the sum over the rows of the product of some columns' signs, shape (1,)."""

    def read() -> Integers:
        product = np.prod(signs()[list(columns)], axis=0, dtype=np.int8)
        return np.array([product.sum(dtype=np.int64)])

    return read


def product_threshold(products: int) -> float:
    """Return the standard deviations that the noise of none of this many products exceeds, with high probability.

    This is the universal threshold (Donoho and Johnstone 1994).
    """
    return float(np.sqrt(2 * np.log(max(products, 4))))
