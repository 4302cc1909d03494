"""Modes: kinds of rows that the synthetic table lacks, or of which it holds the same few over and over."""

from __future__ import annotations

import numpy as np
from scipy.cluster.vq import kmeans2, vq
from scipy.spatial import cKDTree
from scipy.stats import norm

from tabsynth.evaluation.coded import Coded, Floats, Ints
from tabsynth.evaluation.comparison import Comparison
from tabsynth.evaluation.encode import Encoder
from tabsynth.evaluation.resample import sampled
from tabsynth.evaluation.score import Part, Score

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

    def loss(left: Coded, right: Coded) -> tuple[Floats, Floats]:
        a, b = (encoder.features(sampled(table, MOST_ROWS, rng)) for table in (left, right))
        return _losses(a, b, centres, large, rng)

    value, error = loss(comparison.real, comparison.made)
    floor = np.mean([loss(*side)[0] for side in comparison.sides], axis=0)
    shares = np.array([(labels == k).mean() for k in large])
    shares = shares / shares.sum()
    total = float(value @ shares)
    half = float(norm.ppf(0.975)) * float(np.sqrt((shares * error) @ (shares * error)))
    order = np.argsort(-(value - floor), kind="stable")
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
        f"distance of a row to the next, falls short by. Interval: of the shares of the modes. Floor: real "
        "rows against real rows.",
        detail=tuple(
            Part(
                columns=(_named(encoder, rows, labels == large[i], scale),),
                value=100 * float(value[i]),
                floor=100 * float(floor[i]),
            )
            for i in order
        ),
    )


def _losses(
    left: Floats, right: Floats, centres: Floats, large: list[int], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """What each mode loses and the standard error of its share relative to the real one, shape (modes,) each."""
    one, two = vq(left, centres)[0], vq(right, centres)[0]
    lost = [_loss(left[one == k], right[two == k], len(left), len(right), rng) for k in large]
    counts = [(max(int((one == k).sum()), 1), max(int((two == k).sum()), 1)) for k in large]
    return np.array(lost), np.array([(1 / a + 1 / b) ** 0.5 for a, b in counts])


def _loss(left: Floats, right: Floats, n: int, m: int, rng: np.random.Generator) -> float:
    share = (len(right) / m) / max(len(left) / n, 1e-9)
    k = min(NEAR, len(left), len(right))
    if k < 8:
        return float(np.clip(1 - share, 0.0, 1.0))
    gaps = [_spacing(side[rng.permutation(len(side))[:k]]) for side in (left, right)]
    variety = gaps[1] / gaps[0] if gaps[0] > 1e-9 else 1.0
    return float(np.clip(1 - min(share, variety), 0.0, 1.0))


def _spacing(rows: Floats) -> float:
    """Mean distance of a row to its nearest neighbour."""
    return float(cKDTree(rows).query(rows, k=2)[0][:, 1].mean())


def _named(encoder: Encoder, rows: Floats, inside: Ints | np.ndarray, scale: Floats) -> str:
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
