"""Mode coverage: clusters of real rows that are missing, or less varied, in the synthetic table."""

from __future__ import annotations

import numpy as np
from scipy.cluster.vq import kmeans2, vq
from scipy.spatial import cKDTree
from scipy.stats import norm

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.bootstrap import FAMILYWISE_RATE, N_DRAWS, half_width, subsample
from tabsynth.evaluation.stats.design_matrix import FeatureEncoder
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.table_comparison import Comparison

MAX_ROWS = 4_000
N_MODES = 8
MIN_MODE_ROWS = 40
"""Minimum number of real rows of a mode."""

MAX_SPACING_ROWS = 300
"""Maximum rows of a mode for nearest-neighbour distances."""


def mode_score(comparison: Comparison, rng: np.random.Generator) -> Score | None:
    """Score the loss of each mode's share of rows, or of its variety; None if the table is too small."""
    real = subsample(comparison.real, MAX_ROWS, rng)
    if len(real) < N_MODES * MIN_MODE_ROWS / 2:
        return None
    encoder = FeatureEncoder.of(real)
    scale = encoder.features(real).std(axis=0)
    rows = encoder.features(real)
    centres, _ = kmeans2(rows, N_MODES, minit="++", rng=rng)
    labels = vq(rows, centres)[0]
    large = [k for k in range(N_MODES) if (labels == k).sum() >= MIN_MODE_ROWS]
    if not large:
        return None

    def retention(left: EncodedTable, right: EncodedTable) -> tuple[Floats, Floats]:
        a, b = (encoder.features(subsample(table, MAX_ROWS, rng)) for table in (left, right))
        return _retention(a, b, centres, large, rng)

    left, error = retention(comparison.real, comparison.synthetic)
    value = _mode_loss(left)
    floor = np.mean([_mode_loss(retention(*side)[0]) for side in comparison.floor_pairs], axis=0)
    shares = np.array([(labels == k).mean() for k in large])
    shares = shares / shares.sum()
    total = float(value @ shares)
    noise = rng.normal(size=(N_DRAWS, *error.shape)) * error
    noise[:, 0] -= (noise[:, 0] @ shares)[:, None]  # the shares of all modes sum to one
    half = half_width(_mode_loss(np.moveaxis(left * (1 + noise), 1, 0)) @ shares)
    order = np.argsort(-(value - floor), kind="stable")
    reach = norm.isf(FAMILYWISE_RATE / (2 * len(large)))  # two tests per mode: share and variety
    return Score(
        name="mode_loss",
        value=100 * total,
        interval=(100 * max(0.0, total - half), 100 * min(1.0, total + half)),
        better="lower",
        target=0.0,
        floor=100 * float(floor @ shares),
        unit="%",
        description="Relative loss of the share of each cluster of real rows, or of its variety.",
        method=f"{len(large)} k-means clusters of up to {MAX_ROWS:,} real rows; the loss is the larger of the relative "
        "decreases of the cluster's share and of the mean nearest-neighbour distance in it. Interval: "
        f"{N_DRAWS} draws of both. Floor: real against real rows.",
        detail=tuple(
            Part(
                columns=(_describe_mode(encoder, rows, labels == large[i], scale),),
                value=100 * float(value[i]),
                floor=100 * float(floor[i]),
                chance=100 * float(reach * error[:, i].max()),
            )
            for i in order
        ),
    )


def _mode_loss(retention: Floats) -> Floats:
    """Return the loss of each mode, the larger of share and variety, from retention of shape (2, ..., modes)."""
    return np.asarray(np.clip(1 - retention.min(axis=0), 0.0, 1.0))


def _retention(
    left: Floats, right: Floats, centres: Floats, large: list[int], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return ratios of share and variety of each mode to the real ones, and their relative standard errors.

    Both have shape (2, modes). The ratio of variety of a mode with few rows is 1, without error.
    """
    one, two = vq(left, centres)[0], vq(right, centres)[0]
    out, errors = np.ones((2, len(large))), np.zeros((2, len(large)))
    for i, k in enumerate(large):
        sides = left[one == k], right[two == k]
        n, m = (max(len(side), 1) for side in sides)
        out[0, i] = (len(sides[1]) / len(right)) / max(len(sides[0]) / len(left), 1e-9)
        errors[0, i] = (1 / n + 1 / m) ** 0.5
        n_rows = min(MAX_SPACING_ROWS, len(sides[0]), len(sides[1]))
        if n_rows < 8:
            continue
        gaps = [_neighbour_distances(side[rng.permutation(len(side))[:n_rows]]) for side in sides]
        real, synthetic = (float(each.mean()) for each in gaps)
        if real > 1e-9:
            out[1, i] = synthetic / real
            errors[1, i] = (
                sum((float(each.std()) / max(float(each.mean()), 1e-9)) ** 2 / n_rows for each in gaps) ** 0.5
            )
    return out, errors


def _neighbour_distances(rows: Floats) -> Floats:
    """Return the distance of each row to its nearest neighbour, shape (n,)."""
    return np.asarray(cKDTree(rows).query(rows, k=2)[0][:, 1])


def _describe_mode(encoder: FeatureEncoder, rows: Floats, inside: Integers | np.ndarray, scale: Floats) -> str:
    """Describe a mode by its two most deviating features."""
    apart = (rows[inside].mean(axis=0) - rows.mean(axis=0)) / np.where(scale > 0, scale, np.inf)
    words: list[str] = []
    for f in np.argsort(-np.abs(apart), kind="stable"):
        name = encoder.names[f]
        if apart[f] > 0 or "=" not in name:
            words.append(
                name if "=" in name or name.endswith("missing") else f"{'high' if apart[f] > 0 else 'low'} {name}"
            )
        if len(words) == 2:
            break
    return "rows with " + " and ".join(words) if words else "all rows"
