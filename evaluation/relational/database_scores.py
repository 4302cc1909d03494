"""Scores of a database from its measurements, with floors from halves of the root rows, intervals and worst parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tabsynth.data.database.root_rows import tables_below
from tabsynth.evaluation.relational.database_specs import METRICS, RULE
from tabsynth.evaluation.relational.detection import Detection
from tabsynth.evaluation.relational.encoded_database import EncodedDatabase
from tabsynth.evaluation.relational.errors_between import Measurement
from tabsynth.evaluation.relational.errors_of_links import Errors, measure_errors
from tabsynth.evaluation.relational.keys_and_rules import Violations
from tabsynth.evaluation.score import Part, Score

N_SPLITS = 4
"""Number of random halvings of the real root rows for floors and intervals."""

MAX_PARTS = 20


def error_scores(
    real: EncodedDatabase, other: EncodedDatabase, held_out: EncodedDatabase | None, seed: int
) -> list[Score]:
    """Return the error scores with floors and intervals."""
    out, rng = [], np.random.default_rng([seed, 0])
    for root in real.schema.roots:  # one root table at a time, so that links to other root tables stay complete
        below = tables_below(real.schema, root)
        n, m = (len(side.tables[root]) for side in (real, other))
        halves: list[Errors] = []
        for _ in range(N_SPLITS if n > 1 else 0):
            first = np.zeros(n, bool)
            first[rng.permutation(n)[: n // 2]] = True
            halves.append(measure_errors(real.take(root, first), real.take(root, ~first), below))
        full_variance = 1 / max(n, 1) + 1 / max(m, 1)
        scale_halves = (full_variance / (1 / max(n // 2, 1) + 1 / max(n - n // 2, 1))) ** 0.5
        held_out_errors = None if held_out is None else measure_errors(real, held_out, below)
        scale_held_out = (
            1.0
            if held_out is None
            else (full_variance / (1 / max(n, 1) + 1 / max(len(held_out.tables[root]), 1))) ** 0.5
        )
        for key, error in measure_errors(real, other, below).items():
            half_errors = [half[key] for half in halves if key in half]
            spread = (
                scale_halves * float(np.std([one.value for one in half_errors], ddof=1))
                if len(half_errors) > 1
                else 0.0
            )
            source, scale = (
                (half_errors, scale_halves)
                if held_out_errors is None or key not in held_out_errors
                else ([held_out_errors[key]], scale_held_out)
            )
            out.append(_error_score(key, error, source, scale, spread, held_out_errors is not None))
    return out


def _error_score(
    key: tuple[str, str], error: Measurement, floors: Sequence[Measurement], scale: float, spread: float, held_out: bool
) -> Score:
    """Return the score of one error, with the floor of each part."""
    parts = []
    for names, value in sorted(error.parts.items(), key=lambda item: -item[1])[:MAX_PARTS]:
        part_floors = [one.parts[names] for one in floors if names in one.parts]
        floor = min(100.0, scale * float(np.mean(part_floors))) if part_floors else None
        parts.append(Part(columns=names, value=value, floor=floor))
    metric = METRICS[key[1]]
    source = "held-out roots" if held_out else f"{N_SPLITS} random halvings of the root rows"
    return Score(
        name=".".join(key),
        title=metric.title,
        value=error.value,
        interval=(max(0.0, error.value - 1.96 * spread), min(100.0, error.value + 1.96 * spread)),
        better="lower",
        floor=min(100.0, scale * float(np.mean([one.value for one in floors]))) if floors else None,
        unit="%",
        description=metric.description,
        method=f"Floor: {source}, scaled to the numbers of root rows; interval from the variance of random halvings.",
        detail=tuple(parts),
    )


def violation_score(key: tuple[str, str], violations: Violations) -> Score:
    """Return the score of key violations, from subject and score name."""
    return _counted_score(".".join(key), METRICS[key[1]].title, METRICS[key[1]].description, violations)


def rule_score(key: tuple[str, str], violations: Violations) -> Score:
    """Return the score of rule violations, from table and rule."""
    table, rule = key
    description = f"Share of rows of {table} that violate {rule}."
    return _counted_score(f"{table}.{RULE}{rule}", rule, description, violations)


def _counted_score(name: str, title: str, description: str, violations: Violations) -> Score:
    return Score(
        name=name,
        title=title,
        value=violations.synthetic,
        interval=None,
        better="lower",
        floor=violations.real,
        unit="%",
        description=description,
        method="Counted on all rows.",
    )


def detection_score(key: tuple[str, str], detection: Detection) -> Score:
    """Return the score of a detection classifier, from subject and score name."""
    metric = METRICS[key[1]]
    drops = sorted(detection.drops.items(), key=lambda item: -item[1])[:MAX_PARTS]
    return Score(
        name=".".join(key),
        title=metric.title,
        value=detection.auc,
        interval=detection.interval,
        better="target",
        target=0.5,
        floor=0.5,
        unit="AUC",
        description=metric.description,
        method=f"Cross-validation with folds by root row on {detection.rows:,} rows of each database; interval by a "
        "bootstrap of root rows. Detail: decrease of the AUC when a feature is permuted.",
        detail=tuple(Part(columns=names, value=value, floor=0.0) for names, value in drops),
    )
