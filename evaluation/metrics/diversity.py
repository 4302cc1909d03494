"""Diversity: is all of the real table's variety there, and nothing beside it?

Alpha-precision and beta-recall after Alaa et al., "How faithful is your synthetic data?" (ICML 2022), on standardised
columns instead of a learned embedding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.binning import Bins
from tabsynth.evaluation.stats.bootstrap import DRAWS, around, calibrated, difference, half_width, sampled, shares
from tabsynth.evaluation.stats.design_matrix import Encoder
from tabsynth.evaluation.stats.encoded_table import Coded
from tabsynth.evaluation.stats.table_comparison import Comparison, error_score

MOST_ROWS = 2_000
"""Rows a side that precision and recall look at."""

NEIGHBOUR = 5
"""A real row is recalled when a synthetic one is as near as its fifth real neighbour."""

NEAREST = 8
"""Synthetic rows that may be nearest to a real one in some draw."""

DIMENSIONS = 16
"""Principal directions of the real rows in which distances are taken."""

REDRAWN, MOST_PARTED = 40, 10_000
"""Draws for the interval of coverage, and rows a side that are parted."""

Mask = npt.NDArray[np.bool_]

LEVELS = np.linspace(0, 1, 31)[1:]
BINS = 20


def coverage_of(real: Coded, made: Coded) -> Floats:
    """Of each column, the share of the real categories, or of the real range, that the other table holds, shape (d,).

    The definitions are those of SDMetrics' CategoryCoverage and RangeCoverage.
    """
    both, first = _joined(real, made)
    return np.asarray(_coverages(both, first[None], ~first[None])[0])


def _joined(real: Coded, made: Coded) -> tuple[Coded, Mask]:
    """The rows of both tables in one, and which of them are the first table's, shape (n + m,)."""
    both = Coded(real.book, *(np.concatenate([getattr(t, part) for t in (real, made)]) for part in ("codes", "values")))
    return both, np.arange(len(both)) < len(real)


def _coverages(rows: Coded, first: Mask, second: Mask) -> Floats:
    """Of each column, what the second of two sets of rows holds of the first, shape (b, d), from masks, shape (b, n).

    Where the first sets are all one, its mask may be of shape (1, n).
    """
    out = np.ones((len(second), len(rows.book.names)))
    numbers = iter(rows.values.T)
    for j, continuous in enumerate(rows.book.continuous):
        if continuous:
            out[:, j] = _range_coverage(next(numbers), first, second)
            continue
        order = np.argsort(rows.codes[:, j], kind="stable")
        order = order[np.count_nonzero(rows.codes[:, j] == 0) :]
        if len(order):
            starts = np.flatnonzero(np.diff(rows.codes[order, j], prepend=0))
            known, held = (np.logical_or.reduceat(mask[:, order], starts, axis=1) for mask in (first, second))
            count = known.sum(axis=1)
            out[:, j] = np.where(count > 0, (known & held).sum(axis=1) / np.maximum(count, 1), 1.0)
    return out


def _range(values: Floats, chosen: Mask) -> tuple[Floats, Floats]:
    """Least and greatest of the chosen values, shape (b,) each; NaN where none is present."""
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # missing ones come last
    if not len(order):
        return np.full(len(chosen), np.nan), np.full(len(chosen), np.nan)
    inside = chosen[:, order]
    ends = order[inside.argmax(axis=1)], order[len(order) - 1 - inside[:, ::-1].argmax(axis=1)]
    low, high = (np.where(inside.any(axis=1), values[end], np.nan) for end in ends)
    return low, high


def _parted(train: Coded, made: Coded, rng: np.random.Generator) -> Floats:
    """Mean coverage when the rows of both tables are parted anew: a bootstrap never draws beyond the ends it has."""
    both, first = _joined(*(sampled(table, MOST_PARTED, rng) for table in (train, made)))
    orders = np.array([rng.permutation(len(both)) for _ in range(REDRAWN)])
    inside = np.zeros(orders.shape, dtype=bool)
    np.put_along_axis(inside, orders, first[None], axis=1)
    return np.asarray(_coverages(both, inside, ~inside).mean(axis=1))


def _redrawn(train: Coded, made: Coded, rng: np.random.Generator) -> Floats:
    """Mean coverage under bootstrap draws of the synthetic rows: it depends on which rows are drawn, not how often."""
    both, first = _joined(train, made)
    inside = np.zeros((REDRAWN, len(both)), dtype=bool)
    for mask in inside:
        mask[len(train) + rng.integers(len(made), size=len(made))] = True
    return np.asarray(_coverages(both, first[None], inside).mean(axis=1))


def _range_coverage(values: Floats, first: Mask, second: Mask) -> Floats:
    """Share of the range of the first set's values that the second set's reach, shape (b,)."""
    (low, high), (least, most) = (_range(values, mask) for mask in (first, second))
    span = np.where(high > low, high - low, 1.0)
    share = np.maximum(1 - (np.maximum(least - low, 0.0) + np.maximum(high - most, 0.0)) / span, 0.0)
    share = np.where(np.isnan(low), 1.0, np.where(np.isnan(least), 0.0, share))
    for k in np.flatnonzero(np.broadcast_to(low == high, len(second))):  # a range of one value: is it there?
        share[k] = (values[second[k]] == low[k % len(low)]).any()
    return share


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
    value = float(each.mean())
    half = max(half_width(_redrawn(train, made, rng)), half_width(_parted(train, made, rng)))
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
        method=f"On all rows, mean over the columns; interval: {REDRAWN} bootstrap draws of synthetic rows, or as many "
        f"random partings of the rows of both tables, whichever scatter more. Floor: {how}.",
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
        keys = [(a[:, j], b[:, j]) for a, b in codes]
        value, drawn = comparison.resample.change(*keys[0], size, _evenness)
        values.append(value)
        draws.append(drawn)
        gaps = [difference(*both, size, _evenness) for both in keys[1:]]
        floors.append(float(comparison.floor([np.array(abs(gap)) for gap in gaps])))
    return error_score(
        "entropy_error",
        "Entropy",
        "How far the variety of each column's values is from the real one, on average over the columns.",
        f"Difference of entropies over the greatest possible, {BINS} bins or categories. {comparison.how}",
        [(name,) for name in comparison.real.book.names],
        np.minimum(np.array(values), 1.0),
        np.array(floors),
        np.stack(draws, axis=-1),
    )


