"""Requirements on an audit, as sentences about those that are not met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tabsynth.errors import InputError, quote
from tabsynth.reporting.number_format import format_number

if TYPE_CHECKING:
    from tabsynth.privacy.audit.report import AuditReport


def unmet_audit(report: AuditReport, require: Mapping[str, str | float]) -> list[str]:
    """Return a sentence for a violation, a verdict without power if one is required, and each score above its maximum.

    Raises:
        InputError: The report has no score of a name.
    """
    limits = {name: float(limit) for name, limit in require.items() if name != "verdict"}
    unknown = [name for name in limits if name not in report.scores]
    if unknown:
        raise InputError(f"unknown score {quote(unknown)} of the audit; it has {quote(report.scores, 40)}")
    out = []
    if report.verdict == "VIOLATION" or ("verdict" in require and report.verdict != "CONSISTENT, powered"):
        out.append(report.headline)
    for name, limit in limits.items():
        score = report.scores[name]
        if score.value > limit:
            value, bound = (format_number(number, score.unit) for number in (score.value, limit))
            out.append(f"{name} is {value}, at most {bound} is allowed")
    return out
