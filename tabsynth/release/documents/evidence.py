"""Public parts of an evaluation, an audit and a ledger, selected key by key.

A figure of the real table is not an output of a private mechanism. Where differential privacy is promised, a release
therefore holds levels (good, fair, poor) and verdicts in place of figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tabsynth.evaluation.metric_specs import LEVELS
from tabsynth.evaluation.relational.database_report import DatabaseReport
from tabsynth.evaluation.report import Report
from tabsynth.evaluation.verdict import assess_uses, level_of
from tabsynth.privacy.accounting.explanation import FPR, PRIOR, explain_ledger, max_tpr, profile_of, uses_dp_sgd
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.accounting.ledger_format import describe
from tabsynth.privacy.audit.report import AuditReport

LEVELS_NOTE = "Levels only: figures of the real table would not be covered by the promise of differential privacy."

NOT_COVERED = (
    "what is true of many: trends and groups are learned on purpose, whoever is in the table",
    "the declared schema: names, bounds and categories count as public",
    "levels, gates and verdicts in this release: they compare with the real table without noise",
    "other outputs from the same real table: their epsilons add up",
)


def is_private(ledger: PrivacyLedger | None) -> bool:
    """Return whether a ledger promises differential privacy."""
    return ledger is not None and len(ledger) > 0 and ledger.secure and math.isfinite(ledger.epsilon())


def public_evaluation(report: Report | DatabaseReport, private: bool) -> dict[str, Any]:
    """Return the public part of an evaluation: no value of a row, no column's figures, nothing about the real file."""
    scores = []
    for score in report.scores.values():
        linked = isinstance(report, DatabaseReport)
        title = f"{score.name.rpartition('.')[0]}: {score.title}" if linked else score.title
        entry: dict[str, Any] = {"name": score.name, "title": title}
        entry["level"] = report.levels.get(score.name) if isinstance(report, DatabaseReport) else level_of(score)
        if not private:
            entry |= {"value": score.value, "interval": score.interval and list(score.interval), "floor": score.floor}
            entry |= {"unit": score.unit, "better": score.better, "target": score.target}
        scores.append(entry)
    if isinstance(report, DatabaseReport):
        text = report.outline if private else report.verdict
        areas, uses = _levels_by_table(report), []
    else:
        text, areas, uses = report.verdict.text, dict(report.verdict.areas), assess_uses(report.scores, report.findings)
    return {
        "format": "tabsynth-release-evaluation",
        "version": 1,
        "figures": "levels" if private else "values",
        "note": LEVELS_NOTE if private else "",
        "verdict": {"text": text, "areas": [{"area": area, "level": level} for area, level in areas.items()]},
        "uses": [{"use": item["use"], "level": item["level"]} for item in uses],
        "scores": scores,
    }


def _levels_by_table(report: DatabaseReport) -> dict[str, str]:
    """Return the worst level of the scores of each table."""
    out: dict[str, str] = {}
    for table in report.tables:
        own = [level for name, level in report.levels.items() if name.startswith(f"{table['name']}.")]
        if own:
            out[str(table["name"])] = max(own, key=LEVELS.index)
    return out


def public_audit(report: AuditReport, private: bool) -> dict[str, Any]:
    """Return the public part of an audit: verdict, power, and the names of attacks beyond chance."""
    out: dict[str, Any] = {
        "format": "tabsynth-release-audit",
        "version": 1,
        "verdict": report.verdict,
        "note": LEVELS_NOTE if private else "",
    }
    if not private:
        power = report.details.get("power", {})
        out |= {"text": report.text, "significant": list(report.significant)}
        out["power"] = {key: power.get(key) for key in ("fpr", "power", "least_tpr")}
    return out


def public_privacy(ledger: PrivacyLedger | None, dataset: PrivacyLedger | None) -> dict[str, Any]:
    """Return the privacy statement: unit, epsilon, delta, mechanisms and limits, also in words."""
    if ledger is None or not is_private(ledger):
        return {
            "format": "tabsynth-release-privacy",
            "version": 1,
            "guarantee": False,
            "statement": "No differential privacy is guaranteed (epsilon = infinity). See the audit for what was "
            "tried, and found or not.",
            "not_covered": ["everything: what the rows reveal of single records was measured, not bounded"],
        }
    epsilon, delta, profile = ledger.epsilon(), ledger.delta, profile_of(ledger)
    unit = "row" if ledger.unit == "row" else "person"
    covered = [*NOT_COVERED]
    if unit == "row":
        covered.append("persons with several rows: one row is protected at a time")
    if uses_dp_sgd(ledger):
        covered.append("attacks on floating-point arithmetic: the noise of DP-SGD is not exact")
    out: dict[str, Any] = {
        "format": "tabsynth-release-privacy",
        "version": 1,
        "guarantee": True,
        "definition": "(epsilon, delta)-differential privacy",
        "unit": unit,
        "neighbours": ledger.neighbours,
        "epsilon": epsilon,
        "delta": delta,
        "statement": f"({epsilon:.4g}, {delta:.3g})-differential privacy of a {unit} that is added or removed.",
        "meaning": explain_ledger(ledger),
        "recognised_at_most": max_tpr(profile, FPR),
        "recognised_at_false_alarms": FPR,
        "guessed_at_most": max_tpr(profile, PRIOR),
        "accountant": "exact for Gaussian noise, otherwise the smaller of Renyi and PLD accounting (dp-accounting)",
        "mechanisms": [
            {
                "purpose": entry.purpose,
                "mechanism": describe(entry.event),
                "columns": list(entry.columns),
                "event": entry.event,
                "delta": entry.delta,
                "sensitivity": entry.sensitivity,
            }
            for entry in ledger.entries
        ],
        "not_covered": covered,
    }
    if dataset is not None:
        out["dataset"] = {"epsilon": dataset.epsilon(), "delta": dataset.delta, "charges": len(dataset)}
    return out


def public_model(config: Mapping[str, Any] | None, kind: str) -> dict[str, Any]:
    """Return the facts for the model card: kind, options that are plain values, and versions."""
    if config is None:
        return {}
    plain = {
        key: value
        for key, value in dict(config.get("parameters") or config.get("facts", {}).get("parameters", {})).items()
        if value is None or isinstance(value, (bool, int, float, str))
    }
    return {"kind": kind, "parameters": plain, "versions": dict(config.get("versions", {}))}
