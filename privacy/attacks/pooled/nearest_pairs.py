"""Nearest pairs: synthetic rows that are much nearer to a real row than any other real row.

The distance to the closest synthetic row is divided by the record's distance to its nearest real neighbour, so that
records in sparse and in dense regions are comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.privacy.attacks.nearest_neighbours import find_nearest
from tabsynth.privacy.attacks.pooled.real_rows import RealRows


@dataclass(frozen=True, eq=False)
class PairDistances:
    """Distances of every real row to its nearest synthetic row and to its nearest other real row, shape (n,) each."""

    to_synthetic: Floats
    to_real: Floats

    def score(self) -> Floats:
        """Return the log ratio of the two distances; a thousandth of the median distance keeps it finite."""
        scale = float(np.median(self.to_real))
        offset = 0.001 * (scale if scale > 0 else 1.0)
        return np.asarray(np.log(self.to_real + offset) - np.log(self.to_synthetic + offset))


def measure_pairs(real: RealRows) -> PairDistances:
    """Compute the distances of every real row to the nearest synthetic and the nearest other real row."""
    rows = real.points(real.table)
    to_synthetic = find_nearest(rows, real.points(real.synthetic), 1)[0][:, 0]
    to_real = find_nearest(rows, rows, 2)[0][:, 1]  # the nearest is the row itself, or its duplicate
    return PairDistances(to_synthetic, to_real)
