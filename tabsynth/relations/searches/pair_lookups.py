"""Discover numbers that the values of two columns determine together, such as a price by product and size."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.relations.formulas.expressions import Formula, constant
from tabsynth.relations.formulas.found import Found, sampled
from tabsynth.relations.searches.lookups import single_valued, value_table

MAX_GROUP_COLUMNS = 20
"""Maximum columns of few values whose pairs are compared, those of fewest values."""

MAX_SCAN_ROWS = 250
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MIN_CELL_ROWS = 4
"""Minimum rows of a pair of values on average: pairs of few rows are no evidence."""


def discover_pair_lookups(found: Found) -> None:
    """Find the numbers that are a function of two columns, but of neither alone."""
    columns = found.columns
    sizes = {name: len(own) for name, own in columns.labels.items()}
    groups = sorted((name for name, size in sizes.items() if size > 1), key=sizes.__getitem__)[:MAX_GROUP_COLUMNS]
    names = [name for unit in dict.fromkeys(columns.units.values()) for name in found.targets(unit)]
    names = [name for name in names if _n_numbers(columns.numbers[name]) > 2]
    if not names or len(groups) < 2:
        return
    rows = sampled(len(columns.numbers[names[0]]), MAX_SCAN_ROWS)
    scan = np.stack([columns.numbers[name][rows] for name in names])
    alone = {(group, names[at]) for group in groups for at in single_valued(columns.groups[group][rows], scan)}
    for one, other in combinations(groups, 2):
        pairs = _joint(columns.groups[one][rows], columns.groups[other][rows])
        if MIN_CELL_ROWS * sizes[one] * sizes[other] > len(columns.groups[one]):
            continue
        for at in single_valued(pairs, scan):
            name = names[at]
            if name not in (one, other) and not {(one, name), (other, name)} & alone:
                _add(name, (one, other), _joint(columns.groups[one], columns.groups[other]), found)


def _n_numbers(data: Floats) -> int:
    return len(np.unique(data[~np.isnan(data)][:1000]))


def _joint(one: Floats, other: Floats) -> Floats:
    """Return a number for each pair of values, NaN where one is missing."""
    code = np.unique(one, return_inverse=True)[1]
    known, other_code = np.unique(other, return_inverse=True)
    return np.asarray(np.where(np.isnan(one) | np.isnan(other), np.nan, code * len(known) + other_code))


def _add(name: str, groups: tuple[str, str], pairs: Floats, found: Found) -> None:
    """Add the rule that a pair of values decides a number, if it holds."""
    columns = found.columns
    table = value_table(pairs, columns.numbers[name], columns)
    if table is None or not found.may_compute(name, groups):
        return
    known, numbers, _ = table
    keys = []
    for pair in known:
        first = int(np.argmax(pairs == pair))
        keys.append(tuple(float(columns.groups[group][first]) for group in groups))
    parts = tuple(constant(float(number)) for number in numbers)
    found.add(name, Formula("by_group", parts, names=groups, keys=tuple(keys)), "nearest")
