"""Discover numbers that are a weighted sum of two columns, possibly times a third, up to their rounding.

Examples are the mean arterial pressure, ``(systolic + 2 * diastolic) / 3``, and pack years, ``packs * (age - start)``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.relations.formulas.by_group import ONE, Candidate, fit_groups
from tabsynth.relations.formulas.expressions import column
from tabsynth.relations.formulas.fitting import unexplained_limits
from tabsynth.relations.formulas.found import Found, sampled

MAX_SCAN_ROWS, MIN_SCAN_ROWS = 400, 40
"""Maximum and minimum rows on which candidates are searched; all rows then confirm them."""

MAX_COLUMNS, MAX_SCALED_COLUMNS = 60, 24
"""Maximum numeric columns of the search, and of that of sums times a column."""

MAX_UNEXPLAINED = 0.01
"""Maximum share of the variance that rounding may leave unexplained: many pairs of columns are compared."""

MAX_CORRELATION, MAX_CANDIDATES = 0.999, 3
"""Maximum correlation of two terms, and maximum candidates for each column and scale."""


def discover_two_terms(found: Found) -> None:
    """Find the numbers that are a weighted sum of two columns, then those that are one times a third column."""
    names = found.names("number")
    if not 3 <= len(names) <= MAX_COLUMNS:
        return
    numbers = found.columns.numbers
    for target in found.targets("number"):
        present = np.flatnonzero(~np.isnan(numbers[target]))
        rows = present[sampled(len(present), MAX_SCAN_ROWS)]
        if len(rows) < MIN_SCAN_ROWS:
            continue
        scan = np.stack([numbers[name][rows] for name in names])
        scales = names if len(names) <= MAX_SCALED_COLUMNS else []
        for scale in ("", *(name for name in scales if name != target)):
            if any(_adds(own, found) for own in _candidates(target, scale, names, scan, found)):
                break


def _adds(own: Candidate, found: Found) -> bool:
    """Fit a candidate to all rows, and add its formula if it holds."""
    fit = fit_groups(own, "", found)
    return fit is not None and len(fit[0].columns) > 1 and found.add(own.target, *fit[:2])


def _candidates(target: str, scale: str, names: list[str], scan: Floats, found: Found) -> Iterator[Candidate]:
    """Yield the pairs of columns of which a weighted sum explains a column, divided by a scale, in a sample."""
    factor = scan[names.index(scale)] if scale else np.ones(scan.shape[1])
    if (factor <= 0).any():
        return
    numbers, factor = scan[:, ~np.isnan(factor)], factor[~np.isnan(factor)]
    complete = ~np.isnan(numbers).any(axis=1)
    usable = [at for at in np.flatnonzero(complete) if names[at] not in (target, scale)]
    if numbers.shape[1] < MIN_SCAN_ROWS or len(usable) < 2:
        return
    own = numbers[names.index(target)] / factor
    step = found.columns.steps[target]
    limit = float(unexplained_limits(np.array(own.var()), np.array(step * np.sqrt(np.mean(factor**-2.0)))))
    if not 0 < limit <= MAX_UNEXPLAINED:
        return
    with np.errstate(all="ignore"):
        correlation = np.nan_to_num(np.corrcoef(np.vstack([numbers[usable], own])))
        first, between = correlation[-1, :-1], correlation[:-1, :-1]
        explained = (first[:, None] ** 2 + first**2 - 2 * first[:, None] * first * between) / (1 - between**2)
    explained[~np.isfinite(explained) | (np.abs(between) > MAX_CORRELATION)] = 0
    explained[np.tril_indices(len(usable))] = 0
    near = np.argwhere(1 - explained <= limit)
    for one, other in near[np.argsort(-explained[tuple(near.T)], kind="stable")][:MAX_CANDIDATES]:
        pair = [names[usable[one]], names[usable[other]]]
        if found.may_compute(target, [*pair, scale] if scale else pair):
            yield Candidate(target, (column(pair[0]), column(pair[1])), column(scale) if scale else ONE)
