"""Fidelity within groups: a table can be right on average and wrong for the people of one group."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from tabsynth.common.arrays import Integers
from tabsynth.evaluation.metrics.dependence import spread_out
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.binning import Bins, joint
from tabsynth.evaluation.stats.bootstrap import Resample, within
from tabsynth.evaluation.stats.encoded_table import Coded
from tabsynth.evaluation.stats.table_comparison import Comparison, error_score, variation

FEWEST = 50
"""Real rows that a group needs."""

RATE = 0.05
"""Share of pairs of tables of one population of which a group may seem worse off; groups are small, faults faint."""

MOST_GROUPS = 24
MOST_LABELS = 12
MOST_PAIRS = 40
BINS = 5


def subgroup_scores(comparison: Comparison, by: list[str]) -> list[Score]:
    """The error within each group, of columns and pairs of columns alike.

    Args:
        comparison: The tables.
        by: Columns that make groups and are looked at first (sensitive ones, the target); then come others of few
            categories, until there are ``MOST_GROUPS`` groups.
    """
    groups = _groups(comparison.real, by)
    if not groups:
        return []
    bins = Bins.of(comparison.real, BINS)
    codes = [(bins.codes(a), bins.codes(b)) for a, b in comparison.pairs]
    columns, values, floors, draws = [], [], [], []
    for by_column, code in groups:
        members = [tuple(side.codes[:, by_column] == code for side in both) for both in comparison.pairs]
        if any(member.sum() < FEWEST / 4 for both in members[1:] for member in both):
            continue  # too few to say what real rows would reach
        parts = _parts(len(bins.sizes), by_column)
        inside = [
            (np.asfortranarray(a[one]), np.asfortranarray(b[two]))
            for (a, b), (one, two) in zip(codes, members, strict=True)
        ]
        resample = comparison.resample.among(*members[0])
        found = [_within(resample, inside[0], bins.sizes, part) for part in parts]
        values.append(float(np.mean([value for value, _ in found])))
        draws.append(np.mean([drawn for _, drawn in found], axis=0))
        each = [np.array(np.mean([_distance(both, bins.sizes, part) for part in parts])) for both in inside[1:]]
        floors.append(float(comparison.floor(each)))
        book = comparison.real.book
        columns.append((f"{book.names[by_column]} = {book.labels[by_column][code - 1]}",))
    if not columns:
        return []
    return [
        error_score(
            "subgroup_error",
            "Subgroups",
            "How far columns and pairs of columns are from the real ones within a group, on average over the groups.",
            f"Total variation over {BINS} bins a column within {len(columns)} groups of at least {FEWEST} rows, up to "
            f"{MOST_PAIRS} pairs in each. {comparison.how}",
            columns,
            np.array(values),
            np.array(floors),
            np.stack(draws, axis=-1),
            RATE,
        )
    ]


def _groups(real: Coded, by: list[str]) -> list[tuple[int, int]]:
    """Column and code of each group, those of ``by`` first."""
    names = real.book.names
    order = [names.index(name) for name in by if name in names]
    order += [j for j in range(len(names)) if j not in order]
    out: list[tuple[int, int]] = []
    for j in order:
        if real.book.continuous[j] or not 2 <= real.book.sizes[j] - 1 <= MOST_LABELS:
            continue
        counts = np.bincount(real.codes[:, j], minlength=int(real.book.sizes[j]))
        large = [code for code in range(1, len(counts)) if FEWEST <= counts[code] < len(real)]
        if len(out) + len(large) <= MOST_GROUPS:
            out += [(j, code) for code in large]
    return out


def _parts(d: int, by: int) -> list[tuple[int, ...]]:
    """The columns and pairs to compare within a group."""
    others = [j for j in range(d) if j != by]
    return [*((j,) for j in others), *spread_out(list(combinations(others, 2)), MOST_PAIRS)]


def _distance(codes: tuple[Integers, Integers], sizes: Integers, part: tuple[int, ...]) -> float:
    """Total variation of what the part holds in the rows of a group; 1 if only one table has such rows."""
    (left, size), (right, _) = (joint(side, sizes, part) for side in codes)
    if not len(left) or not len(right):
        return float(bool(len(left)))
    return variation(left, right, size)


def _within(
    resample: Resample, codes: tuple[Integers, Integers], sizes: Integers, part: tuple[int, ...]
) -> tuple[float, np.ndarray]:
    """The distance within a group and under every draw as ``Resample.calibrated`` has it."""
    (left, size), (right, _) = (joint(side, sizes, part) for side in codes)
    value = _distance(codes, sizes, part)
    p, q = (np.bincount(key, minlength=size).astype(np.float64) for key in (left, right))
    gap = p / max(p.sum(), 1.0) - q / max(q.sum(), 1.0)
    drawn = resample.calibrated(resample.shift(left, right, size), gap, within, value)
    return value, np.minimum(drawn, 1.0)
