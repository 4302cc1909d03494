"""Diversity: coverage, entropy, α-precision and β-recall.

α-precision and β-recall follow Alaa et al., "How faithful is your synthetic data?" (ICML 2022), with standardised
columns instead of a learned embedding.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.binning import Bins
from tabsynth.evaluation.stats.bootstrap import (
    N_DRAWS,
    calibrate_draws,
    error_interval,
    half_width,
    normalise,
    statistic_difference,
)
from tabsynth.evaluation.stats.coverage import N_COVERAGE_DRAWS, bootstrap_coverage, column_coverage, permuted_coverage
from tabsynth.evaluation.stats.design_matrix import FeatureEncoder
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.table_comparison import Comparison, PartErrors

MAX_ROWS = 2_000
"""Maximum real, and synthetic, rows for precision and recall."""

N_NEIGHBOURS = 5
"""A real row is recalled if a synthetic row is at most as far as its fifth real neighbour."""

N_CANDIDATES = 8
"""Number of nearest synthetic rows of a real row that are searched in a bootstrap draw."""

N_COMPONENTS = 16
"""Number of principal components of the real rows for distances."""

RADIUS_LEVELS = np.linspace(0, 1, 31)[1:]
N_BINS = 20


def diversity_scores(
    train: EncodedTable,
    synthetic: EncodedTable,
    holdout: EncodedTable | None,
    comparison: Comparison,
    rng: np.random.Generator,
) -> list[Score]:
    """Return the scores of coverage, entropy, α-precision and β-recall.

    Args:
        train: All real rows, for coverage.
        synthetic: All synthetic rows, for coverage.
        holdout: Held-out real rows for the floor of coverage; without them it comes from half of the real rows.
        comparison: Samples of both tables for the other scores.
        rng: Generator of the samples.
    """
    scores = [_coverage_score(train, synthetic, holdout, rng), _entropy_score(comparison)]
    if (
        min(len(comparison.real), len(comparison.synthetic), *(len(side) for side in comparison.floor_pairs[0]))
        >= 4 * N_NEIGHBOURS
    ):
        scores += _precision_recall_scores(comparison, rng)
    return scores


def _coverage_score(
    train: EncodedTable, synthetic: EncodedTable, holdout: EncodedTable | None, rng: np.random.Generator
) -> Score:
    each = column_coverage(train, synthetic)
    if holdout is not None:
        held_out, how = holdout, f"{len(holdout):,} held-out rows"
    else:
        held_out, how = train.take(rng.permutation(len(train))[: max(1, len(train) // 2)]), "half of the training rows"
    floors = column_coverage(train, held_out)
    value = float(each.mean())
    half = max(
        half_width(bootstrap_coverage(train, synthetic, rng)), half_width(permuted_coverage(train, synthetic, rng))
    )
    order = np.argsort(each - floors, kind="stable")
    return Score(
        name="coverage",
        value=100 * value,
        interval=(100 * max(0.0, value - half), 100 * min(1.0, value + half)),
        better="higher",
        target=100.0,
        floor=100 * float(floors.mean()),
        unit="%",
        description="Share of real categories, and of each number's real range, that the synthetic table covers.",
        method=f"On all rows, mean over the columns; interval: the wider of {N_COVERAGE_DRAWS} bootstrap draws of "
        f"synthetic rows and as many permutations of the rows of both tables. Floor: {how}.",
        detail=tuple(
            Part(columns=(train.encoding.names[j],), value=100 * float(each[j]), floor=100 * float(floors[j]))
            for j in order
        ),
    )


def _entropy_score(comparison: Comparison) -> Score:
    bins = Bins.of(comparison.real, N_BINS)
    codes = [(bins.codes(a), bins.codes(b)) for a, b in comparison.pairs]
    errors = PartErrors()
    for j, size in enumerate(map(int, bins.sizes)):
        keys = [(a[:, j], b[:, j]) for a, b in codes]
        value, drawn = comparison.resample.statistic_change(*keys[0], size, _normalised_entropy)
        gaps = [statistic_difference(*both, size, _normalised_entropy) for both in keys[1:]]
        floor = comparison.floor([np.array(abs(gap)) for gap in gaps])
        errors.add((comparison.real.encoding.names[j],), min(value, 1.0), floor, drawn)
    return errors.score(
        "entropy_error",
        "Difference of each column's entropy, averaged over the columns.",
        f"Difference of entropies over the maximum entropy, {N_BINS} bins or categories. {comparison.method_note}",
    )


def _normalised_entropy(counts: Floats) -> Floats:
    """Return the entropy over the maximum entropy, for counts of shape (b, size); shape (b,)."""
    p = normalise(counts)
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1) / np.log(max(counts.shape[1], 2)))


def _precision_recall_scores(comparison: Comparison, rng: np.random.Generator) -> list[Score]:
    curves = _curves(comparison.real, comparison.synthetic, rng)
    (precision_floor, _), recall_floor = _curves(*comparison.floor_pairs[0], rng, draws=0)
    method = (
        f"One minus twice the area between the curve and the diagonal; up to {MAX_ROWS:,} rows of each table in "
        f"{N_COMPONENTS} principal components. Interval: {N_DRAWS} bootstrap draws. Floor: real against real rows."
    )
    (imprecision, drawn), recall = curves
    low, high = error_interval(imprecision, drawn)
    half, recalled = half_width(recall[1:]), float(recall[0])
    return [
        Score(
            name=name,
            value=100 * value,
            interval=interval,
            better="higher",
            target=100.0,
            floor=100 * float(floor),
            unit="%",
            description=text,
            method=method,
        )
        for name, text, value, interval, floor in (
            (
                "alpha_precision",
                "Share of synthetic rows within the support of the real rows.",
                1 - imprecision,
                (100 - high, 100 - low),
                1 - precision_floor,
            ),
            (
                "beta_recall",
                "Share of the real rows' support that synthetic rows cover.",
                recalled,
                (100 * max(0.0, recalled - half), 100 * min(1.0, recalled + half)),
                recall_floor[0],
            ),
        )
    ]


def _curves(
    real: EncodedTable, synthetic: EncodedTable, rng: np.random.Generator, draws: int = N_DRAWS
) -> tuple[tuple[float, Floats], Floats]:
    """Return 1 - α-precision with its calibrated draws, and β-recall with its draws."""
    n = min(MAX_ROWS, len(real), len(synthetic))
    encoder = FeatureEncoder.of(real)
    left, right = (encoder.features(t.take(rng.permutation(len(t))[:n])) for t in (real, synthetic))
    middle = left.mean(axis=0)
    _, _, directions = np.linalg.svd(left - middle, full_matrices=False)
    left, right = ((rows - middle) @ directions[:N_COMPONENTS].T for rows in (left, right))
    near, which = cKDTree(right).query(left, k=min(N_CANDIDATES, n))
    own = cKDTree(left).query(left, k=N_NEIGHBOURS + 1)[0][:, -1]
    rows = np.arange(n)

    def precision(one: Floats, other: Floats, drawn: Integers, weights: Integers) -> Floats:
        """Return the deviation from α of the share of rows in the ball that contains a share α of the real rows."""
        centre = drawn @ one / n
        radius = np.quantile(np.repeat(np.linalg.norm(one - centre, axis=1), drawn), RADIUS_LEVELS)
        return _count_within(np.linalg.norm(other - centre, axis=1), radius, weights) / n - RADIUS_LEVELS

    def recall(one: Integers, other: Integers) -> float:
        """Return the recall: real rows near a synthetic row in the ball with a share β of the synthetic rows."""
        far = np.linalg.norm(right - other @ right / n, axis=1)
        radius = np.quantile(np.repeat(far, other), RADIUS_LEVELS)
        place = np.argmax(other[which] > 0, axis=1)  # the nearest resampled row
        hit = near[rows, place] <= own + 1e-9
        return 1 - float(_curve_area(_count_within(far[which[rows, place]], radius, one * hit) / n - RADIUS_LEVELS))

    every = np.ones(n, dtype=np.int64)
    gap, value = precision(left, right, every, every), recall(every, every)
    if not draws:
        return (min(float(_curve_area(gap)), 1.0), np.empty(0)), np.array([max(value, 0.0)])
    drawn = [[rng.multinomial(n, every / n) for _ in range(draws)] for _ in range(2)]
    deviation = np.array([precision(left, right, *pair) for pair in zip(*drawn, strict=True)]) - gap
    both = np.vstack([left, right])
    permuted = [rng.permutation(2 * n) for _ in range(draws)]
    by_chance = np.array([precision(both[order[:n]], both[order[n:]], every, every) for order in permuted])
    imprecision = float(_curve_area(gap))
    errors = calibrate_draws(deviation, by_chance, gap, _curve_area, imprecision)
    # A repeated row covers no further region, so the effects of both resamples are computed separately and added.
    recalls = np.array([(recall(one, every), recall(every, other)) for one, other in zip(*drawn, strict=True)])
    moved = value + (recalls - recalls.mean(axis=0)).sum(axis=1)
    return (min(imprecision, 1.0), np.minimum(errors, 1.0)), np.maximum(np.r_[value, moved], 0.0)


def _count_within(distance: Floats, radius: Floats, times: Integers) -> Floats:
    """Return the weighted number of rows within each of ascending radii, shape (levels,)."""
    outer = np.searchsorted(radius + 1e-9, distance)
    return np.cumsum(np.bincount(outer, times, minlength=len(radius) + 1)[:-1])


def _curve_area(gap: Floats) -> Floats:
    """Return twice the area between a curve and the diagonal, from their difference, shape (..., levels)."""
    return np.asarray(2 * np.abs(gap).mean(axis=-1))
