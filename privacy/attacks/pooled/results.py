"""Run the attacks on all real rows at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats
from tabsynth.common.binomial import clopper_pearson
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.attack_result import AttackResult
from tabsynth.privacy.attacks.pooled.interpolation import is_applicable, score_interpolation
from tabsynth.privacy.attacks.pooled.nearest_pairs import PairDistances, measure_pairs
from tabsynth.privacy.attacks.pooled.real_rows import RealRows
from tabsynth.privacy.attacks.pooled.scan_statistic import rank_labels, scan_p_value, scan_statistic
from tabsynth.privacy.attacks.pooled.shared_cells import CellWeights, score_shared_cells, weigh_cells

TITLES = {
    "nearest_pairs": ("Nearest pairs", "with the smallest ratio of the distances to synthetic and to real rows"),
    "shared_cells": ("Shared rare cells", "that share the most improbable cells with one synthetic row"),
    "interpolated_rows": ("Ends of interpolations", "that are ends of a line on which a synthetic row lies exactly"),
}
NAMED_SHARE = 0.01
"""Share of all records whose hit rate is reported; the test scans all depths of the ranking."""

MIN_NAMED_RECORDS = 8


@dataclass(frozen=True, eq=False)
class PooledResults:
    """Results of the pooled attacks, with the scores of every real row.

    Attributes:
        real: The pooled rows.
        pairs: Distances of the pooled rows.
        cells: Improbability of the pooled rows' cells.
        scores: Score of every real row by attack, shape (n,) each.
        results: The result of each attack.
    """

    real: RealRows
    pairs: PairDistances
    cells: CellWeights
    scores: dict[str, Floats]
    results: list[AttackResult]


def attack_pooled_rows(
    train: EncodedTable, holdout: EncodedTable, synthetic: EncodedTable, rng: np.random.Generator
) -> PooledResults:
    """Score all real rows by every attack, and test the rankings."""
    real = RealRows.pool(train, holdout, synthetic, rng)
    pairs, cells = measure_pairs(real), weigh_cells(real)
    scores = {"nearest_pairs": pairs.score(), "shared_cells": score_shared_cells(real, cells)}
    if is_applicable(real.table):
        scores["interpolated_rows"] = score_interpolation(real, real.synthetic)
    results = [_result(name, real, score) for name, score in scores.items()]
    return PooledResults(real, pairs, cells, scores, results)


@dataclass(frozen=True)
class Scan:
    """Result of a scan: the p-value, the most significant depth, and the number of members up to it."""

    p: float
    depth: int
    hits: int


def scan_members(real: RealRows, score: Floats, member: npt.NDArray[np.bool_]) -> Scan:
    """Test whether members are concentrated at the top of a ranking."""
    labels, n_members, total = rank_labels(score, member, real.tie_order), int(member.sum()), len(member)
    statistic, depth = scan_statistic(labels, n_members / total)
    return Scan(scan_p_value(statistic, n_members, total - n_members, len(labels)), depth, int(labels[:depth].sum()))


def _result(name: str, real: RealRows, score: Floats) -> AttackResult:
    total, members = len(real.is_member), real.n_members
    controls = total - members
    scan = scan_members(real, score, real.is_member)
    n_named = min(max(MIN_NAMED_RECORDS, round(NAMED_SHARE * total)), total)
    named = real.tie_order[np.argsort(-score[real.tie_order], kind="stable")[:n_named]]
    hits = int(real.is_member[named].sum())
    low, high = clopper_pearson(hits, n_named)
    title, criterion = TITLES[name]
    return AttackResult(
        name=name,
        group="copies",
        attack=title,
        records="exposed",
        title=title,
        value=100 * hits / n_named,
        interval=(100 * low, 100 * high),
        floor=100 * members / total,
        p=scan.p,
        p_reverse=scan_members(real, score, ~real.is_member).p,
        evidence=f"{scan.hits:,} of the {scan.depth:,} highest ranked records are training records; about "
        f"{scan.depth * members / total:,.0f} by chance",
        success=hits / n_named,
        control=members / total,
        baseline=members / total,
        counts=(hits, members, n_named - hits, controls),
        description=f"Share of training records among the {n_named:,} real records {criterion}.",
        method=f"{members:,} training and {controls:,} held-out records in one ranking; exact Berk-Jones test over all "
        "depths within its first tenth.",
    )
