"""Discover columns whose values all differ in every row, such as a ranking of items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.categories.distinct_values import DistinctRule
from tabsynth.relations.row_rule_discovery import MAX_SCAN_ROWS
from tabsynth.relations.rule_columns import Columns

MIN_EVIDENCE_ROWS = 20.0
"""Minimum rows in which two columns would be equal by chance: all pairs of columns are compared."""

MAX_CHANCE = 1e-4
"""Maximum chance that no row has equal values only because the columns depend on each other."""

MIN_SHARED_VALUES = 3
"""Minimum number of values that two columns share; with two values, one column is the complement of the other."""

MIN_SHARED_SHARE = 0.5
"""Minimum share of each column's present cells whose value the other column has too."""


def discover_distinct(columns: Columns, related: Collection[frozenset[str]]) -> Iterator[DistinctRule]:
    """Find sets of columns that share their values and never have the same one in a row.

    Args:
        columns: The table.
        related: Pairs of columns with an order or a function of their own.
    """
    codes, known = _coded(columns)
    names = list(codes)
    if len(names) < 2:
        return
    size = 1 + max(max(own.values()) for own in known.values())
    step = max(1, len(codes[names[0]]) // MAX_SCAN_ROWS)
    scan = np.stack([codes[name][::step] for name in names])
    shares = _shares(scan, size)
    evidence = {}
    for at, name in enumerate(names):
        equal = ((scan[at + 1 :] == scan[at]) & (scan[at] >= 0)).any(axis=1)
        for other in (at + 1 + np.flatnonzero(~equal)).tolist():
            if frozenset((name, names[other])) not in related and _alike(shares[at], shares[other]):
                found = _evidence(codes[name], codes[names[other]], size)
                if found >= MIN_EVIDENCE_ROWS:
                    evidence[frozenset((name, names[other]))] = found
    for members in _cliques(names, evidence):
        own = [evidence[frozenset((one, other))] for one in members for other in members if one != other]
        yield _rule(members, codes, known, min(own))


def _spellings(columns: Columns) -> dict[str, Mapping[float, str]]:
    """Return the values of the columns of few numbers and of categories that at least three values of others equal."""
    labels: dict[str, Mapping[float, str]] = {**columns.labels}
    for name, own in columns.vocabularies.items():
        labels[name] = {float(token): label for token, label in enumerate(own)}
    many = Counter(label for own in labels.values() for label in own.values())
    return {name: own for name, own in labels.items() if sum(many[label] > 1 for label in own.values()) >= 3}


def _coded(columns: Columns) -> tuple[dict[str, Integers], dict[str, dict[float, int]]]:
    """Return the columns in codes that equal values share, -1 where missing, and the code of each value."""
    spelled: dict[str, int] = {}
    codes, known = {}, {}
    for name, own in _spellings(columns).items():
        known[name] = {value: spelled.setdefault(label, len(spelled)) for value, label in sorted(own.items())}
        values, data = np.array(list(known[name])), columns.keys[name]
        place = np.minimum(np.searchsorted(values, data), len(values) - 1)
        codes[name] = np.where(values[place] == data, np.array(list(known[name].values()))[place], -1).astype(np.int64)
    return codes, known


def _shares(codes: Integers, size: int) -> Floats:
    """Return the share of each code among the present cells of each column."""
    counts = np.stack([np.bincount(own[own >= 0], minlength=size) for own in codes]).astype(np.float64)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def _alike(first: Floats, second: Floats) -> bool:
    """Return whether most cells of two columns have values that the columns share."""
    shared = (first > 0) & (second > 0)
    least = min(float(first[shared].sum()), float(second[shared].sum()))
    return bool(shared.sum() >= MIN_SHARED_VALUES) and least >= MIN_SHARED_SHARE


def _evidence(first: Integers, second: Integers, size: int) -> float:
    """Return the rows in which two columns would be equal by chance; 0 if some are, or one column decides the other."""
    both = (first >= 0) & (second >= 0)
    first, second = first[both], second[both]
    if (first == second).any() or not len(first):
        return 0.0
    pairs = np.unique(first * size + second)
    if len(pairs) == max(len(np.unique(pairs // size)), len(np.unique(pairs % size))):
        return 0.0
    one, other = (np.bincount(own, minlength=size) for own in (first, second))
    equal = one * other / len(first)
    # If columns depend on each other, some pairs of values never occur together, equal or not.
    seen = float((one[pairs // size] * other[pairs % size]).sum()) / len(first)
    unseen = max(1 - seen / (len(first) - float(equal.sum())), 0.0)
    by_dependence = unseen ** float((1 - np.exp(-equal)).sum())
    return float(equal.sum()) if by_dependence <= MAX_CHANCE else 0.0


def _cliques(names: list[str], pairs: Mapping[frozenset[str], float]) -> Iterator[tuple[str, ...]]:
    """Yield sets of columns of which all pairs differ, until every pair is in one."""
    left = dict.fromkeys(pairs)
    while left:
        first = next(iter(left))
        members = [name for name in names if name in first]
        for name in names:
            if name not in members and all(frozenset((name, other)) in pairs for other in members):
                members.append(name)
        for pair in [pair for pair in left if pair <= set(members)]:
            del left[pair]
        yield tuple(name for name in names if name in members)


def _rule(
    members: tuple[str, ...],
    codes: Mapping[str, Integers],
    known: Mapping[str, Mapping[float, int]],
    evidence: float,
) -> DistinctRule:
    """Return the rule of a set of columns."""
    values = tuple(tuple(map(float, known[name])) for name in members)
    own_codes = tuple(tuple(known[name].values()) for name in members)
    weights = []
    for name, own in zip(members, own_codes, strict=True):
        counts = np.bincount(codes[name][codes[name] >= 0], minlength=max(own) + 1)[list(own)]
        weights.append(tuple((counts / max(counts.sum(), 1)).tolist()))
    text = f"{', '.join(members)} are all different"
    return DistinctRule(members, values, own_codes, tuple(weights), text, round(evidence, 1))
