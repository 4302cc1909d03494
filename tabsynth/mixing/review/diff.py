"""A plan's effect on each source as a plain-text diff."""

from __future__ import annotations

from tabsynth.common.text import escape_controls
from tabsynth.mixing.plan.entries import HarmonisationRule
from tabsynth.mixing.plan.plan import Plan


def describe_changes(plan: Plan) -> str:
    """Return the diff, one block for each source; undecided entries include their question."""
    lines: list[str] = [f"# plan {plan.hash[:12]}: {len(plan.open)} entries to decide"]
    for source in plan.inputs:
        lines += ["", f"--- {source}", "+++ mixed"]
        for match in plan.map:
            if source not in match.sources:
                continue
            names = match.joiner.join(match.sources[source])
            effects = [
                text for entry in plan.harmonise if entry.column == match.to for text in _describe_rule(entry, source)
            ]
            sign = "!" if match.status == "rejected" else "-"
            lines.append(f"{sign} {names}")
            if match.status != "rejected":
                lines += [f"+ {match.to}{' [' + ', '.join(effects) + ']' if effects else ''}"]
        absent = [match.to for match in plan.map if source not in match.sources and match.status != "rejected"]
        if absent:
            lines.append(f"  absent: {', '.join(absent)}")
    open_questions = [
        (item.label, item.question) for item in plan.entries if item.status == "proposed" and item.question
    ]
    if open_questions or plan.questions:
        lines += ["", "? to decide"]
        lines += [f"? {label}: {question}" for label, question in open_questions]
        lines += [f"? {question}" for question in plan.questions]
    return escape_controls("\n".join(lines)) + "\n"


def _describe_rule(entry: HarmonisationRule, source: str) -> list[str]:
    """Describe one rule's effect on one source."""
    if entry.status == "rejected":
        return []
    out = []
    if source in entry.na:
        out.append(f"{', '.join(map(str, entry.na[source]))} → missing")
    if source in entry.units:
        out.append(f"{entry.units[source]} → {entry.unit}")
    if source in entry.mixed:
        second = entry.mixed[source]
        side = f"below {second['below']}" if "below" in second else f"above {second['above']}"
        out.append(f"{side}: {second['unit']} → {entry.unit}")
    out += [f"{key} → {value}" for key, value in entry.recoding(source).items() if key != str(value)]
    if source in entry.dates:
        out.append(f"dates {entry.dates[source]}")
    return [f"{text}?" if entry.status == "proposed" else text for text in out]
