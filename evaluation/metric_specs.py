"""The scores by what they ask, and the limits that they are judged by: one place for verdict, gates and page."""

from __future__ import annotations

from typing import Literal

from tabsynth.evaluation.score import Score

Level = Literal["good", "fair", "poor"]
LEVELS: tuple[Level, ...] = ("good", "fair", "poor")

AREAS: dict[str, tuple[str, ...]] = {
    "fidelity": (
        "shape_error",
        "trend_error",
        "triple_error",
        "information_error",
        "conditional_error",
        "tail_error",
        "missing_pattern_error",
        "missing_relation_error",
        "subgroup_error",
    ),
    "diversity": ("coverage", "entropy_error", "alpha_precision", "beta_recall", "mode_loss"),
    "detection": ("detection_auc", "detection_column_auc", "detection_logistic_auc"),
    "utility": (
        "utility",
        "utility_gap",
        "utility_learners",
        "utility_both",
        "calibration_error",
        "importance_agreement",
        "conclusions",
    ),
    "fairness": ("parity_error", "group_utility_gap", "prediction_parity_gap"),
    "memorisation": ("dcr_share", "copies"),
    "quality": ("real_completeness", "real_validity", "real_consistency", "real_uniqueness", "real_timeliness"),
}

LIMITS: dict[str, tuple[float, float]] = {
    "shape_error": (1.0, 5.0),
    "trend_error": (1.0, 5.0),
    "triple_error": (2.0, 8.0),
    "information_error": (1.0, 5.0),
    "conditional_error": (2.0, 8.0),
    "tail_error": (5.0, 20.0),
    "missing_pattern_error": (1.0, 5.0),
    "missing_relation_error": (5.0, 20.0),
    "subgroup_error": (2.0, 8.0),
    "coverage": (3.0, 10.0),
    "entropy_error": (1.0, 5.0),
    "alpha_precision": (3.0, 10.0),
    "beta_recall": (5.0, 15.0),
    "mode_loss": (5.0, 15.0),
    "detection_auc": (0.03, 0.18),
    "detection_column_auc": (0.03, 0.18),
    "detection_logistic_auc": (0.03, 0.18),
    "utility": (0.01, 0.05),
    "utility_gap": (0.01, 0.05),
    "utility_learners": (0.01, 0.05),
    "utility_both": (0.01, 0.05),
    "calibration_error": (1.0, 5.0),
    "importance_agreement": (0.2, 0.5),
    "conclusions": (15.0, 40.0),
    "parity_error": (1.0, 5.0),
    "group_utility_gap": (0.01, 0.05),
    "prediction_parity_gap": (2.0, 8.0),
    "dcr_share": (1.0, 3.0),
    "copies": (0.1, 1.0),
}
"""How far beyond its floor, at the better end of its interval, a score may lie to be good, then fair; in its unit."""


def area_of(name: str) -> str:
    """The area of a score; ``sdmetrics`` for those of SDMetrics, ``other`` for one that has none."""
    if name.startswith("sdmetrics_"):
        return "sdmetrics"
    return next((area for area, names in AREAS.items() if name in names), "other")


GATE_INTERVAL_FACTOR = 1.68
"""Factor from a 95 % interval to one of 99.9 %: a gate or a finding that errs once in 20 tables is of no use."""


def excess_over_floor(score: Score, width: float = 1.0) -> float:
    """How far a score lies on the worse side of its floor (else of its target), at the better end of its interval.

    Args:
        score: The score.
        width: By how much the interval is widened first.
    """
    low, high = score.interval if score.interval is not None else (score.value, score.value)
    low, high = score.value - width * (score.value - low), score.value + width * (high - score.value)
    base = score.floor if score.floor is not None else score.target if score.target is not None else 0.0
    if score.better == "higher":
        return base - high
    # what aims at a target is worse above it: a classifier below guessing, or rows less near than fresh ones, is chance
    return low - base


def level_of(score: Score) -> Level | None:
    """Good, fair or poor; None for a score that no limit is set for."""
    if score.name not in LIMITS:
        return None
    excess, (good, fair) = excess_over_floor(score), LIMITS[score.name]
    return "good" if excess <= good else "fair" if excess <= fair else "poor"
