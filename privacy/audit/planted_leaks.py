"""Power of an audit: leaks of known strength are planted in the synthetic table and attacked again.

The tests are those of the audit that compare all real rows, at a quarter of their level, so that a leak that is said to
be found is not found by luck; the other attacks may find more. A planted row changes the scores of the records that it
was made from, so that nothing is searched again.
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
"""Shares of the training records that leak."""

N_TRIALS = 5
"""Plantings of each leak; it counts as found if all of them are."""

SAFETY_FACTOR = 4
"""A planting counts as found at this part of the level of a test."""

ISOLATED_SHARE = 0.1

LEAKS_OF_POWER = ("verbatim copies", "copies with 1 % noise")
MAX_UNDETECTED_SHARE = 0.02
"""An audit that would miss these leaks of this share of the records has no power."""


@dataclass(frozen=True, eq=False)
class Planted:
    """Rows made from members.

    Attributes:
        rows: The synthetic rows.
        origins: For each row the members that it was made from, shape (k, 1 or 2).
        interpolated: Whether the rows lie between their origins.
    """

    rows: EncodedTable
    origins: Integers
    interpolated: bool = False


Plant = Callable[[RealRows, Integers, Integers, np.random.Generator], Planted]
"""Makes rows from some real rows, and from as many others where a leak needs two."""


def add_noise(noise: float) -> Plant:
    """Copies whose numbers have noise of a share of the column's spread."""

    def plant(real: RealRows, rows: Integers, others: Integers, rng: np.random.Generator) -> Planted:
        copies = real.table.take(rows)
        if not noise:
            return Planted(copies, rows[:, None])
        values = copies.values + noise * real.space.spread * rng.normal(size=copies.values.shape)
        return Planted(replace(copies, values=_round_like(real, values)), rows[:, None])

    return plant


def recombine(real: RealRows, rows: Integers, others: Integers, rng: np.random.Generator) -> Planted:
    """Half of the columns of a record, and the rest of another's."""
    own, other = real.table.take(rows), real.table.take(others)
    order = rng.random(own.codes.shape).argsort(axis=1)
    first = order < (own.codes.shape[1] + 1) // 2
    mixed = replace(
        own,
        codes=np.where(first, own.codes, other.codes),
        values=np.where(first[:, own.encoding.continuous], own.values, other.values),
    )
    return Planted(mixed, np.column_stack([rows, others]))


def interpolate(real: RealRows, rows: Integers, others: Integers, rng: np.random.Generator) -> Planted:
    """Numbers between those of two records, and the categories of the first."""
    own, other = real.table.take(rows), real.table.take(others)
    values = own.values + rng.random((len(rows), 1)) / 2 * (other.values - own.values)
    leaked = replace(own, values=_round_like(real, values))
    return Planted(leaked, np.column_stack([rows, others]), interpolated=True)


LEAKS: dict[str, Plant] = {
    "verbatim copies": add_noise(0.0),
    "copies with 1 % noise": add_noise(0.01),
    "copies with 5 % noise": add_noise(0.05),
    "interpolated rows": interpolate,
    "recombined rows": recombine,
    "copies of isolated records": add_noise(0.0),
}
"""The last one is planted in the most isolated members alone."""


