"""Evidence behind an audit's verdict: power, plotted figures and records at risk."""

from __future__ import annotations

from typing import Any

import numpy as np

from tabsynth.evaluation.inputs import Inputs
from tabsynth.privacy.attacks.attack_result import Records
from tabsynth.privacy.attacks.copies import count_kmap
from tabsynth.privacy.attacks.membership import score_exposure
from tabsynth.privacy.attacks.rate_tests import VIOLATION_LEVEL, detectable_tpr, power_of_tpr, share_level
from tabsynth.privacy.attacks.run_all import AttackResults
from tabsynth.privacy.attacks.subgroups import compute_risk_by_percentile, compute_roc

POWER_FPR = 0.01
"""The false-positive rate at which the audit's power is stated."""

MAX_NAMED_RECORDS = 25
"""Records that the internal file names."""

ISOLATED_QUANTILE = 0.9
"""Training records as far from others as the farthest tenth of the controls are isolated."""

MAX_RANKED_ROWS = 100_000
"""Up to so many training records all are ranked, beyond that only those that were attacked."""

CURVES: tuple[Records, ...] = ("random", "isolated")


def compute_power(found: AttackResults, names: list[str]) -> dict[str, Any]:
    """Power of this audit, whose tests are named."""
    members, controls = len(found.game.members), len(found.game.controls)
    # Holm's first step, over the four tests of a finding
    level = VIOLATION_LEVEL * share_level(names)["density_ratio_random_tpr"] / 4
    return {
        "fpr": POWER_FPR,
        "ratio": 2.0,
        "power": power_of_tpr(members, controls, POWER_FPR, 2.0, level),
        "least_tpr": detectable_tpr(members, controls, POWER_FPR, level),
        "members": members,
        "controls": controls,
        "tests": len(names),
    }


def collect_details(found: AttackResults, inputs: Inputs, power: dict[str, Any]) -> dict[str, Any]:
    """Return the figures for the pictures and tables of the page."""
    game, attacks = found.game, found.attacks
    curves = []
    for records in CURVES:
        chosen = attacks.sets[records]
        member = game.is_member[chosen]
        if member.any() and not member.all():
            for name, scores in attacks.scores.items():
                points = compute_roc(scores[chosen][member], scores[chosen][~member])
                curves.append({"attack": name, "records": records, "points": points})
    known = [name for name in inputs.schema.with_role("quasi_identifier") if name in game.train.encoding.names]
    return {
        "roc": curves,
        "rates": found.rates,
        "percentiles": compute_risk_by_percentile(game, attacks),
        "secrets": [{**item.to_dict(), "title": item.title, "value": item.value} for item in found.secrets],
        "kmap": count_kmap(game, known) if known else None,
        "power": power,
    }


def rank_records(found: AttackResults) -> list[dict[str, Any]]:
    """Return the most exposed training records, each with the share of controls that are as exposed and as isolated."""
    game, count = found.game, len(found.game.members)
    rows = game.member_rows
    gap, isolation = (values[:count] for values in (found.attacks.exposure, found.attacks.isolation))
    if len(game.train) <= MAX_RANKED_ROWS:
        rest = np.setdiff1d(np.arange(len(game.train)), rows)
        others = score_exposure(game, found.attacks, game.train.take(rest)) if len(rest) else (np.empty(0), np.empty(0))
        order = np.argsort(np.concatenate([rows, rest]))
        rows = np.arange(len(game.train))
        gap, isolation = (np.concatenate(both)[order] for both in zip((gap, isolation), others, strict=True))
    controls, apart = np.sort(found.attacks.exposure[count:]), np.sort(found.attacks.isolation[count:])
    # Every exact copy of an isolated record comes first, however many there are.
    copied = found.copied[rows] & (isolation >= np.quantile(apart, ISOLATED_QUANTILE)) & (isolation > 0)
    order = np.argsort(-gap, kind="stable")
    chosen = np.concatenate([order[copied[order]], order[~copied[order]]])
    return [
        {
            "row": int(rows[i]),
            "exact_copy": bool(found.copied[rows[i]]),
            "false_positive_rate": float(1 - np.searchsorted(controls, gap[i], "left") / len(controls)),
            "isolation_percentile": round(100 * float(np.searchsorted(apart, isolation[i]) / len(apart)), 1),
        }
        for i in chosen[: max(MAX_NAMED_RECORDS, int(copied.sum()))]
    ]
