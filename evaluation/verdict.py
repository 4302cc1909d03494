"""What the scores amount to, by fixed thresholds that anyone can read here.

A threshold is held against the better end of the interval: only what is beyond chance counts against a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tabsynth.evaluation import metric_specs
from tabsynth.evaluation.metric_specs import LEVELS, Level
from tabsynth.evaluation.score import Score
from tabsynth.reporting.number_format import format_number

MAX_PART_EXCESS = 25.0
"""Points above the floor at which one column or pair alone keeps the mean from being called good."""

MAX_INTERVAL_WIDTH = 25.0
"""Width of the interval of column shapes, in points, from which there are too few rows to say anything good."""

VERDICT_SCORES = {
    "fidelity": ("shape_error", "trend_error"),
    "detection": ("detection_auc",),
    "utility": ("utility_gap",),
    "memorisation": ("dcr_share", "copies"),
}
"""The scores that the sentence is made of."""

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


def assess(scores: Mapping[str, Score]) -> Verdict:
    """The verdict on a report's scores; an area without scores is not spoken of."""
    levels = {name: level for name, score in scores.items() if (level := level_of(score)) is not None}
    found_areas: dict[str, Level] = {}
    for area, names in VERDICT_SCORES.items():
        found = [levels[name] for name in names if name in levels]
        if found:
            found_areas[area] = max(found, key=LEVELS.index)
    shape = scores.get("shape_error")
    wide = (
        shape is not None and shape.interval is not None and shape.interval[1] - shape.interval[0] > MAX_INTERVAL_WIDTH
    )
    return Verdict(_sentence(found_areas, too_few_rows=wide and found_areas["fidelity"] != "poor"), found_areas, levels)


def level_of(score: Score) -> Level | None:
    """Good, fair or poor; None for a score that no limit is set for."""
    level = metric_specs.level_of(score)
    if score.name in ("shape_error", "trend_error") and level == "good":
        return "fair" if any(part.excess > MAX_PART_EXCESS for part in score.detail) else level
    return level


def compare_with_floor(score: Score) -> str:
    """How the value compares with its floor, in a few words."""
    if score.name in ("shape_error", "trend_error") and score.floor is not None:
        gap = score.value - score.floor
        return "as near as fresh real rows" if gap <= 0 else f"{format_number(gap, '%')} above fresh real rows"
    return ""


def _sentence(levels: Mapping[str, Level], too_few_rows: bool = False) -> str:
    """Fidelity first, then what speaks for the table, then what speaks against it."""
    if not levels:
        return "Nothing was measured."
    if too_few_rows:
        return "There are too few rows to say how close the synthetic table is to the real one."
    rest = [area for area in levels if area != "fidelity"]
    good = _join_phrases([PHRASES[area, levels[area]] for area in rest if levels[area] == "good"])
    bad = _join_phrases([PHRASES[area, levels[area]] for area in rest if levels[area] != "good"])
    tail = ", but ".join(part for part in (good, bad) if part)
    if "fidelity" not in levels:
        return f"{tail[0].upper()}{tail[1:]}."
    head = f"The synthetic table {PHRASES['fidelity', levels['fidelity']]}"
    link = ", but " if bad and not good and levels["fidelity"] == "good" else "; "
    return f"{head}{link}{tail}." if tail else f"{head}."


def _join_phrases(phrases: list[str]) -> str:
    """Phrases in a row: a, b and c."""
    return " and ".join(part for part in (", ".join(phrases[:-1]), "".join(phrases[-1:])) if part)


USES: dict[str, tuple[str, ...]] = {
    "Testing software": ("shape_error", "coverage", "missing_pattern_error"),
    "Exploring and teaching": ("shape_error", "trend_error", "tail_error", "missing_relation_error", "mode_loss"),
    "Training models": ("utility_gap", "utility_learners", "calibration_error", "importance_agreement"),
    "Adding to real rows": ("utility_both",),
    "Statistical conclusions": ("trend_error", "conditional_error", "conclusions", "tail_error"),
    "Studying groups": ("subgroup_error", "parity_error", "group_utility_gap", "prediction_parity_gap"),
}
"""The scores that matter for each use; a use none of whose scores was measured is not spoken of."""


LEVEL_PHRASES: dict[Level, str] = {"good": "fit for it", "fair": "with care", "poor": "not fit"}


def assess_uses(scores: Mapping[str, Score]) -> list[dict[str, Any]]:
    """Each use with its level, a word for it, and the scores that keep it from being better, the worst first."""
    out = []
    for use, names in USES.items():
        levels = {name: level for name in names if name in scores and (level := level_of(scores[name])) is not None}
        if not levels:
            continue
        worst = max(levels.values(), key=LEVELS.index)
        against = sorted((n for n, level in levels.items() if level != "good"), key=lambda n: -LEVELS.index(levels[n]))
        out.append(
            {
                "use": use,
                "level": worst,
                "word": LEVEL_PHRASES[worst],
                "against": [{"name": n, "title": scores[n].title, "level": levels[n]} for n in against],
                "measured": list(levels),
            }
        )
    return out