def find_planted(found: AttackResults, levels: Mapping[str, float], seed: int) -> list[dict[str, Any]]:
    """Plant each leak at each strength in the members, and test.

    Args:
        found: The audit's attacks.
        levels: Level of each test after the correction for their number.
        seed: Fixes the plantings.

    Returns:
        For each leak its ``name``, the ``detected`` share of plantings by strength, and the smallest strength from
        which all are detected (``least``, None if there is none).
    """
    real = found.pooled.real
    copied = np.isin(hash_rows(real.table), np.unique(hash_rows(real.synthetic)))
    out = []
    for name, plant in LEAKS.items():
        detected = []
        for share in SHARES:
            rng, hits = np.random.default_rng([seed, 17]), 0
            for _ in range(N_TRIALS):
                # Who is a member is drawn again, so that a leak that is there does not count as the planted one.
                member = rng.permutation(real.is_member)
                members = rng.permutation(np.flatnonzero(member))
                if name == "copies of isolated records":
                    isolation = found.pooled.pairs.to_real[members]
                    members = members[np.argsort(-isolation, kind="stable")][: round(ISOLATED_SHARE * len(members))]
                    members = rng.permutation(members)
                rows = members[: max(1, round(share * real.n_members))]
                planted = plant(real, rows, rng.choice(members, len(rows)), rng)
                hits += _is_detected(found, planted, member, copied, levels, rng)
            detected.append(hits / N_TRIALS)
        sure = [all(rate == 1 for rate in detected[i:]) for i in range(len(SHARES))]
        least = next((share for share, good in zip(SHARES, sure, strict=True) if good), None)
        out.append({"name": name, "shares": list(SHARES), "detected": detected, "least": least})
    return out


def is_powered(planted: list[dict[str, Any]]) -> bool:
    """Whether copies, also with a little noise, would have been found from a small share of the records on."""
    return all(
        leak["least"] is not None and leak["least"] <= MAX_UNDETECTED_SHARE
        for leak in planted
        if leak["name"] in LEAKS_OF_POWER
    )


def describe_planted(planted: list[dict[str, Any]]) -> str:
    """What would have been found and what would not, in a sentence."""
    seen = [f"{leak['name']} ({100 * leak['least']:g} %)" for leak in planted if leak["least"]]
    missed = [leak["name"] for leak in planted if not leak["least"]]
    most = f"{100 * SHARES[-1]:g} %"
    if not seen:
        return f"The rows are too few to find any leak that was planted, up to {most} of the records."
    text = f"From these shares of the records on, leaks would have been found: {', '.join(seen)}"
    return f"{text}. Up to {most} would not: {', '.join(missed)}." if missed else f"{text}."


def _is_detected(
    found: AttackResults,
    planted: Planted,
    member: npt.NDArray[np.bool_],
    copied: npt.NDArray[np.bool_],
    levels: Mapping[str, float],
    rng: np.random.Generator,
) -> bool:
    """Whether one of the tests of all real rows finds the leak."""
    copies = copied.copy()
    copies[planted.origins[_equal_origins(found.pooled.real, planted), 0]] = True
    # The test of copies is on all rows of the tables, of which the pool may be a part.
    _, n, _, m = next(finding.counts for finding in found.findings if finding.name == "copies_exact")
    a, b = (round(size * float(copies[side].mean())) for size, side in ((n, member), (m, ~member)))
    if fisher_p_value(a, n, b, m) <= levels["copies_exact"] / SAFETY_FACTOR:
        return True
    scores = {"nearest_pairs": _pair_score, "shared_cells": _cell_score, "interpolated_rows": _interpolation_score}
    return any(
        scan_members(found.pooled.real, scores[name](found.pooled, planted, rng), member).p
        <= levels[name] / SAFETY_FACTOR
        for name in found.pooled.scores
    )


def _equal_origins(real: RealRows, planted: Planted) -> npt.NDArray[np.bool_]:
    """Which planted rows are exact copies."""
    own, leaked = real.table.take(planted.origins[:, 0]), planted.rows
    codes = (own.codes == leaked.codes)[:, ~own.encoding.continuous].all(axis=1)
    values = ((own.values == leaked.values) | (np.isnan(own.values) & np.isnan(leaked.values))).all(axis=1)
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
    """Of the planted rows as large a share is searched for as of all synthetic rows."""
    score = pooled.scores["interpolated_rows"]
    if not planted.interpolated:
        return score
    searched = min(1.0, MAX_INTERPOLATED_ROWS / len(pooled.real.synthetic))
    return score + score_interpolation(pooled.real, planted.rows.take(rng.random(len(planted.rows)) < searched))


def _round_like(real: RealRows, values: Floats) -> Floats:
    """Whole numbers where all real ones are."""
    own = real.table.values
    whole = ((own == np.rint(own)) | np.isnan(own)).all(axis=0)
    return np.where(whole, np.rint(values), values)
