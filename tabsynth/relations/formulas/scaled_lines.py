"""Discover numbers that are a line in one column times a product or ratio of others, such as a renal clearance.

The coefficients of the line may depend on a column of few values, such as sex.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.relations.formulas.by_group import Candidate, fit_groups
from tabsynth.relations.formulas.expressions import Formula, column, product
from tabsynth.relations.formulas.fitting import row_variances, unexplained_limits
from tabsynth.relations.formulas.found import Found, sampled
from tabsynth.relations.pairwise_fit import unexplained_shares
from tabsynth.relations.power_discovery import discover_powers

MAX_SCAN_ROWS, MIN_SCAN_ROWS = 300, 30
"""Maximum and minimum rows on which candidates are searched; all rows then confirm them."""

MAX_POWER_ROWS = 1500
"""Maximum rows on which exponents are estimated."""

MAX_COLUMNS = 14
"""Maximum numeric columns of which products and ratios are scales."""

MAX_GROUP_COLUMNS, MAX_GROUPS = 6, 8
"""Maximum number of columns on which the coefficients may depend, and of the values of each."""

MAX_UNEXPLAINED = 1e-3
"""Maximum share of the variance that rounding may leave unexplained: thousands of scales are compared."""

MAX_TARGET_UNEXPLAINED = 0.01
"""Maximum share of the variance of the column itself that rounding may be."""

MAX_CANDIDATES = 4
"""Maximum candidates for each column."""


def discover_scaled_lines(found: Found) -> None:
    """Find the numbers that are a line in a column times a product or ratio of one or two others."""
    names, columns = found.names("number"), found.columns
    if not 3 <= len(names) <= MAX_COLUMNS:
        return
    sizes = {name: len(np.unique(own[~np.isnan(own)])) for name, own in columns.groups.items()}
    groups = sorted((name for name, size in sizes.items() if 2 <= size <= MAX_GROUPS), key=sizes.__getitem__)
    for group in ["", *groups[:MAX_GROUP_COLUMNS]]:
        rows = _rows(group, found, len(columns.numbers[names[0]]))
        if len(rows) < MIN_SCAN_ROWS:
            continue
        scan = {name: columns.numbers[name][rows] for name in names}
        scan = {name: own for name, own in scan.items() if np.isfinite(own).sum() >= MIN_SCAN_ROWS}
        scales = [(own, own.of(scan)) for own in _scales(scan)]
        powers = list(_powers(group, names, found)) if group else []
        for target in [name for name in found.targets("number") if name in scan]:
            own_powers = [own for own in powers if own.target == target]
            for own in [*own_powers, *_candidates(target, group, scan, scales, found)]:
                fit = fit_groups(own, group, found)
                if fit is not None and found.add(target, *fit[:2]):
                    break


def _rows(group: str, found: Found, n: int, most: int = MAX_SCAN_ROWS) -> np.ndarray:
    """Return some of the rows, of the most frequent value of a column."""
    rows = np.arange(n)
    if group:
        values = found.columns.groups[group]
        known, count = np.unique(values[~np.isnan(values)], return_counts=True)
        rows = np.flatnonzero(values == known[count.argmax()])
    return rows[sampled(len(rows), most)]


def _powers(group: str, names: list[str], found: Found) -> Iterator[Candidate]:
    """Yield the products of powers that hold within the most frequent value of a column, as eGFR by sex."""
    rows = _rows(group, found, len(found.columns.numbers[names[0]]), MAX_POWER_ROWS)
    numbers = {name: found.columns.numbers[name][rows] for name in names if name != group}
    for relation in discover_powers(numbers, []):
        terms = [(column(name), power) for name, power in relation.terms]
        yield Candidate(relation.column, (product(1.0, *terms),))


def _scales(scan: dict[str, Floats]) -> Iterator[Formula]:
    """Yield positive columns, their reciprocals, and the products and ratios of two."""
    positive = [column(name) for name, data in scan.items() if not (data <= 0).any() and np.nanstd(data) > 0]
    for one in positive:
        yield from (product(1.0, (one, power)) for power in (1.0, -1.0))
    for one, other in combinations(positive, 2):
        yield from (product(1.0, (one, 1.0), (other, power)) for power in (1.0, -1.0))
        yield from (product(1.0, (other, power), (one, -1.0)) for power in (1.0, -1.0))


def _candidates(
    target: str, group: str, scan: dict[str, Floats], scales: list[tuple[Formula, Floats]], found: Found
) -> list[Candidate]:
    """Return the lines and scales that explain a column in a sample."""
    own_limit = unexplained_limits(np.array(np.nanvar(scan[target])), np.array(found.columns.steps[target]))
    if not 0 < own_limit <= MAX_TARGET_UNEXPLAINED:
        return []
    usable, divisors = [], []
    for own, numbers in scales:
        if target not in own.columns and group not in own.columns:
            usable.append(own)
            divisors.append(numbers)
    sources = [name for name in scan if name not in (target, group) and found.may_compute(target, [name])]
    if not usable or not sources:
        return []
    quotients, steps = (own / np.stack(divisors) for own in (scan[target], found.columns.steps[target]))
    present = ~np.isnan(quotients)
    noise = np.sqrt(np.where(present, steps**2, 0.0).sum(axis=1) / np.maximum(present.sum(axis=1), 1))
    limits = unexplained_limits(row_variances(quotients), noise)
    limits[limits > MAX_UNEXPLAINED] = 0
    kept = np.flatnonzero(limits)
    usable, quotients, limits = [usable[at] for at in kept], quotients[kept], limits[kept]
    if not usable:
        return []
    shares = unexplained_shares(quotients, np.stack([scan[name] for name in sources]))
    near = np.argwhere(shares <= limits[:, None])
    order = np.argsort(shares[tuple(near.T)], kind="stable")
    out = [Candidate(target, (column(sources[source]),), usable[scale]) for scale, source in near[order]]
    out = [own for own in out if own.features[0].columns[0] not in own.scale.columns]
    return [own for own in out if found.may_compute(target, own.scale.columns)][:MAX_CANDIDATES]
