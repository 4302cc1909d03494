"""Verdict of a report, and suitability for each use, by the fixed limits of ``metric_specs``.

Limits apply to the better end of the interval, so random errors do not count against a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tabsynth.evaluation import metric_specs
from tabsynth.evaluation.metric_specs import LEVELS, SPECS, USES, Level
from tabsynth.evaluation.score import Score
from tabsynth.reporting.number_format import format_number

MAX_PART_EXCESS = 25.0
"""Maximum excess of a single column or pair over its floor, in points, of a good score."""

MAX_INTERVAL_WIDTH = 25.0
"""Maximum width of the interval of ``shape_error``, in points; beyond it there are too few rows for a verdict."""

PHRASES: dict[tuple[str, Level], str] = {
    ("fidelity", "good"): "follows the real table closely",
    ("fidelity", "fair"): "follows the real table approximately",
    ("fidelity", "poor"): "differs clearly from the real table",
    ("detection", "good"): "a classifier can hardly distinguish it from real rows",
    ("detection", "fair"): "a classifier can partly distinguish it from real rows",
    ("detection", "poor"): "a classifier can distinguish it from real rows",
    ("utility", "good"): "models learn from it as well as from real rows",
    ("utility", "fair"): "models learn from it nearly as well as from real rows",
    ("utility", "poor"): "models learn less from it than from real rows",
    ("memorisation", "good"): "there is no sign of copied rows",
    ("memorisation", "fair"): "its rows are slightly closer to the training rows than to held-out rows",
    ("memorisation", "poor"): "its rows are too close to the training rows",
}
WORSE_THAN_GUESSING = "its detection AUC is below 0.5, which can be a sign of copied rows"
"""Phrase for a detection AUC below 0.5 where the memorisation scores are good."""

GUESSING = "models that learn from it predict no better than guessing"
"""Phrase for a utility at or below the chance level where real rows are significantly better."""

FORMAT_SCORES = {"value_format": "rounding_error"}
"""Score of findings that have no score of their own."""

LEVEL_PHRASES: dict[Level, str] = {"good": "suitable", "fair": "suitable with caution", "poor": "not suitable"}


@dataclass(frozen=True)
class Verdict:
    """Conclusion of a report: one sentence, and levels by score and by area."""

    text: str
    areas: dict[str, Level]
    scores: dict[str, Level]

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain data."""
        return {"text": self.text, "areas": dict(self.areas), "scores": dict(self.scores)}


def assess(scores: Mapping[str, Score]) -> Verdict:
    """Return the verdict on a report's scores; areas without scores are omitted."""
    levels = _levels_of(scores)
    areas: dict[str, Level] = {}
    for name, spec in SPECS.items():
        if spec.verdict and name in levels:
            areas[spec.area] = max(areas.get(spec.area, "good"), levels[name], key=LEVELS.index)
    shape = scores.get("shape_error")
    low, high = (shape.interval if shape is not None else None) or (0.0, 0.0)
    wide = high - low > MAX_INTERVAL_WIDTH
    phrases = {area: PHRASES[area, level] for area, level in areas.items()}
    if "utility" in areas and _learns_nothing(scores):
        phrases["utility"] = GUESSING
    detection = scores.get("detection_auc")
    if detection is not None and detection.value < 0.5 and areas.get("detection", "good") != "good":
        if areas.get("memorisation", "good") == "good":
            phrases["detection"] = WORSE_THAN_GUESSING
            phrases.pop("memorisation", None)
        else:  # the phrase on memorisation is the stronger statement
            del phrases["detection"]
    warning = ""
    if areas.get("memorisation") == "poor" and len(phrases) > 1:  # good scores may be due to copies
        del phrases["memorisation"]
        warning = "Rows may be copied: many are too close to the training rows. "
    text = _sentence(areas, phrases, too_few_rows=wide and areas["fidelity"] != "poor")
    return Verdict(warning + text, areas, levels)


def _levels_of(scores: Mapping[str, Score]) -> dict[str, Level]:
    """Return the level of each score that has limits."""
    levels = {name: level for name, score in scores.items() if (level := level_of(score)) is not None}
    return levels | dict.fromkeys(("utility", "utility_gap"), "poor") if _learns_nothing(scores) else levels


def _learns_nothing(scores: Mapping[str, Score]) -> bool:
    """Return whether a model of the synthetic rows only guesses, where one of real rows is significantly better.

    Where real rows are little better than guessing, the gap is too small for its own limits.
    """
    utility, gap = scores.get("utility"), scores.get("utility_gap")
    if utility is None or gap is None or utility.floor is None or not utility.interval or not gap.interval:
        return False
    chance = 0.5 if utility.unit == "AUC" else 0.0
    return utility.value <= chance and utility.interval[1] < utility.floor and gap.interval[0] > (gap.floor or 0.0)


