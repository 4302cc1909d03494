"""Discover products of powers, such as the surface of a body from height and weight, by least squares on logarithms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from tabsynth.codec.quantile_bins import shared_decimals
from tabsynth.common.arrays import Floats
from tabsynth.relations.arithmetic import MIN_ROWS, ArithmeticRelation, can_compute, is_exact
from tabsynth.relations.product_discovery import MAX_CANDIDATE_PAIRS, MAX_PAIR_ROWS

MAX_FIT_ROWS = 5000
"""Maximum rows from which exponents are estimated; all rows then confirm them."""

MAX_NOISE = 3.0
"""Maximum variance that powers leave unexplained, relative to that of the rounding of a column."""

MAX_CORRELATION = 0.999
"""Maximum correlation of two logarithms whose exponents can be estimated."""

POWERS = (0.25, 1 / 3, 0.5, 2 / 3, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
SIMPLE_EXPONENTS = (*POWERS, *(-own for own in POWERS))
MAX_EXPONENT_ERROR = 0.02
"""Maximum difference between an exponent and its estimate."""

MAX_DIGITS = 8
"""Maximum significant digits of the constant."""

MIN_SPREAD_STEPS = 8
"""Minimum standard deviation of the column in rounding steps: a surface in square metres has two decimals."""


def discover_powers(columns: Mapping[str, Floats], known: Sequence[ArithmeticRelation]) -> list[ArithmeticRelation]:
    """Find products of powers of at most two columns, times a constant, for columns that no known relation computes."""
    names = [name for name, data in columns.items() if len(data) >= MIN_ROWS and bool((data > 0).all())]
    names = [name for name in names if np.ptp(columns[name]) > 0]
    if len(names) < 2:
        return []
    rows = len(columns[names[0]])
    scan = np.stack([columns[name][:: max(1, rows // MAX_PAIR_ROWS)] for name in names])
    logs = np.log(scan)
    spread = logs.std(axis=1)
    correlation = np.nan_to_num(np.corrcoef(logs))
    relations = list(known)
    computed = {relation.column for relation in known}
    steps = np.array([_step(columns[name]) for name in names])
    limits = MAX_NOISE / 12 * np.mean((steps[:, None] / scan) ** 2, axis=1) / np.maximum(spread, 1e-300) ** 2
    for at in np.argsort(limits, kind="stable").tolist():  # the column with the most decimals is the computed one
        name = names[at]
        if name in computed or not steps[at] or not spread[at]:
            continue
        for terms in _candidates(at, correlation, float(limits[at])):
            sources = tuple(names[own] for own in terms)
            trial = ArithmeticRelation(name, 1.0, tuple((source, 1.0) for source in sources), product=True)
            relation = _fit(name, sources, columns) if can_compute(trial, relations) else None
            if relation is not None:
                relations.append(relation)
                break
    return relations[len(known) :]


def _step(data: Floats) -> float:
    """Return the step of a column's decimals, 0 for none."""
    decimals = shared_decimals(data)
    return 0.0 if decimals is None else 10.0**-decimals


def _candidates(at: int, correlation: Floats, limit: float) -> Iterator[tuple[int, ...]]:
    """Yield the columns, then the pairs of columns, that explain the logarithm of a column up to its rounding."""
    own = correlation[at]
    others = np.arange(len(own)) != at
    yield from ((int(one),) for one in np.flatnonzero(others & (1 - own**2 <= limit))[:MAX_CANDIDATE_PAIRS])
    rest = 1 - correlation**2
    with np.errstate(all="ignore"):
        explained = (own[:, None] ** 2 + own**2 - 2 * own[:, None] * own * correlation) / rest
    usable = others[:, None] & others & (np.abs(correlation) < MAX_CORRELATION)
    unexplained = np.where(usable, 1 - explained, np.inf)
    unexplained[np.tril_indices(len(own))] = np.inf
    near = np.argwhere(unexplained <= limit)
    for one, other in near[np.argsort(unexplained[tuple(near.T)], kind="stable")][:MAX_CANDIDATE_PAIRS]:
        yield int(one), int(other)


def _fit(name: str, sources: tuple[str, ...], columns: Mapping[str, Floats]) -> ArithmeticRelation | None:
    """Fit a product of powers, with simple exponents or with the fewest decimals that are exact."""
    values = columns[name]
    few = {own: columns[own][:: max(1, len(values) // MAX_FIT_ROWS)] for own in (name, *sources)}
    logs = np.log(np.stack([few[source] for source in sources]))
    design = np.vstack([logs, np.ones(logs.shape[1])]).T
    exponents = np.linalg.lstsq(design, np.log(few[name]), rcond=None)[0][:-1].tolist()
    half = 0.5 * _step(values)
    for powers in product(*map(_round_exponents, exponents)):
        terms = tuple(zip(sources, powers, strict=True))
        plain = ArithmeticRelation(name, 1.0, terms, product=True)
        least, most = _factors(few[name], plain.predict(few), half)
        if least <= most:
            least, most = _factors(values, plain.predict(columns), half)
        factors = (float(f"{(least + most) / 2:.{digits}e}") for digits in range(MAX_DIGITS))
        for factor in (own for own in factors if least <= own <= most):
            relation = ArithmeticRelation(name, factor, terms, product=True)
            if is_exact(values, relation.predict(columns), MIN_SPREAD_STEPS):
                return relation
    return None


def _factors(values: Floats, plain: Floats, half: float) -> tuple[float, float]:
    """Return the least and the greatest factor of a prediction from which no number differs by over half a step."""
    return float(((values - half) / plain).max()), float(((values + half) / plain).min())


def _round_exponents(exponent: float) -> list[float]:
    """Return the exponents to which an estimate may be rounded: simple ones, else one with few decimals."""
    simple = min(SIMPLE_EXPONENTS, key=lambda own: abs(own - exponent))
    near = [simple, round(exponent, 2), round(round(exponent / 0.005) * 0.005, 3)]
    near += [round(exponent + move, 3) for move in (0.0, 0.001, -0.001)]
    return [own for own in dict.fromkeys(near) if abs(own - exponent) < MAX_EXPONENT_ERROR and own]
