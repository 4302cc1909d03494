"""What a table may be used for: a level for each intended use, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tabsynth.evaluation.areas import LEVELS, Level
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.verdict import level_of

USES: dict[str, tuple[str, ...]] = {
    "Testing software": ("shape_error", "coverage", "missing_pattern_error"),
    "Exploring and teaching": ("shape_error", "trend_error", "tail_error", "missing_relation_error", "mode_loss"),
    "Training models": ("utility_gap", "utility_learners", "calibration_error", "importance_agreement"),
    "Adding to real rows": ("utility_both",),
    "Statistical conclusions": ("trend_error", "conditional_error", "conclusions", "tail_error"),
    "Studying groups": ("subgroup_error", "parity_error", "group_utility_gap", "prediction_parity_gap"),
}
"""The scores that matter for each use; a use none of whose scores was measured is not spoken of."""

WORDS: dict[Level, str] = {"good": "fit for it", "fair": "with care", "poor": "not fit"}


def uses(scores: Mapping[str, Score]) -> list[dict[str, Any]]:
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
                "word": WORDS[worst],
                "against": [{"name": n, "title": scores[n].title, "level": levels[n]} for n in against],
                "measured": list(levels),
            }
        )
    return out
