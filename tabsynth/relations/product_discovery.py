"""Discover products and ratios of two numeric columns, by the variance of logarithms over all pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tabsynth.codec.quantile_bins import shared_decimals
from tabsynth.common.arrays import Floats
from tabsynth.relations.arithmetic import (
    FLOAT32_PRECISION,
    MIN_COMPUTED_DECIMALS,
    MIN_ROWS,
    ArithmeticRelation,
    can_compute,
    is_exact,
)
from tabsynth.schema.rounding import common_step

MAX_PAIR_ROWS = 96
"""Maximum rows on which all pairs of terms are compared; the best candidates are confirmed on all rows."""

MAX_CANDIDATE_PAIRS = 8
"""Maximum pairs that are confirmed on all rows, for each column and kind of product."""

MAX_SCREEN_ROWS = 500
"""Maximum rows on which a pair is fitted before all rows are."""

MAX_LOG_SPREAD = 0.05
"""Maximum standard deviation of a quotient's logarithm for the quotient to count as constant up to rounding."""

MAX_GROUPS = 32
"""Maximum different numbers of a column that was probably not computed."""

MAX_FINER_SHARE = 0.1
"""Maximum share of numbers with more decimals than those assumed for the column."""

MIN_FACTOR = 1e-9
"""Minimum factor of a term of a sum."""

EXPONENTS = ((1, 1), (1, -1), (1, -2))
"""Exponents of the pairs that are tried: products and squares, ratios, and ratios to a square such as the BMI."""


def prefer_products(
    columns: Mapping[str, Floats], sums: Sequence[ArithmeticRelation]
) -> tuple[list[ArithmeticRelation], list[ArithmeticRelation]]:
    """Solve sums for another term where their column is a product that needs no rounding.

    The amount of an invoice is a price times a number, also if it is what is paid plus a discount.

    Returns:
        The sums, and the products.
    """
    found, products = _shortened(sums, columns), list[ArithmeticRelation]()
    wanted = [own for own in found if not own.function and all(abs(factor) == 1 for _, factor in own.terms)]
    names, rows = list(columns), len(next(iter(columns.values()))) if columns else 0
    if not wanted or len(names) < 4 or rows < MIN_ROWS:
        return found, products
    scan, logs, mask = _logarithms(columns)
    for relation in wanted:
        own = names.index(relation.column)
        rest = [other for other in [*found, *products] if other is not relation]
        for pair in _proportional_pairs(own, scan[own], logs, mask)[1, 1]:
            product = _fit_product(relation.column, tuple((names[at], 1.0) for at in dict.fromkeys(pair)), columns)
            if product is None or len(product.terms) < 2 or not _is_closed(product, columns):
                continue
            terms = sorted(relation.terms, key=lambda term: -float(np.nanvar(columns[term[0]])))
            turned = [_solved_for(name, relation) for name, _ in terms]
            usable = [other for other in turned if can_compute(other, rest) and can_compute(product, [*rest, other])]
            usable = [other for other in usable if is_exact(columns[other.column], other.predict(columns))]
            if usable:
                found[found.index(relation)] = usable[0]
                products.append(product)
                break
    return found, products


def _shortened(sums: Sequence[ArithmeticRelation], columns: Mapping[str, Floats]) -> list[ArithmeticRelation]:
    """Replace a computed column of a sum by its terms where fewer terms remain."""
    by_name = {relation.column: relation for relation in sums if not relation.function}
    out = []
    for relation in sums:
        for name, factor in relation.terms:
            other = by_name.get(name)
            if other is None or relation.function:
                continue
            terms = {own: number for own, number in relation.terms if own != name}
            for own, number in other.terms:
                terms[own] = terms.get(own, 0.0) + factor * number
            left = tuple((own, number) for own, number in terms.items() if abs(number) > MIN_FACTOR)
            short = ArithmeticRelation(relation.column, relation.constant + factor * other.constant, left)
            if left and len(left) < len(relation.terms) and is_exact(columns[short.column], short.predict(columns)):
                relation = short
                break
        out.append(relation)
    return out


