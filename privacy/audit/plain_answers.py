"""An audit in plain words: may the table be released, what could an attacker learn, and what remains open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabsynth.privacy.accounting.explanation import explain_claim
from tabsynth.privacy.audit.planted_leaks import describe_planted

LEARNED = {
    "membership": "whether a certain person is in the real table",
    "shadow": "whether a certain person is in the real table, with access to the fitting procedure",
    "singling_out": "combinations of values that only one person has",
    "linkability": "which two parts of a record belong to the same person",
    "inference": "a value of a person, better than from other persons of the population",
    "copies": "parts of real records, which synthetic rows repeat",
}
"""What a successful attack of each group reveals."""

ALWAYS_OPEN = (
    "Attackers with other knowledge, attacks that are not known yet, and further releases from the same data are not "
    "covered. Identifiers and free text are not attacked."
)


def answer_plainly(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return questions and answers from ``AuditReport.to_dict()``, in words without statistics."""
    return [
        ("May this table be released?", _release(report["verdict"], report["claim"], bool(report["significant"]))),
        ("What could an attacker learn?", _attacker(report)),
        ("What remains open?", _open(report)),
        ("For which uses is it good enough?", "See the evaluation of the same table: an audit measures only risk."),
    ]


def _release(verdict: str | None, claim: Mapping[str, Any] | None, found: bool) -> str:
    if verdict == "VIOLATION" and claim:
        return (
            "No. More was recognised than the claimed epsilon allows, so the claim does not hold. Check the fit and "
            "its ledger, and protect the table like the real one."
        )
    if verdict == "VIOLATION":
        return (
            "Not in this form: protect it like the real table. To release a table, fit with differential privacy, or "
            "learn from more rows or fewer columns, and audit again."
        )
    if claim and found:
        return (
            "Only if the claimed epsilon is acceptable: persons or rows are recognised beyond chance, though not more "
            "than this epsilon allows. That is for the controller to decide; a smaller epsilon protects better."
        )
    if claim:
        return (
            "This audit found nothing against the claim, but it cannot prove it. The protection rests on the claimed "
            "epsilon and the ledger of the fit. Whether that suffices for these recipients is for the controller to "
            "decide."
        )
    if verdict == "CONSISTENT, powered":
        return (
            "This audit found no reason against it. It does not show that the table is anonymous, and without "
            "differential privacy nothing guarantees it. Whether the evidence suffices for these recipients is for the "
            "controller to decide."
        )
    if verdict == "INCONCLUSIVE":
        return (
            "This audit cannot decide it: no attack succeeded, but small leaks would have been missed. Hold out more "
            "rows and audit again, or fit with differential privacy. Until then, protect the table like the real one."
        )
    return (
        "This audit cannot decide it, because there are no held-out rows. Hold out real rows before the fit and audit "
        "again. Until then, protect the table like the real one."
    )


def _attacker(report: Mapping[str, Any]) -> str:
    claim, significant = report["claim"], set(report["significant"])
    limit = f" Under the claim: {explain_claim(claim['epsilon'], claim['delta'], claim['unit'])}" if claim else ""
    if report["verdict"] is None:
        return f"Not measured.{limit}"
    found = [test["group"] for test in report["tests"] if test["name"] in significant]
    learned = list(dict.fromkeys(LEARNED[group] for group in found if group in LEARNED))
    if learned:
        return (
            f"{_join(learned).capitalize()}. {len(significant)} of {len(report['tests'])} attacks succeed more often "
            f"than chance explains.{limit}"
        )
    return (
        f"Nothing that the {len(report['tests'])} attacks of this audit could detect. They assume an attacker who has "
        f"the synthetic table, complete records of persons, and other rows of the same population.{limit}"
    )


def _open(report: Mapping[str, Any]) -> str:
    planted = (report["details"].get("power") or {}).get("planted", [])
    # The verdict names these leaks, unless it is a violation.
    missed = f"{describe_planted(planted)} " if planted and report["verdict"] == "VIOLATION" else ""
    return missed + ALWAYS_OPEN


def _join(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{'; '.join(items[:-1])}; and {items[-1]}"
