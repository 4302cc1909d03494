"""Result of one attack: an estimate with its interval, chance level, baseline and p-value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tabsynth.evaluation.score import Part, Score
from tabsynth.reporting.number_format import format_number

Group = Literal["membership", "singling_out", "linkability", "inference", "copies", "source", "shadow"]
Records = Literal["random", "isolated", "exposed"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome of one attack on one set of records.

    Attributes:
        name: The key of its score.
        group: The question to which it belongs.
        attack: The attack's name for people.
        records: Which records were attacked: random ones, the most isolated ones, or those that lie nearest to the
            synthetic table (both chosen without looking at membership).
        title: The figure's name for people.
        value: The figure.
        interval: Its 95 % interval.
        floor: Its value if the synthetic table reveals nothing of its training rows.
        p: p-value under that hypothesis; None for a figure that is not tested.
        unit: As in ``Score``.
        success: The attack's own rate on training records, 0 to 1, where it has one.
        control: The same on records that were not learned.
        baseline: The same on training records for who does not have the synthetic table.
        description: Meaning of the figure, in one line.
        method: How it was found, and after whom.
        detail: The figure by column or subgroup.
        counts: Records that the attack names and all records: of the members attacked, then of the controls.
        p_reverse: p-value of the opposite: that controls are recognised more than members.
        evidence: The most certain of several figures, if it is not ``value``.
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
        """The finding in a few words: its most significant figure."""
        return f"{self.title} {self.evidence or format_number(self.value, self.unit)}"

    def score(self) -> Score:
        """Return the finding as a score."""
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
        """Return the fields that the score does not hold, as plain data."""
        keys = ("name", "group", "attack", "records", "p", "success", "control", "baseline")
        return {key: getattr(self, key) for key in keys}


def bonferroni(p: list[float]) -> float:
    """One p-value for the smallest of several."""
    return min(1.0, len(p) * min(p))
