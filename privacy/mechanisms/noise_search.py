"""Search of the smallest noise that a privacy budget allows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable


def least_noise(epsilon: Callable[[float], float], budget: float, low: float, fitting: tuple[float, float]) -> float:
    """Return a noise multiplier within 0.1 % above the smallest one that the budget allows, or above ``low``.

    Epsilon is nearly a power of the multiplier, so few steps of interpolation on logarithms find it; each fourth step
    halves the bracket in any case.

    Args:
        epsilon: The epsilon of a multiplier, decreasing.
        budget: The largest epsilon allowed.
        low: A lower limit of the multiplier.
        fitting: A multiplier that the budget allows, and its epsilon.
    """
    high, least = fitting
    most, margin = epsilon(low), 1.0004
    if most <= budget:
        return low
    for attempt in itertools.count(1):
        if high / low <= 1.001:
            break
        share = 0.5
        if attempt % 4 and least > 0 and math.isfinite(most):
            share = math.log(most / budget) / math.log(most / least)
        # The point is slightly off the estimate, so that both ends of the bracket change.
        point = low * (high / low) ** share * (margin if share < 0.5 or high / low > 1.01 else 1 / margin)
        point = min(max(point, low * margin), high / margin)
        value = epsilon(point)
        if value <= budget:
            high, least = point, value
        else:
            low, most = point, value
    return high
