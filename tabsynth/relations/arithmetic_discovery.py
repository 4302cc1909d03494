"""Discover exact relations among numeric columns: weighted sums by least squares, and simple sums in spite of gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.relations.arithmetic import MIN_ROWS, ArithmeticRelation, is_exact
from tabsynth.relations.product_discovery import MAX_CANDIDATE_PAIRS, MAX_PAIR_ROWS, discover_products

MAX_SCAN_ROWS = 2000
"""Rows on which relations are looked for; all rows then confirm them."""

MAX_UNEXPLAINED_SHARE = 1e-3
"""A column is looked at when the others leave at most this share of its variance (or of a ratio's size) open."""


def discover_relations(lines: Mapping[str, Floats]) -> tuple[ArithmeticRelation, ...]:
    """Relations that hold in all rows where their columns are present.

    Args:
        lines: Each column's numbers, missing as NaN.
    """
    varied = {name: data for name, data in lines.items() if len(np.unique(data[~np.isnan(data)][:MAX_SCAN_ROWS])) > 1}
    sums = _discover_linear(varied)
    sums = [*_discover_simple_sums(varied, sums), *sums]
    # A relation must not read a column that a later one computes. A sum reads no column of a sum found before it.
    settled = {law.column for law in sums} | {name for law in sums for name, _ in law.terms}
    return (*reversed(sums), *discover_products(varied, settled))


def _discover_linear(lines: Mapping[str, Floats]) -> list[ArithmeticRelation]:
    """Weighted sums: columns whose variance the others explain, by least squares and backward elimination."""
    names = _jointly_present(lines)
    if len(names) < 2:
        return []
    matrix = np.stack([lines[name] for name in names], axis=1)
    matrix = matrix[~np.isnan(matrix).any(axis=1)]
    matrix = matrix[:: max(1, len(matrix) // MAX_SCAN_ROWS)]
    if len(matrix) < max(MIN_ROWS, 3 * len(names)):
        return []
    # What varies may not do so where everything else is there, as sex does not in rows with pregnancies.
    varied = np.ptp(matrix, axis=0) > 0
    names, matrix = [name for name, own in zip(names, varied, strict=True) if own], matrix[:, varied]
    centre, spread = matrix.mean(0), matrix.std(0)
    scaled = (matrix - centre) / spread
    free = list(range(len(names)))
    found: list[ArithmeticRelation] = []
    # The share of each column's variance that all the others leave open is one over the inverse correlation's diagonal.
    inverse = np.linalg.inv(scaled.T @ scaled / len(scaled) + 1e-10 * np.eye(len(names)))
    for column in np.flatnonzero(1 / np.diag(inverse) < MAX_UNEXPLAINED_SHARE):
        if column not in free:
            continue
        law = _fit_linear(int(column), [i for i in free if i != column], names, lines, scaled, centre, spread)
        if law is not None and {law.column, *(name for name, _ in law.terms)} <= {names[i] for i in free}:
            found.append(law)
            free.remove(names.index(law.column))
    return found


def _jointly_present(lines: Mapping[str, Floats]) -> list[str]:
    """Columns to look at together: those with fewest missing cells, while enough rows have them all."""
    names: list[str] = []
    rows = np.ones(len(next(iter(lines.values()))) if lines else 0, bool)
    for name in sorted(lines, key=lambda name: int(np.isnan(lines[name]).sum())):
        both = rows & ~np.isnan(lines[name])
        if both.sum() >= max(MIN_ROWS, 0.3 * rows.sum()):
            rows = both
            names.append(name)
    return sorted(names, key=list(lines).index)


def _fit_linear(
    column: int,
    others: list[int],
    names: list[str],
    lines: Mapping[str, Floats],
    scaled: Floats,
    centre: Floats,
    spread: Floats,
) -> ArithmeticRelation | None:
    """A column as a sum of as few others as will do."""

    def fitted(terms: list[int]) -> ArithmeticRelation | None:
        weights = np.linalg.lstsq(scaled[:, terms], scaled[:, column], rcond=1e-9)[0]
        if (scaled[:, column] - scaled[:, terms] @ weights).var() > MAX_UNEXPLAINED_SHARE:
            return None
        factors = weights * spread[column] / spread[terms]
        weighted = [(names[i], float(k)) for i, k in zip(terms, factors, strict=True)]
        return _round_coefficients(names[column], weighted, lines)

    weights = np.abs(np.linalg.lstsq(scaled[:, others], scaled[:, column], rcond=1e-9)[0])
    law = None
    for most in range(1, min(len(others), 12) + 1):
        chosen = [others[i] for i in np.argsort(-weights, kind="stable")[:most]]
        law = fitted(chosen)
        if law is not None:
            break
    if law is None:
        return None
    terms = [names.index(name) for name, _ in law.terms]
    for term in list(terms):
        fewer = [i for i in terms if i != term]
        simpler = fitted(fewer) if fewer else None
        if simpler is not None:
            law, terms = simpler, fewer
    return _invert(law, lines)


def _round_coefficients(
    column: str, terms: list[tuple[str, float]], lines: Mapping[str, Floats]
) -> ArithmeticRelation | None:
    """Round the coefficients to the fewest digits that keep the relation exact, None if none do."""
    for digits in (1, 2, 3, 4, 5, 6, 8, 12):
        rounded = tuple((name, float(f"{k:.{digits - 1}e}")) for name, k in terms)
        rest = lines[column] - ArithmeticRelation(column, 0.0, rounded).predict(lines)
        rest = rest[~np.isnan(rest)]
        if not len(rest):
            return None
        # A constant may be anything between the extremes that rounding leaves; the middle is safest, a plain one best.
        middle = float((rest.min() + rest.max()) / 2)
        for constant in (0.0, float(np.round(middle)), float(np.round(middle, 3)), middle):
            law = ArithmeticRelation(column, constant, rounded)
            if is_exact(lines[column], law.predict(lines)):
                return law
    return None


def _invert(law: ArithmeticRelation, lines: Mapping[str, Floats]) -> ArithmeticRelation:
    """Solve for the column that is a sum with positive coefficients, if that is exact."""
    positive = [(name, k) for name, k in law.terms if k > 0]
    if len(positive) != 1 or len(law.terms) == 1:
        return law
    name, k = positive[0]
    terms = ((law.column, 1 / k), *((other, -factor / k) for other, factor in law.terms if other != name))
    turned = ArithmeticRelation(name, -law.constant / k, terms)
    return turned if is_exact(lines[name], turned.predict(lines)) else law


def _discover_simple_sums(lines: Mapping[str, Floats], found: Sequence[ArithmeticRelation]) -> list[ArithmeticRelation]:
    """Copies, changes of unit and sums of two columns that gaps in other columns hid from least squares."""
    computed, read = {law.column for law in found}, {name for law in found for name, _ in law.terms}
    names = [name for name in lines if name not in computed]
    if len(names) < 2 or (len(_jointly_present(lines)) == len(lines) and _n_complete(lines) >= 3 * len(lines)):
        return []
    rows = len(lines[names[0]])
    scan = np.stack([lines[name][:: max(1, rows // MAX_PAIR_ROWS)] for name in names])
    scan -= np.nanmean(scan, axis=1, keepdims=True)
    present = ~np.isnan(scan)
    scan, mask = np.where(present, scan, 0.0), present.astype(np.float64)
    out: list[ArithmeticRelation] = []
    for column, name in enumerate(names):
        candidates = [[at] for at in _proportional(column, scan, mask)] + _two_terms(column, scan, mask)
        for terms in candidates:
            chosen = [names[at] for at in terms]
            # What a relation reads must not be computed by another.
            if name in computed | read or computed & set(chosen):
                continue
            both = ~np.isnan(lines[name]) & ~np.any([np.isnan(lines[term]) for term in chosen], axis=0)
            if both.sum() < MIN_ROWS:
                continue
            design = np.stack([lines[term][both] for term in chosen] + [np.ones(int(both.sum()))], axis=1)
            weights = np.linalg.lstsq(design, lines[name][both], rcond=1e-9)[0][:-1]
            law = _round_coefficients(name, list(zip(chosen, map(float, weights), strict=True)), lines)
            if law is not None:
                inverted = _invert(law, lines)
                out.append(law if inverted.column in read else inverted)
                computed.add(out[-1].column)
                read |= {term for term, _ in out[-1].terms}
    return out


def _n_complete(lines: Mapping[str, Floats]) -> int:
    """Rows without a missing number."""
    return int((~np.any([np.isnan(own) for own in lines.values()], axis=0)).sum())


def _proportional(column: int, scan: Floats, mask: Floats) -> list[int]:
    """Columns that are linear in a column, on the rows where both are present."""
    rows = mask @ mask[column]
    with np.errstate(all="ignore"):
        first, second = scan @ mask[column] / rows, mask @ scan[column] / rows
        covariance = scan @ scan[column] / rows - first * second
        variances = (scan**2 @ mask[column] / rows - first**2) * (mask @ scan[column] ** 2 / rows - second**2)
        near = (covariance**2 > (1 - MAX_UNEXPLAINED_SHARE) * variances) & (rows >= 0.25 * scan.shape[1])
    near[: column + 1] = False
    return [int(at) for at in np.flatnonzero(near & (variances > 0))]


def _two_terms(column: int, scan: Floats, mask: Floats) -> list[list[int]]:
    """Pairs of columns whose sum is a column, up to a constant, on the rows where all three are present."""
    first = mask * mask[column]
    rest = np.where(first > 0, scan[column] - scan, 0.0)
    rows = first @ mask.T
    with np.errstate(all="ignore"):
        mean = (rest @ mask.T - first @ scan.T) / rows
        away = (rest**2 @ mask.T - 2 * rest @ scan.T + first @ (scan**2).T) / rows - mean**2
    away[~(rows >= 0.25 * scan.shape[1])] = np.inf
    away[column], away[:, column] = np.inf, np.inf
    away[np.tril_indices(len(away))] = np.inf
    own = scan[column][mask[column] > 0]
    near = np.argwhere(away < MAX_UNEXPLAINED_SHARE * own.var())
    order = np.argsort(away[tuple(near.T)], kind="stable")[:MAX_CANDIDATE_PAIRS]
    return [[int(a), int(b)] for a, b in near[order]]
