"""Discover products of three or more columns, such as price, quantity and discount, by least squares on logarithms."""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.relations.formulas.expressions import Formula, column, linear, product, simplified
from tabsynth.relations.formulas.features import complements
from tabsynth.relations.formulas.fitting import MAX_ROUNDING_NOISE, fit_line, simplest
from tabsynth.relations.formulas.found import Found, sampled

MAX_SCAN_ROWS = 500
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MAX_COLUMNS = 80
"""Maximum numeric columns whose logarithms are compared."""

MIN_POSITIVE_SHARE = 0.8
"""Minimum share of positive numbers of a factor."""

MIN_SIZE_STEPS = 10
"""Minimum size of a number in rounding steps, so that its logarithm is precise."""

MAX_UNEXPLAINED = 0.01
"""Maximum share of the variance of a logarithm that rounding may leave unexplained."""

MAX_FACTORS, MIN_FACTORS = 5, 2
"""Maximum and minimum number of factors."""

MIN_FIT_ROWS = 40
"""Minimum rows beyond three for each factor."""

EXPONENTS = np.array([-3, -2, -1, -0.5, 0.5, 1, 2, 3])
MAX_EXPONENT_ERROR = 0.1
"""Maximum difference between an exponent and its estimate."""


def discover_factors(found: Found) -> None:
    """Find the numbers that are a product of powers of several columns, or of what a rate leaves or adds."""
    names = found.names("number")
    if len(names) < MIN_FACTORS + 1 or len(names) > MAX_COLUMNS:
        return
    data = found.columns.numbers
    rows = sampled(len(data[names[0]]), MAX_SCAN_ROWS)
    scan = {name: data[name][rows] for name in names}
    features = [column(name) for name in names]
    features += [own for name in names for own in complements(name, scan[name])]
    with np.errstate(all="ignore"):
        logs = np.log(np.stack([own.of(scan) for own in features]))
    finite = np.isfinite(logs)
    usable = (finite.mean(axis=1) >= MIN_POSITIVE_SHARE) & (np.nanstd(np.where(finite, logs, 0.0), axis=1) > 0)
    for name in found.targets("number"):
        allowed = [
            at
            for at in np.flatnonzero(usable).tolist()
            if features[at].columns != (name,) and found.may_compute(name, features[at].columns)
        ]
        factors = _factors(scan[name], logs[allowed], found.columns.steps[name])
        if factors:
            _add(name, [(features[allowed[at]], power) for at, power in factors], found)


def _factors(observed: Floats, logs: Floats, step: float) -> list[tuple[int, float]]:
    """Return the factors of a number with their exponents, by least squares and backward elimination."""
    with np.errstate(invalid="ignore"):
        rows = np.isfinite(logs).all(axis=0) & (observed > MIN_SIZE_STEPS * step)
    if not len(logs) or rows.sum() < max(MIN_FIT_ROWS, 3 * len(logs)):
        return []
    own = np.log(observed[rows])
    own -= own.mean()
    matrix = logs[:, rows] - logs[:, rows].mean(axis=1, keepdims=True)
    noise = MAX_ROUNDING_NOISE / 12 * float(np.mean((step / observed[rows]) ** 2))
    limit = max(noise, 1e-12 * float(own.var()))
    if limit > MAX_UNEXPLAINED * float(own.var()):
        return []
    left = list(range(len(matrix)))
    weights = _weights(matrix, own, limit)
    while weights is not None and len(left) > MIN_FACTORS:
        size = np.abs(weights) * matrix[left].std(axis=1)
        fewer = [at for place, at in enumerate(left) if place != int(size.argmin())]
        own_weights = _weights(matrix[fewer], own, limit)
        if own_weights is None:
            break
        left, weights = fewer, own_weights
    if weights is None or not MIN_FACTORS <= len(left) <= MAX_FACTORS:
        return []
    near = EXPONENTS[np.abs(weights[:, None] - EXPONENTS).argmin(axis=1)]
    if (np.abs(near - weights) > MAX_EXPONENT_ERROR).any():
        return []
    return [(at, float(power)) for at, power in zip(left, near, strict=True)]


def _weights(matrix: Floats, own: Floats, limit: float) -> Floats | None:
    """Return the weights of a least-squares fit, None if it leaves more unexplained than the rounding."""
    weights = np.linalg.lstsq(matrix.T, own, rcond=1e-9)[0]
    return np.asarray(weights) if float((own - weights @ matrix).var()) <= limit else None


def _add(name: str, factors: list[tuple[Formula, float]], found: Found) -> None:
    """Fit the constant of a product, and add the formula if it holds."""
    columns = found.columns
    plain = product(1.0, *sorted(factors, key=lambda factor: -factor[1]))
    observed, predicted = columns.numbers[name], plain.of(columns.values)
    rows = np.flatnonzero(~np.isnan(observed) & np.isfinite(predicted))
    line = simplest(fit_line(observed[rows], predicted[rows][None], columns.steps[name]))
    if line is not None:
        found.add(name, simplified(linear(line.constant, (line.factors[0], plain))), line.rounding)
