"""Membership risk by subgroup and by isolation of the records."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabsynth.evaluation.score import Part
from tabsynth.evaluation.stats.auc import delong_auc
from tabsynth.privacy.attacks.attack_result import AttackResult
from tabsynth.privacy.attacks.membership import MIN_SET_RECORDS, TargetScores
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.rate_tests import mann_whitney_p_value, tpr_at_fpr

MAX_GROUPS = 12
"""Maximum number of tested groups of a column; the largest are tested."""

N_BINS = 10
N_ROC_POINTS = 60
ATTACK_NAME = "density_ratio"
"""The attack whose success is reported by group."""


def find_worst_subgroup(game: MembershipGame, attacks: TargetScores, columns: list[str]) -> AttackResult | None:
    """Select the most significant subgroup, with its p-value corrected for the number of groups."""
    scores, groups = attacks.scores[ATTACK_NAME], []
    encoding = game.train.encoding
    for name in columns:
        j = encoding.names.index(name)
        codes = np.concatenate([game.members.codes[:, j], game.controls.codes[:, j]])
        for code in np.argsort(-np.bincount(codes))[:MAX_GROUPS]:
            chosen = codes == code
            yes, no = scores[chosen & game.is_member], scores[chosen & ~game.is_member]
            if min(len(yes), len(no)) >= MIN_SET_RECORDS:
                label = (
                    "missing" if code == 0 else encoding.labels[j][code - 1] if encoding.labels[j] else f"bin {code}"
                )
                groups.append((mann_whitney_p_value(yes, no), f"{name} = {label}", yes, no))
    if not groups:
        return None
    parts, intervals = [], []
    for _, label, yes, no in groups:
        auc, interval = delong_auc(
            np.repeat([True, False], [len(yes), len(no)]), np.concatenate([yes, no]), n_compared=len(groups)
        )
        parts.append(Part(columns=(label,), value=auc, floor=0.5))
        intervals.append(interval)
    worst = min(range(len(groups)), key=lambda i: groups[i][0])
    return AttackResult(
        name="subgroup_auc",
        group="membership",
        attack="Density ratio",
        records="random",
        title="Worst subgroup",
        value=parts[worst].value,
        interval=intervals[worst],
        floor=0.5,
        p=min(1.0, len(groups) * groups[worst][0]),
        unit="AUC",
        description=f"How well training records with {parts[worst].name} are distinguished from such controls.",
        method=f"Density ratio within each of {len(groups)} groups of {', '.join(columns)}; DeLong interval, "
        "Mann-Whitney test corrected for the groups.",
        detail=tuple(sorted(parts, key=lambda part: -part.value)),
    )


def compute_risk_by_percentile(game: MembershipGame, attacks: TargetScores) -> list[dict[str, Any]]:
    """Return the density-ratio attack's rates by decile of isolation, least isolated first."""
    order = np.argsort(attacks.isolation, kind="stable")
    out = []
    for i, chosen in enumerate(np.array_split(order, N_BINS)):
        yes, no = (attacks.scores[ATTACK_NAME][chosen[game.is_member[chosen] == side]] for side in (True, False))
        if min(len(yes), len(no)) < MIN_SET_RECORDS:
            continue
        rate = tpr_at_fpr(yes, no, 0.1)
        bounds = [100 * i // N_BINS, 100 * (i + 1) // N_BINS]
        out.append({"percentile": bounds, "fpr": rate.fpr, "tpr": rate.value, "interval": list(rate.interval)})
    return out


def compute_roc(member_scores: np.ndarray, control_scores: np.ndarray) -> list[list[float]]:
    """Return the ROC as pairs of false- and true-positive rates, evenly spaced on a log scale."""
    descending = np.sort(control_scores)[::-1]
    m = len(descending)
    out: list[list[float]] = []
    for k in np.unique(np.round(np.geomspace(1, m, N_ROC_POINTS)).astype(int)):
        threshold = descending[k] if k < m else -np.inf
        out.append([k / m, float((member_scores > threshold).mean())])
    return out
