"""Closed-form null distribution of the difference in cell shares between two random parts of one table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tabsynth.common.arrays import Floats


@dataclass(frozen=True, eq=False)
class NullDistribution:
    """Null distribution of the difference of a cell's shares between two tables whose rows are permuted.

    Of the k rows of a cell, X are in the first table. X is hypergeometric, and the shares X / n and (k - X) / m differ
    by (1/n + 1/m) |X - E X|. The mean has a closed form (Diaconis and Zabell, "Closed form summation for classical
    distributions", Statistical Science 6, 1991).

    Attributes:
        mean: Mean of the difference for k = 0 to n + m, shape (n + m + 1,).
        variance: Its variance, shape (n + m + 1,).
    """

    mean: Floats
    variance: Floats

    @classmethod
    @lru_cache(maxsize=2)
    def of(cls, n: int, m: int) -> NullDistribution:
        """Compute the distribution for tables of n and m rows, at least one each."""
        whole = n + m
        k = np.arange(whole + 1.0)
        log = np.r_[0.0, np.cumsum(np.log(np.arange(1.0, whole + 1)))]  # of the factorials
        r = (k * n / whole).astype(np.int64) + 1  # the first value above the mean
        inside = (r <= np.minimum(k, n)) & (k.astype(np.int64) - r <= m)
        high = np.where(inside, r, 0)
        low = k.astype(np.int64) - high
        rest = whole - k.astype(np.int64)
        free = np.where(inside, n - high, 0)
        weight = log[k.astype(np.int64)] - log[high] - log[np.maximum(low, 0)]
        weight += log[rest] - log[free] - log[np.maximum(rest - free, 0)] + log[n] + log[m] - log[whole]
        spread = np.where(inside, 2.0 * r * (m - k + r) / whole * np.exp(weight), 0.0)
        unit = 1 / n + 1 / m
        mean = spread * unit
        square = unit**2 * k * (n / whole) * (m / whole) * (whole - k) / max(whole - 1, 1)
        return cls(mean, np.maximum(square - mean**2, 0.0))
