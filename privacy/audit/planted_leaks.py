"""Power of an audit: leaks of known strength are planted in the synthetic table and tested again.

Only the tests on all real rows are repeated, at a quarter of their level, so that a reported detection is not due to
chance; the other attacks may detect more. A planted row changes only the scores of the records from which it was made,
so no nearest neighbours are searched again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.copies import hash_rows
from tabsynth.privacy.attacks.pooled.interpolation import MAX_INTERPOLATED_ROWS, score_interpolation
from tabsynth.privacy.attacks.pooled.nearest_pairs import PairDistances
from tabsynth.privacy.attacks.pooled.real_rows import RealRows
from tabsynth.privacy.attacks.pooled.results import PooledResults, scan_members
from tabsynth.privacy.attacks.pooled.shared_cells import agreement
from tabsynth.privacy.attacks.rate_tests import fisher_p_value
from tabsynth.privacy.attacks.run_all import AttackResults

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1)
"""Strengths of the leaks: shares of the training records that leak."""

N_TRIALS = 5
"""Number of plantings of each leak; a leak counts as detected if all of them are."""

SAFETY_FACTOR = 4
"""Divisor of the level of each test."""

ISOLATED_SHARE = 0.1

LEAKS_OF_POWER = ("verbatim copies", "copies with 1 % noise")
MAX_UNDETECTED_SHARE = 0.02
"""An audit is powered if it detects the leaks ``LEAKS_OF_POWER`` of this share of the records."""


@dataclass(frozen=True, eq=False)
class Planted:
    """Rows made from members.

    Attributes:
        rows: The synthetic rows.
        origins: Members from which each row was made, shape (k, 1 or 2).
        interpolated: Whether the rows are interpolations of their origins.
    """

    rows: EncodedTable
    origins: Integers
    interpolated: bool = False


Plant = Callable[[RealRows, Integers, Integers, np.random.Generator], Planted]
"""Makes synthetic rows from real rows, and from other real rows if a leak needs two."""


def add_noise(noise: float) -> Plant:
    """Return a leak: copies with noise on the numbers, in units of the column's spread."""

    def plant(real: RealRows, rows: Integers, others: Integers, rng: np.random.Generator) -> Planted:
        copies = real.table.take(rows)
        if not noise:
            return Planted(copies, rows[:, None])
        values = copies.values + noise * real.space.spread * rng.normal(size=copies.values.shape)
        return Planted(replace(copies, values=_round_like(real, values)), rows[:, None])

    return plant


def recombine(real: RealRows, rows: Integers, others: Integers, rng: np.random.Generator) -> Planted:
    """Combine half of the columns of a record with the other half of another record."""
    first, second = real.table.take(rows), real.table.take(others)
    order = rng.random(first.codes.shape).argsort(axis=1)
    from_first = order < (first.codes.shape[1] + 1) // 2
    mixed = replace(
        first,
        codes=np.where(from_first, first.codes, second.codes),
        values=np.where(from_first[:, first.encoding.continuous], first.values, second.values),
    )
    return Planted(mixed, np.column_stack([rows, others]))


def interpolate(real: RealRows, rows: Integers, others: Integers, rng: np.random.Generator) -> Planted:
    """Interpolate the numbers of two records, with the categories of the first."""
    first, second = real.table.take(rows), real.table.take(others)
    values = first.values + rng.random((len(rows), 1)) / 2 * (second.values - first.values)
    leaked = replace(first, values=_round_like(real, values))
    return Planted(leaked, np.column_stack([rows, others]), interpolated=True)


LEAKS: dict[str, Plant] = {
    "verbatim copies": add_noise(0.0),
    "copies with 1 % noise": add_noise(0.01),
    "copies with 5 % noise": add_noise(0.05),
    "interpolated rows": interpolate,
    "recombined rows": recombine,
    "copies of isolated records": add_noise(0.0),
}
"""Leaks by name; the last one affects the most isolated members only."""


def find_planted(results: AttackResults, levels: Mapping[str, float], seed: int) -> list[dict[str, Any]]:
    """Plant each leak at each strength, and test whether it is detected.

    Args:
        results: Results of the audit's attacks.
        levels: Level of each test, corrected for the number of tests.
        seed: Random seed of the plantings.

    Returns:
        For each leak its ``name``, the strengths (``shares``), the share of plantings ``detected`` by strength, and the
        smallest strength from which all plantings are detected (``least``, None if there is none).
    """
    real = results.pooled.real
    copied = np.isin(hash_rows(real.table), np.unique(hash_rows(real.synthetic)))
    out = []
    for name, plant in LEAKS.items():
        detected = []
        for share in SHARES:
            rng, hits = np.random.default_rng([seed, 17]), 0
            for _ in range(N_TRIALS):
                # Membership is permuted, so that an existing leak is not counted as the planted one.
                member = rng.permutation(real.is_member)
                members = rng.permutation(np.flatnonzero(member))
                if name == "copies of isolated records":
                    isolation = results.pooled.pairs.to_real[members]
                    members = members[np.argsort(-isolation, kind="stable")][: round(ISOLATED_SHARE * len(members))]
                    members = rng.permutation(members)
                rows = members[: max(1, round(share * real.n_members))]
                planted = plant(real, rows, rng.choice(members, len(rows)), rng)
                hits += _is_detected(results, planted, member, copied, levels, rng)
            detected.append(hits / N_TRIALS)
        sure = [all(rate == 1 for rate in detected[i:]) for i in range(len(SHARES))]
        least = next((share for share, good in zip(SHARES, sure, strict=True) if good), None)
        out.append({"name": name, "shares": list(SHARES), "detected": detected, "least": least})
    return out


