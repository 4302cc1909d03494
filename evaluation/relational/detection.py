"""Detection in a database: boosted trees on rows, on parents with aggregates, and on rows with their relatives.

All rows of a root row are in one fold, so that trees cannot recognise persons; the bootstrap resamples root rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.relational.encoded_database import EncodedDatabase
from tabsynth.evaluation.relational.errors_of_links import link_name
from tabsynth.evaluation.relational.siblings import aggregate, kin_features
from tabsynth.evaluation.stats.auc import delong_auc, weighted_auc
from tabsynth.evaluation.stats.boosted_trees import classifier, draw_seed

MAX_ROWS = 5_000
"""Maximum real, and synthetic, rows for a classifier."""

SHUFFLE_ROWS = 1_500
"""Maximum held-out rows for the permutation importance of a feature."""

N_FOLDS, MIN_GROUPS = 3, 6
N_BOOTSTRAPS = 100


@dataclass(frozen=True, eq=False)
class Detection:
    """AUC, its 95 % interval, and permutation importances (``drops``)."""

    auc: float
    interval: tuple[float, float]
    drops: dict[tuple[str, ...], float]
    rows: int


def detect(real: EncodedDatabase, other: EncodedDatabase, rng: np.random.Generator) -> dict[tuple[str, str], Detection]:
    """Run the detection of every table and main link, with aggregates and with relatives, by subject and score."""
    schema = real.schema
    out: dict[tuple[str, str], Detection | None] = {}
    for name in schema.tables:
        if name in schema.reference or not real.tables[name].encoding.names:
            continue
        sides = [(side.tables[name].features(), side.roots[name]) for side in (real, other)]
        out[name, "detection_auc"] = grouped_detection(real.tables[name].encoding.names, sides[0], sides[1], rng)
    for key in schema.foreign_keys:
        if key != schema.main_key(key.table) or key.parent in schema.reference:
            continue
        with_sums, with_kin = [], []
        for side in (real, other):
            parent = side.tables[key.parent]
            sums, values = aggregate(side, key)
            with_sums.append((np.hstack([parent.features(), values]), side.roots[key.parent]))
            titles, rows, numbers = kin_features(side, key)
            with_kin.append((rows, side.roots[key.table][numbers]))
        names = (*real.tables[key.parent].encoding.names, *sums)
        out[link_name(key), "aggregate_auc"] = grouped_detection(names, with_sums[0], with_sums[1], rng)
        out[link_name(key), "kin_auc"] = grouped_detection(titles, with_kin[0], with_kin[1], rng)
    return {name: detection for name, detection in out.items() if detection is not None}


def grouped_detection(
    names: tuple[str, ...], real: tuple[Floats, Integers], other: tuple[Floats, Integers], rng: np.random.Generator
) -> Detection | None:
    """Return the cross-validated AUC with folds by group; None if a table has too few rows or groups.

    Args:
        names: Names of the features.
        real: Features of the real rows, shape (n, d), and their groups, shape (n,).
        other: Features and groups of the synthetic rows.
        rng: Generator of rows, folds, permutations and bootstrap draws.
    """
    n = min(MAX_ROWS, len(real[0]), len(other[0]))
    if n < MIN_GROUPS:
        return None
    chosen = [rng.permutation(len(rows))[:n] for rows, _ in (real, other)]
    rows = np.vstack([side[0][some] for side, some in zip((real, other), chosen, strict=True)])
    groups = [
        np.unique(side[1][some], return_inverse=True)[1] for side, some in zip((real, other), chosen, strict=True)
    ]
    if min(int(group.max()) + 1 for group in groups) < MIN_GROUPS:
        return None
    folds = np.concatenate([_assign_folds(group, rng)[group] for group in groups])
    is_synthetic = np.arange(2 * n) >= n
    seed = draw_seed(rng)
    probability, drops = np.empty(2 * n), np.zeros(rows.shape[1])
    for fold in range(N_FOLDS):
        test = np.flatnonzero(folds == fold)
        train = np.flatnonzero(folds != fold)
        model = classifier(seed, len(train)).fit(rows[train], is_synthetic[train])
        probability[test] = model.predict_proba(rows[test])[:, 1]
        some = test[rng.permutation(len(test))[:SHUFFLE_ROWS]]
        if fold or len(np.unique(is_synthetic[some])) < 2:
            continue
        full_auc, _ = delong_auc(is_synthetic[some], probability[some])
        for j in range(rows.shape[1]):
            shuffled = rows[some]
            shuffled[:, j] = rng.permutation(shuffled[:, j])
            drops[j] = full_auc - delong_auc(is_synthetic[some], model.predict_proba(shuffled)[:, 1])[0]
    auc, _ = delong_auc(is_synthetic, probability, folds=N_FOLDS)
    parts: dict[tuple[str, ...], float] = {(name,): float(drop) for name, drop in zip(names, drops, strict=True)}
    return Detection(auc, _interval(auc, is_synthetic, probability, groups, rng), parts, n)


def _assign_folds(group: Integers, rng: np.random.Generator) -> Integers:
    """Return the fold of each group; large groups are assigned first, so that folds have similar numbers of rows."""
    sizes = np.bincount(group)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    folds = np.empty(len(sizes), np.int64)
    pattern = np.array([*range(N_FOLDS), *reversed(range(N_FOLDS))])
    folds[order] = pattern[np.arange(len(sizes)) % len(pattern)]
    return folds


def _interval(
    auc: float, is_synthetic: np.ndarray, probability: Floats, groups: list[Integers], rng: np.random.Generator
) -> tuple[float, float]:
    """Return the 95 % interval by a bootstrap of groups, widened for the folds as in ``delong_auc``."""
    weights = []
    for _ in range(N_BOOTSTRAPS):
        drawn = []
        for group in groups:
            size = int(group.max()) + 1
            drawn.append(np.bincount(rng.integers(size, size=size), minlength=size)[group])
        weights.append(np.concatenate(drawn))
    draws = weighted_auc(is_synthetic, probability, np.array(weights, dtype=np.float64))
    half = 1.96 * float(np.nanstd(draws)) * (1 + 1 / (N_FOLDS - 1)) ** 0.5
    return max(0.0, auc - half), min(1.0, auc + half)
