"""The attacks on all real rows at once, and one finding for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats
from tabsynth.common.binomial import clopper_pearson
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.privacy.attacks.attack_result import Finding
from tabsynth.privacy.attacks.pooled.interpolation import is_applicable, score_interpolation
from tabsynth.privacy.attacks.pooled.nearest_pairs import PairDistances, measure_pairs
from tabsynth.privacy.attacks.pooled.real_rows import RealRows
from tabsynth.privacy.attacks.pooled.scan_statistic import rank_labels, scan_p_value, scan_statistic
from tabsynth.privacy.attacks.pooled.shared_cells import CellWeights, score_shared_cells, weigh_cells

TITLES = {
    "nearest_pairs": ("Nearest pairs", "whose nearest synthetic row is nearest for the local density of real rows"),
    "shared_cells": ("Shared rare cells", "that share the least probable cells with one synthetic row"),
    "interpolated_rows": ("Ends of interpolations", "on whose connecting line a synthetic row lies exactly"),
}
NAMED_SHARE = 0.01
"""Share of all records that the attack names for its figure; the test scans all depths."""

MIN_NAMED_RECORDS = 8


@dataclass(frozen=True, eq=False)
class PooledResults:
    """Scores of every real row, and what they were computed from.

    Attributes:
        real: The pooled rows.
        pairs: Their distances.
        cells: The improbability of their cells.
        scores: Score of every real row by attack, shape (n,) each.
        findings: One for each attack.
    """

    real: RealRows
    pairs: PairDistances
    cells: CellWeights
    scores: dict[str, Floats]
    findings: list[Finding]


def attack_pooled_rows(
    train: EncodedTable, holdout: EncodedTable, synthetic: EncodedTable, rng: np.random.Generator
) -> PooledResults:
    """Score all real rows by every attack, and test."""
    real = RealRows.pool(train, holdout, synthetic, rng)
    pairs, cells = measure_pairs(real), weigh_cells(real)
    scores = {"nearest_pairs": pairs.score(), "shared_cells": score_shared_cells(real, cells)}
    if is_applicable(real.table):
        scores["interpolated_rows"] = score_interpolation(real, real.synthetic)
    findings = [_finding(name, real, score) for name, score in scores.items()]
    return PooledResults(real, pairs, cells, scores, findings)


@dataclass(frozen=True)
class Scan:
    """Result of a scan: the p-value, the most significant depth, and the members up to there."""

    p: float
    depth: int
    found: int


def scan_members(real: RealRows, score: Floats, member: npt.NDArray[np.bool_]) -> Scan:
    """Test whether some of the real rows crowd the top of a ranking."""
    labels, many, total = rank_labels(score, member, real.lot), int(member.sum()), len(member)
    statistic, depth = scan_statistic(labels, many / total)
    return Scan(scan_p_value(statistic, many, total - many, len(labels)), depth, int(labels[:depth].sum()))


def _finding(name: str, real: RealRows, score: Floats) -> Finding:
    total, members = len(real.is_member), real.n_members
    controls = total - members
    scan = scan_members(real, score, real.is_member)
    named = min(max(MIN_NAMED_RECORDS, round(NAMED_SHARE * total)), total)
    first = real.lot[np.argsort(-score[real.lot], kind="stable")[:named]]
    hits = int(real.is_member[first].sum())
    low, high = clopper_pearson(hits, named)
    title, what = TITLES[name]
    return Finding(
        name=name,
        group="copies",
        attack=title,
        records="exposed",
        title=title,
        value=100 * hits / named,
        interval=(100 * low, 100 * high),
        floor=100 * members / total,
        p=scan.p,
        p_reverse=scan_members(real, score, ~real.is_member).p,
        evidence=f"{scan.found:,} of the first {scan.depth:,} records are training records",
        success=hits / named,
        control=members / total,
        baseline=members / total,
        counts=(hits, members, named - hits, controls),
        description=f"Training records among the {named:,} real records {what}.",
        method=f"{members:,} training and {controls:,} held-out records in one ranking; exact Berk-Jones test over all "
        "depths down to a tenth of it.",
    )
