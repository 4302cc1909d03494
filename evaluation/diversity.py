"""Diversity: is all of the real table's variety there, and nothing beside it?

Alpha-precision and beta-recall after Alaa et al., "How faithful is your synthetic data?" (ICML 2022), on standardised
columns instead of a learned embedding.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from tabsynth.evaluation.bins import Bins
from tabsynth.evaluation.coded import Coded, Floats
from tabsynth.evaluation.comparison import Comparison, error_score
from tabsynth.evaluation.encode import Encoder
from tabsynth.evaluation.resample import DRAWS, half_width
from tabsynth.evaluation.score import Part, Score

MOST_ROWS = 2_000
"""Rows a side that precision and recall look at."""

NEIGHBOUR = 5
"""A real row is recalled when a synthetic one is as near as its fifth real neighbour."""

DIMENSIONS = 16
"""Principal directions of the real rows in which distances are taken."""

LEVELS = np.linspace(0, 1, 31)[1:]
BINS = 20
BLOCKS = 20


def coverage_of(real: Coded, made: Coded) -> Floats:
    """Of each column, the share of the real categories, or of the real range, that the other table holds, shape (d,).

    The definitions are those of SDMetrics' CategoryCoverage and RangeCoverage.
    """
    out = np.ones(len(real.book.names))
    at = 0
    for j, continuous in enumerate(real.book.continuous):
        if continuous:
            out[j] = _range_coverage(real.values[:, at], made.values[:, at])
            at += 1
        else:
            known = np.unique(real.codes[:, j][real.codes[:, j] > 0])
            out[j] = np.isin(known, made.codes[:, j]).mean() if len(known) else 1.0
    return out


def _range_coverage(real: Floats, made: Floats) -> float:
    real, made = real[~np.isnan(real)], made[~np.isnan(made)]
    if not len(real):
        return 1.0
    if not len(made):
        return 0.0
    low, high = float(real.min()), float(real.max())
    if low == high:
        return 1.0 if (made == low).any() else 0.0
    short = max(float(made.min()) - low, 0.0) + max(high - float(made.max()), 0.0)
    return max(1 - short / (high - low), 0.0)


def diversity_scores(
    train: Coded, made: Coded, holdout: Coded | None, comparison: Comparison, rng: np.random.Generator
) -> list[Score]:
    """Coverage, entropy, alpha-precision and beta-recall.

    Args:
        train: All real rows; coverage is of all of them.
        made: All synthetic rows.
        holdout: Fresh real rows for coverage's floor; without them halves of the real rows serve.
        comparison: Samples of both for the rest.
        rng: Draws rows.
    """
    scores = [_coverage(train, made, holdout, rng), _entropy(comparison)]
    if min(len(comparison.real), len(comparison.made), *(len(side) for side in comparison.sides[0])) >= 4 * NEIGHBOUR:
        scores += _precision_recall(comparison, rng)
    return scores


def _coverage(train: Coded, made: Coded, holdout: Coded | None, rng: np.random.Generator) -> Score:
    each = coverage_of(train, made)
    if holdout is not None:
        fresh, how = holdout, f"{len(holdout):,} held-out rows"
    else:
        fresh, how = train.take(rng.permutation(len(train))[: max(1, len(train) // 2)]), "half of the training rows"
    floors = coverage_of(train, fresh)
    drawn = [coverage_of(train, made.take(rng.integers(len(made), size=len(made)))).mean() for _ in range(20)]
    value, half = float(each.mean()), half_width(np.array(drawn))
    order = np.argsort(each - floors, kind="stable")
    return Score(
        name="coverage",
        title="Coverage",
        value=100 * value,
        interval=(100 * max(0.0, value - half), 100 * min(1.0, value + half)),
        better="higher",
        target=100.0,
        floor=100 * float(floors.mean()),
        unit="%",
        description="Share of the real categories, and of the real range of each number, that the table holds.",
        method=f"On all rows, mean over the columns; interval: 20 bootstrap draws of synthetic rows. Floor: {how}.",
        detail=tuple(
            Part(columns=(train.book.names[j],), value=100 * float(each[j]), floor=100 * float(floors[j]))
            for j in order
        ),
    )


def _entropy(comparison: Comparison) -> Score:
    bins = Bins.of(comparison.real, BINS)
    codes = [(bins.codes(a), bins.codes(b)) for a, b in comparison.pairs]
    values, floors, draws = [], [], []
    for j, size in enumerate(map(int, bins.sizes)):
        most = np.log(max(size, 2))
        gaps = [
            float(np.subtract(*(_entropy_of(np.bincount(side[:, j], minlength=size)[None])[0] for side in both)) / most)
            for both in codes
        ]
        sides = zip((comparison.resample.left, comparison.resample.right), codes[0], strict=True)
        drawn = [_entropy_of(side.counts(keys[:, j], size)[1]) / most for side, keys in sides]
        deviation = drawn[0] - drawn[0].mean() - drawn[1] + drawn[1].mean()
        values.append(abs(gaps[0]))
        draws.append(
            comparison.resample.calibrated(
                deviation[:, None], np.array(gaps[:1]), lambda x: np.abs(x[..., 0]), abs(gaps[0])
            )
        )
        floors.append(float(comparison.floor([np.array(abs(gap)) for gap in gaps[1:]])))
    return error_score(
        "entropy_error",
        "Entropy",
        "How far the variety of each column's values is from the real one, on average over the columns.",
        f"Difference of entropies over the greatest possible, {BINS} bins or categories. {comparison.how}",
        [(name,) for name in comparison.real.book.names],
        np.minimum(np.array(values), 1.0),
        np.array(floors),
        np.column_stack(draws),
    )


def _entropy_of(counts: np.ndarray) -> Floats:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1))


def _precision_recall(comparison: Comparison, rng: np.random.Generator) -> list[Score]:
    found = [_curves(a, b, rng) for a, b in (comparison.pairs[0], comparison.sides[0])]
    (precision, recall), (precision_floor, recall_floor) = found
    method = (
        f"One minus twice the area between the curve and the diagonal; up to {MOST_ROWS:,} rows a side in "
        f"{DIMENSIONS} principal directions. Interval: {DRAWS} bootstrap draws. Floor: real rows against real rows."
    )
    out = []
    for name, title, text, draws, floor in (
        (
            "alpha_precision",
            "Precision of samples",
            "Do synthetic rows lie where real rows lie?",
            precision,
            precision_floor,
        ),
        ("beta_recall", "Recall of the real table", "Is every kind of real row reached?", recall, recall_floor),
    ):
        half = half_width(draws[1:])
        value = float(draws[0])
        out.append(
            Score(
                name=name,
                title=title,
                value=100 * value,
                interval=(100 * max(0.0, value - half), 100 * min(1.0, value + half)),
                better="higher",
                target=100.0,
                floor=100 * float(floor[0]),
                unit="%",
                description=text,
                method=method,
            )
        )
    return out


def _curves(real: Coded, made: Coded, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Integrated alpha-precision and beta-recall, and under every draw of rows, each of shape (1 + DRAWS,)."""
    n = min(MOST_ROWS, len(real), len(made))
    encoder = Encoder.of(real)
    left, right = (encoder.features(t.take(rng.permutation(len(t))[:n])) for t in (real, made))
    middle = left.mean(axis=0)
    _, _, directions = np.linalg.svd(left - middle, full_matrices=False)
    left, right = ((rows - middle) @ directions[:DIMENSIONS].T for rows in (left, right))
    weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), DRAWS)]) / n
    # precision: the share of synthetic rows within the ball that holds a share alpha of the real rows
    radius = np.quantile(np.linalg.norm(left, axis=1), LEVELS)
    inside = np.linalg.norm(right, axis=1)[:, None] <= radius + 1e-9
    # recall: real rows near a synthetic one that lies within the ball that holds a share beta of the synthetic rows
    near, which = cKDTree(right).query(left, k=3)
    distance, nearest = near[:, 0], which[:, 0]
    own = cKDTree(left).query(left, k=NEIGHBOUR + 1)[0][:, -1]
    from_centre = np.linalg.norm(right - right.mean(axis=0), axis=1)
    radius = np.quantile(from_centre, LEVELS)
    reached = (distance <= own + 1e-9)[:, None] & (from_centre[nearest][:, None] <= radius + 1e-9)
    precision, recall = (_area(np.asarray(weights @ rows.astype(np.float64))) for rows in (inside, reached))
    # the draws above are of real rows; what other synthetic rows would change is added to them from a jackknife
    marks = rng.permutation(n) % BLOCKS
    left_out = []
    for g in range(BLOCKS):
        place = np.argmax(marks[which] != g, axis=1)
        rows = np.arange(n)
        close = near[rows, place] <= own + 1e-9
        hit = close[:, None] & (from_centre[which[rows, place]][:, None] <= radius + 1e-9)
        left_out.append(_area(hit.mean(axis=0)[None])[0])
    extra = float(np.sqrt((BLOCKS - 1) * np.var(left_out)))
    recall[1:] += rng.normal(0.0, extra, DRAWS)
    return np.maximum(precision, 0.0), np.maximum(recall, 0.0)


def _area(curve: Floats) -> Floats:
    """One minus twice the area between curves, shape (b, levels), and the diagonal."""
    return np.asarray(1 - 2 * np.abs(curve - LEVELS).mean(axis=1))
