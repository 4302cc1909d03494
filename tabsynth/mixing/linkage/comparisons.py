"""Comparison levels of record linkage, swapped fields and dependent fields."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tabsynth.mixing.linkage.database import count_repeats
from tabsynth.mixing.linkage.fields import FieldKind

MIN_SWAP_SHARE = 0.05
"""Two text fields may be swapped if at least this share of the values of each occurs in the other."""

MIN_DEPENDENCE = 0.5
MIN_AGREEING_PAIRS = 100
"""Minimum dependence of grouped fields, and minimum number of pairs of different people that agree by chance."""


def comparison_levels(group: Sequence[tuple[str, FieldKind, Sequence[str]]]) -> list[Any]:
    """Return the comparison levels of a group of dependent fields, most similar first.

    Agreement on a rare value counts more than on a frequent one. Words are compared by Jaro-Winkler similarity, digits
    by Damerau-Levenshtein distance. Of dependent fields, such as town and postcode, only the most informative counts.

    Args:
        group: Column, kind and the columns that it may be swapped with, the most informative field first.
    """
    from splink import comparison_level_library as level

    empty = " AND ".join(f"({column}_l IS NULL OR {column}_r IS NULL)" for column, _, _ in group)
    exact: list[Any] = []
    swapped: list[Any] = []
    close: list[Any] = []
    for column, kind, others in group:
        exact.append(level.ExactMatchLevel(column, term_frequency_adjustments=True))
        swapped += [level.ColumnsReversedLevel(column, other) for other in others]
        if kind == "text":
            close += [level.JaroWinklerLevel(column, 0.92), level.JaroWinklerLevel(column, 0.8)]
        elif kind in ("date", "identifier"):
            close += [level.DamerauLevenshteinLevel(column, 1), level.DamerauLevenshteinLevel(column, 2)]
        else:
            close += [level.DamerauLevenshteinLevel(column, 1)]
    null = level.CustomLevel(empty).configure(is_null_level=True)
    return [null, *exact, *swapped, *close, level.ElseLevel()]


def group_dependent_fields(con: Any, names: Mapping[str, str], sizes: Mapping[str, int]) -> list[list[str]]:
    """Group fields whose chance agreements depend on each other.

    Field weights add up as if chance agreements were independent, so dependent fields would count twice. Chance
    agreements are counted within the sources, whose records are assumed to describe different people.
    """
    alone = {name: count_repeats(con, [names[name]], len(sizes)) for name in names}
    possible = sum(size * (size - 1) / 2 for size in sizes.values())
    group = {name: [name] for name in names}
    for a, b in itertools.permutations(names, 2):
        if alone[a] < MIN_AGREEING_PAIRS or group[a] is group[b]:
            continue
        base_rate = alone[b] / possible
        conditional_rate = count_repeats(con, [names[a], names[b]], len(sizes)) / alone[a]
        if conditional_rate - base_rate >= MIN_DEPENDENCE * (1 - base_rate):
            group[a] += group[b]
            for name in group[b]:
                group[name] = group[a]
    groups = {id(members): sorted(members, key=lambda name: alone[name]) for members in group.values()}
    return list(groups.values())


def find_swappable_fields(tables: Mapping[str, pa.Table], kinds: Mapping[str, FieldKind]) -> list[tuple[str, str]]:
    """Return the pairs of text fields with common values, which may be swapped in a row."""
    values = {
        name: pa.chunked_array(
            [table[name].chunk(i) for table in tables.values() for i in range(table[name].num_chunks)]
        )
        for name, kind in kinds.items()
        if kind == "text"
    }
    values = {name: column.drop_null() for name, column in values.items()}
    distinct = {name: pc.unique(column) for name, column in values.items()}

    def inside(name: str, other: str) -> float:
        return float(pc.mean(pc.is_in(values[name], distinct[other]).cast(pa.float64())).as_py())

    return [
        (a, b)
        for a, b in itertools.combinations(values, 2)
        if inside(a, b) >= MIN_SWAP_SHARE and inside(b, a) >= MIN_SWAP_SHARE
    ]
