"""Specification of the scores of a database: group, title, limits and description."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tabsynth.errors import InputError, did_you_mean
from tabsynth.schema.database.database_schema import DatabaseSchema

Group = Literal["table", "link", "sequence", "keys"]


@dataclass(frozen=True)
class DatabaseMetric:
    """Presentation and limits of one score.

    Attributes:
        group: Subject of the score.
        title: Display name of the score.
        limits: Maximum excess over the floor, at the better end of the interval, of a good and of a fair score.
        description: Meaning of the score, in one sentence.
        unit: ``%`` or ``AUC``.
    """

    group: Group
    title: str
    limits: tuple[float, float]
    description: str
    unit: str = "%"


METRICS: dict[str, DatabaseMetric] = {
    "shape_error": DatabaseMetric("table", "Column shapes", (1, 5), "Mean error of the columns' distributions."),
    "trend_error": DatabaseMetric("table", "Column pair trends", (1, 5), "Mean error of the relations of two columns."),
    "detection_auc": DatabaseMetric(
        "table",
        "Detection AUC",
        (0.05, 0.15),
        "AUC of boosted trees on the columns of the table; 0.5 is random guessing.",
        "AUC",
    ),
    "repeated_keys": DatabaseMetric("keys", "Repeated keys", (0, 0.1), "Rows whose primary key repeats or is missing."),
    "dangling_keys": DatabaseMetric("keys", "Dangling keys", (0, 0.1), "Rows whose foreign key has no parent."),
    "missing_keys": DatabaseMetric("keys", "Missing keys", (1, 5), "Rows without a parent."),
    "cardinality_error": DatabaseMetric(
        "link", "Children per parent", (2, 6), "Kolmogorov-Smirnov distance of the number of children per parent."
    ),
    "parent_trend_error": DatabaseMetric(
        "link", "Parent-child trends", (1, 5), "Mean error of the relations of a child's and its parent's columns."
    ),
    "grandparent_trend_error": DatabaseMetric(
        "link",
        "Grandparent-child trends",
        (1, 5),
        "Mean error of the relations of a child's and its grandparent's columns.",
    ),
    "aggregate_shape_error": DatabaseMetric(
        "link", "Aggregates per parent", (2, 6), "Mean error of the aggregates of one parent's children."
    ),
    "aggregate_trend_error": DatabaseMetric(
        "link", "Aggregate trends", (2, 6), "Mean error of the relations of aggregates and the parent's columns."
    ),
    "aggregate_auc": DatabaseMetric(
        "link",
        "Detection AUC with aggregates",
        (0.05, 0.2),
        "AUC on parents with the aggregates of their children.",
        "AUC",
    ),
    "kin_auc": DatabaseMetric(
        "link", "Detection AUC with relatives", (0.05, 0.2), "AUC on children with their parent and siblings.", "AUC"
    ),
    "gap_error": DatabaseMetric(
        "sequence", "Time between siblings", (2, 6), "Distance of the time from one sibling to the next."
    ),
    "first_error": DatabaseMetric(
        "sequence", "Time of the first", (2, 6), "Distance of the first sibling's time, since the parent's first date."
    ),
    "equal_times_error": DatabaseMetric(
        "sequence", "Equal times", (1, 5), "Difference of the shares of siblings at the time of the previous one."
    ),
    "transition_error": DatabaseMetric(
        "sequence", "Transitions", (2, 6), "Mean error of the pairs of a category and that of the next sibling."
    ),
    "persistence_error": DatabaseMetric(
        "sequence", "Repeated values", (1, 5), "Mean difference of the shares of values that the next sibling repeats."
    ),
    "step_error": DatabaseMetric(
        "sequence", "Steps", (2, 6), "Mean distance of a number's difference to the previous sibling."
    ),
    "autocorrelation_error": DatabaseMetric(
        "sequence", "Autocorrelation", (1, 5), "Mean error of the correlation of a number with the previous sibling."
    ),
}
"""The scores in the order of a report."""

RULE = "rule: "
"""Prefix of the scores of rules: ``visits.rule: start ≤ end``."""

RULE_LIMITS = (0.1, 1.0)
"""Limits of a good and of a fair score of a rule: percentage of violating rows above that of real rows."""


def check_score_names(names: Iterable[str], schema: DatabaseSchema, where: str) -> None:
    """Check the names of required scores of linked tables, before the evaluation.

    Raises:
        InputError: No score of these tables and foreign keys can have the name.
    """
    subjects = [*schema.tables, *(f"{key.table}.{key.column}" for key in schema.foreign_keys)]
    known = [f"{subject}.{metric}" for subject in subjects for metric in METRICS]
    for name in names:
        is_rule = any(name.startswith(f"{table}.{RULE}") for table in schema.tables)
        if name not in known and not is_rule and not name.startswith("sdmetrics_"):
            hint = did_you_mean(name, known) or "; write TABLE.SCORE or TABLE.COLUMN.SCORE"
            raise InputError(f"{where}: no score is called {name!r}{hint}")
