"""Find the exact relations among columns of numbers: weighted sums by least squares, products and ratios by trial."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tabsynth.codec.quantile_bins import decimals_of
from tabsynth.common.arrays import Floats
from tabsynth.relations.arithmetic import ArithmeticRelation

MIN_ROWS = 50
"""Fewest rows from which a relation is believed."""

MAX_SCAN_ROWS = 2000
"""Rows on which relations are looked for; all rows then confirm them."""

MIN_SPREAD_STEPS = 25
"""A relation that holds only after rounding must tell the column to this share of its spread."""

FLOAT32_PRECISION = 2**-23
"""Precision of numbers that were kept as 32-bit floats, as statistics packages do, relative to their size."""

MIN_COMPUTED_DECIMALS = 5
"""A column of so many decimals was computed, and may have been kept as such floats."""

MAX_UNEXPLAINED_SHARE = 1e-3
"""A column is looked at when the others leave at most this share of its variance (or of a ratio's size) open."""

MAX_PAIR_ROWS = 256
"""Rows on which products and ratios of all pairs are compared."""

MAX_LOG_SPREAD = 0.05
"""Largest spread of the logarithm of a quotient that may be a constant but for rounding."""

MAX_CANDIDATE_PAIRS = 8
"""Most pairs that are confirmed on all rows, for each column and kind of product."""

EXPONENTS = ((1, 1), (1, -1), (1, -2))
"""Exponents of the pairs that are tried: products and squares, ratios, and ratios to a square such as the BMI."""


def discover_relations(lines: Mapping[str, Floats]) -> tuple[ArithmeticRelation, ...]:
    """Relations that hold in all rows where their columns are present.

    Args:
        lines: Each column's numbers, missing as NaN.
    """
    varied = {name: data for name, data in lines.items() if len(np.unique(data[~np.isnan(data)][:MAX_SCAN_ROWS])) > 1}
    sums = _discover_linear(varied)
    # What a law reads must not follow from a later one. A sum reads no column of a sum found before it.
    settled = {law.column for law in sums} | {name for law in sums for name, _ in law.terms}
    return (*reversed(sums), *_discover_products(varied, settled))


def _is_exact(own: Floats, wanted: Floats) -> bool:
    """Whether a column equals what it should be up to its own rounding, in all rows where both are there."""
    both = np.isfinite(wanted) & ~np.isnan(own)
    if both.sum() < max(MIN_ROWS, 0.5 * (~np.isnan(own)).sum()):
        return False
    data = own[both]
    spread = float(data.std())
    decimals = decimals_of(data)
    unit = 0.0 if decimals is None else 10.0**-decimals
    worst = float(np.abs(data - wanted[both]).max())
    size = float(np.abs(data).max())
    exact = worst <= 1e-9 * max(size, spread)
    single = FLOAT32_PRECISION * size if decimals is None or decimals >= MIN_COMPUTED_DECIMALS else 0.0
    slack = max(0.501 * unit, single)
    return spread > 0 and (exact or (max(unit, slack) * MIN_SPREAD_STEPS <= spread and worst <= slack))


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
    """A law with its factors at the fewest digits that keep it, None where none does."""
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
            if _is_exact(lines[column], law.predict(lines)):
                return law
    return None


def _invert(law: ArithmeticRelation, lines: Mapping[str, Floats]) -> ArithmeticRelation:
    """The same law for the column that is a sum with positive factors only, where there is one and it holds."""
    positive = [(name, k) for name, k in law.terms if k > 0]
    if len(positive) != 1 or len(law.terms) == 1:
        return law
    name, k = positive[0]
    terms = ((law.column, 1 / k), *((other, -factor / k) for other, factor in law.terms if other != name))
    turned = ArithmeticRelation(name, -law.constant / k, terms)
    return turned if _is_exact(lines[name], turned.predict(lines)) else law


def _discover_products(lines: Mapping[str, Floats], settled: set[str]) -> list[ArithmeticRelation]:
    """Products and ratios of two columns, times a constant, for columns that take part in no sum."""
    names = list(lines)
    rows = len(next(iter(lines.values()))) if lines else 0
    if len(names) < 3 or rows < MIN_ROWS:
        return []
    thin = np.stack([lines[name][:: max(1, rows // MAX_PAIR_ROWS)] for name in names])
    found: list[ArithmeticRelation] = []
    for powers in EXPONENTS:
        for column, name in enumerate(names):
            if name in settled:
                continue
            for a, b in _proportional_pairs(column, powers, thin):
                terms = ((names[a], float(powers[0])), (names[b], float(powers[1])))
                law = _fit_product(name, terms if a != b else ((names[a], 2.0),), lines)
                if law is not None:
                    found.append(law)
                    settled |= {name, names[a], names[b]}
                    break
    return found


def _proportional_pairs(column: int, powers: tuple[int, int], thin: Floats) -> list[tuple[int, int]]:
    """Pairs whose product in given powers is proportional to a column: the logarithm of the quotient hardly varies."""
    own = thin[column]
    decimals = decimals_of(own)
    # A quotient of small numbers says little after rounding.
    least = 0.0 if decimals is None or powers == (1, 1) else 20 * 10.0**-decimals
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(thin))
    here = np.isfinite(logs)
    logs = np.where(here, logs, 0.0)
    first = here & (here[column] & (np.abs(own) >= least))
    rest = np.where(first, logs[column] - powers[0] * logs, 0.0)
    second = powers[1] * logs
    rows = first.astype(float) @ here.T.astype(float)
    with np.errstate(all="ignore"):
        # Sums over the rows where all three are there, for every pair at once.
        mean = (rest @ here.T - first @ second.T) / rows
        square = (rest**2 @ here.T - 2 * rest @ second.T + first @ (second**2).T) / rows
        away = square - mean**2
    away[~(rows >= 0.25 * thin.shape[1])] = np.inf
    away[column], away[:, column] = np.inf, np.inf
    if powers[0] == powers[1]:  # the diagonal is a square
        away[np.tril_indices(len(away), -1)] = np.inf
    else:
        np.fill_diagonal(away, np.inf)
    near = np.argwhere(away < MAX_LOG_SPREAD**2)
    return [(int(a), int(b)) for a, b in near[np.argsort(away[tuple(near.T)], kind="stable")][:MAX_CANDIDATE_PAIRS]]


def _fit_product(
    name: str, terms: tuple[tuple[str, float], ...], lines: Mapping[str, Floats]
) -> ArithmeticRelation | None:
    """The law of a column as a product, its constant at the fewest digits that keep it."""
    own, plain = lines[name], ArithmeticRelation(name, 1.0, terms, product=True).predict(lines)
    both = np.isfinite(plain) & ~np.isnan(own)
    square = float(plain[both] @ plain[both])
    if square == 0:
        return None
    for digits in (1, 2, 4, 6, 12):
        law = ArithmeticRelation(name, float(f"{own[both] @ plain[both] / square:.{digits - 1}e}"), terms, product=True)
        if _is_exact(own, law.predict(lines)):
            return law
    return None
