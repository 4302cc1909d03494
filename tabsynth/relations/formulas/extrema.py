"""Discover numbers that are the maximum, minimum or median of others, or their sum without one of these."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.relations.formulas.expressions import Formula, column, linear, simplified
from tabsynth.relations.formulas.fitting import fit_line, row_variances, simplest, unexplained_limits
from tabsynth.relations.formulas.found import Found, sampled
from tabsynth.relations.pairwise_fit import unexplained_shares

MAX_SCAN_ROWS = 500
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MAX_TERMS = 5
"""Maximum number of columns of a maximum."""

MIN_DECIDING_ROWS = 5
"""Minimum rows that only one of the columns explains, for each of them."""

SUM_SIZES, MAX_SUM_COLUMNS = (3, 4, 5), 40
"""Numbers of columns whose sums without an extreme are searched, and maximum numeric columns."""

MAX_CANDIDATES, MAX_FIT_ROWS = 3, 4000
"""Maximum sums that are fitted to each column, and maximum rows of the fit."""

SIGNS: Mapping[str, float] = {"max": 1.0, "min": -1.0}


def discover_extrema(found: Found) -> None:
    """Find the columns that are the maximum or minimum of others of their unit."""
    for unit in dict.fromkeys(found.columns.units.values()):
        names = found.names(unit)
        if len(names) < 3:
            continue
        numbers = found.columns.numbers
        scan = np.stack([numbers[name][sampled(len(numbers[name]), MAX_SCAN_ROWS)] for name in names])
        for at, name in enumerate(names):
            if name not in found.reads:
                _search(name, names, scan[at], scan, found)


def _sum_without(kind: str, parts: tuple[Formula, ...]) -> Formula:
    """Return the sum of columns without the largest or least."""
    return linear(0.0, *((1.0, part) for part in parts), (-1.0, Formula(kind, parts)))


def _search(name: str, names: list[str], own: Floats, scan: Floats, found: Found) -> None:
    """Search the columns whose maximum or minimum is one column."""
    equal = scan == own
    equal[names.index(name)] = False
    often = equal.sum(axis=1) > 0
    if often.sum() < 2:
        return
    present = ~np.isnan(own)
    for kind, sign in SIGNS.items():
        beyond = (sign * scan > sign * own).any(axis=1)
        candidates = [int(at) for at in np.flatnonzero(often & ~beyond) if found.may_compute(name, [names[at]])]
        covered = equal[candidates].any(axis=0) if candidates else ~present
        if len(candidates) < 2 or (present & ~covered & ~np.isnan(scan[candidates]).all(axis=0)).any():
            continue
        terms = _fewest([names[at] for at in candidates], name, found)
        if terms and found.add(name, Formula(kind, tuple(map(column, terms))), "nearest"):
            return
    candidates = [int(at) for at in np.flatnonzero(often) if found.may_compute(name, [names[at]])]
    if len(candidates) > 2 and equal[candidates].any(axis=0)[present].all():
        terms = _fewest([names[at] for at in candidates], name, found)
        if len(terms) % 2:
            found.add(name, Formula("median", tuple(map(column, terms))), "nearest")


def discover_sums_without_extremes(found: Found) -> None:
    """Find the numbers that are linear in the sum of columns without the largest or least of them.

    The columns are next to each other, such as the marks of which the worst does not count.
    """
    names = found.names("number")
    targets = found.targets("number")
    if not targets or not 3 < len(names) <= MAX_SUM_COLUMNS:
        return
    numbers, rows = found.columns.numbers, sampled(len(found.columns.numbers[names[0]]), MAX_SCAN_ROWS)
    scan = {name: numbers[name][rows] for name in names}
    parts = [tuple(map(column, names[at : at + size])) for size in SUM_SIZES for at in range(len(names) - size + 1)]
    features = [
        linear(0.0, *((1.0, part) for part in own), (-1.0, Formula(kind, own)))
        for own in parts
        for kind in ("min", "max")
    ]
    shares = unexplained_shares(
        np.stack([scan[name] for name in targets]), np.stack([own.of(scan) for own in features])
    )
    limits = unexplained_limits(
        row_variances(np.stack([scan[name] for name in targets])),
        np.array([found.columns.steps[name] for name in targets]),
    )
    for name, own, limit in zip(targets, shares, limits, strict=True):
        for at in np.argsort(own, kind="stable")[: int((own <= limit).sum())][:MAX_CANDIDATES]:
            feature = features[at]
            observed, predicted = numbers[name], feature.of(numbers)
            known = np.flatnonzero(np.isfinite(observed) & np.isfinite(predicted))
            known = known[sampled(len(known), MAX_FIT_ROWS)]
            line = simplest(fit_line(observed[known], predicted[known][None], found.columns.steps[name]))
            if line is not None and line.factors[0] and found.may_compute(name, feature.columns):
                formula = simplified(linear(line.constant, (line.factors[0], feature)))
                if found.add(name, formula, line.rounding):
                    break


def _fewest(candidates: list[str], name: str, found: Found) -> list[str]:
    """Return the fewest columns of which one is equal in every row, chosen in order of the rows they explain."""
    observed = found.columns.numbers[name]
    equal = {own: observed == found.columns.numbers[own] for own in candidates}
    left: npt.NDArray[np.bool_] = np.logical_or.reduce(list(equal.values()))
    every = left.copy()
    chosen: list[str] = []
    while left.any() and len(chosen) < MAX_TERMS:
        best = max(candidates, key=lambda own: int((equal[own] & left).sum()))
        chosen.append(best)
        left = left & ~equal[best]
    alone = [_alone(own, chosen, equal, every) for own in chosen]
    decides = [len(rows) >= MIN_DECIDING_ROWS and found.columns.is_supported(rows) for rows in alone]
    return sorted(chosen, key=candidates.index) if len(chosen) > 1 and all(decides) and not left.any() else []


def _alone(own: str, chosen: list[str], equal: Mapping[str, Bools], every: Bools) -> Integers:
    """Return the rows that only one of the columns explains."""
    others = [equal[other] for other in chosen if other != own]
    return np.flatnonzero(every & equal[own] & ~np.logical_or.reduce(others))
