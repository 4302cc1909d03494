"""Modes: kinds of rows that the synthetic table lacks, or of which it holds the same few over and over."""

from __future__ import annotations

import numpy as np
from scipy.cluster.vq import kmeans2, vq
from scipy.spatial import cKDTree
from scipy.stats import norm

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.bootstrap import DRAWS, RARELY, half_width, sampled
from tabsynth.evaluation.stats.design_matrix import Encoder
from tabsynth.evaluation.stats.encoded_table import Coded
from tabsynth.evaluation.stats.table_comparison import Comparison

MOST_ROWS = 4_000
MODES = 8
FEWEST = 40
"""Real rows that a mode needs."""

NEAR = 300
"""Rows of a mode whose distance to their neighbour is taken."""


def mode_score(comparison: Comparison, rng: np.random.Generator) -> Score | None:
    """What share of each mode's rows, or of their variety, is lost; None for a table too small to have modes."""
    real = sampled(comparison.real, MOST_ROWS, rng)
    if len(real) < MODES * FEWEST / 2:
        return None
    encoder = Encoder.of(real)
    scale = encoder.features(real).std(axis=0)
    rows = encoder.features(real)
    centres, _ = kmeans2(rows, MODES, minit="++", rng=rng)
    labels = vq(rows, centres)[0]
    large = [k for k in range(MODES) if (labels == k).sum() >= FEWEST]
    if not large:
        return None

    def kept(left: Coded, right: Coded) -> tuple[Floats, Floats]:
        a, b = (encoder.features(sampled(table, MOST_ROWS, rng)) for table in (left, right))
        return _kept(a, b, centres, large, rng)

    left, error = kept(comparison.real, comparison.made)
    value = _lost(left)
    floor = np.mean([_lost(kept(*side)[0]) for side in comparison.sides], axis=0)
    shares = np.array([(labels == k).mean() for k in large])
    shares = shares / shares.sum()
    total = float(value @ shares)
    noise = rng.normal(size=(DRAWS, *error.shape)) * error
    noise[:, 0] -= (noise[:, 0] @ shares)[:, None]  # the shares of all modes together stay one
    half = half_width(_lost(np.moveaxis(left * (1 + noise), 1, 0)) @ shares)
    order = np.argsort(-(value - floor), kind="stable")
    reach = norm.isf(RARELY / (2 * len(large)))  # of the share as of the variety
    return Score(
        name="mode_loss",
        title="Modes lost",
        value=100 * total,
        interval=(100 * max(0.0, total - half), 100 * min(1.0, total + half)),
        better="lower",
        target=0.0,
        floor=100 * float(floor @ shares),
        unit="%",
        description="Share of each kind of row, or of the variety within it, that the synthetic table lacks.",
        method=f"{len(large)} k-means clusters of up to {MOST_ROWS:,} real rows; lost is what its share, or the mean "
        f"distance of a row to the next, falls short by. Interval: {DRAWS} draws of both. Floor: real "
        "rows against real rows.",
        detail=tuple(
            Part(
                columns=(_named(encoder, rows, labels == large[i], scale),),
                value=100 * float(value[i]),
                floor=100 * float(floor[i]),
                chance=100 * float(reach * error[:, i].max()),
            )
            for i in order
        ),
    )


def _lost(kept: Floats) -> Floats:
    """The share, or the variety if that is less, by which each mode falls short, from shape (2, ..., modes)."""
    return np.asarray(np.clip(1 - kept.min(axis=0), 0.0, 1.0))


def _kept(
    left: Floats, right: Floats, centres: Floats, large: list[int], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Share and variety of each mode over the real ones, and their relative standard errors, shape (2, modes) each.

    The variety of a mode of few rows is not looked at: it is taken for 1 without an error.
    """
    one, two = vq(left, centres)[0], vq(right, centres)[0]
    out, errors = np.ones((2, len(large))), np.zeros((2, len(large)))
    for i, k in enumerate(large):
        sides = left[one == k], right[two == k]
        n, m = (max(len(side), 1) for side in sides)
        out[0, i] = (len(sides[1]) / len(right)) / max(len(sides[0]) / len(left), 1e-9)
        errors[0, i] = (1 / n + 1 / m) ** 0.5
        few = min(NEAR, len(sides[0]), len(sides[1]))
        if few < 8:
            continue
        gaps = [_spacing(side[rng.permutation(len(side))[:few]]) for side in sides]
        real, made = (float(each.mean()) for each in gaps)
        if real > 1e-9:
            out[1, i] = made / real
            errors[1, i] = sum((float(each.std()) / max(float(each.mean()), 1e-9)) ** 2 / few for each in gaps) ** 0.5
    return out, errors


def _spacing(rows: Floats) -> Floats:
    """Distance of each row to its nearest neighbour, shape (n,)."""
    return np.asarray(cKDTree(rows).query(rows, k=2)[0][:, 1])


def _named(encoder: Encoder, rows: Floats, inside: Integers | np.ndarray, scale: Floats) -> str:
    """A mode by the two features in which it stands out."""
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
