"""Evidence of an order between two columns: rows that would violate it if their distribution continued smoothly."""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats

MIN_STEPS = 100
"""Minimum size of numbers, in steps, whose ratios count as continuous."""


def log_ratios(first: Floats, second: Floats, step: float) -> Floats:
    """Return the logarithms of ``second / first`` in the rows whose ratio is approximately continuous.

    A part of a sum is bounded by the sum. If sums differ in size, few rows are near this boundary by their difference,
    but many by their ratio.

    Args:
        first: The smaller numbers, shape (n,).
        second: The larger ones, shape (n,).
        step: The smallest difference between two numbers.
    """
    fine = first > MIN_STEPS * step
    return np.asarray(np.log(second[fine] / first[fine]))


def smooth_violations(margin: Floats, step: float, *, concave: bool = False) -> float:
    """Return the expected rows just below 0 by log-linear extrapolation of the margins' two outermost bins.

    Args:
        margin: The margins, shape (n,).
        step: The smallest difference between two numbers.
        concave: Whether the ratio of neighbouring bins continues to fall as between the outermost three, as in the
            tails of a normal distribution.
    """
    if not len(margin):
        return 0.0
    best = 0.0
    for share in (0.02, 0.05, 0.1, 0.2):
        width = max(float(np.quantile(margin, share)) / 2, step)
        if width <= 0:
            width = float(margin[margin > 0].min(initial=np.inf))
        inner, outer = int((margin < width).sum()), int(((margin >= width) & (margin < 2 * width)).sum())
        if inner:
            ratio = min(1.0, inner / max(outer, 1))
            if concave and ratio < 1:
                third = int(((margin >= 2 * width) & (margin < 3 * width)).sum())
                ratio *= min(1.0, ratio * third / max(outer, 1))
            best = max(best, inner * ratio)
    return best


def tail_rows(margin: Floats) -> float:
    """Return the expected rows below 0 if the lower tail of the margins were exponential."""
    edge = float(np.quantile(margin, 0.1))
    tail = edge - margin[margin < edge]
    return float(0.1 * len(margin) * np.exp(-edge / max(float(tail.mean()) if len(tail) else 0.0, 1e-300)))