def _evenness(counts: Floats) -> Floats:
    """Entropy over the greatest possible, for counts of shape (b, size); shape (b,)."""
    p = shares(counts)
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1) / np.log(max(counts.shape[1], 2)))


def _precision_recall(comparison: Comparison, rng: np.random.Generator) -> list[Score]:
    found = _curves(comparison.real, comparison.made, rng)
    (precision_floor, _), recall_floor = _curves(*comparison.sides[0], rng, draws=0)
    method = (
        f"One minus twice the area between the curve and the diagonal; up to {MOST_ROWS:,} rows a side in "
        f"{DIMENSIONS} principal directions. Interval: {DRAWS} bootstrap draws. Floor: real rows against real rows."
    )
    (off, drawn), recall = found
    low, high = around(off, drawn)
    half, reached = half_width(recall[1:]), float(recall[0])
    return [
        Score(
            name=name,
            title=title,
            value=100 * value,
            interval=interval,
            better="higher",
            target=100.0,
            floor=100 * float(floor),
            unit="%",
            description=text,
            method=method,
        )
        for name, title, text, value, interval, floor in (
            (
                "alpha_precision",
                "Precision of samples",
                "Do synthetic rows lie where real rows lie?",
                1 - off,
                (100 - high, 100 - low),
                1 - precision_floor,
            ),
            (
                "beta_recall",
                "Recall of the real table",
                "Is every kind of real row reached?",
                reached,
                (100 * max(0.0, reached - half), 100 * min(1.0, reached + half)),
                recall_floor[0],
            ),
        )
    ]


def _curves(
    real: Coded, made: Coded, rng: np.random.Generator, draws: int = DRAWS
) -> tuple[tuple[float, Floats], Floats]:
    """One minus alpha-precision, with draws as ``Resample.calibrated`` has them; beta-recall, and under every draw."""
    n = min(MOST_ROWS, len(real), len(made))
    encoder = Encoder.of(real)
    left, right = (encoder.features(t.take(rng.permutation(len(t))[:n])) for t in (real, made))
    middle = left.mean(axis=0)
    _, _, directions = np.linalg.svd(left - middle, full_matrices=False)
    left, right = ((rows - middle) @ directions[:DIMENSIONS].T for rows in (left, right))
    near, which = cKDTree(right).query(left, k=min(NEAREST, n))
    own = cKDTree(left).query(left, k=NEIGHBOUR + 1)[0][:, -1]
    rows = np.arange(n)

    def precision(one: Floats, other: Floats, drawn: Integers, judged: Integers) -> Floats:
        """By how much the share of rows in the ball that holds a share alpha of the real rows is off alpha."""
        centre = drawn @ one / n
        radius = np.quantile(np.repeat(np.linalg.norm(one - centre, axis=1), drawn), LEVELS)
        return _reached(np.linalg.norm(other - centre, axis=1), radius, judged) / n - LEVELS

    def recall(one: Integers, other: Integers) -> float:
        """Real rows near a synthetic one that lies within the ball that holds a share beta of the synthetic rows."""
        far = np.linalg.norm(right - other @ right / n, axis=1)
        radius = np.quantile(np.repeat(far, other), LEVELS)
        place = np.argmax(other[which] > 0, axis=1)  # the nearest that was drawn
        hit = near[rows, place] <= own + 1e-9
        return 1 - float(_off(_reached(far[which[rows, place]], radius, one * hit) / n - LEVELS))

    every = np.ones(n, dtype=np.int64)
    gap, value = precision(left, right, every, every), recall(every, every)
    if not draws:
        return (min(float(_off(gap)), 1.0), np.empty(0)), np.array([max(value, 0.0)])
    drawn = [[rng.multinomial(n, every / n) for _ in range(draws)] for _ in range(2)]
    deviation = np.array([precision(left, right, *pair) for pair in zip(*drawn, strict=True)]) - gap
    both = np.vstack([left, right])
    parted = [rng.permutation(2 * n) for _ in range(draws)]
    by_chance = np.array([precision(both[order[:n]], both[order[n:]], every, every) for order in parted])
    off = float(_off(gap))
    errors = calibrated(deviation, by_chance, gap, _off, off)
    # rows drawn twice fill no gaps: what both sides move recall by is added up, not drawn at once
    recalls = np.array([(recall(one, every), recall(every, other)) for one, other in zip(*drawn, strict=True)])
    moved = value + (recalls - recalls.mean(axis=0)).sum(axis=1)
    return (min(off, 1.0), np.minimum(errors, 1.0)), np.maximum(np.r_[value, moved], 0.0)


def _reached(distance: Floats, radius: Floats, times: Integers) -> Floats:
    """How many rows lie within each of rising radii, shape (levels,), each row counted so many times."""
    outer = np.searchsorted(radius + 1e-9, distance)
    return np.cumsum(np.bincount(outer, times, minlength=len(radius) + 1)[:-1])


def _off(gap: Floats) -> Floats:
    """Twice the area between a curve and the diagonal, from their difference, shape (..., levels)."""
    return np.asarray(2 * np.abs(gap).mean(axis=-1))
