"""Where the risk lies: which subgroups, and which share of the records, an intruder recognises best."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabsynth.evaluation.score import Part
from tabsynth.evaluation.stats.auc import delong
from tabsynth.privacy.attacks.attack_result import Finding
from tabsynth.privacy.attacks.membership import LEAST, Attacks
from tabsynth.privacy.attacks.membership_game import Game
from tabsynth.privacy.attacks.rate_tests import ranks_higher, tpr_at_fpr

MOST_GROUPS = 12
"""The largest groups of a column that are looked at."""

BINS = 10
ATTACK = "density_ratio"
"""The attack whose risk is told apart by group."""


def subgroup_finding(game: Game, attacks: Attacks, columns: list[str]) -> Finding | None:
    """The subgroup whose training records are recognised most surely; its p-value is corrected for their number."""
    scores, found = attacks.scores[ATTACK], []
    book = game.train.book
    for name in columns:
        j = book.names.index(name)
        codes = np.concatenate([game.members.codes[:, j], game.controls.codes[:, j]])
        for code in np.argsort(-np.bincount(codes))[:MOST_GROUPS]:
            chosen = codes == code
            yes, no = scores[chosen & game.is_member], scores[chosen & ~game.is_member]
            if min(len(yes), len(no)) >= LEAST:
                label = "missing" if code == 0 else book.labels[j][code - 1] if book.labels[j] else f"bin {code}"
                found.append((ranks_higher(yes, no), f"{name} = {label}", yes, no))
    if not found:
        return None
    parts, intervals = [], []
    for _, label, yes, no in found:
        auc, interval = delong(
            np.repeat([True, False], [len(yes), len(no)]), np.concatenate([yes, no]), among=len(found)
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
        description=f"How well training records with {parts[worst].name} are told from others of their kind.",
        method=f"Density ratio within each of {len(found)} groups of {', '.join(columns)}; DeLong interval, "
        "Mann-Whitney test corrected for the groups.",
        detail=tuple(sorted(parts, key=lambda part: -part.value)),
    )


def risk_by_percentile(game: Game, attacks: Attacks) -> list[dict[str, Any]]:
    """Rates of the density ratio among records of equal isolation, the least isolated tenth first."""
    order = np.argsort(attacks.isolation, kind="stable")
    out = []
    for i, chosen in enumerate(np.array_split(order, BINS)):
        yes, no = (attacks.scores[ATTACK][chosen[game.is_member[chosen] == side]] for side in (True, False))
        if min(len(yes), len(no)) < LEAST:
            continue
        rate = tpr_at_fpr(yes, no, 0.1)
        bounds = [100 * i // BINS, 100 * (i + 1) // BINS]
        out.append({"percentile": bounds, "fpr": rate.fpr, "tpr": rate.value, "interval": list(rate.interval)})
    return out


def roc(member_scores: np.ndarray, control_scores: np.ndarray, points: int = 60) -> list[list[float]]:
    """The ROC at false-positive rates from one control to all, evenly on a log scale: pairs of false and true rate."""
    falling = np.sort(control_scores)[::-1]
    m = len(falling)
    out: list[list[float]] = []
    for k in np.unique(np.round(np.geomspace(1, m, points)).astype(int)):
        threshold = falling[k] if k < m else -np.inf
        out.append([k / m, float((member_scores > threshold).mean())])
    return out