def _solved_for(name: str, relation: ArithmeticRelation) -> ArithmeticRelation:
    """Return a sum of columns with factors of 1 and -1, solved for one of them."""
    factor = dict(relation.terms)[name]
    others = tuple((other, -factor * own) for other, own in relation.terms if other != name)
    return ArithmeticRelation(name, -factor * relation.constant, ((relation.column, factor), *others))


def discover_products(columns: Mapping[str, Floats], known: Sequence[ArithmeticRelation]) -> list[ArithmeticRelation]:
    """Find products and ratios of two columns, times a constant, for columns that no known relation computes."""
    names = list(columns)
    rows = len(next(iter(columns.values()))) if columns else 0
    if len(names) < 3 or rows < MIN_ROWS:
        return []
    scan, logs, mask = _logarithms(columns)
    computed = {relation.column for relation in known}
    free = [(at, name) for at, name in enumerate(names) if name not in computed]
    pairs = {name: _proportional_pairs(at, scan[at], logs, mask) for at, name in free}
    relations = list(known)
    for powers in EXPONENTS:
        for name, candidates in pairs.items():
            for a, b in candidates[powers]:
                pair = ((names[a], float(powers[0])), (names[b], float(powers[1])))
                terms: tuple[tuple[str, float], ...] = pair if a != b else ((names[a], 2.0),)
                if not can_compute(ArithmeticRelation(name, 1.0, terms, product=True), relations):
                    continue
                relation = _fit_product(name, terms, columns)
                if relation is not None:
                    relations.append(_solved_for_finest(relation, columns, relations))
                    break
    return relations[len(known) :]


