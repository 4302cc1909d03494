"""Membership risk by subgroup and by isolation of the records."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabsynth.evaluation.score import Part
from tabsynth.evaluation.stats.auc import delong_auc
from tabsynth.privacy.attacks.attack_result import Finding
from tabsynth.privacy.attacks.membership import MIN_SET_RECORDS, TargetScores
from tabsynth.privacy.attacks.membership_game import MembershipGame
from tabsynth.privacy.attacks.rate_tests import mann_whitney_p_value, tpr_at_fpr

MAX_GROUPS = 12
"""The largest groups of a column are tested."""

N_BINS = 10
ATTACK_NAME = "density_ratio"
"""The attack whose risk is split by group."""


def find_worst_subgroup(game: MembershipGame, attacks: TargetScores, columns: list[str]) -> Finding | None:
    """Select the most significant subgroup, with its p-value corrected for their number."""
    scores, found = attacks.scores[ATTACK_NAME], []
    book = game.train.encoding
    for name in columns:
        j = book.names.index(name)
        codes = np.concatenate([game.members.codes[:, j], game.controls.codes[:, j]])
        for code in np.argsort(-np.bincount(codes))[:MAX_GROUPS]:
            chosen = codes == code
            yes, no = scores[chosen & game.is_member], scores[chosen & ~game.is_member]
            if min(len(yes), len(no)) >= MIN_SET_RECORDS:
                label = "missing" if code == 0 else book.labels[j][code - 1] if book.labels[j] else f"bin {code}"
                found.append((mann_whitney_p_value(yes, no), f"{name} = {label}", yes, no))
    if not found:
        return None
    parts, intervals = [], []
    for _, label, yes, no in found:
        auc, interval = delong_auc(
            np.repeat([True, False], [len(yes), len(no)]), np.concatenate([yes, no]), n_compared=len(found)
        )
        parts.append(Part(columns=(label,), value=auc, floor=0.5))
        intervals.append(interval)
    worst = min(range(len(found)), key=lambda i: found[i][0])
    return Finding(
        name="subgroup_auc",
        group="membership",
        attack="Density ratio",
        records="random",
        title="Worst subgroup",
        value=parts[worst].value,
        interval=intervals[worst],
        floor=0.5,
        p=min(1.0, len(found) * found[worst][0]),
        unit="AUC",
        description=f"How well training records with {parts[worst].name} are distinguished from others of their kind.",
        method=f"Density ratio within each of {len(found)} groups of {', '.join(columns)}; DeLong interval, "
        "Mann-Whitney test corrected for the groups.",
        detail=tuple(sorted(parts, key=lambda part: -part.value)),
    )


def compute_risk_by_percentile(game: MembershipGame, attacks: TargetScores) -> list[dict[str, Any]]:
    """Return the rates of the density ratio among records of equal isolation, the least isolated tenth first."""
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


def compute_roc(member_scores: np.ndarray, control_scores: np.ndarray, points: int = 60) -> list[list[float]]:
    """Return the ROC from one control to all, evenly on a log scale: pairs of false and true positive rates."""
    falling = np.sort(control_scores)[::-1]
    m = len(falling)
    out: list[list[float]] = []
    for k in np.unique(np.round(np.geomspace(1, m, points)).astype(int)):
        threshold = falling[k] if k < m else -np.inf
        out.append([k / m, float((member_scores > threshold).mean())])
    return out
