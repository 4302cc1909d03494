"""Discover numbers that a product, ratio, share or distance of two columns determines, also beyond a bound.

Numbers at the end of a column that many rows share may be a bound, as in ``max(5, rate * quantity)``: the formula is
searched in the other rows, and must be beyond the bound in these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from itertools import product as product_of

import numpy as np

from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.formulas.expressions import Formula, column, constant, linear, product, simplified
from tabsynth.relations.formulas.fitting import Line, fit_line, row_variances, simplest, unexplained_limits
from tabsynth.relations.formulas.found import Found, sampled
from tabsynth.relations.pairwise_fit import unexplained_shares

MAX_SCAN_ROWS = 300
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MAX_FIT_ROWS = 4000
"""Maximum rows from which coefficients are estimated."""

MAX_PAIR_COLUMNS = 40
"""Maximum numeric columns of which pairs are combined."""

MAX_CANDIDATES = 6
"""Maximum candidates for each column and bound."""

MAX_RATE, MAX_TERM, MAX_GROWTHS = 40, 600, 12
"""Maximum interest rate and number of periods, and maximum pairs of both that are combined."""

MAX_SIDE_RATIO = 30.0
"""Maximum ratio of the sides of a triangle, by their medians."""

MIN_BOUND_SHARE, MIN_BOUND_ROWS = 0.02, 12
"""Minimum share, and number, of rows at the end of a column that may be a bound."""


@dataclass(frozen=True)
class Target:
    """A column, possibly without the rows at one of its ends.

    Attributes:
        name: The column.
        bound: The number at this end, NaN for none.
        kind: "max" for a lower bound, "min" for an upper one.
    """

    name: str
    bound: float = np.nan
    kind: str = ""

    def inside(self, data: Floats) -> Bools:
        """Return the rows that are present and not at the bound, shape (n,)."""
        return np.asarray(~np.isnan(data) & (data != self.bound))


def discover_features(found: Found) -> None:
    """Find the numbers that are linear functions of one column, or of a combination of two, up to their rounding."""
    names = found.names("number")
    targets = [target for name in found.targets("number") for target in _targets(name, found)]
    if len(names) < 2 or not targets:
        return
    data = found.columns.numbers
    rows = sampled(len(data[names[0]]), MAX_SCAN_ROWS)
    scan = {name: data[name][rows] for name in names}
    features = list(_features(scan, pairs=len(names) <= MAX_PAIR_COLUMNS))
    numbers = np.stack([own.of(scan) for own in features])
    numbers[~np.isfinite(numbers)] = np.nan
    wanted = np.stack([np.where(target.inside(scan[target.name]), scan[target.name], np.nan) for target in targets])
    steps = np.array([found.columns.steps[target.name] for target in targets])
    limits = unexplained_limits(row_variances(wanted), steps)
    shares = unexplained_shares(wanted, numbers)
    size = np.array([len(own.columns) for own in features])
    for at, target in enumerate(targets):
        near = np.flatnonzero(shares[at] <= limits[at])
        near = near[np.lexsort((shares[at][near], size[near]))]
        chosen = [features[i] for i in near if found.may_compute(target.name, features[i].columns)]
        if target.name in found.reads:
            continue
        fits = [fit for feature in chosen[:MAX_CANDIDATES] if (fit := _fit(target, feature, found)) is not None]
        for line, formula in sorted(fits, key=lambda fit: fit[0].digits):
            if found.add(target.name, formula, line.rounding, within=target.inside(found.columns.numbers[target.name])):
                break


def _targets(name: str, found: Found) -> Iterator[Target]:
    """Yield a column, and the column without the rows at an end that many rows share."""
    yield Target(name)
    data = found.columns.numbers[name]
    present = data[~np.isnan(data)]
    if not len(present):
        return
    needed = max(MIN_BOUND_ROWS, MIN_BOUND_SHARE * len(present))
    for end, kind in ((float(present.min()), "max"), (float(present.max()), "min")):
        shared = np.flatnonzero(data == end)
        if needed <= len(shared) <= len(present) - needed and found.columns.is_supported(shared):
            yield Target(name, end, kind)


def _features(scan: Mapping[str, Floats], *, pairs: bool) -> Iterator[Formula]:
    """Yield the columns, and combinations of two."""
    yield from map(column, scan)
    positive = {name: not (data < 0).any() for name, data in scan.items()}
    yield from (product(1.0, (column(name), -1.0)) for name in scan if positive[name])
    if not pairs:
        return
    own = {name: column(name) for name in scan}
    for one, other in combinations(scan, 2):
        first, second = own[one], own[other]
        both = linear(0.0, (1.0, first), (1.0, second))
        difference = linear(0.0, (1.0, first), (-1.0, second))
        yield from (both, difference, Formula("absolute", (difference,)))
        if _are_alike(scan[one], scan[other]):
            yield Formula("distance", (first, second))
        yield product(1.0, (first, 1.0), (second, 1.0))
        yield product(1.0, (first, 1.0), (second, -1.0))
        yield product(1.0, (second, 1.0), (first, -1.0))
        if positive[one] and positive[other]:
            yield product(1.0, (first, 1.0), (both, -1.0))
            yield product(1.0, (second, 1.0), (both, -1.0))
    for name, data in scan.items():
        for complement in complements(name, data):
            for other in own:
                if other != name:
                    yield product(1.0, (own[other], 1.0), (complement, 1.0))
                    yield product(1.0, (own[other], 1.0), (complement, -1.0))

    for growth in _growths(scan):
        for name in scan:
            if name not in growth.columns:
                yield product(1.0, (own[name], 1.0), (growth, 1.0))
                yield product(1.0, (own[name], 1.0), (growth, -1.0))


def _are_alike(first: Floats, second: Floats) -> bool:
    """Return whether both sides of a triangle matter: the longer one alone is nearly the distance otherwise."""
    sizes = [float(np.nanmedian(np.abs(own))) if not np.isnan(own).all() else 0.0 for own in (first, second)]
    return max(sizes) <= MAX_SIDE_RATIO * min(sizes)


def _growths(scan: Mapping[str, Floats]) -> Iterator[Formula]:
    """Yield compound growth at a rate for a term, and the payment of an annuity, of yearly or monthly rates."""
    rates = [name for name, data in scan.items() if _within(data, 0, MAX_RATE) and (data % 1 > 0).any()]
    terms = [name for name, data in scan.items() if _within(data, 1, MAX_TERM) and not (data % 1 > 0).any()]
    for rate, term in list(product_of(rates, terms))[:MAX_GROWTHS]:
        whole = 1.0 if np.nanmax(scan[rate]) <= 1 else 100.0
        for scale in (whole, 12 * whole):
            share = linear(0.0, (1 / scale, column(rate)))
            growth = Formula("power", (linear(1.0, (1 / scale, column(rate))), column(term)))
            yield growth
            yield product(1.0, (share, 1.0), (linear(1.0, (-1.0, product(1.0, (growth, -1.0)))), -1.0))


def _within(data: Floats, low: float, high: float) -> bool:
    """Return whether all numbers of a column that are present are in a range and differ."""
    least, most = np.nanmin(data, initial=np.inf), np.nanmax(data, initial=-np.inf)
    return bool(low <= least < most <= high)


def complements(name: str, data: Floats) -> Iterator[Formula]:
    """Yield what a rate leaves, and what it adds, for columns of shares and percentages."""
    present = data[~np.isnan(data)]
    if not len(present) or present.min() < 0 or present.max() == present.min():
        return
    whole = 1.0 if present.max() <= 1 else 100.0
    if present.max() <= whole:
        yield linear(whole, (-1.0, column(name)))
        yield linear(whole, (1.0, column(name)))


def _fit(target: Target, feature: Formula, found: Found) -> tuple[Line, Formula] | None:
    """Fit a column by a feature in the rows that are not at the bound."""
    columns = found.columns
    observed, predicted = columns.numbers[target.name], feature.of(columns.values)
    rows = np.flatnonzero(target.inside(observed) & np.isfinite(predicted))
    rows = rows[sampled(len(rows), MAX_FIT_ROWS)]
    if len(rows) < MIN_BOUND_ROWS:
        return None
    line = simplest(fit_line(observed[rows], predicted[rows][None], columns.steps[target.name]))
    if line is None or not line.factors[0]:
        return None
    formula = simplified(linear(line.constant, (line.factors[0], feature)))
    return line, Formula(target.kind, (constant(target.bound), formula)) if target.kind else formula
