"""Real and synthetic rows in two directions, as counts: an outline of both tables and none of their rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabsynth.evaluation.rendering.histograms import MIN_CELL_ROWS
from tabsynth.evaluation.stats.bootstrap import subsample
from tabsynth.evaluation.stats.design_matrix import FeatureEncoder
from tabsynth.evaluation.stats.encoded_table import EncodedTable

MAX_ROWS = 5_000
N_CELLS = 24
MAX_DEVIATIONS = 3.0
"""Deviations at which a feature is cut, so that no single rare value makes a direction."""

OUTER_CELL_SHARE = 0.01
"""Share of the real rows on either side that the outer cells take in."""


def projection(real: EncodedTable, synthetic: EncodedTable, rng: np.random.Generator) -> dict[str, Any] | None:
    """Counts over the first two principal components of the real rows; None where there are not two.

    Returns:
        ``explained``: the share of variance of both components, in percent; ``real`` and ``synthetic``: rows of a grid
        from top to bottom, each cell the share of rows in permille. A cell with fewer than five real rows says zero.
        ``loadings``: for each component the columns it is mostly made of.
    """
    sides = [subsample(table, MAX_ROWS, rng) for table in (real, synthetic)]
    encoder = FeatureEncoder.of(real)
    if len(encoder.names) < 2 or len(sides[0]) < 4 * MIN_CELL_ROWS:
        return None
    left, right = (encoder.features(side) for side in sides)
    scale = left.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    left, right = (
        np.clip((rows - left.mean(axis=0)) / scale, -MAX_DEVIATIONS, MAX_DEVIATIONS) for rows in (left, right)
    )
    middle = left.mean(axis=0)
    _, size, directions = np.linalg.svd(left - middle, full_matrices=False)
    if len(size) < 2 or size[1] <= 1e-9 * size[0]:
        return None
    points = [(rows - middle) @ directions[:2].T for rows in (left, right)]
    ends = np.quantile(points[0], [OUTER_CELL_SHARE, 1 - OUTER_CELL_SHARE], axis=0)
    edges = [np.linspace(float(ends[0, k]), float(ends[1, k]), N_CELLS - 1) for k in (0, 1)]
    grids = []
    for at, rows in enumerate(points):
        x, y = (np.searchsorted(edges[k], rows[:, k]) for k in (0, 1))
        counts = np.bincount((N_CELLS - 1 - y) * N_CELLS + x, minlength=N_CELLS * N_CELLS).reshape(N_CELLS, N_CELLS)
        if at == 0:
            counts = np.where(counts < MIN_CELL_ROWS, 0, counts)
        grids.append([[round(float(1000 * c / len(rows)), 2) for c in row] for row in counts])
    names = real.encoding.names
    loadings = []
    for k in (0, 1):
        each = np.zeros(len(names))
        np.add.at(each, encoder.sources, directions[k] ** 2)
        loadings.append([names[j] for j in np.argsort(-each, kind="stable")[:3]])
    explained = [round(float(100 * s**2 / (size**2).sum()), 2) for s in size[:2]]
    return {"explained": explained, "real": grids[0], "synthetic": grids[1], "loadings": loadings}
