"""Fidelity within subgroups."""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Integers
from tabsynth.evaluation.metrics.dependence import spaced_combinations
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.binning import Bins, joint_codes
from tabsynth.evaluation.stats.bootstrap import Resample, conditional_variation
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.table_comparison import Comparison, PartErrors, total_variation_distance

MIN_GROUP_ROWS = 50
"""Minimum number of real rows of a group."""

FALSE_ALARM_RATE = 0.05
"""Family-wise error rate over the groups."""

MAX_GROUPS = 24
MAX_LABELS = 12
MAX_PAIRS = 40
MAX_COLUMNS = 100
"""Maximum number of compared columns in each group, evenly spaced."""
N_BINS = 5


def subgroup_scores(comparison: Comparison, by: list[str]) -> list[Score]:
    """Return the error within each group, averaged over columns and pairs of columns.

    Args:
        comparison: The tables.
        by: Columns that define the first groups (sensitive ones, the target). Other columns with few categories
            follow, up to ``MAX_GROUPS`` groups.
    """
    groups = _select_groups(comparison.real, by)
    if not groups or len(comparison.real.encoding.names) < 2:  # a group is compared by the other columns
        return []
    bins = Bins.of(comparison.real, N_BINS)
    codes = [(bins.codes(a), bins.codes(b)) for a, b in comparison.pairs]
    errors = PartErrors()
    for by_column, code in groups:
        members = [tuple(side.codes[:, by_column] == code for side in both) for both in comparison.pairs]
        if any(member.sum() < MIN_GROUP_ROWS / 4 for both in members[1:] for member in both):
            continue  # too few rows for the floor
        parts = _parts(len(bins.sizes), by_column)
        inside = [
            (np.asfortranarray(a[one]), np.asfortranarray(b[two]))
            for (a, b), (one, two) in zip(codes, members, strict=True)
        ]
        resample = comparison.resample.restrict(*members[0])
        distances = [_bootstrap_distance(resample, inside[0], bins.sizes, part) for part in parts]
        each = [np.array(np.mean([_distance(both, bins.sizes, part) for part in parts])) for both in inside[1:]]
        encoding = comparison.real.encoding
        errors.add(
            (f"{encoding.names[by_column]} = {encoding.labels[by_column][code - 1]}",),
            float(np.mean([value for value, _ in distances])),
            comparison.floor(each),
            np.mean([drawn for _, drawn in distances], axis=0),
        )
    if not errors.columns:
        return []
    score = errors.score(
        "subgroup_error",
        "Distance of columns and pairs of columns within a group, averaged over the groups.",
        f"Total variation over {N_BINS} bins per column within {len(errors.columns)} groups of at least "
        f"{MIN_GROUP_ROWS} rows, up to {MAX_PAIRS} pairs in each. {comparison.method_note}",
        FALSE_ALARM_RATE,
    )
    return [score]


def _select_groups(real: EncodedTable, by: list[str]) -> list[tuple[int, int]]:
    """Return the column and code of each group, those of ``by`` first."""
    names = real.encoding.names
    order = [names.index(name) for name in by if name in names]
    order += [j for j in range(len(names)) if j not in order]
    out: list[tuple[int, int]] = []
    for j in order:
        if real.encoding.continuous[j] or not 2 <= real.encoding.sizes[j] - 1 <= MAX_LABELS:
            continue
        counts = np.bincount(real.codes[:, j], minlength=int(real.encoding.sizes[j]))
        large = [code for code in range(1, len(counts)) if MIN_GROUP_ROWS <= counts[code] < len(real)]
        if len(out) + len(large) <= MAX_GROUPS:
            out += [(j, code) for code in large]
    return out


def _parts(d: int, by: int) -> list[tuple[int, ...]]:
    """Return the columns and pairs to compare within a group."""
    others = [j for j in range(d) if j != by]
    others = [others[i] for (i,) in spaced_combinations(len(others), 1, MAX_COLUMNS)]
    pairs = [(others[a], others[b]) for a, b in spaced_combinations(len(others), 2, MAX_PAIRS)]
    return [*((j,) for j in others), *pairs]


def _distance(codes: tuple[Integers, Integers], sizes: Integers, part: tuple[int, ...]) -> float:
    """Return the total variation of a column or pair within a group; 1 if only one table has rows of the group."""
    (left, size), (right, _) = (joint_codes(side, sizes, part) for side in codes)
    if not len(left) or not len(right):
        return float(bool(len(left)))
    return total_variation_distance(left, right, size)


def _bootstrap_distance(
    resample: Resample, codes: tuple[Integers, Integers], sizes: Integers, part: tuple[int, ...]
) -> tuple[float, np.ndarray]:
    """Return the distance within a group, and its draws by ``Resample.calibrate``."""
    (left, size), (right, _) = (joint_codes(side, sizes, part) for side in codes)
    value = _distance(codes, sizes, part)
    p, q = (np.bincount(key, minlength=size).astype(np.float64) for key in (left, right))
    gap = p / max(p.sum(), 1.0) - q / max(q.sum(), 1.0)
    drawn = resample.calibrate(resample.share_deviations(left, right, size), gap, conditional_variation, value)
    return value, np.minimum(drawn, 1.0)