def level_of(score: Score) -> Level | None:
    """Return good, fair or poor, also by the worst column or pair; None for a score without limits."""
    level = metric_specs.level_of(score)
    if score.name in ("shape_error", "trend_error") and level == "good":
        return "fair" if any(part.excess > MAX_PART_EXCESS for part in score.detail) else level
    return level


def compare_with_floor(score: Score) -> str:
    """Describe the value relative to its floor."""
    if score.name in ("shape_error", "trend_error") and score.floor is not None:
        gap = score.value - score.floor
        return "as close as held-out real rows" if gap <= 0 else f"{format_number(gap, '%')} above held-out real rows"
    return ""


def assess_uses(scores: Mapping[str, Score], findings: Iterable[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return each use with its level, and the scores that limit the level, the worst first.

    A use is omitted if none of its scores was measured. A score with a finding is at most fair, and so is every use of
    a table whose rows may be copied.
    """
    close = [name for name, spec in SPECS.items() if spec.verdict and spec.area == "memorisation" and name in scores]
    copied: dict[str, Level] = {name: "poor" for name in close if level_of(scores[name]) == "poor"}
    every = _levels_of(scores)
    faulty = {FORMAT_SCORES.get(finding["score"], finding["score"]) for finding in findings}
    out = []
    for use in USES:
        names = [name for name, spec in SPECS.items() if use in spec.uses and name in scores]
        levels = {name: every[name] for name in names if name in every}
        levels = {n: max(level, "fair", key=LEVELS.index) if n in faulty else level for n, level in levels.items()}
        if not levels:
            continue
        best: Level = "fair" if copied else "good"
        worst = max([*levels.values(), best], key=LEVELS.index)
        measured = list(levels)
        levels = copied | levels
        against = sorted((n for n, level in levels.items() if level != "good"), key=lambda n: -LEVELS.index(levels[n]))
        out.append(
            {
                "use": use,
                "level": worst,
                "word": LEVEL_PHRASES[worst],
                "against": [{"name": n, "title": scores[n].title, "level": levels[n]} for n in against],
                "measured": measured,
            }
        )
    return out


def recommend(uses: Sequence[Mapping[str, Any]], areas: Mapping[str, Level]) -> str:
    """Return a sentence on suitable uses, from ``assess_uses`` and the levels of the areas."""
    by_level = {level: [_lower_first(use["use"]) for use in uses if use["level"] == level] for level in LEVELS}
    careful = "with caution for" if by_level["good"] else "suitable with caution for"
    prefixes: dict[Level, str] = {"good": "suitable for", "fair": careful, "poor": "not suitable for"}
    parts = [f"{prefixes[level]} {_join_phrases(by_level[level])}" for level in LEVELS if by_level[level]]
    if not parts:
        return ""
    sentence = "; ".join(parts)
    level = areas.get("memorisation", "good")
    if level == "poor":
        return f"Audit this table before any use, because rows may be copied. Otherwise it is {sentence}."
    advice = " Audit the table before you share it outside." if level == "fair" else ""
    return f"{sentence[0].upper()}{sentence[1:]}.{advice}"


def _lower_first(text: str) -> str:
    return text[0].lower() + text[1:]


def _sentence(levels: Mapping[str, Level], phrases: Mapping[str, str], too_few_rows: bool = False) -> str:
    """Return the summary: fidelity first, then strengths, then weaknesses."""
    if not levels:
        return "Nothing was measured."
    if too_few_rows:
        return "There are too few rows to assess how close the synthetic table is to the real one."
    others = [area for area in phrases if area != "fidelity"]
    good = _join_phrases([phrases[area] for area in others if levels[area] == "good"])
    bad = _join_phrases([phrases[area] for area in others if levels[area] != "good"])
    tail = ", but ".join(part for part in (good, bad) if part)
    if "fidelity" not in phrases:
        return f"{tail[0].upper()}{tail[1:]}."
    head = f"The synthetic table {phrases['fidelity']}"
    link = ", but " if bad and not good and levels["fidelity"] == "good" else "; "
    return f"{head}{link}{tail}." if tail else f"{head}."


def _join_phrases(phrases: list[str]) -> str:
    return " and ".join(part for part in (", ".join(phrases[:-1]), "".join(phrases[-1:])) if part)