def is_powered(planted: list[dict[str, Any]]) -> bool:
    """Return whether exact and slightly noisy copies of a small share of the records would be detected."""
    return all(
        leak["least"] is not None and leak["least"] <= MAX_UNDETECTED_SHARE
        for leak in planted
        if leak["name"] in LEAKS_OF_POWER
    )


def describe_planted(planted: list[dict[str, Any]]) -> str:
    """Describe which leaks would be detected and which would not."""
    detected = [f"{leak['name']} ({100 * leak['least']:g} %)" for leak in planted if leak["least"]]
    missed = [leak["name"] for leak in planted if not leak["least"]]
    max_share = f"{100 * SHARES[-1]:g} %"
    if not detected:
        return f"There are too few rows to detect any of the planted leaks, up to {max_share} of the records."
    text = f"The audit would have detected these leaks (smallest detected share of records): {', '.join(detected)}"
    return f"{text}. It would have missed, up to {max_share}: {', '.join(missed)}." if missed else f"{text}."


def _is_detected(
    results: AttackResults,
    planted: Planted,
    member: npt.NDArray[np.bool_],
    copied: npt.NDArray[np.bool_],
    levels: Mapping[str, float],
    rng: np.random.Generator,
) -> bool:
    """Return whether one of the tests on all real rows detects the leak."""
    copies = copied.copy()
    copies[planted.origins[_equal_origins(results.pooled.real, planted), 0]] = True
    # The copy test uses all rows of the tables, of which the pool may be a part.
    _, n, _, m = next(test.counts for test in results.tests if test.name == "copies_exact")
    a, b = (round(size * float(copies[side].mean())) for size, side in ((n, member), (m, ~member)))
    if fisher_p_value(a, n, b, m) <= levels["copies_exact"] / SAFETY_FACTOR:
        return True
    scores = {"nearest_pairs": _pair_score, "shared_cells": _cell_score, "interpolated_rows": _interpolation_score}
    return any(
        scan_members(results.pooled.real, scores[name](results.pooled, planted, rng), member).p
        <= levels[name] / SAFETY_FACTOR
        for name in results.pooled.scores
    )


def _equal_origins(real: RealRows, planted: Planted) -> npt.NDArray[np.bool_]:
    """Return which planted rows are exact copies of their first origin."""
    originals, leaked = real.table.take(planted.origins[:, 0]), planted.rows
    codes = (originals.codes == leaked.codes)[:, ~originals.encoding.continuous].all(axis=1)
    values = ((originals.values == leaked.values) | (np.isnan(originals.values) & np.isnan(leaked.values))).all(axis=1)
    return np.asarray(codes & values, dtype=bool)


def _pair_score(pooled: PooledResults, planted: Planted, rng: np.random.Generator) -> Floats:
    distance, leaked = pooled.pairs.to_synthetic.copy(), pooled.real.points(planted.rows)
    for rows in planted.origins.T:
        gap = np.sqrt(((pooled.real.points(pooled.real.table.take(rows)) - leaked) ** 2).sum(axis=1, dtype=np.float64))
        np.minimum.at(distance, rows, gap)
    return PairDistances(distance, pooled.pairs.to_real).score()


def _cell_score(pooled: PooledResults, planted: Planted, rng: np.random.Generator) -> Floats:
    score, leaked = pooled.scores["shared_cells"].copy(), pooled.cells.encode(planted.rows)
    for rows in planted.origins.T:
        np.maximum.at(score, rows, agreement(pooled.cells, rows, leaked))
    return score


def _interpolation_score(pooled: PooledResults, planted: Planted, rng: np.random.Generator) -> Floats:
    """Update the scores for planted rows, with the same share of tested rows as in the audit."""
    score = pooled.scores["interpolated_rows"]
    if not planted.interpolated:
        return score
    searched = min(1.0, MAX_INTERPOLATED_ROWS / len(pooled.real.synthetic))
    return score + score_interpolation(pooled.real, planted.rows.take(rng.random(len(planted.rows)) < searched))


def _round_like(real: RealRows, values: Floats) -> Floats:
    """Round the columns whose real values are all whole numbers."""
    real_values = real.table.values
    whole = ((real_values == np.rint(real_values)) | np.isnan(real_values)).all(axis=0)
    return np.where(whole, np.rint(values), values)
