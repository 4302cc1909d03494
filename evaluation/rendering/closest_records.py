"""Histograms of the distance to the closest training record, of synthetic and of held-out rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabsynth.evaluation.metrics.memorisation import nearest_distances
from tabsynth.evaluation.stats.bootstrap import subsample
from tabsynth.evaluation.stats.encoded_table import EncodedTable

MAX_TRAIN_ROWS, MAX_ROWS = 10_000, 1_000
"""Maximum training rows to which distances are computed, and maximum synthetic, and held-out, rows."""

MIN_ROWS = 50
N_BINS = 24
SHOWN_SHARE = 0.99
"""Share of the distances that the bins cover; the last bin is open."""


def closest_record_distances(
    train: EncodedTable, synthetic: EncodedTable, holdout: EncodedTable | None, rng: np.random.Generator
) -> dict[str, Any] | None:
    """Return a histogram of Gower distances to the closest training record; None without enough held-out rows.

    Returns:
        ``edges`` of the bins, per column from 0 to 1; ``synthetic`` and ``holdout``: shares of rows in percent; and the
        median distance of both, ``synthetic_median`` and ``holdout_median``.
    """
    if holdout is None or min(len(train), len(synthetic), len(holdout)) < MIN_ROWS:
        return None
    real = subsample(train, MAX_TRAIN_ROWS, rng)
    sides = [subsample(table, MAX_ROWS, rng) for table in (synthetic, holdout)]
    d = len(train.encoding.names)
    distances = [nearest_distances(rows, real, train) / d for rows in sides]
    top = float(np.quantile(np.concatenate(distances), SHOWN_SHARE))
    if not np.isfinite(top) or top <= 0:
        return None
    edges = np.linspace(0.0, top, N_BINS + 1)
    shares = [
        np.bincount(np.minimum(np.searchsorted(edges[1:-1], each, "right"), N_BINS - 1), minlength=N_BINS) / len(each)
        for each in distances
    ]
    return {
        "edges": [round(float(x), 6) for x in edges],
        "synthetic": [round(100 * float(x), 3) for x in shares[0]],
        "holdout": [round(100 * float(x), 3) for x in shares[1]],
        "synthetic_median": round(float(np.median(distances[0])), 5),
        "holdout_median": round(float(np.median(distances[1])), 5),
    }
