"""Discover numbers that are linear functions of others within each value of a column, such as a tariff by contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.relations.formulas.expressions import Formula, column, constant, linear, product, simplified
from tabsynth.relations.formulas.fitting import Line, fit_line, row_variances, unexplained_limits
from tabsynth.relations.formulas.found import Found, sampled
from tabsynth.relations.formulas.rule import ROUNDINGS
from tabsynth.relations.pairwise_fit import unexplained_shares

MAX_GROUPS = 200
"""Maximum number of values of a column within which formulas are fitted."""

MAX_SCAN_ROWS = 5000
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MAX_LEVEL_ROWS, MIN_LEVEL_ROWS = 80, 12
"""Maximum and minimum rows of a value on which candidates are searched."""

MAX_LEVELS = 3
"""Maximum values of a column on which candidates are searched, those of most rows."""

MAX_PAIR_COLUMNS = 24
"""Maximum numeric columns of whose pairs products and sums are searched."""

MAX_UNEXPLAINED = 0.02
"""Maximum share of the variance that rounding may leave unexplained: many groups and columns are compared."""

MAX_PAIR_UNEXPLAINED = 0.005
"""The same where two columns explain a column."""

MAX_CANDIDATES = 4
"""Maximum candidates for each column."""

MIN_COVERED_SHARE = 0.8
"""Minimum share of the rows whose value has a formula."""

MIN_FREE_POINTS = 20
"""Minimum different points of all values, beyond those that determine the coefficients."""


ONE = constant(1.0)


@dataclass(frozen=True)
class Candidate:
    """A number that may be a line in features, multiplied by a scale; the coefficients may depend on a column."""

    target: str
    features: tuple[Formula, ...]
    scale: Formula = ONE


def discover_by_group(found: Found) -> None:
    """Find the numbers that are linear functions of others within each value of a column of few values."""
    columns = found.columns
    levels = {name: _largest(own) for name, own in columns.keys.items()}
    groups = sorted((name for name in levels if 2 <= levels[name][0] <= MAX_GROUPS), key=lambda name: levels[name][0])
    for unit in dict.fromkeys(columns.units.values()):
        names = found.names(unit)
        if len(names) < 2:
            continue
        steps = np.array([columns.steps[name] for name in names])
        block = np.stack([columns.numbers[name][_scanned(columns.numbers[name])] for name in names])
        for group in groups:
            candidates = _candidates(group, levels[group][1], names, steps, block, found, products=unit == "number")
            lines = [(own, *fit) for own in candidates if (fit := fit_groups(own, group, found)) is not None]
            # Of both directions of a relation, the column with more decimals was computed, or the one that is later.
            order = {name: (columns.steps[name], -at) for at, name in enumerate(names)}
            lines.sort(
                key=lambda line: (len(line[1].columns), order[line[0].target][0], line[3], order[line[0].target])
            )
            for own, formula, rounding, _ in lines:
                if found.may_compute(own.target, formula.columns):
                    found.add(own.target, formula, rounding)


def _scanned(data: Floats) -> slice:
    return sampled(len(data), MAX_SCAN_ROWS)


def _largest(values: Floats) -> tuple[int, list[Integers]]:
    """Return the number of values in a sample of the rows, and rows of the sample for each frequent one."""
    scan = values[_scanned(values)]
    known, count = np.unique(scan[~np.isnan(scan)], return_counts=True)
    often = [at for at in np.argsort(-count, kind="stable")[:MAX_LEVELS] if count[at] >= MIN_LEVEL_ROWS]
    rows = [np.flatnonzero(scan == known[at]) for at in often]
    return len(known), [own[sampled(len(own), MAX_LEVEL_ROWS)] for own in rows]


def _candidates(
    group: str,
    levels: Sequence[Integers],
    names: list[str],
    steps: Floats,
    block: Floats,
    found: Found,
    *,
    products: bool,
) -> list[Candidate]:
    """Return the columns that others explain within the largest values of a column."""
    out: dict[Candidate, None] = {}
    open_ = {name for name in names if name not in found.reads and name != group}
    for rows in levels:
        if not open_:
            break
        sample = block[:, rows]
        limits = unexplained_limits(row_variances(sample), steps)
        limits[limits > MAX_UNEXPLAINED] = 0
        varying = [name for name, limit in zip(names, limits, strict=True) if name in open_ and limit > 0]
        out |= dict.fromkeys(_explained(varying, group, names, sample, limits, found, products=products))
        open_ -= set(varying)
    return list(out)


def _explained(
    targets: Sequence[str],
    group: str,
    names: list[str],
    sample: Floats,
    limits: Floats,
    found: Found,
    *,
    products: bool,
) -> Iterator[Candidate]:
    """Yield the columns that one feature, or two columns, explain in a sample."""
    if not targets:
        return
    at = np.array([names.index(name) for name in targets])
    features = [column(name) for name in names]
    numbers = sample
    if products and len(names) <= MAX_PAIR_COLUMNS:
        more = []
        for one, other in combinations([own for own in features if own.names[0] != group], 2):
            more += [product(1.0, (one, 1.0), (other, power)) for power in (1.0, -1.0)]
            more.append(product(1.0, (other, 1.0), (one, -1.0)))
        values = dict(zip(names, sample, strict=True))
        numbers = np.stack([*sample, *(own.of(values) for own in more)])
        features = [*features, *more]
    with np.errstate(all="ignore"):
        shares = unexplained_shares(sample[at], np.where(np.isfinite(numbers), numbers, np.nan))
    near = shares <= limits[at][:, None]
    pairs = products and len(names) <= MAX_PAIR_COLUMNS
    for place in range(len(targets)) if pairs else np.flatnonzero(near.any(axis=1)).tolist():
        name, order = targets[place], np.argsort(shares[place], kind="stable")
        chosen = [features[i] for i in order[near[place][order]] if group not in features[i].columns]
        chosen = [one for one in chosen if found.may_compute(name, one.columns)][:MAX_CANDIDATES]
        yield from (Candidate(name, (one,)) for one in chosen)
        if not chosen and pairs and limits[at[place]] <= MAX_PAIR_UNEXPLAINED:
            yield from _two_terms(name, group, names, sample, limits[at[place]], found)


def _two_terms(
    name: str, group: str, names: list[str], sample: Floats, limit: float, found: Found
) -> Iterator[Candidate]:
    """Yield the pairs of columns of which a weighted sum explains a column in a sample."""
    complete = sample[:, ~np.isnan(sample).any(axis=0)]
    if complete.shape[1] < MIN_LEVEL_ROWS:
        return
    with np.errstate(all="ignore"):
        correlation = np.asarray(np.nan_to_num(np.corrcoef(complete)))
        own = correlation[names.index(name)]
        explained = (own[:, None] ** 2 + own**2 - 2 * own[:, None] * own * correlation) / (1 - correlation**2)
    explained[~np.isfinite(explained) | (np.abs(correlation) > 0.999)] = 0
    explained[np.tril_indices(len(names))] = 0
    for i, j in np.argwhere(1 - explained <= limit)[:MAX_CANDIDATES]:
        pair = (names[i], names[j])
        if name not in pair and group not in pair and found.may_compute(name, pair):
            yield Candidate(name, tuple(map(column, pair)))


def fit_groups(own: Candidate, group: str, found: Found) -> tuple[Formula, str, float] | None:
    """Return the formula by group, its rounding, and the mean digits of its coefficients; None if it is not exact.

    Without a group, one line is fitted to all rows.
    """
    columns = found.columns
    scale = own.scale.of(columns.values)
    with np.errstate(all="ignore"):
        observed, steps = columns.numbers[own.target] / scale, columns.steps[own.target] / np.abs(scale)
    values = columns.keys[group] if group else np.zeros(len(observed))
    features = np.stack([one.of(columns.values) for one in own.features])
    known = np.isfinite(observed) & ~np.isnan(values) & np.isfinite(features).all(axis=0)
    if not known.any():
        return None
    lines: dict[float, dict[str, Line]] = {}
    free = 0
    covered = 0
    for value, rows in _levels(values, known):
        points = len(np.unique(features[:, rows], axis=1).T)
        if not columns.is_supported(rows) or points < len(features) + 2:
            continue
        fitted = fit_line(observed[rows], features[:, rows], steps[rows])
        if not fitted:
            return None
        lines[value] = {line.rounding: line for line in fitted}
        free += (points - len(features) - 1) * any(fitted[0].factors)
        covered += len(rows)
    if free < MIN_FREE_POINTS or covered < MIN_COVERED_SHARE * int(known.sum()):
        return None
    rounding = min(ROUNDINGS, key=lambda kind: _digits(lines, kind))  # the first of equal ones
    digits = _digits(lines, rounding)
    if not np.isfinite(digits):
        return None
    keys = sorted(lines)
    parts = tuple(scaled(_part(lines[key][rounding], own.features), own.scale) for key in keys)
    if len(set(parts)) == 1:
        return parts[0], rounding, digits
    return Formula("by_group", parts, names=(group,), keys=tuple((key,) for key in keys)), rounding, digits


def _digits(lines: Mapping[float, Mapping[str, Line]], rounding: str) -> float:
    """Return the mean digits of the lines with one rounding, infinite if a value has none."""
    return float(np.mean([own[rounding].digits if rounding in own else np.inf for own in lines.values()]))


def _levels(values: Floats, known: np.ndarray) -> Iterator[tuple[float, Integers]]:
    """Yield each value with its rows."""
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(values[rows], kind="stable")]
    start = np.flatnonzero(np.diff(values[rows], prepend=np.nan) != 0)
    for begin, end in zip(start.tolist(), [*start[1:].tolist(), len(rows)], strict=True):
        yield float(values[rows[begin]]), rows[begin:end]


def _part(line: Line, features: Sequence[Formula]) -> Formula:
    """Return the formula of a value."""
    terms = [(factor, feature) for factor, feature in zip(line.factors, features, strict=True) if factor]
    return simplified(linear(line.constant, *terms)) if terms else constant(line.constant)


def scaled(part: Formula, scale: Formula) -> Formula:
    """Return the product of a line and a scale; a line that is a multiple of a column plus a number is written so."""
    if scale.kind == "constant":
        return part
    factors = tuple(zip(scale.parts, scale.numbers[1:], strict=True)) if scale.kind == "product" else ((scale, 1.0),)
    if part.kind == "constant":
        return product(part.numbers[0], *factors)
    factor = 1.0
    if part.kind == "product" and len(part.parts) == 1:
        factor, part = part.numbers[0], part.parts[0]
    elif part.kind == "linear" and len(part.parts) == 1:
        number, factor = part.numbers
        shift = float(f"{number / factor:.12g}")
        part = linear(shift if factor > 0 else -shift, (1.0 if factor > 0 else -1.0, part.parts[0]))
        factor = abs(factor)
    return product(factor, (part, 1.0), *factors)
