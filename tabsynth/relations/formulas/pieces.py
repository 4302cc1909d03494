"""Discover numbers that are piecewise linear in another, such as a tax by brackets, or a wage with overtime."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.relations.formulas.expressions import Formula, column, constant, linear, product, simplified
from tabsynth.relations.formulas.fitting import Line, fit_line, simplest, unexplained_limits
from tabsynth.relations.formulas.found import Found, sampled
from tabsynth.relations.formulas.rule import SLACK, agree
from tabsynth.schema.rounding import roundest_number

MAX_SCAN_ROWS = 300
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MAX_FIT_ROWS = 4000
"""Maximum rows in which pieces are searched."""

N_CHUNKS, MIN_CHUNKS = 6, 4
"""Number of intervals of equal rows, and of those in which a candidate must be linear."""

MIN_NUMBERS = 24
"""Minimum different numbers of the column whose intervals have a formula each."""

MAX_MULTIPLIED = 16
"""Maximum numeric columns of which one may multiply the piecewise linear function of another."""

MAX_PIECES, MIN_PIECE_ROWS = 6, 8
"""Maximum number of pieces, and minimum rows of each."""

MAX_GROUPED, MAX_GROUP_COLUMNS, MAX_GROUPS = 16, 6, 8
"""Maximum numeric columns that are searched within values of a column, of such columns, and of the values of each."""

MIN_FREE_POINTS = 40
"""Minimum rows beyond those that determine the coefficients of the pieces."""

CORE_SHARE = 0.9
"""Share of the rows of a piece from which its coefficients are estimated: rounding hides where it ends."""

Piece = tuple[int, int, Line]
"""First row of a piece, the row after its last, and its line."""


def discover_pieces(found: Found, *, multiplied: bool = True) -> None:
    """Find the numbers that are a piecewise linear function of another, or the product of one with a third column.

    Args:
        found: The formulas found so far.
        multiplied: Whether products are searched, too, which takes longest.
    """
    names, data = found.names("number"), found.columns.numbers
    if len(names) < 2:
        return
    rows = sampled(len(data[names[0]]), MAX_SCAN_ROWS)
    scan = np.stack([data[name][rows] for name in names])
    for source, own in zip(names, scan, strict=True):
        targets = [name for name in found.targets("number") if found.may_compute(name, (source,))]
        order = np.argsort(own, kind="stable")[: int((~np.isnan(own)).sum())]
        if not targets or len(order) < MIN_PIECE_ROWS * N_CHUNKS or len(np.unique(own[order])) < MIN_NUMBERS:
            continue
        at = [names.index(name) for name in targets]
        steps = np.array([found.columns.steps[name] for name in targets])
        for place in np.flatnonzero(_is_candidate(scan[at][:, order], own[order], steps[:, None])):
            _add(targets[place], source, "", found)
        if multiplied and len(names) <= MAX_MULTIPLIED:
            for name in [name for name in targets if name not in found.reads]:
                _search_multiplied(name, source, names, scan[:, order], found)


def _search_multiplied(name: str, source: str, names: list[str], scan: Floats, found: Found) -> None:
    """Search a column that multiplies a piecewise linear function of another."""
    others = [other for other in names if other not in (name, source) and found.may_compute(name, (other,))]
    others = [other for other in others if not (scan[names.index(other)] <= 0).any()]
    if not others:
        return
    multipliers = scan[[names.index(other) for other in others]]
    quotients = scan[names.index(name)] / multipliers
    steps = found.columns.steps[name] / multipliers
    for place in np.flatnonzero(_is_candidate(quotients, scan[names.index(source)], steps)):
        if name not in found.reads:
            _add(name, source, others[place], found)


def _is_candidate(observed: Floats, source: Floats, steps: Floats) -> Bools:
    """Return the columns that are linear in another within most intervals of it, shape (columns,).

    Args:
        observed: The columns, shape (columns, n).
        source: The other column, ascending, shape (n,).
        steps: Their rounding steps, shape (columns, 1) or (columns, n).
    """
    linear_, flat = np.zeros(len(observed)), np.zeros(len(observed))
    for rows in np.array_split(np.arange(len(source)), N_CHUNKS):
        own, other = observed[:, rows], source[rows] - source[rows].mean()
        own = own - own.mean(axis=1, keepdims=True)
        variance, spread = (own**2).mean(axis=1), float((other**2).mean())
        noise = (steps if steps.shape[1] == 1 else steps[:, rows]) ** 2
        limit = unexplained_limits(variance, np.sqrt(noise.mean(axis=1)))
        with np.errstate(all="ignore"):
            share = 1 - (own @ other / len(rows)) ** 2 / (variance * spread)
        linear_ += share <= limit
        flat += np.ptp(observed[:, rows], axis=1) == 0
    return np.asarray((linear_ + flat >= MIN_CHUNKS) & (linear_ >= 1) & (linear_ + np.minimum(flat, 1) >= 2))


def discover_pieces_by_group(found: Found) -> None:
    """Find the numbers that are a piecewise linear function of another within each value of a column of few values."""
    names, columns = found.names("number"), found.columns
    if not 2 <= len(names) <= MAX_GROUPED:
        return
    sizes = {name: len(own) for name, own in columns.labels.items()}
    groups = sorted((name for name, size in sizes.items() if 2 <= size <= MAX_GROUPS), key=sizes.__getitem__)
    for group in groups[:MAX_GROUP_COLUMNS]:
        values = columns.groups[group]
        known, count = np.unique(values[~np.isnan(values)], return_counts=True)
        if not len(known):
            continue
        rows = np.flatnonzero(values == known[count.argmax()])
        rows = rows[sampled(len(rows), MAX_SCAN_ROWS)]
        scan = np.stack([columns.numbers[name][rows] for name in names])
        for source, own in zip(names, scan, strict=True):
            targets = [name for name in found.targets("number") if found.may_compute(name, (source, group))]
            order = np.argsort(own, kind="stable")[: int((~np.isnan(own)).sum())]
            if source == group or not targets or len(order) < MIN_PIECE_ROWS * N_CHUNKS:
                continue
            at = [names.index(name) for name in targets]
            steps = np.array([columns.steps[name] for name in targets])
            for place in np.flatnonzero(_is_candidate(scan[at][:, order], own[order], steps[:, None])):
                if targets[place] != group:
                    _add_by_group(targets[place], source, group, found)


def _add_by_group(name: str, source: str, group: str, found: Found) -> None:
    """Fit the pieces of each value, and add the formula if it holds."""
    columns = found.columns
    values, known = columns.groups[group], ~np.isnan(columns.numbers[name]) & ~np.isnan(columns.numbers[source])
    fits: dict[float, tuple[Formula, str, int]] = {}
    for value in np.unique(values[known & ~np.isnan(values)]).tolist():
        fit = _fit(name, source, "", np.flatnonzero(known & (values == value)), found)
        if fit is None:
            return
        fits[value] = fit
    if len({rounding for _, rounding, _ in fits.values()}) != 1 or not any(
        part.kind == "by_interval" for part, _, _ in fits.values()
    ):
        return
    if sum(free for _, _, free in fits.values()) >= MIN_FREE_POINTS:
        parts = tuple(part for part, _, _ in fits.values())
        rounding = next(own for _, own, _ in fits.values())
        found.add(name, Formula("by_group", parts, names=(group,), keys=tuple((own,) for own in fits)), rounding)


def _add(name: str, source: str, multiplier: str, found: Found) -> None:
    """Fit the pieces, and add the formula if it holds."""
    numbers = [found.columns.numbers[own] for own in (name, source, multiplier) if own]
    fit = _fit(name, source, multiplier, np.flatnonzero(~np.isnan(numbers).any(axis=0)), found)
    if fit is not None and fit[0].kind == "by_interval" and fit[2] >= MIN_FREE_POINTS:
        found.add(name, fit[0], fit[1])


def _fit(name: str, source: str, multiplier: str, rows: Integers, found: Found) -> tuple[Formula, str, int] | None:
    """Return the formula of all pieces in some rows, its rounding, and the rows beyond those that determine it."""
    columns = found.columns
    observed, own = columns.numbers[name], columns.numbers[source]
    factor = columns.numbers[multiplier] if multiplier else np.ones(len(own))
    rows = rows[np.argsort(own[rows], kind="stable")]
    rows = rows[sampled(len(rows), MAX_FIT_ROWS)]
    observed, own, factor = observed[rows], own[rows], factor[rows]
    if not len(rows):
        return None
    step = columns.steps[name] or SLACK * float(np.abs(observed).max())
    observed, steps = observed / factor, step / factor
    pieces = list(_pieces(observed, own[None], steps, max(MIN_PIECE_ROWS, columns.min_group)))
    free = sum(end - begin - 2 for begin, end, line in pieces if any(line.factors))
    if not 1 <= len(pieces) <= MAX_PIECES or pieces[-1][1] < len(rows):
        return None
    if not all(columns.is_supported(rows[begin:end]) for begin, end, _ in pieces):
        return None
    lines = [line for _, _, line in pieces]
    roundings = {line.rounding for line in lines if any(line.factors)}
    if len(roundings) != 1:
        return None
    (rounding,) = roundings
    ends = []
    for first, second in pairwise(lines):
        end = _end(first, second, observed, own, steps, rounding)
        if end is None:
            return None
        ends.append(end)
    parts = tuple(_part(line, source, multiplier) for line in lines)
    if ends != sorted(ends):
        return None
    return (parts[0] if len(parts) == 1 else Formula("by_interval", parts, tuple(ends), (source,))), rounding, free


def _pieces(observed: Floats, features: Floats, steps: Floats, least: int) -> Iterator[Piece]:
    """Yield the longest pieces in which a line is exact, until one has too few rows."""
    begin = 0
    for _ in range(MAX_PIECES + 1):
        end = _longest(observed, features, steps, begin, least)
        if end is None:
            return
        core = begin + max(least, int(CORE_SHARE * (end - begin)))
        line = simplest(fit_line(observed[begin:core], features[:, begin:core], steps[begin:core]))
        if line is None:
            return
        yield begin, end, line
        if end == len(observed):
            return
        begin = end


def _longest(observed: Floats, features: Floats, steps: Floats, begin: int, least: int) -> int | None:
    """Return the row after the longest piece from a row, None if it has too few rows."""

    def fits(end: int) -> bool:
        return bool(fit_line(observed[begin:end], features[:, begin:end], steps[begin:end]))

    if begin + least > len(observed) or not fits(begin + least):
        return None
    good, size = begin + least, least
    while good < len(observed) and fits(min(good + size, len(observed))):
        good, size = min(good + size, len(observed)), 2 * size
    bad = min(good + size, len(observed)) + (good == len(observed))
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def _end(first: Line, second: Line, observed: Floats, own: Floats, steps: Floats, rounding: str) -> float | None:
    """Return the number from which the second of two lines holds, None if there is none."""
    # In steps, which differ by row.
    before, after = (
        agree(observed / steps, (line.constant + line.factors[0] * own) / steps, 1.0, rounding)
        for line in (first, second)
    )
    both = before | after
    # Beyond other pieces neither holds.
    least = own[both & ~after].max(initial=-np.inf)
    most = own[both & ~before & (own > least)].min(initial=np.inf)
    if not np.isfinite([least, most]).all() or (before & ~after)[own >= most].any():
        return None
    change = second.factors[0] - first.factors[0]
    if change:
        crossing = (first.constant - second.constant) / change
        if least < crossing <= most:
            return float(f"{crossing:.9g}")
    return -roundest_number(-float(most), -float(least)) + 0.0


def _part(line: Line, source: str, multiplier: str) -> Formula:
    """Return the formula of a piece."""
    if not multiplier and not line.factors[0]:
        return constant(line.constant)
    if not multiplier:
        return simplified(linear(line.constant, (line.factors[0], column(source))))
    both = product(line.factors[0], (column(multiplier), 1.0), (column(source), 1.0))
    if not line.constant:
        return both
    both = product(1.0, (column(multiplier), 1.0), (column(source), 1.0))
    return linear(0.0, (line.factors[0], both), (line.constant, column(multiplier)))
