"""Attribute inference: guess a secret column of a record from its nearest synthetic row.

Article 29 Working Party, WP216, third criterion; Giomi et al. (PoPETs 2023, section 5.3): the intruder knows all
columns of a record but one and takes the secret from the nearest synthetic row. What holds in the population is
inferred of anybody: only the difference between records that were learned and records that were not is a leak. The
baseline is the same attack with held-out rows in the place of the synthetic ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats
from tabsynth.common.binomial import newcombe
from tabsynth.evaluation.score import Part
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.attack_result import Finding, Records, bonferroni
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.nearest_neighbours import find_nearest
from tabsynth.privacy.attacks.rate_tests import fisher_p_value

MAX_TARGETS_PER_SECRET = 1_500
"""Members, and controls, that are attacked for each secret."""

MAX_SECRETS = 40
MAX_RANK_DISTANCE = 0.025
"""A guessed number is right if the truth is within this share of the population's ranks on either side."""


def attack_attributes(
    game: MembershipGame, secrets: list[str], sets: dict[Records, npt.NDArray[np.int64]]
) -> list[Finding]:
    """Attack each secret column: share of right guesses on members minus that on controls."""
    n = len(game.members)
    asked: dict[Records, npt.NDArray[np.int64]] = {
        "random": np.concatenate(
            [np.arange(n)[:MAX_TARGETS_PER_SECRET], n + np.arange(len(game.controls))[:MAX_TARGETS_PER_SECRET]]
        ),
        "isolated": sets["isolated"],
    }
    names = list(game.train.encoding.names)
    found = []
    for secret in secrets[:MAX_SECRETS]:
        j = names.index(secret)
        for records, chosen in asked.items():
            member = game.is_member[chosen]
            if len(names) < 2 or member.all() or not member.any():
                continue
            right = _guess_secret(game, chosen, j, game.synthetic)
            base = _guess_secret(game, chosen[member], j, game.reference)
            found.append(_finding(secret, records, right[member], right[~member], float(base.mean())))
    return found


def select_worst_secret(found: list[Finding], records: Records) -> Finding | None:
    """Select the most significant secret, with its p-value corrected for their number."""
    some = [item for item in found if item.records == records]
    if not some:
        return None
    worst = min(some, key=lambda item: (item.p, -item.value))
    low, high = newcombe(*worst.counts, n_comparisons=len(some))
    parts = tuple(
        Part(columns=(item.title,), value=item.value, floor=0.0) for item in sorted(some, key=lambda item: -item.value)
    )
    return Finding(
        name=f"inference_{records}",
        group="inference",
        attack="Nearest synthetic row",
        records=records,
        title=f"Attribute inference, {records} records",
        value=worst.value,
        interval=(100 * low, 100 * high),
        floor=0.0,
        p=min(1.0, len(some) * (worst.p if worst.p is not None else 1.0)),
        p_reverse=bonferroni([item.p_reverse for item in some]),
        counts=worst.counts,
        success=worst.success,
        control=worst.control,
        baseline=worst.baseline,
        description=f"Right guesses of {worst.title!r} on training records less those on others: the surest of "
        f"{len(some)} secrets.",
        method=worst.method + f" Corrected for {len(some)} secrets.",
        detail=parts,
    )


def _guess_secret(
    game: MembershipGame, chosen: npt.NDArray[np.int64], secret: int, source: EncodedTable
) -> npt.NDArray[np.bool_]:
    """Return whether the secret of each target is guessed, shape (n,)."""
    columns = [j for j in range(len(source.encoding.names)) if j != secret]
    n = len(game.members)
    targets = [game.members.take(chosen[chosen < n]), game.controls.take(chosen[chosen >= n] - n)]
    # the rows come back as members, then controls; `chosen` need not be sorted that way
    order = np.concatenate([np.flatnonzero(chosen < n), np.flatnonzero(chosen >= n)])
    points = np.concatenate([game.space.points(table, columns) for table in targets])
    near = find_nearest(points, game.space.points(source, columns), 1)[1][:, 0]
    if source.encoding.continuous[secret]:
        at = int(np.cumsum(source.encoding.continuous)[secret]) - 1
        truth = np.concatenate([table.values[:, at] for table in targets])
        right = _is_close(truth, source.values[near, at], game.reference.values[:, at])
    else:
        right = np.concatenate([table.codes[:, secret] for table in targets]) == source.codes[near, secret]
    out = np.empty(len(chosen), dtype=bool)
    out[order] = right
    return out


def _is_close(truth: Floats, guess: Floats, population: Floats) -> npt.NDArray[np.bool_]:
    """Return whether two numbers are within ``MAX_RANK_DISTANCE`` of each other's rank; missing equals missing only."""
    known = np.sort(population[~np.isnan(population)])
    missing = np.isnan(truth) | np.isnan(guess)
    low, high = np.fmin(truth, guess), np.fmax(truth, guess)
    between = np.searchsorted(known, high, "left") - np.searchsorted(known, low, "right")
    near = (truth == guess) | (between <= MAX_RANK_DISTANCE * len(known))
    return np.where(missing, np.isnan(truth) & np.isnan(guess), near)


def _finding(
    secret: str, records: Records, yes: npt.NDArray[np.bool_], no: npt.NDArray[np.bool_], baseline: float
) -> Finding:
    a, n, b, m = int(yes.sum()), len(yes), int(no.sum()), len(no)
    low, high = newcombe(a, n, b, m)
    return Finding(
        name=f"inference_{records}_{secret}",
        group="inference",
        attack="Nearest synthetic row",
        records=records,
        title=secret,
        value=100 * (a / n - b / m),
        interval=(100 * low, 100 * high),
        floor=0.0,
        p=fisher_p_value(a, n, b, m),
        p_reverse=fisher_p_value(b, m, a, n),
        counts=(a, n, b, m),
        success=a / n,
        control=b / m,
        baseline=baseline,
        description=f"Right guesses of {secret!r} on training records, less the same share of others.",
        method=f"{n:,} members and {m:,} controls; all other columns are known, the nearest synthetic row gives the "
        "guess (WP216; Giomi et al., 2023); Newcombe interval, Fisher's exact test. Baseline: nearest held-out row.",
    )
