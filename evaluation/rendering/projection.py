"""Densities of both tables over two principal components, as counts that reveal no single row."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.linalg import svds

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.rendering.histograms import MIN_CELL_ROWS
from tabsynth.evaluation.stats.bootstrap import subsample
from tabsynth.evaluation.stats.design_matrix import FeatureEncoder
from tabsynth.evaluation.stats.encoded_table import EncodedTable

MAX_ROWS = 5_000
MIN_CELLS, MAX_CELLS, ROWS_PER_CELL = 4, 24, 12
"""Bounds of the number of cells per axis, and mean number of rows per cell."""

MAX_DENSE_FEATURES = 300
"""Maximum number of features, or rows, for a full decomposition."""

MAX_DEVIATIONS = 3.0
"""Standard deviations at which features are clipped, so that no rare value dominates a component."""

OUTER_CELL_SHARE = 0.01
"""Share of the real rows in the outer cells on each side."""


def projection(
    real: EncodedTable, synthetic: EncodedTable, held_out: EncodedTable | None, rng: np.random.Generator
) -> dict[str, Any] | None:
    """Count rows over the first two principal components of the real rows; None if there are fewer than two.

    Returns:
        ``explained``, the percentage of variance of both components; ``real`` and ``synthetic``, a grid from top to
        bottom with the share of rows of each cell in permille, zero for cells with fewer than five rows; ``loadings``,
        the columns with the largest loadings of each component; ``difference``, the total variation of the two
        densities in percent, and ``floor``, that of held-out real rows, or of halves of the real rows, scaled to these
        numbers of rows.
    """
    real_rows, synthetic_rows = (subsample(table, MAX_ROWS, rng) for table in (real, synthetic))
    n, m = len(real_rows), len(synthetic_rows)
    encoder = FeatureEncoder.of(real)
    if len(encoder.names) < 2 or n < 4 * MIN_CELL_ROWS:
        return None
    features = encoder.features(real_rows)
    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)

    def standardise(rows: Floats) -> Floats:
        return np.asarray(np.clip((rows - centre) / scale, -MAX_DEVIATIONS, MAX_DEVIATIONS))

    middle = standardise(features).mean(axis=0)
    size, directions, variance = _principal_directions(standardise(features) - middle)
    if len(size) < 2 or size[1] <= 1e-9 * size[0]:
        return None
    cells = int(np.clip(np.sqrt(min(n, m) / ROWS_PER_CELL), MIN_CELLS, MAX_CELLS))
    points = (standardise(features) - middle) @ directions[:2].T
    ends = np.quantile(points, [OUTER_CELL_SHARE, 1 - OUTER_CELL_SHARE], axis=0)
    edges = [np.linspace(float(ends[0, k]), float(ends[1, k]), cells - 1) for k in (0, 1)]

    def count(points: Floats) -> Integers:
        x, y = (np.searchsorted(edges[k], points[:, k]) for k in (0, 1))
        return np.bincount((cells - 1 - y) * cells + x, minlength=cells * cells)

    def project(table: EncodedTable) -> Floats:
        return np.asarray((standardise(encoder.features(table)) - middle) @ directions[:2].T)

    counts = count(points), count(project(synthetic_rows))
    order = rng.permutation(n)
    sides = points[order[: n // 2]], points[order[n // 2 :]]
    if held_out is not None:
        sides = points, project(subsample(held_out, MAX_ROWS, rng))
    factor = np.sqrt((1 / n + 1 / m) / (1 / len(sides[0]) + 1 / len(sides[1])))
    floor = min(100.0, factor * _percent_apart(count(sides[0]), count(sides[1])))
    names = real.encoding.names
    loadings = []
    for k in (0, 1):
        each = np.zeros(len(names))
        np.add.at(each, encoder.sources, directions[k] ** 2)
        loadings.append([names[j] for j in np.argsort(-each, kind="stable")[:3]])
    return {
        "explained": [round(float(100 * s**2 / variance), 2) for s in size[:2]],
        "real": _grid(counts[0], cells),
        "synthetic": _grid(counts[1], cells),
        "loadings": loadings,
        "difference": round(_percent_apart(*counts), 2),
        "floor": round(float(floor), 2),
    }


def _principal_directions(rows: Floats) -> tuple[Floats, Floats, float]:
    """Return singular values, directions and the total variance; for large tables the first two components."""
    if min(rows.shape) <= MAX_DENSE_FEATURES:
        _, size, directions = np.linalg.svd(rows, full_matrices=False)
    else:
        _, size, directions = svds(rows, k=2, v0=np.ones(min(rows.shape)))
        size, directions = size[::-1], directions[::-1]
    return size, directions, float((rows**2).sum()) or 1.0


def _percent_apart(left: Integers, right: Integers) -> float:
    return 50 * float(np.abs(left / left.sum() - right / right.sum()).sum())


def _grid(counts: Integers, cells: int) -> list[list[float]]:
    """Return the shares in permille, row by row; small cells are suppressed."""
    shown = np.where(counts < MIN_CELL_ROWS, 0, counts).reshape(cells, cells)
    return [[round(float(1000 * c / counts.sum()), 2) for c in row] for row in shown]
