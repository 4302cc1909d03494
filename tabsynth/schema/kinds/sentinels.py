"""Ask about numbers that may mean that a value is missing: -999, a lone -1, a 0 far from all other values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MIN_ROWS = 20
"""In fewer rows, a single 9 is no marker."""
MIN_MARKED_ROWS = 5
MIN_OTHER_VALUES = 10
"""Fewer distinct other values may be codes, of which the marker is one."""
MAX_ZERO_SHARE = 0.5
"""A 0 in more rows is the usual value, such as that of losses."""
FAR_OUTLIER_IQRS = 3.0
"""Tukey's outer fence: a number is far from the others if it is so many interquartile ranges below their quartile."""
REMEDY = "Then leave such cells empty"


def sentinel_question(data: npt.NDArray[np.float64]) -> str:
    """Return the question about a repeated extreme that may mean missing; empty if there is none."""
    for extreme in sorted({float(data.min()), float(data.max())}):
        rest = data[data != extreme]
        count = len(data) - len(rest)
        if count < MIN_MARKED_ROWS or not len(rest):
            continue
        if _is_nines(extreme, data, rest):
            return f"does {extreme:.0f}, which {count} rows have, mean that the value is missing or capped? {REMEDY}"
        if _is_lone_negative(extreme, rest) or _is_far_zero(extreme, count / len(data), rest):
            return f"does {extreme:.0f}, which {count} rows have, mean that the value is missing? {REMEDY}"
    return ""


def _is_nines(extreme: float, data: npt.NDArray[np.float64], rest: npt.NDArray[np.float64]) -> bool:
    """Return whether an extreme consists of nines and is far from the range of the others."""
    digits = f"{abs(extreme):.0f}" if extreme % 1 == 0 else ""
    if not digits or set(digits) != {"9"} or (len(digits) == 1 and len(data) < MIN_ROWS):
        return False
    return float(np.abs(rest - extreme).min()) > 0.5 * max(float(np.ptp(rest)), 1.0)


def _is_lone_negative(extreme: float, rest: npt.NDArray[np.float64]) -> bool:
    """Return whether -1 is the only negative number."""
    return extreme == -1 and rest.min() >= 0 and len(np.unique(rest)) >= MIN_OTHER_VALUES


def _is_far_zero(extreme: float, share: float, rest: npt.NDArray[np.float64]) -> bool:
    """Return whether 0 is an outlier below numbers that are all positive."""
    if extreme != 0 or share > MAX_ZERO_SHARE or rest.min() <= 0 or len(np.unique(rest)) < MIN_OTHER_VALUES:
        return False
    low, high = np.quantile(rest, [0.25, 0.75])
    spread = float(high - low)
    return bool(low - FAR_OUTLIER_IQRS * spread > 0 and rest.min() > 0.5 * spread)
