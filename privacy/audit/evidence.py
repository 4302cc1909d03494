"""Evidence for an audit's verdict: power, data of the charts, and records at risk."""

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
"""The false-positive rate at which the power is reported."""

MIN_NAMED_RECORDS = 25
"""Minimum number of records in the internal file, if the table has as many."""

ISOLATED_QUANTILE = 0.9
"""Quantile of the controls' isolation from which a training record is isolated."""

MAX_RANKED_ROWS = 100_000
"""Maximum number of training records that are all ranked; of larger tables only attacked records are ranked."""

CURVES: tuple[Records, ...] = ("random", "isolated")


def compute_power(results: AttackResults, names: list[str]) -> dict[str, Any]:
    """Compute the power of an audit with the given tests."""
    members, controls = len(results.game.members), len(results.game.controls)
    # Level of Holm's first step, divided by the four tests of a result.
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


def collect_details(results: AttackResults, inputs: Inputs, power: dict[str, Any]) -> dict[str, Any]:
    """Return the data of the charts and tables of the page."""
    game, attacks = results.game, results.attacks
    curves = []
    for records in CURVES:
        chosen = attacks.sets[records]
        is_member = game.is_member[chosen]
        if is_member.any() and not is_member.all():
            for name, scores in attacks.scores.items():
                points = compute_roc(scores[chosen][is_member], scores[chosen][~is_member])
                curves.append({"attack": name, "records": records, "points": points})
    columns = [name for name in inputs.schema.with_role("quasi_identifier") if name in game.train.encoding.names]
    return {
        "roc": curves,
        "rates": results.rates,
        "percentiles": compute_risk_by_percentile(game, attacks),
        "secrets": [{**item.to_dict(), "title": item.title, "value": item.value} for item in results.secrets],
        "kmap": count_kmap(game, columns) if columns else None,
        "power": power,
    }


def rank_records(results: AttackResults) -> list[dict[str, Any]]:
    """Return the most exposed training records, with the shares of controls that are as exposed and as isolated."""
    game, count = results.game, len(results.game.members)
    rows = game.member_rows
    exposure, isolation = (values[:count] for values in (results.attacks.exposure, results.attacks.isolation))
    if len(game.train) <= MAX_RANKED_ROWS:
        other_rows = np.setdiff1d(np.arange(len(game.train)), rows)
        others = (
            score_exposure(game, results.attacks, game.train.take(other_rows))
            if len(other_rows)
            else (np.empty(0), np.empty(0))
        )
        order = np.argsort(np.concatenate([rows, other_rows]))
        rows = np.arange(len(game.train))
        exposure, isolation = (np.concatenate(both)[order] for both in zip((exposure, isolation), others, strict=True))
    control_exposure, control_isolation = (
        np.sort(results.attacks.exposure[count:]),
        np.sort(results.attacks.isolation[count:]),
    )
    # All exact copies of isolated records come first.
    copied = results.copied[rows] & (isolation >= np.quantile(control_isolation, ISOLATED_QUANTILE)) & (isolation > 0)
    order = np.argsort(-exposure, kind="stable")
    chosen = np.concatenate([order[copied[order]], order[~copied[order]]])
    return [
        {
            "row": int(rows[i]),
            "exact_copy": bool(results.copied[rows[i]]),
            "false_positive_rate": float(
                1 - np.searchsorted(control_exposure, exposure[i], "left") / len(control_exposure)
            ),
            "isolation_percentile": round(
                100 * float(np.searchsorted(control_isolation, isolation[i]) / len(control_isolation)), 1
            ),
        }
        for i in chosen[: max(MIN_NAMED_RECORDS, int(copied.sum()))]
    ]