def _logarithms(columns: Mapping[str, Floats]) -> tuple[Floats, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return some rows of the columns, their centred logarithms, and which are present, shape (columns, rows) each."""
    rows = len(next(iter(columns.values())))
    scan = np.stack([data[:: max(1, rows // MAX_PAIR_ROWS)] for data in columns.values()])
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(scan))
    present = np.isfinite(logs)
    counts = np.maximum(present.sum(axis=1, keepdims=True), 1)  # all values of a column may be zero or missing
    centres = np.sum(logs, axis=1, where=present, keepdims=True) / counts
    # Centred values are precise enough in single precision, which is twice as fast.
    logs = np.where(present, logs - centres, 0.0).astype(np.float32)
    return scan, logs, present.astype(np.float32)


def _proportional_pairs(
    column: int, values: Floats, logs: npt.NDArray[np.float32], mask: npt.NDArray[np.float32]
) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return, for each pair of exponents, the pairs of columns whose product is proportional to a column."""
    decimals = shared_decimals(values)
    out: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for least, group in (
        (0.0, [powers for powers in EXPONENTS if powers == (1, 1)]),
        # Rounding dominates the quotient of small numbers.
        (0.0 if decimals is None else 20 * 10.0**-decimals, [powers for powers in EXPONENTS if powers != (1, 1)]),
    ):
        first = mask * (mask[column] * (np.abs(values) >= least))
        rest = (logs[column] - logs) * first
        # Sums over the rows where all three are present, for every pair at once.
        rows, rests, squares = first @ mask.T, rest @ mask.T, rest**2 @ mask.T
        cross, others, other_squares = rest @ logs.T, first @ logs.T, first @ (logs**2).T
        few = ~(rows >= 0.25 * logs.shape[1])
        few[column], few[:, column] = True, True
        divisor = np.maximum(rows, 1)
        for powers in group:
            k = powers[1]
            away = (squares - 2 * k * cross + k * k * other_squares) / divisor - ((rests - k * others) / divisor) ** 2
            away[few] = np.inf
            if powers[0] == powers[1]:  # the diagonal is a square
                away[np.tril_indices(len(away), -1)] = np.inf
            else:
                np.fill_diagonal(away, np.inf)
            near = np.argwhere(away < MAX_LOG_SPREAD**2)
            order = np.argsort(away[tuple(near.T)], kind="stable")[:MAX_CANDIDATE_PAIRS]
            out[powers] = [(int(a), int(b)) for a, b in near[order]]
    return out


def _fit_product(
    name: str, terms: tuple[tuple[str, float], ...], columns: Mapping[str, Floats]
) -> ArithmeticRelation | None:
    """Fit a column as a product, its constant rounded to the fewest digits that are exact."""
    values, relation = columns[name], ArithmeticRelation(name, 1.0, terms, product=True)
    few = slice(None, None, max(1, len(values) // MAX_SCREEN_ROWS))
    if not _may_be_proportional(values[few], relation.predict({term: columns[term][few] for term, _ in terms})):
        return None
    plain = relation.predict(columns)
    complete = np.isfinite(plain) & ~np.isnan(values)
    square = float(plain[complete] @ plain[complete])
    if square == 0:
        return None
    for digits in (1, 2, 4, 6, 12):
        relation = ArithmeticRelation(
            name, float(f"{values[complete] @ plain[complete] / square:.{digits - 1}e}"), terms, product=True
        )
        if is_exact(values, relation.predict(columns)):
            return relation
    return None


def _may_be_proportional(values: Floats, plain: Floats) -> bool:
    """Return whether one factor takes all numbers of a sample to those of a column, up to its rounding."""
    complete = np.isfinite(plain) & ~np.isnan(values) & (plain != 0)
    values, plain = values[complete] * np.sign(plain[complete]), np.abs(plain[complete])
    if not len(values):
        return True
    slack = _rounding_slack(values)
    return bool(((values - slack) / plain).max() <= ((values + slack) / plain).min())


def _rounding_slack(values: Floats) -> float:
    """Return the largest deviation of an exact prediction from the numbers of a column or of a sample of it."""
    decimals, size = shared_decimals(values), 2 * float(np.abs(values).max())
    unit = 0.0 if decimals is None else 10.0**-decimals
    single = FLOAT32_PRECISION * size if decimals is None or decimals >= MIN_COMPUTED_DECIMALS else 0.0
    return max(0.502 * unit, single, 1e-8 * size)


def _solved_for_finest(
    relation: ArithmeticRelation, columns: Mapping[str, Floats], known: Sequence[ArithmeticRelation]
) -> ArithmeticRelation:
    """Return the relation solved for the term of most decimals, if it has more than the column and that is exact.

    A column of few numbers, such as a tariff or the length of a race, was not computed.
    """
    decimals = {name: _decimals(columns[name]) for name in relation.columns}
    few = {name: len(np.unique(columns[name])) <= MAX_GROUPS for name in relation.columns}
    if not few[relation.column] and _is_closed(relation, columns):
        return relation
    for name, power in sorted(relation.terms, key=lambda term: -decimals[term[0]]):
        finer = decimals[name] - decimals[relation.column] + few[relation.column]
        if finer <= 0 or few[name] or abs(power) != 1:
            continue
        others = tuple((other, -k * power) for other, k in relation.terms if other != name)
        terms = ((relation.column, power), *others)
        turned = ArithmeticRelation(name, relation.constant**-power, terms, product=True)
        if can_compute(turned, known) and is_exact(columns[name], turned.predict(columns)):
            return turned
    return relation


def _is_closed(relation: ArithmeticRelation, columns: Mapping[str, Floats]) -> bool:
    """Return whether a product needs no rounding, whatever its factors, as that of a price and a whole number."""
    decimals = {name: shared_decimals(columns[name]) for name in relation.columns}
    known = {name: own for name, own in decimals.items() if own is not None}
    if len(known) < len(decimals) or any(power != 1 for _, power in relation.terms):
        return False
    step = relation.constant
    for name, _ in relation.terms:
        present = columns[name][~np.isnan(columns[name])]
        step *= common_step(present, None, 1, known[name]) / 10.0 ** known[name]
    steps = step * 10.0 ** known[relation.column]
    return bool(steps > 0.5 and abs(steps - round(steps)) < 1e-6)


def _decimals(data: Floats) -> int:
    """Return the decimals of nearly all numbers of a column, 16 for more than 15."""
    decimals = shared_decimals(data, None, max(1, int(MAX_FINER_SHARE * len(data))))
    return 16 if decimals is None else decimals
