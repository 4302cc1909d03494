"""Report of a canary audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabsynth.common.atomic_files import write_text
from tabsynth.privacy.audit.verdict import Claim, Kind
from tabsynth.reporting.report_files import report_json


@dataclass(frozen=True, kw_only=True)
class CanaryReport:
    """Report of a canary audit.

    Attributes:
        verdict: ``VIOLATION``, ``CONSISTENT, powered`` or ``INCONCLUSIVE``.
        text: The verdict in a sentence.
        claim: Claimed and measured epsilon. The measured one is a lower bound, not a guarantee.
        mu: For a Gaussian claim: ``claim``, ``estimate``, ``low`` and ``power`` against twice the claim; else None.
        runs: Number of runs with the canary, and of runs without it.
        detectable: Smallest ratio of true to claimed epsilon that is detected with probability 0.8; None if that is
            not known, or if not even a ratio of 30 is detected.
        threat: The threat model: powers and view of the adversary.
        one_run: Result of the one-run audit, if requested: ``epsilon``, ``most`` and the guesses; informative only.
    """

    verdict: Kind
    text: str
    claim: Claim
    mu: dict[str, float] | None
    runs: int
    threat: str
    detectable: float | None = None
    one_run: dict[str, float] | None = None

    @property
    def exit_code(self) -> int:
        """Exit code of the command: 3 on a violation, else 0."""
        return 3 if self.verdict == "VIOLATION" else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "format": "tabsynth-canaries",
            "version": 1,
            "verdict": self.verdict,
            "text": self.text,
            "claim": self.claim.to_dict(),
            "mu": self.mu,
            "runs": self.runs,
            "detectable": self.detectable,
            "threat": self.threat,
            "one_run": self.one_run,
        }

    def save(self, path: str | Path) -> None:
        """Write the report as JSON."""
        write_text(path, report_json(self.to_dict()), private=True)

    def __str__(self) -> str:
        lines = [f"{self.verdict}. {self.text}", f"{self.threat} {self.runs:,} runs with and without the canary each."]
        if self.mu is not None:
            lines.append("mu: claimed {claim:.3f}, estimated {estimate:.3f}, at least {low:.3f}".format(**self.mu))
        if self.one_run is not None:
            lines.append(
                "one run (informative): at least {epsilon:.2f}, at most {most:.2f} measurable".format(**self.one_run)
            )
        return "\n".join(lines)


def describe_verdict(
    verdict: Kind,
    claim: Claim,
    mu: Mapping[str, float] | None,
    white_box: bool,
    runs: int,
    detectable: float | None,
) -> str:
    """Describe the verdict, with the measured bound, the claim, and the power of the audit."""
    summary = f"Epsilon at least {claim.measured:.2f} measured, {claim.epsilon:g} claimed (delta {claim.delta:.0e})"
    if mu is not None:
        summary += f"; mu at least {mu['low']:.3f} measured, {mu['claim']:.3f} claimed"
    if verdict == "VIOLATION":
        return f"The claim does not hold. {summary}."
    power = f"twice the claim would have been detected with probability {claim.power:.2f}"
    if not white_box:
        power = "the power against twice the claim is not known for a score of the synthetic rows"
    elif claim.delta > 0:
        times = f"from {detectable:g} times the claim on" if detectable else "even of 30 times the claim"
        outcome = "would have been detected" if detectable else "might have been missed"
        power += f"; with {runs:,} runs each a true epsilon {times} {outcome}"
    lead = "No evidence against the claim" if verdict != "INCONCLUSIVE" else "No conclusion"
    most = f"at most {claim.most:.2f} could have been measured"
    return f"{lead}. {summary}; {power}, and {most}. A lower bound is not a guarantee."
