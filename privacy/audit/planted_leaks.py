"""Power of an audit: leaks of known strength are planted in the synthetic table and attacked again.

A planted row changes only the distance of the record that it was made from, so no neighbours are searched again. The
tests are some of the audit's own, at the level of its first correction; the others may find more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.copies import NEAR_COPY_QUANTILE
from tabsynth.privacy.attacks.membership import compute_exposure
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.rate_tests import LEVEL, fisher_p_value, mann_whitney_p_value, tpr_at_fpr
from tabsynth.privacy.attacks.run_all import AttackResults

SHARES = (0.003, 0.01, 0.03, 0.1)
"""Shares of the records that leak."""

N_TRIALS = 3
"""Plantings of each leak; it counts as found if all of them are."""

Plant = Callable[[MembershipGame, npt.NDArray[np.int64], np.random.Generator], EncodedTable]
"""Makes a row from each of some members."""


def add_noise(noise: float) -> Plant:
    """Copies whose numbers have noise of a share of the column's spread."""

    def plant(game: MembershipGame, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> EncodedTable:
        copies = game.members.take(rows)
        return replace(copies, values=copies.values + noise * game.space.spread * rng.normal(size=copies.values.shape))

    return plant


def recombine(game: MembershipGame, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> EncodedTable:
    """Combine half of the columns of a member with half of another member's."""
    own, other = game.members.take(rows), game.members.take(rng.integers(len(game.members), size=len(rows)))
    chosen = rng.random(own.codes.shape) < 0.5
    return replace(
        own,
        codes=np.where(chosen, own.codes, other.codes),
        values=np.where(chosen[:, own.encoding.continuous], own.values, other.values),
    )


def interpolate(game: MembershipGame, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> EncodedTable:
    """Return the numbers between those of two members, and the categories of the first."""
    own, other = game.members.take(rows), game.members.take(rng.integers(len(game.members), size=len(rows)))
    part = rng.random((len(rows), 1)) / 2
    return replace(own, values=own.values + part * (other.values - own.values))


LEAKS: dict[str, Plant] = {
    "verbatim copies": add_noise(0.0),
    "copies with 1 % noise": add_noise(0.01),
    "copies with 5 % noise": add_noise(0.05),
    "interpolated rows": interpolate,
    "recombined rows": recombine,
}


def find_planted(found: AttackResults, tests: int, seed: int) -> list[dict[str, Any]]:
    """Return the plant each leak at each strength in the members, and test.

    Returns:
        For each leak its ``name``, the ``detected`` share of plantings by strength, and the smallest strength from
        which all are detected (``least``, None if there is none).
    """
    game, out = found.game, []
    isolated = np.argsort(-found.attacks.isolation[: len(game.members)], kind="stable")
    for name, plant, pool in [
        *((name, plant, np.arange(len(game.members))) for name, plant in LEAKS.items()),
        ("copies of isolated records", add_noise(0.0), isolated[: max(1, len(isolated) // 10)]),
    ]:
        detected = []
        for share in SHARES:
            rng = np.random.default_rng([seed, 17])
            count = max(1, round(share * len(game.members)))
            hits = 0
            for _ in range(N_TRIALS):
                rows = rng.permutation(pool)[:count]
                made = game.space.points(plant(game, rows, rng))
                gap = np.sqrt(((game.points["members"][rows] - made) ** 2).sum(axis=1, dtype=np.float64))
                distance = found.attacks.to_synthetic.copy()
                distance[rows] = np.minimum(distance[rows], gap)
                hits += _is_detected(found, distance, LEVEL / tests)
            detected.append(hits / N_TRIALS)
        sure = [all(rate == 1 for rate in detected[i:]) for i in range(len(SHARES))]
        least = next((share for share, good in zip(SHARES, sure, strict=True) if good), None)
        out.append({"name": name, "shares": list(SHARES), "detected": detected, "least": least})
    return out


def describe_planted(planted: list[dict[str, Any]]) -> str:
    """Return a sentence on the leaks that would and would not have been detected."""
    seen = [f"{leak['name']} from {leak['least']:.1%} of the records on" for leak in planted if leak["least"]]
    missed = [leak["name"] for leak in planted if not leak["least"]]
    text = f"Of planted leaks this audit finds {', '.join(seen) or 'none'}"
    return f"{text}; it misses {', '.join(missed)}." if missed else f"{text}."


def _is_detected(found: AttackResults, distance: Floats, level: float) -> bool:
    """Return whether one of the audit's tests on the nearest synthetic row finds the leak."""
    member, reference = found.game.is_member, found.attacks.to_reference
    yes, no = -distance[member], -distance[~member]
    if min(tpr_at_fpr(yes, no, fpr).p for fpr in (0.001, 0.01, 0.1)) <= level / 4:
        return True
    close = distance <= np.quantile(reference, NEAR_COPY_QUANTILE)
    near = fisher_p_value(int(close[member].sum()), int(member.sum()), int(close[~member].sum()), int((~member).sum()))
    if near <= level or mann_whitney_p_value(yes, no) <= level / 4:
        return True
    exposure = compute_exposure(distance, reference)
    named = np.argsort(-exposure, kind="stable")[: len(found.attacks.sets["exposed"])]
    p = float(hypergeom.sf(int(member[named].sum()) - 1, len(member), int(member.sum()), len(named)))
    return p <= level
