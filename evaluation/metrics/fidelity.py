"""Fidelity of single columns and of pairs of columns.

The definitions are those of SDMetrics (KSComplement, TVComplement, CorrelationSimilarity, ContingencySimilarity), as
errors in percent: 100 * (1 - similarity). Missing values count: a category has one more value, "missing"; a number's
error is at least the difference of the shares of missing values; a contingency table has a row for missing.
"""

from __future__ import annotations

from math import comb

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.score import Part, Score
from tabsynth.evaluation.stats.bootstrap import N_DRAWS
from tabsynth.evaluation.stats.distances import shape_errors
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.ks_bootstrap import shape_spread
from tabsynth.evaluation.stats.null_distance import NullDistribution
from tabsynth.evaluation.stats.pair_trends import compare_pairs

N_SPLITS = 3
"""Number of random splits of the training table for the floor without a holdout."""


def fidelity_scores(
    train: EncodedTable, synthetic: EncodedTable, holdout: EncodedTable | None, rng: np.random.Generator
) -> list[Score]:
    """Return the shape and trend errors with intervals and floors; no trend error for a table with one column.

    Args:
        train: The real table.
        synthetic: The synthetic table.
        holdout: Held-out real rows for the floor; without them it comes from halves of ``train``.
        rng: Generator of groups, halves and subsamples.
    """
    encoding = train.encoding
    n, rows = len(train), len(synthetic)
    take = min(rows, len(holdout)) if holdout is not None else n - n // 2
    held_out = holdout.take(rng.permutation(len(holdout))[:take]) if holdout is not None else None
    # Sampling error is proportional to sqrt(1 / n + 1 / rows).
    full_variance = 1 / n + 1 / rows
    scale = float(np.sqrt(full_variance / (1 / (n if held_out is not None else max(n // 2, 1)) + 1 / take)))
    if held_out is None and n < 4:
        scale, how = 0.0, "zero, because the training table is too small to halve"
    elif held_out is not None:
        how = f"{take:,} held-out rows against the training rows"
    else:
        how = "halves of the training rows against each other"
    how += f", times {scale:.2f} for the number of rows" if scale and abs(scale - 1) > 1e-9 else ""
    shape, trend = shape_errors(train, synthetic), compare_pairs(train, synthetic, held_out, rng)
    shape_low = shape_floor(train, held_out, rng) * scale if scale else np.zeros(len(shape))
    trend_low = np.minimum(trend.floors * scale, 1.0)
    shape_half, shape_reach = shape_spread(train, synthetic, rng)
    floor = f"Floor: {how}."
    pairs, n_pairs = trend.pairs, comb(len(encoding.names), 2)
    share = "" if len(pairs) == n_pairs else f" {len(pairs):,} of {n_pairs:,} pairs, in random blocks of columns."
    scores = [
        Score(
            name="shape_error",
            value=100 * float(shape.mean()),
            interval=_interval(100 * float(shape.mean()), 100 * shape_half),
            better="lower",
            target=0.0,
            floor=100 * float(shape_low.mean()),
            unit="%",
            description="Distance between the real and the synthetic distribution, averaged over the columns.",
            method=f"Interval: {N_DRAWS} bootstrap draws of groups of rows of both tables. {floor}",
            detail=tuple(
                Part(columns=(name,), value=100 * float(value), floor=100 * float(low), chance=100 * float(reach))
                for name, value, low, reach in zip(encoding.names, shape, shape_low, shape_reach, strict=True)
            ),
        )
    ]
    if pairs:
        mean = 100 * float(np.mean([trend.errors[p] for p in pairs]))
        scores.append(
            Score(
                name="trend_error",
                value=mean,
                interval=_interval(mean, 100 * trend.half),
                better="lower",
                target=0.0,
                floor=100 * float(np.mean([trend_low[p] for p in pairs])),
                unit="%",
                description="Difference in the dependence of each pair of columns, averaged over the pairs.",
                method=f"Interval: closed form, first- and second-order terms of Hoeffding's decomposition. {floor}"
                f"{share}",
                detail=tuple(
                    Part(
                        columns=(encoding.names[a], encoding.names[b]),
                        value=100 * float(trend.errors[a, b]),
                        floor=100 * float(trend_low[a, b]),
                        chance=100 * float(trend.bound[a, b]),
                    )
                    for a, b in pairs
                ),
            )
        )
    return scores


def shape_floor(train: EncodedTable, held_out: EncodedTable | None, rng: np.random.Generator) -> Floats:
    """Return the shape errors of real rows, shape (d,).

    These are the errors of held-out rows against ``train``. Without held-out rows they are means over halvings of
    ``train``: over all halvings for categories, in closed form, and over ``N_SPLITS`` random ones for numbers.
    """
    if held_out is not None:
        return shape_errors(train, held_out)
    n = len(train)
    chance = NullDistribution.of(n // 2, n - n // 2)
    first = [rng.permutation(n) < n // 2 for _ in range(N_SPLITS)]
    out = np.empty(len(train.encoding.names))
    numbers = iter(train.values.T)
    for j, size in enumerate(train.encoding.sizes):
        if train.encoding.continuous[j]:
            values = next(numbers)
            order = np.argsort(values, kind="stable")  # missing ones come last
            out[j] = np.mean([_split_shape_error(values[order], mask[order]) for mask in first])
        else:
            out[j] = 0.5 * chance.mean[np.bincount(train.codes[:, j], minlength=size)].sum()
    return out


def _split_shape_error(values: Floats, first: np.ndarray) -> float:
    """Return the shape error between the rows of sorted values in the first part and the other rows."""
    known = len(values) - int(np.isnan(values).sum())
    one = np.cumsum(first)
    other = np.arange(1, len(values) + 1) - one
    missing = abs(float(one[known - 1] / one[-1] - other[known - 1] / other[-1])) if known else 0.0
    if not known or not one[known - 1] or not other[known - 1]:
        return missing
    last = np.flatnonzero(np.r_[values[1:known] > values[: known - 1], True])
    return max(float(np.abs(one[last] / one[known - 1] - other[last] / other[known - 1]).max()), missing)


def _interval(value: float, half: float) -> tuple[float, float]:
    return max(0.0, value - half), min(100.0, value + half)
