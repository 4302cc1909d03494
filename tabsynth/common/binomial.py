"""Intervals of shares: Wilson, Newcombe and Clopper-Pearson."""

from __future__ import annotations

from scipy.stats import beta, norm

from tabsynth.errors import DataError


def wilson(wins: float, n: float, n_comparisons: int = 1) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, Journal of the American Statistical Association 22, 1927)."""
    z = float(norm.ppf(1 - 0.025 / n_comparisons))
    share = wins / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5 / (1 + z**2 / n)
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval of a share k/n (Clopper and Pearson, Biometrika 26, 1934).

    Example:
        >>> low, high = clopper_pearson(100, 100)
        >>> round(low, 4), high
        (0.9638, 1.0)
    """
    if not 0 <= k <= n or n < 1:
        raise DataError(f"{k} successes of {n} are no share; give 0 <= k <= n and n of at least 1")
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(1 - tail, k + 1, n - k))
    return low, high


def newcombe(a: int, n: int, b: int, m: int, n_comparisons: int = 1) -> tuple[float, float]:
    """Return the 95 % interval of a/n - b/m (Newcombe, Statistics in Medicine 17, 1998, method 10).

    Args:
        a: Successes of the first ``n``, at least 1.
        n: Trials of the first.
        b: Successes of the second ``m``, at least 1.
        m: Trials of the second.
        n_comparisons: Differences among which this is the largest (Bonferroni).
    """
    p, q = a / n, b / m
    (low_p, high_p), (low_q, high_q) = wilson(a, n, n_comparisons), wilson(b, m, n_comparisons)
    return (
        p - q - ((p - low_p) ** 2 + (high_q - q) ** 2) ** 0.5,
        p - q + ((high_p - p) ** 2 + (q - low_q) ** 2) ** 0.5,
    )
