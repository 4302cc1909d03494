"""Fidelity: how close every column, and every pair of columns, is to the real table.

The definitions are those of SDMetrics (KSComplement, TVComplement, CorrelationSimilarity, ContingencySimilarity), as
errors in percent: 100 * (1 - similarity). Missing values count: a category has one more value, "missing"; a number's
error is at least the difference of the shares of missing values; a contingency table has a row for missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tabsynth.evaluation.coded import Coded, Floats
from tabsynth.evaluation.distance import shape_errors, trend_errors
from tabsynth.evaluation.resample import DRAWS
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.spread import spreads

HALVES = 3
"""Random splits of the training table over which the floor is averaged when there is no holdout."""


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Errors of all columns and pairs, as fractions.

    Attributes:
        shape: Error of every column, shape (d,).
        trend: Error of every pair, shape (d, d), symmetric, zero on the diagonal.
    """

    shape: Floats
    trend: Floats


def fidelity_scores(train: Coded, synthetic: Coded, holdout: Coded | None, rng: np.random.Generator) -> list[Score]:
    """Shape and trend error with intervals and floors; no trend error for a table of one column.

    Args:
        train: The real table.
        synthetic: The synthetic one.
        holdout: Real rows that the model has not seen, for the floor; without it halves of ``train`` serve.
        rng: Draws groups, halves and subsamples.
    """
    book = train.book
    found = Fidelity(shape_errors(train, synthetic), trend_errors(train, synthetic))
    floor, how = real_floor(train, len(synthetic), holdout, rng)
    shape_spread, trend_spread = spreads(train, synthetic, rng)
    method = f"Interval: {DRAWS} bootstrap draws of groups of rows of both tables. Floor: {how}."
    pairs = list(combinations(range(len(book.names)), 2))
    scores = [
        Score(
            name="shape_error",
            title="Column shapes",
            value=100 * float(found.shape.mean()),
            interval=_interval(100 * float(found.shape.mean()), 100 * shape_spread),
            better="lower",
            target=0.0,
            floor=100 * float(floor.shape.mean()),
            unit="%",
            description="How far each column's distribution is from the real one, on average over the columns.",
            method=method,
            detail=tuple(
                Part(columns=(name,), value=100 * float(value), floor=100 * float(low))
                for name, value, low in zip(book.names, found.shape, floor.shape, strict=True)
            ),
        )
    ]
    if pairs:
        mean = 100 * float(np.mean([found.trend[p] for p in pairs]))
        scores.append(
            Score(
                name="trend_error",
                title="Pair trends",
                value=mean,
                interval=_interval(mean, 100 * trend_spread),
                better="lower",
                target=0.0,
                floor=100 * float(np.mean([floor.trend[p] for p in pairs])),
                unit="%",
                description="How far the relation between two columns is from the real one, on average over the pairs.",
                method=method,
                detail=tuple(
                    Part(
                        columns=(book.names[a], book.names[b]),
                        value=100 * float(found.trend[a, b]),
                        floor=100 * float(floor.trend[a, b]),
                    )
                    for a, b in pairs
                ),
            )
        )
    return scores


def real_floor(train: Coded, rows: int, holdout: Coded | None, rng: np.random.Generator) -> tuple[Fidelity, str]:
    """What ``rows`` fresh real rows would score against ``train``, and how that was found.

    Fresh rows are the holdout, or else one half of the training table against the other. Where there are fewer than
    wanted the error is scaled by sqrt((1/n + 1/rows) / (1/a + 1/b)), as sampling noise goes, with a and b the rows
    that were compared.
    """
    n = len(train)
    if holdout is not None:
        take = min(rows, len(holdout))
        fresh = holdout.take(rng.permutation(len(holdout))[:take])
        sides = [(train, fresh)]
        how = f"{take:,} held-out rows against the training rows"
    elif n < 4:
        zero = np.zeros(len(train.book.names))
        return Fidelity(zero, np.zeros((len(zero), len(zero)))), "zero, since the training table is too small to halve"
    else:
        sides = []
        for _ in range(HALVES):
            order = rng.permutation(n)
            sides.append((train.take(order[: n // 2]), train.take(order[n // 2 :])))
        how = f"halves of the training rows against each other, {HALVES} splits"
    shape = np.mean([shape_errors(a, b) for a, b in sides], axis=0)
    trend = np.mean([trend_errors(a, b) for a, b in sides], axis=0)
    compared = 1 / len(sides[0][0]) + 1 / len(sides[0][1])
    scale = float(np.sqrt((1 / n + 1 / rows) / compared))
    if abs(scale - 1) > 1e-9:
        how += f", times {scale:.2f} for the number of rows"
    return Fidelity(shape * scale, trend * scale), how


def _interval(value: float, half: float) -> tuple[float, float]:
    return max(0.0, value - half), min(100.0, value + half)
