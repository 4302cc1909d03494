"""Discover exact relations among numeric columns: weighted sums by least squares, and simple sums of sparse columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tabsynth.codec.quantile_bins import shared_decimals
from tabsynth.common.arrays import Floats
from tabsynth.relations.arithmetic import (
    MIN_ROWS,
    ArithmeticRelation,
    can_compute,
    in_order,
    is_exact,
    round_coefficients,
)
from tabsynth.relations.logarithm_discovery import discover_logarithms
from tabsynth.relations.pairwise_fit import MAX_UNEXPLAINED_SHARE, MIN_PRESENT_SHARE, unexplained_shares
from tabsynth.relations.power_discovery import discover_powers
from tabsynth.relations.product_discovery import (
    MAX_CANDIDATE_PAIRS,
    MAX_PAIR_ROWS,
    discover_products,
    prefer_products,
)

MIN_JOINT_SHARE = 0.3
"""Minimum share of rows in which the columns of one search are jointly present."""

MAX_GAP_COLUMNS = 40
"""Maximum number of columns with many gaps that are searched one by one."""

MAX_SCAN_ROWS = 2000
"""Maximum number of rows on which relations are searched; all rows then confirm them."""

MAX_JOINT_ROWS = 6000
"""Maximum number of rows on which the columns that are jointly present are chosen."""

MIN_WEIGHT = 1e-9
"""Minimum weight of a term, of standardised columns: one without weight only selects the rows with its column."""


def discover_relations(columns: Mapping[str, Floats]) -> tuple[ArithmeticRelation, ...]:
    """Find the relations that hold in all rows in which their columns are present.

    Args:
        columns: The values of each numeric column, missing as NaN, shape (n,) each.
    """
    varying = {
        name: data for name, data in columns.items() if len(np.unique(data[~np.isnan(data)][:MAX_SCAN_ROWS])) > 1
    }
    few = _few_rows(varying)
    joint = _jointly_present(few)
    sums = _discover_linear(varying, few, joint)
    if len(joint) < len(varying) or _n_complete(varying) < 3 * len(varying):
        sums = [*_discover_simple_sums(varying, sums), *sums]
    sums = [*sums, *_discover_sums_with_gaps(varying, [name for name in varying if name not in joint], sums)]
    sums, products = prefer_products(varying, sums)
    relations = [*sums, *products, *discover_products(varying, [*sums, *products])]
    relations += discover_powers(varying, relations)
    return in_order([*relations, *discover_logarithms(varying, relations)])


def _few_rows(columns: Mapping[str, Floats], first: str | None = None) -> dict[str, Floats]:
    """Return some of the rows, of those with a number in one column."""
    rows = len(next(iter(columns.values()), ()))
    chosen = np.arange(rows) if first is None else np.flatnonzero(~np.isnan(columns[first]))
    chosen = chosen[:: max(1, len(chosen) // MAX_JOINT_ROWS)]
    return dict(columns) if len(chosen) == rows else {name: own[chosen] for name, own in columns.items()}


def _discover_linear(
    columns: Mapping[str, Floats], few: Mapping[str, Floats], names: list[str]
) -> list[ArithmeticRelation]:
    """Find weighted sums: columns whose variance the others explain, by least squares and backward elimination.

    Args:
        columns: The columns.
        few: Some of their rows, in which the sums are searched.
        names: The columns of the search.
    """
    if len(names) < 2:
        return []
    matrix = np.stack([few[name] for name in names], axis=1)
    matrix = matrix[~np.isnan(matrix).any(axis=1)]
    matrix = matrix[:: max(1, len(matrix) // MAX_SCAN_ROWS)]
    if len(matrix) < max(MIN_ROWS, 3 * len(names)):
        return []
    # A column may be constant in the complete rows, such as sex in rows with a number of pregnancies.
    varying = np.ptp(matrix, axis=0) > 0
    names, matrix = [name for name, varies in zip(names, varying, strict=True) if varies], matrix[:, varying]
    spread = matrix.std(0)
    scaled = (matrix - matrix.mean(0)) / spread
    free = list(range(len(names)))
    relations: list[ArithmeticRelation] = []
    # The unexplained share of each column's variance is the reciprocal of the inverse correlation matrix's diagonal.
    inverse = np.linalg.inv(scaled.T @ scaled / len(scaled) + 1e-10 * np.eye(len(names)))
    for column in np.flatnonzero(1 / np.diag(inverse) < MAX_UNEXPLAINED_SHARE):
        if column not in free:
            continue
        relation = _fit_linear(int(column), [i for i in free if i != column], names, columns, scaled, spread)
        if relation is not None and {relation.column, *(name for name, _ in relation.terms)} <= {
            names[i] for i in free
        }:
            relations.append(relation)
            free.remove(names.index(relation.column))
    return relations


def _discover_sums_with_gaps(
    columns: Mapping[str, Floats], rest: Sequence[str], relations: Sequence[ArithmeticRelation]
) -> list[ArithmeticRelation]:
    """Find weighted sums that involve a column with gaps, each among the columns that are present in most of its rows.

    Args:
        columns: The columns.
        rest: Those that are not among the jointly present columns of the first search.
        relations: The sums of the first search.
    """
    found = list(relations)
    for name in sorted(rest, key=lambda name: int(np.isnan(columns[name]).sum()))[:MAX_GAP_COLUMNS]:
        computed = {relation.column for relation in found}
        if name in computed or any(name in relation.columns for relation in found):
            continue
        free = {other: own for other, own in columns.items() if other not in computed}
        few = _few_rows(free, name)
        for relation in _discover_linear(free, few, _jointly_present(few, name)):
            if name in relation.columns and can_compute(relation, found):
                found.append(relation)
    return found[len(relations) :]


def _jointly_present(columns: Mapping[str, Floats], first: str | None = None) -> list[str]:
    """Return the columns with fewest missing cells, as many as are jointly present in enough rows.

    Args:
        columns: The columns.
        first: A column to include; gaps of the others then count only in rows in which it is present.
    """
    names: list[str] = [] if first is None else [first]
    rows = np.ones(len(next(iter(columns.values()))) if columns else 0, bool)
    known = {name: ~np.isnan(own) for name, own in columns.items()}
    if first is not None:
        rows = known[first]
    present = int(rows.sum())
    rest = [name for name in columns if name != first]
    for name in sorted(rest, key=lambda name: -int((known[name] & rows).sum())):
        both = rows & known[name]
        if both.sum() >= max(MIN_ROWS, 3 * (len(names) + 1), MIN_JOINT_SHARE * present):
            rows = both
            names.append(name)
    return sorted(names, key=list(columns).index)


def _fit_linear(
    column: int,
    others: list[int],
    names: list[str],
    columns: Mapping[str, Floats],
    scaled: Floats,
    spread: Floats,
) -> ArithmeticRelation | None:
    """Fit a column as a weighted sum of as few others as possible; None if no sum is exact."""

    def fitted(terms: list[int]) -> ArithmeticRelation | None:
        weights = np.linalg.lstsq(scaled[:, terms], scaled[:, column], rcond=1e-9)[0]
        if (scaled[:, column] - scaled[:, terms] @ weights).var() > MAX_UNEXPLAINED_SHARE:
            return None
        if np.abs(weights).min() < MIN_WEIGHT:
            return None
        factors = weights * spread[column] / spread[terms]
        weighted = [(names[i], float(k)) for i, k in zip(terms, factors, strict=True)]
        return round_coefficients(names[column], weighted, columns)

    weights = np.abs(np.linalg.lstsq(scaled[:, others], scaled[:, column], rcond=1e-9)[0])
    relation = None
    for n_terms in range(1, min(len(others), 12) + 1):
        chosen = [others[i] for i in np.argsort(-weights, kind="stable")[:n_terms]]
        relation = fitted(chosen)
        if relation is not None:
            break
    if relation is None:
        return None
    terms = [names.index(name) for name, _ in relation.terms]
    for term in list(terms):
        fewer = [i for i in terms if i != term]
        simpler = fitted(fewer) if fewer else None
        if simpler is not None:
            relation, terms = simpler, fewer
    return _invert(relation, columns)


def _invert(relation: ArithmeticRelation, columns: Mapping[str, Floats]) -> ArithmeticRelation:
    """Solve for the column that is a sum with positive coefficients, if that is exact."""
    if len(relation.terms) == 1:
        return _from_denser(relation, columns)
    positive = [(name, k) for name, k in relation.terms if k > 0]
    if len(positive) != 1:
        return relation
    name, k = positive[0]
    terms = ((relation.column, 1 / k), *((other, -factor / k) for other, factor in relation.terms if other != name))
    inverted = ArithmeticRelation(name, -relation.constant / k, terms)
    return inverted if is_exact(columns[name], inverted.predict(columns)) else relation


def _from_denser(relation: ArithmeticRelation, columns: Mapping[str, Floats]) -> ArithmeticRelation:
    """Solve for the column that has fewer of the possible numbers in its range, if that is exact: it was computed.

    Centimetres that were computed from whole inches, for example, take only some of the whole numbers.
    """
    ((source, factor),) = relation.terms
    both = ~np.isnan(columns[source]) & ~np.isnan(columns[relation.column])
    if _filled_share(columns[source][both]) >= _filled_share(columns[relation.column][both]):
        return relation
    inverted = round_coefficients(source, [(relation.column, 1 / factor)], columns)
    return relation if inverted is None else inverted


def _filled_share(data: Floats) -> float:
    """Return the share of the steps between the extremes of a column that occur."""
    decimals = shared_decimals(data)
    steps = 0.0 if decimals is None else float(np.ptp(data)) * 10.0**decimals
    return len(np.unique(data)) / (round(steps) + 1)


def _discover_simple_sums(
    columns: Mapping[str, Floats], relations: Sequence[ArithmeticRelation]
) -> list[ArithmeticRelation]:
    """Find copies, changes of unit and sums of two columns that least squares missed because of gaps in others."""
    computed, read = (
        {relation.column for relation in relations},
        {name for relation in relations for name, _ in relation.terms},
    )
    names = [name for name in columns if name not in computed]
    if len(names) < 2:
        return []
    rows = len(columns[names[0]])
    scan = np.stack([columns[name][:: max(1, rows // MAX_PAIR_ROWS)] for name in names])
    linear = np.triu(unexplained_shares(scan, scan) < MAX_UNEXPLAINED_SHARE, k=1)
    scan -= np.nanmean(scan, axis=1, keepdims=True)
    present = ~np.isnan(scan)
    scan, mask = np.where(present, scan, 0.0), present.astype(np.float64)
    out: list[ArithmeticRelation] = []
    for column, name in enumerate(names):
        candidates = [[int(at)] for at in np.flatnonzero(linear[column])] + _two_terms(column, scan, mask)
        for terms in candidates:
            chosen = [names[at] for at in terms]
            # A relation must not read a column that another one computes.
            if name in computed | read or computed & set(chosen):
                continue
            both = ~np.isnan(columns[name]) & ~np.any([np.isnan(columns[term]) for term in chosen], axis=0)
            if both.sum() < MIN_ROWS:
                continue
            design = np.stack([columns[term][both] for term in chosen] + [np.ones(int(both.sum()))], axis=1)
            weights = np.linalg.lstsq(design, columns[name][both], rcond=1e-9)[0][:-1]
            relation = round_coefficients(name, list(zip(chosen, map(float, weights), strict=True)), columns)
            if relation is not None:
                inverted = _invert(relation, columns)
                out.append(relation if inverted.column in read else inverted)
                computed.add(out[-1].column)
                read |= {term for term, _ in out[-1].terms}
    return out


def _n_complete(columns: Mapping[str, Floats]) -> int:
    """Return the number of rows without a missing value."""
    return int((~np.any([np.isnan(values) for values in columns.values()], axis=0)).sum())


def _two_terms(column: int, scan: Floats, mask: Floats) -> list[list[int]]:
    """Return pairs of columns whose sum is a column up to a constant, on the rows in which all three are present."""
    first = mask * mask[column]
    rest = np.where(first > 0, scan[column] - scan, 0.0)
    rows = first @ mask.T
    with np.errstate(all="ignore"):
        mean = (rest @ mask.T - first @ scan.T) / rows
        away = (rest**2 @ mask.T - 2 * rest @ scan.T + first @ (scan**2).T) / rows - mean**2
    away[~(rows >= MIN_PRESENT_SHARE * scan.shape[1])] = np.inf
    away[column], away[:, column] = np.inf, np.inf
    away[np.tril_indices(len(away))] = np.inf
    present = scan[column][mask[column] > 0]
    near = np.argwhere(away < MAX_UNEXPLAINED_SHARE * present.var())
    order = np.argsort(away[tuple(near.T)], kind="stable")[:MAX_CANDIDATE_PAIRS]
    return [[int(a), int(b)] for a, b in near[order]]
