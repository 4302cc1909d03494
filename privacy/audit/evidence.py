"""The figures behind an audit's verdict: its power, what the pictures show, the records at risk, and provenance."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from tabsynth.evaluation.inputs import Inputs, fingerprint
from tabsynth.privacy.attacks.attack_result import Records
from tabsynth.privacy.attacks.copies import kmap
from tabsynth.privacy.attacks.membership import exposures
from tabsynth.privacy.attacks.rate_tests import LEVEL, detectable_tpr, power_of_tpr
from tabsynth.privacy.attacks.run_all import Found
from tabsynth.privacy.attacks.subgroups import risk_by_percentile, roc

PACKAGES = ("tabsynth", "numpy", "pandas", "scikit-learn", "scipy")
FPR = 0.01
"""The false-positive rate at which the audit's power is stated."""

NAMED = 25
"""Records that the internal file names."""

MOST_NAMED_OF = 100_000
"""Up to so many training records all are looked at for the worst ones, beyond that those that were attacked."""

CURVES: tuple[Records, ...] = ("random", "isolated")


def power_of(found: Found, tests: int) -> dict[str, Any]:
    """What this audit could have seen."""
    members, controls = len(found.game.members), len(found.game.controls)
    level = LEVEL / (4 * tests)  # Holm's first step, over the four tests of a finding
    return {
        "fpr": FPR,
        "ratio": 2.0,
        "power": power_of_tpr(members, controls, FPR, 2.0, level),
        "least_tpr": detectable_tpr(members, controls, FPR, level),
        "members": members,
        "controls": controls,
        "tests": tests,
    }


def details_of(found: Found, inputs: Inputs, power: dict[str, Any]) -> dict[str, Any]:
    """Figures for the pictures and tables of the page."""
    game, attacks = found.game, found.attacks
    curves = []
    for records in CURVES:
        chosen = attacks.sets[records]
        member = game.is_member[chosen]
        if member.any() and not member.all():
            for name, scores in attacks.scores.items():
                points = roc(scores[chosen][member], scores[chosen][~member])
                curves.append({"attack": name, "records": records, "points": points})
    known = [name for name in inputs.schema.with_role("quasi_identifier") if name in game.train.book.names]
    return {
        "roc": curves,
        "rates": found.rates,
        "percentiles": risk_by_percentile(game, attacks),
        "secrets": [{**item.to_dict(), "title": item.title, "value": item.value} for item in found.secrets],
        "kmap": kmap(game, known) if known else None,
        "power": power,
    }


def worst_of(found: Found) -> list[dict[str, Any]]:
    """The training records most exposed, each with the share of controls that look as exposed and as isolated."""
    game, count = found.game, len(found.game.members)
    rows = game.member_rows
    gap, isolation = (values[:count] for values in (found.attacks.exposure, found.attacks.isolation))
    if len(game.train) <= MOST_NAMED_OF:
        rest = np.setdiff1d(np.arange(len(game.train)), rows)
        others = exposures(game, found.attacks, game.train.take(rest)) if len(rest) else (np.empty(0), np.empty(0))
        order = np.argsort(np.concatenate([rows, rest]))
        rows = np.arange(len(game.train))
        gap, isolation = (np.concatenate(both)[order] for both in zip((gap, isolation), others, strict=True))
    controls, apart = np.sort(found.attacks.exposure[count:]), np.sort(found.attacks.isolation[count:])
    return [
        {
            "row": int(rows[i]),
            "false_positive_rate": float(1 - np.searchsorted(controls, gap[i], "left") / len(controls)),
            "isolation_percentile": round(100 * float(np.searchsorted(apart, isolation[i]) / len(apart)), 1),
        }
        for i in np.argsort(-gap, kind="stable")[:NAMED]
    ]


def provenance_of(inputs: Inputs, seed: int) -> dict[str, Any]:
    """Where the report comes from: contents, seed and versions."""
    tables = {}
    for name, frame in inputs.named():
        tables[name] = {"rows": len(frame), "sha256": fingerprint(frame)}
        if name in inputs.sources:
            tables[name]["file"] = inputs.sources[name]
    packages = {}
    for package in PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "columns": {name: column.kind for name, column in inputs.schema.items()},
        "tables": tables,
        "packages": packages,
    }
