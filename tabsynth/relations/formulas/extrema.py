"""Discover numbers and dates that are the maximum or minimum of others, such as the best of three scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.relations.formulas.expressions import Formula, column
from tabsynth.relations.formulas.found import Found, sampled

MAX_SCAN_ROWS = 500
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MAX_TERMS = 5
"""Maximum number of columns of a maximum."""

MIN_DECIDING_ROWS = 5
"""Minimum rows that only one of the columns explains, for each of them."""

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
