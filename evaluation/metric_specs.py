"""Specification of all scores: area, title, limits, gauge and uses, for verdict, gates, findings and pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tabsynth.evaluation.score import Score

Level = Literal["good", "fair", "poor"]
LEVELS: tuple[Level, ...] = ("good", "fair", "poor")

TESTING, EXPLORING, TRAINING = "Software testing", "Exploration and teaching", "Model training"
AUGMENTING, INFERRING, GROUPS = "Training-data augmentation", "Statistical inference", "Subgroup analysis"
USES = (TESTING, EXPLORING, TRAINING, AUGMENTING, INFERRING, GROUPS)

GATE_INTERVAL_FACTOR = 1.68
"""Ratio of the widths of 99.9 % and 95 % intervals; gates and findings need few false alarms."""


@dataclass(frozen=True)
class MetricSpec:
    """Presentation and limits of one score.

    Attributes:
        area: Subject of the score.
        title: Display name of the score.
        limits: Maximum excess over the floor, at the better end of the interval and in the unit of the score, of a
            good and of a fair score. None for a score without a floor of real rows.
        uses: Uses whose suitability depends on the score.
        gauge: Minimum range of the gauge; a score with a gauge has a tile on the page.
        verdict: Whether the verdict depends on the score.
        gate: Whether the default gates require a score that is at least fair.
        finding: Minimum excess of a part over its floor, in points, that is a finding.
    """

    area: str
    title: str
    limits: tuple[float, float] | None = None
    uses: tuple[str, ...] = ()
    gauge: tuple[float, float] | None = None
    verdict: bool = False
    gate: bool = False
    finding: float | None = None


SPECS: dict[str, MetricSpec] = {
    "shape_error": MetricSpec(
        "fidelity", "Column shapes", (1, 5), (TESTING, EXPLORING), (0, 2), verdict=True, gate=True, finding=3
    ),
    "trend_error": MetricSpec(
        "fidelity", "Column pair trends", (1, 5), (EXPLORING, INFERRING), (0, 2), verdict=True, gate=True, finding=3
    ),
    "triple_error": MetricSpec("fidelity", "Three-way distributions", (2, 8)),
    "information_error": MetricSpec("fidelity", "Mutual information", (1, 5), finding=4),
    "conditional_error": MetricSpec("fidelity", "Conditional distributions", (2, 8), (INFERRING,)),
    "tail_error": MetricSpec(
        "fidelity", "Tails and rare categories", (5, 20), (EXPLORING, INFERRING), (0, 2), gate=True, finding=20
    ),
    "rounding_error": MetricSpec("fidelity", "Rounding of numbers and dates", (3, 20), (TESTING,), finding=5),
    "missing_pattern_error": MetricSpec("fidelity", "Missing-value patterns", (1, 5), (TESTING,), gate=True, finding=3),
    "missing_relation_error": MetricSpec("fidelity", "Missingness dependence", (5, 20), (EXPLORING,), finding=12),
    "subgroup_error": MetricSpec("fidelity", "Subgroup fidelity", (2, 8), (GROUPS,), gate=True),
    "coverage": MetricSpec("diversity", "Coverage", (3, 10), (TESTING,), (80, 100), gate=True),
    "entropy_error": MetricSpec("diversity", "Entropy", (1, 5)),
    "alpha_precision": MetricSpec("diversity", "α-precision", (3, 10)),
    "beta_recall": MetricSpec("diversity", "β-recall", (5, 15)),
    "mode_loss": MetricSpec("diversity", "Mode loss", (5, 15), (EXPLORING,), gate=True),
    "detection_auc": MetricSpec("detection", "Detection AUC", (0.03, 0.18), gauge=(0.5, 1), verdict=True, gate=True),
    "detection_column_auc": MetricSpec("detection", "Detection AUC, single column", (0.03, 0.18)),
    "detection_logistic_auc": MetricSpec("detection", "Detection AUC, logistic regression", (0.03, 0.18)),
    "utility": MetricSpec("utility", "TSTR utility", (0.01, 0.05), gauge=(0.5, 1), verdict=True),
    "utility_gap": MetricSpec("utility", "TSTR utility gap", (0.01, 0.05), (TRAINING,), verdict=True, gate=True),
    "utility_learners": MetricSpec("utility", "TSTR utility, three models", (0.01, 0.05), (TRAINING,), verdict=True),
    "utility_both": MetricSpec("utility", "Utility of real and synthetic rows", (0.01, 0.05), (AUGMENTING,)),
    "calibration_error": MetricSpec("utility", "Expected calibration error", (1, 5), (TRAINING,)),
    "importance_agreement": MetricSpec("utility", "Feature-importance correlation"),
    "conclusions": MetricSpec(
        "utility", "Preserved regression conclusions", (15, 40), (INFERRING,), (80, 100), gate=True
    ),
    "parity_error": MetricSpec("fairness", "Demographic parity error", (1, 5), (GROUPS,), finding=3),
    "group_utility_gap": MetricSpec("fairness", "TSTR utility gap within groups", (0.01, 0.05), (GROUPS,)),
    "prediction_parity_gap": MetricSpec("fairness", "Demographic parity difference", (2, 8), (GROUPS,)),
    "dcr_share": MetricSpec("memorisation", "DCR share", (1, 3), gauge=(40, 60), verdict=True, gate=True),
    "copies": MetricSpec("memorisation", "Exact-match rate", (0.1, 1), gauge=(0, 1), verdict=True, gate=True),
    "real_completeness": MetricSpec("quality", "Completeness"),
    "real_validity": MetricSpec("quality", "Validity"),
    "real_consistency": MetricSpec("quality", "Consistency"),
    "real_uniqueness": MetricSpec("quality", "Uniqueness"),
    "real_timeliness": MetricSpec("quality", "Timeliness"),
}
"""The scores in the order of a report. The DCR share is the share of synthetic rows whose distance to the closest
record is smaller in the training table than in the holdout; TSTR is train on synthetic, test on real."""

AREAS: dict[str, tuple[str, ...]] = {
    area: tuple(name for name, spec in SPECS.items() if spec.area == area)
    for area in dict.fromkeys(spec.area for spec in SPECS.values())
}


def area_of(name: str) -> str:
    """Return the area of a score; ``sdmetrics`` for scores of SDMetrics, ``other`` for unknown scores."""
    if name.startswith("sdmetrics_"):
        return "sdmetrics"
    return SPECS[name].area if name in SPECS else "other"


def excess_over_floor(score: Score, width: float = 1.0) -> float:
    """Return the excess of the interval's better end over the floor, or over the target without a floor.

    Args:
        score: The score.
        width: Factor by which the interval is widened.
    """
    low, high = score.interval if score.interval is not None else (score.value, score.value)
    low, high = score.value - width * (score.value - low), score.value + width * (high - score.value)
    base = score.floor if score.floor is not None else score.target if score.target is not None else 0.0
    if score.better == "higher":
        return base - high
    if score.name == "detection_auc":  # an AUC far below 0.5 is a sign of copied training rows
        return max(low - base, base - high)
    return low - base


def level_of(score: Score) -> Level | None:
    """Return good, fair or poor; None for a score without limits."""
    spec = SPECS.get(score.name)
    if spec is None or spec.limits is None:
        return None
    excess, (good, fair) = excess_over_floor(score), spec.limits
    return "good" if excess <= good else "fair" if excess <= fair else "poor"
