"""Detection of unit changes: a factor, with an optional offset, between real and synthetic numbers."""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.stats.encoded_table import EncodedTable


def describe_unit_change(real: EncodedTable, synthetic: EncodedTable, name: str) -> str:
    """Describe the conversion if the synthetic quantiles are a linear function of the real ones; otherwise empty."""
    j = real.encoding.names.index(name)
    if not real.encoding.continuous[j]:
        return ""
    at = int(real.encoding.continuous[:j].sum())
    levels = np.linspace(0.02, 0.98, 25)
    x, y = (np.quantile(_present(table.values[:, at]), levels) for table in (real, synthetic))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return ""
    slope, shift = float(x @ y / (x @ x)), 0.0
    if not _is_linear(x, y, slope, shift):
        slope, shift = map(float, np.polyfit(x, y, 1))
    if not _is_linear(x, y, slope, shift) or (0.9 < slope < 1.1 and abs(shift) < 0.1 * np.ptp(x)):
        return ""
    offset = "" if abs(shift) < 0.02 * np.ptp(y) else f" {'+' if shift > 0 else '−'} {abs(shift):.3g}"
    return f"; its quantiles are {slope:.3g} × the real ones{offset}, so the unit may have changed"


def _is_linear(x: Floats, y: Floats, slope: float, shift: float) -> bool:
    """Return whether most quantiles are on a line (not all, because quantiles of integers are discontinuous)."""
    return float(np.quantile(np.abs(y - slope * x - shift), 0.8)) < 0.03 * float(np.ptp(y))


def _present(values: Floats) -> Floats:
    known = values[~np.isnan(values)]
    return known if len(known) else np.zeros(1)
