"""Verdicts of an audit: violation, consistency with a stated power, or inconclusive. Never that a release is safe.

A lower bound on epsilon is never presented as the privacy, and silence counts only where a leak would have been heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["VIOLATION", "CONSISTENT, powered", "INCONCLUSIVE"]

MIN_POWER = 0.8
"""Chance of finding a leak of twice what is claimed from which silence means something."""


@dataclass(frozen=True)
class Claim:
    """A claimed epsilon, and the measured lower bound.

    Attributes:
        epsilon: The claimed epsilon; 0 if the claim is that nothing can be learned of a record (no privacy was stated).
        delta: Of the claim.
        measured: Lower bound on epsilon, at 95 % confidence.
        most: The most that the audit could have measured, had every guess been right.
        power: Chance that a truth of twice the claim would have been found.
        method: How it was measured.
    """

    epsilon: float
    delta: float
    measured: float
    most: float
    power: float
    method: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the claim as plain data."""
        keys = ("epsilon", "delta", "measured", "most", "power", "method")
        return {key: getattr(self, key) for key in keys}


def decide(violated: bool, powered: bool) -> Kind:
    """The verdict."""
    if violated:
        return "VIOLATION"
    return "CONSISTENT, powered" if powered else "INCONCLUSIVE"


def judge_claim(claim: Claim, found: Sequence[str] = ()) -> tuple[Kind, str]:
    """Return the verdict on a claimed epsilon, and a sentence for it.

    Args:
        claim: The claimed and the measured epsilon.
        found: The attacks that are significant after correction, the surest first.
    """
    kind = decide(claim.measured > claim.epsilon, claim.power >= MIN_POWER)
    seen = f"measured at least {claim.measured:.2f} against the claimed {claim.epsilon:g} (delta {claim.delta:.0e})"
    if kind == "VIOLATION":
        return kind, f"Epsilon is above its claim: {seen}."
    could = f"twice the claim would have been found with probability {claim.power:.2f}"
    if found:
        rest = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return kind, (
            f"Training rows are recognised beyond chance ({found[0][0].lower()}{found[0][1:]}{rest}), no more surely "
            f"than the claim allows: {seen}, and {could}."
        )
    if kind == "INCONCLUSIVE":
        return kind, f"No statement: {seen}, but {could}; at most {claim.most:.2f} could have been measured."
    return kind, f"Nothing contradicts the claim: {seen}, and {could}. The lower bound is not the privacy."


def judge_attacks(found: Sequence[str], powered: bool, planted: str) -> tuple[Kind, str]:
    """The verdict where nothing was claimed: whether any attack distinguishes training rows from others.

    Args:
        found: The attacks that are significant after correction, the surest first.
        powered: Whether small leaks would have been found.
        planted: Which leaks would have been found and which would not, in a sentence.
    """
    kind = decide(bool(found), powered)
    if kind == "VIOLATION":
        rest = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return (
            kind,
            f"The synthetic table reveals rows that it was trained on: {found[0][0].lower()}{found[0][1:]}{rest}.",
        )
    if kind == "INCONCLUSIVE":
        return kind, f"No statement: no attack is beyond chance, but small leaks would have been missed. {planted}"
    return kind, f"No violation found: no attack distinguishes training rows from others beyond chance. {planted}"
