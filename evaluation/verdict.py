"""What the scores amount to, by fixed thresholds that anyone can read here.

A threshold is held against the better end of the interval: only what is beyond chance counts against a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tabsynth.evaluation.score import Score, figure

Level = Literal["good", "fair", "poor"]

FIDELITY = (1.0, 5.0)
"""Points of percent above the floor up to which fidelity is good, then fair; likewise below."""
BROKEN = 25.0
"""Points above the floor at which one column or pair alone keeps the mean from being called good."""

DETECTION = (0.53, 0.68)
UTILITY = (0.01, 0.05)
NEARER = (50.0, 53.0)
COPIES = (0.1, 1.0)

AREAS = {
    "fidelity": ("shape_error", "trend_error"),
    "detection": ("detection_auc",),
    "utility": ("utility_gap",),
    "memorisation": ("dcr_share", "copies"),
}
PHRASES: dict[tuple[str, Level], str] = {
    ("fidelity", "good"): "follows the real table closely",
    ("fidelity", "fair"): "follows the real table in outline",
    ("fidelity", "poor"): "differs visibly from the real table",
    ("detection", "good"): "a classifier can hardly tell it apart",
    ("detection", "fair"): "a classifier tells some of it apart",
    ("detection", "poor"): "a classifier tells it apart",
    ("utility", "good"): "models learn from it as well as from real rows",
    ("utility", "fair"): "models learn from it nearly as well as from real rows",
    ("utility", "poor"): "models learn less from it than from real rows",
    ("memorisation", "good"): "nothing points to copied rows",
    ("memorisation", "fair"): "it keeps a little close to its training rows",
    ("memorisation", "poor"): "it keeps too close to its training rows",
}


@dataclass(frozen=True)
class Verdict:
    """Levels by score and by area, and one sentence."""

    text: str
    areas: dict[str, Level]
    scores: dict[str, Level]

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data."""
        return {"text": self.text, "areas": dict(self.areas), "scores": dict(self.scores)}


def judge(scores: Mapping[str, Score]) -> Verdict:
    """The verdict on a report's scores; an area without scores is not spoken of."""
    levels = {name: level for name, score in scores.items() if (level := level_of(score)) is not None}
    areas: dict[str, Level] = {}
    for area, names in AREAS.items():
        found = [levels[name] for name in names if name in levels]
        if found:
            areas[area] = max(found, key=("good", "fair", "poor").index)
    return Verdict(_sentence(areas), areas, levels)


def level_of(score: Score) -> Level | None:
    """Good, fair or poor; None for a score that no threshold is set for."""
    low, high = score.interval if score.interval is not None else (score.value, score.value)
    if score.name in ("shape_error", "trend_error"):
        level = _graded(low - (score.floor or 0.0), FIDELITY)
        broken = any(part.excess > BROKEN for part in score.detail)
        return "fair" if level == "good" and broken else level
    if score.name in ("detection_auc", "detection_column_auc"):
        return _graded(low, DETECTION)
    if score.name == "utility_gap":
        return _graded(low, UTILITY)
    if score.name == "utility" and score.floor is not None:
        return _graded(score.floor - high, UTILITY)
    if score.name == "dcr_share":
        return _graded(low, NEARER)
    if score.name == "copies":
        return _graded(low, COPIES)
    return None


def reading(score: Score) -> str:
    """How the value compares with its floor, in a few words."""
    if score.name in ("shape_error", "trend_error") and score.floor is not None:
        gap = score.value - score.floor
        return "as near as fresh real rows" if gap <= 0 else f"{figure(gap, '%')} above fresh real rows"
    return ""


def _graded(value: float, limits: tuple[float, float]) -> Level:
    return "good" if value <= limits[0] else "fair" if value <= limits[1] else "poor"


def _sentence(areas: Mapping[str, Level]) -> str:
    """Fidelity first, then what speaks for the table, then what speaks against it."""
    if not areas:
        return "Nothing was measured."
    rest = [area for area in areas if area != "fidelity"]
    good = _joined([PHRASES[area, areas[area]] for area in rest if areas[area] == "good"])
    bad = _joined([PHRASES[area, areas[area]] for area in rest if areas[area] != "good"])
    tail = ", but ".join(part for part in (good, bad) if part)
    if "fidelity" not in areas:
        return f"{tail[0].upper()}{tail[1:]}."
    head = f"The synthetic table {PHRASES['fidelity', areas['fidelity']]}"
    link = ", but " if bad and not good and areas["fidelity"] == "good" else "; "
    return f"{head}{link}{tail}." if tail else f"{head}."


def _joined(phrases: list[str]) -> str:
    """Phrases in a row: a, b and c."""
    return " and ".join(part for part in (", ".join(phrases[:-1]), "".join(phrases[-1:])) if part)
