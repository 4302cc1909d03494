"""Result of one attack: an estimate with its interval, chance level, baseline and p-value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tabsynth.common.arrays import Bools, Integers
from tabsynth.common.binomial import newcombe
from tabsynth.evaluation.score import Part, Score
from tabsynth.privacy.attacks.rate_tests import fisher_p_value
from tabsynth.reporting.number_format import format_number

Group = Literal["membership", "singling_out", "linkability", "inference", "copies", "source", "shadow"]
Records = Literal["random", "isolated", "exposed"]


@dataclass(frozen=True, kw_only=True)
class AttackResult:
    """Result of one attack on one set of records.

    Attributes:
        name: Name of the score.
        group: The risk that the attack measures.
        attack: Display name of the attack.
        records: Attacked records: random ones, the most isolated ones, or those nearest to the synthetic table (the
            last two selected without use of membership).
        title: Display name of the value.
        value: The measured value.
        interval: Its 95 % confidence interval.
        floor: Expected value if the synthetic table reveals nothing about its training rows.
        p: p-value under that hypothesis; None if it is not tested.
        unit: As in ``Score``.
        success: Success rate of the attack on training records, 0 to 1, if it has one.
        control: Success rate on control records, which were not in the training table.
        baseline: Success rate on training records without the synthetic table.
        description: Meaning of the value, in one line.
        method: Method of computation, with references.
        detail: The value by column or subgroup.
        counts: Successes and trials on members, then successes and trials on controls.
        p_reverse: p-value of the reverse hypothesis, that controls are recognised more than members.
        evidence: The most significant of several tested values, if it is not ``value``.
    """

    name: str
    group: Group
    attack: str
    records: Records
    title: str
    value: float
    interval: tuple[float, float]
    floor: float
    p: float | None
    unit: str = "%"
    success: float | None = None
    control: float | None = None
    baseline: float | None = None
    description: str = ""
    method: str = ""
    detail: tuple[Part, ...] = ()
    counts: tuple[int, int, int, int] = (0, 1, 0, 1)
    p_reverse: float = 1.0
    evidence: str = ""

    @property
    def summary(self) -> str:
        """The title with the most significant value and its chance level."""
        value = f"{format_number(self.value, self.unit)}; {format_number(self.floor, self.unit)} by chance"
        return f"{self.title} ({self.evidence or value})"

    def score(self) -> Score:
        """Convert to a score."""
        return Score(
            name=self.name,
            title=self.title,
            value=self.value,
            interval=self.interval,
            better="lower",
            floor=self.floor,
            unit=self.unit,
            description=self.description,
            method=self.method,
            detail=self.detail,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are not in the score, as plain data."""
        keys = ("name", "group", "attack", "records", "p", "success", "control", "baseline")
        return {key: getattr(self, key) for key in keys}


def compare_rates(members: Bools | Integers, controls: Bools | Integers) -> dict[str, Any]:
    """Return the fields of the result of an attack that succeeds on some training records and on some controls.

    Args:
        members: Whether the attack succeeds on each training record.
        controls: Whether it succeeds on each control record.
    """
    a, n, b, m = int(members.sum()), len(members), int(controls.sum()), len(controls)
    low, high = newcombe(a, max(n, 1), b, max(m, 1))
    success, control = a / max(n, 1), b / max(m, 1)
    p, p_reverse = (fisher_p_value(a, n, b, m), fisher_p_value(b, m, a, n)) if n and m else (1.0, 1.0)
    fields: dict[str, Any] = {"value": 100 * (success - control), "interval": (100 * low, 100 * high), "floor": 0.0}
    return fields | {"p": p, "p_reverse": p_reverse, "counts": (a, n, b, m), "success": success, "control": control}


def bonferroni(p: list[float]) -> float:
    """Return the Bonferroni-corrected smallest p-value."""
    return min(1.0, len(p) * min(p))
