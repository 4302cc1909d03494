"""Scores of a database from its measurements: floors by halves of the roots, intervals, worst parts."""

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
"""Random halvings of the real roots for floors and intervals."""

MAX_PARTS = 20


def error_scores(real: EncodedDatabase, other: EncodedDatabase, held: EncodedDatabase | None, seed: int) -> list[Score]:
    """Return the errors with floors and intervals."""
    out, rng = [], np.random.default_rng([seed, 0])
    for root in real.schema.roots:  # halves of one root's rows at a time, so that links to other roots stay whole
        below = tables_below(real.schema, root)
        n, m = (len(side.tables[root]) for side in (real, other))
        halves: list[Errors] = []
        for _ in range(N_SPLITS if n > 1 else 0):
            first = np.zeros(n, bool)
            first[rng.permutation(n)[: n // 2]] = True
            halves.append(measure_errors(real.take(root, first), real.take(root, ~first), below))
        goal = 1 / max(n, 1) + 1 / max(m, 1)
        factor = (goal / (1 / max(n // 2, 1) + 1 / max(n - n // 2, 1))) ** 0.5
        fresh = None if held is None else measure_errors(real, held, below)
        fresh_factor = 1.0 if held is None else (goal / (1 / max(n, 1) + 1 / max(len(held.tables[root]), 1))) ** 0.5
        for key, error in measure_errors(real, other, below).items():
            split = [half[key] for half in halves if key in half]
            spread = factor * float(np.std([one.value for one in split], ddof=1)) if len(split) > 1 else 0.0
            source, scale = (split, factor) if fresh is None or key not in fresh else ([fresh[key]], fresh_factor)
            out.append(_error_score(key, error, source, scale, spread, fresh is not None))
    return out


def _error_score(
    key: tuple[str, str], error: Measurement, floors: Sequence[Measurement], scale: float, spread: float, held: bool
) -> Score:
    """One error with the floor of each part."""
    parts = []
    for names, value in sorted(error.parts.items(), key=lambda item: -item[1])[:MAX_PARTS]:
        known = [one.parts[names] for one in floors if names in one.parts]
        floor = min(100.0, scale * float(np.mean(known))) if known else None
        parts.append(Part(columns=names, value=value, floor=floor))
    metric = METRICS[key[1]]
    whose = "held-out roots" if held else f"{N_SPLITS} random halvings of the root rows"
    return Score(
        name=".".join(key),
        title=metric.title,
        value=error.value,
        interval=(max(0.0, error.value - 1.96 * spread), min(100.0, error.value + 1.96 * spread)),
        better="lower",
        floor=min(100.0, scale * float(np.mean([one.value for one in floors]))) if floors else None,
        unit="%",
        description=metric.description,
        method=f"Floor: {whose}, scaled to the numbers of root rows; interval from the spread of random halvings.",
        detail=tuple(parts),
    )


def violation_score(key: tuple[str, str], found: Violations) -> Score:
    """Return the score of a key, by subject and score."""
    metric = METRICS[key[1]]
    return Score(
        name=".".join(key),
        title=metric.title,
        value=found.synthetic,
        interval=None,
        better="lower",
        floor=found.real,
        unit="%",
        description=metric.description,
        method="Counted on all rows.",
    )


def rule_score(key: tuple[str, str], found: Violations) -> Score:
    """Return the score of a rule, by table and rule."""
    return Score(
        name=f"{key[0]}.{RULE}{key[1]}",
        title=key[1],
        value=found.synthetic,
        interval=None,
        better="lower",
        floor=found.real,
        unit="%",
        description=f"Rows of {key[0]} that violate {key[1]}.",
        method="Counted on all rows.",
    )


def detection_score(key: tuple[str, str], found: Detection) -> Score:
    """Return the score of a classifier, by subject and score."""
    metric = METRICS[key[1]]
    drops = sorted(found.drops.items(), key=lambda item: -item[1])[:MAX_PARTS]
    return Score(
        name=".".join(key),
        title=metric.title,
        value=found.auc,
        interval=found.interval,
        better="target",
        target=0.5,
        floor=0.5,
        unit="AUC",
        description=metric.description,
        method=f"Cross-validation with folds by root on {found.rows:,} rows a side; interval by a bootstrap of roots. "
        "Detail: AUC lost when a feature is shuffled.",
        detail=tuple(Part(columns=names, value=value, floor=0.0) for names, value in drops),
    )
