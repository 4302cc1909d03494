"""Factors of few digits by which one column bounds another, such as 24 hours a day or 80 % of a price."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tabsynth.common.arrays import Floats

MAX_FACTOR_DIGITS, MAX_FACTOR_EXCESS = 2, 0.003
"""Maximum significant digits of a factor, and maximum excess over the largest ratio."""

MAX_EXCESS_SHARE = 0.02
"""The latter as a share of the distance to the next factor."""

CONVERSIONS, MAX_CONVERSION_EXCESS = (
    (7.0, 12.0, 24.0, 30.0, 31.0, 52.0, 60.0, 168.0, 365.0, 366.0, 1440.0, 8760.0),
    0.01,
)
"""Factors that convert units of time, and their maximum excess."""

CLOSE_FACTORS = (0.9 + 1e-9, 1 / 0.9 - 1e-9)
"""Factors between these are left out: the ratio of a part to the whole comes near to 1 by chance."""


def bounding_factor(low: Floats, high: Floats, step: float) -> tuple[float, float] | None:
    """Return the factor of few digits by which one column bounds another, and the slack of its rounding."""
    least, most = float(((low - step / 2) / high).max()), float((low / high).max())
    known = ((own, MAX_CONVERSION_EXCESS) for own in CONVERSIONS)
    for factor, excess in (*_round_numbers(most), *known):
        if CLOSE_FACTORS[0] < factor < CLOSE_FACTORS[1]:
            continue
        if least <= factor * (1 + 1e-9) and factor <= most * (1 + excess):
            exact = most <= factor * (1 + 1e-9)
            return factor, 0.0 if exact else -step / 2
    return None


def _round_numbers(ratio: float) -> Iterator[tuple[float, float]]:
    """Yield the numbers of few digits near a ratio, those whose reciprocals have few digits, and their limits."""
    for digits in range(MAX_FACTOR_DIGITS):
        for own, power in ((ratio, 1), (1 / ratio, -1)):
            unit = 10.0 ** (np.floor(np.log10(own)) - digits)
            excess = min(MAX_FACTOR_EXCESS, MAX_EXCESS_SHARE * unit / own)
            for number in (np.floor(own / unit), np.ceil(own / unit)):
                if number:
                    yield float(f"{number * unit:.12g}") ** power, excess
