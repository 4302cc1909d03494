"""Attribute inference: guess the value of a secret column of a record from its nearest synthetic row.

Article 29 Working Party, WP216, third criterion; Giomi et al. (PoPETs 2023, section 5.3): the intruder knows all
columns of a record except one, and takes that one from the nearest synthetic row. Patterns of the population allow
correct guesses for anybody, so only the difference between training records and control records is a leak. The
baseline is the same attack with held-out rows instead of synthetic ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats
from tabsynth.common.binomial import newcombe
from tabsynth.evaluation.score import Part
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.attack_result import AttackResult, Records, bonferroni, compare_rates
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.nearest_neighbours import find_nearest

MAX_TARGETS_PER_SECRET = 1_500
"""Members, and controls, that are attacked for each secret."""

MAX_SECRETS = 40
MAX_RANK_DISTANCE = 0.025
"""A guessed number is correct if its rank in the population differs from the true one by at most this share."""


def attack_attributes(
    game: MembershipGame, secrets: list[str], sets: dict[Records, npt.NDArray[np.int64]]
) -> list[AttackResult]:
    """Attack each secret column: share of correct guesses on members minus that on controls."""
    n = len(game.members)
    target_sets: dict[Records, npt.NDArray[np.int64]] = {
        "random": np.concatenate(
            [np.arange(n)[:MAX_TARGETS_PER_SECRET], n + np.arange(len(game.controls))[:MAX_TARGETS_PER_SECRET]]
        ),
        "isolated": sets["isolated"],
    }
    names = list(game.train.encoding.names)
    results = []
    for secret in secrets[:MAX_SECRETS]:
        j = names.index(secret)
        for records, targets in target_sets.items():
            is_member = game.is_member[targets]
            if len(names) < 2 or is_member.all() or not is_member.any():
                continue
            correct = _guess_secret(game, targets, j, game.synthetic)
            baseline = _guess_secret(game, targets[is_member], j, game.reference)
            results.append(_result(secret, records, correct[is_member], correct[~is_member], float(baseline.mean())))
    return results


def select_worst_secret(results: list[AttackResult], records: Records) -> AttackResult | None:
    """Select the most significant secret, with its p-value corrected for their number."""
    candidates = [item for item in results if item.records == records]
    if not candidates:
        return None
    worst = min(candidates, key=lambda item: (item.p, -item.value))
    low, high = newcombe(*worst.counts, n_comparisons=len(candidates))
    parts = tuple(
        Part(columns=(item.title,), value=item.value, floor=0.0)
        for item in sorted(candidates, key=lambda item: -item.value)
    )
    return AttackResult(
        name=f"inference_{records}",
        group="inference",
        attack="Nearest synthetic row",
        records=records,
        title=f"Attribute inference, {records} records",
        value=worst.value,
        interval=(100 * low, 100 * high),
        floor=0.0,
        p=min(1.0, len(candidates) * (worst.p if worst.p is not None else 1.0)),
        p_reverse=bonferroni([item.p_reverse for item in candidates]),
        counts=worst.counts,
        success=worst.success,
        control=worst.control,
        baseline=worst.baseline,
        description=f"Share of correct guesses of {worst.title!r} on training records minus that on controls; this is "
        f"the most significant of all secrets ({len(candidates)}).",
        method=worst.method + f" Corrected for the number of secrets ({len(candidates)}).",
        detail=parts,
    )


def _guess_secret(
    game: MembershipGame, chosen: npt.NDArray[np.int64], secret: int, source: EncodedTable
) -> npt.NDArray[np.bool_]:
    """Return whether the secret of each target is guessed correctly, shape (n,)."""
    columns = [j for j in range(len(source.encoding.names)) if j != secret]
    n = len(game.members)
    targets = [game.members.take(chosen[chosen < n]), game.controls.take(chosen[chosen >= n] - n)]
    # ``points`` holds members, then controls; ``order`` maps them back to the order of ``chosen``.
    order = np.concatenate([np.flatnonzero(chosen < n), np.flatnonzero(chosen >= n)])
    points = np.concatenate([game.space.points(table, columns) for table in targets])
    near = find_nearest(points, game.space.points(source, columns), 1)[1][:, 0]
    if source.encoding.continuous[secret]:
        at = int(np.cumsum(source.encoding.continuous)[secret]) - 1
        truth = np.concatenate([table.values[:, at] for table in targets])
        correct = _is_close(truth, source.values[near, at], game.reference.values[:, at])
    else:
        correct = np.concatenate([table.codes[:, secret] for table in targets]) == source.codes[near, secret]
    out = np.empty(len(chosen), dtype=bool)
    out[order] = correct
    return out


def _is_close(truth: Floats, guess: Floats, population: Floats) -> npt.NDArray[np.bool_]:
    """Return whether the ranks of two numbers differ by at most ``MAX_RANK_DISTANCE``; missing equals only missing."""
    known = np.sort(population[~np.isnan(population)])
    missing = np.isnan(truth) | np.isnan(guess)
    low, high = np.fmin(truth, guess), np.fmax(truth, guess)
    between = np.searchsorted(known, high, "left") - np.searchsorted(known, low, "right")
    near = (truth == guess) | (between <= MAX_RANK_DISTANCE * len(known))
    return np.where(missing, np.isnan(truth) & np.isnan(guess), near)


def _result(
    secret: str,
    records: Records,
    members_correct: npt.NDArray[np.bool_],
    controls_correct: npt.NDArray[np.bool_],
    baseline: float,
) -> AttackResult:
    n, m = len(members_correct), len(controls_correct)
    return AttackResult(
        name=f"inference_{records}_{secret}",
        group="inference",
        attack="Nearest synthetic row",
        records=records,
        title=secret,
        **compare_rates(members_correct, controls_correct),
        baseline=baseline,
        description=f"Share of correct guesses of {secret!r} on training records minus that on controls.",
        method=f"{n:,} members and {m:,} controls; all other columns are known, the nearest synthetic row gives the "
        "guess (WP216; Giomi et al., 2023); Newcombe interval, Fisher's exact test. Baseline: nearest held-out row.",
    )
