"""Discover columns that are the logarithm of another, by the correlation of all pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.relations.arithmetic import FUNCTIONS, MIN_ROWS, ArithmeticRelation, can_compute, round_coefficients

MAX_SCAN_ROWS = 96
"""Rows on which all pairs are compared; the best candidates are confirmed on all."""

MAX_CANDIDATES = 4
"""Maximum columns that are confirmed on all rows, for each column and function."""

MAX_UNEXPLAINED_SHARE = 1e-3
"""A pair is a candidate if a straight line leaves at most this share of the variance unexplained."""


def discover_logarithms(columns: Mapping[str, Floats], known: Sequence[ArithmeticRelation]) -> list[ArithmeticRelation]:
    """Find columns that are a multiple of the logarithm of another plus a constant, as ``log(income)``."""
    names = list(columns)
    rows = len(next(iter(columns.values()))) if columns else 0
    if len(names) < 2 or rows < MIN_ROWS:
        return []
    scan = np.stack([columns[name][:: max(1, rows // MAX_SCAN_ROWS)] for name in names])
    relations = list(known)
    for function, (apply, _) in FUNCTIONS.items():
        with np.errstate(all="ignore"):
            applied = apply(scan)
        unexplained = _unexplained_shares(scan, np.where(np.isfinite(applied), applied, np.nan))
        np.fill_diagonal(unexplained, 1.0)
        for at, name in enumerate(names):
            if (columns[name] % 1 == 0)[~np.isnan(columns[name])].all():
                continue  # a logarithm of numbers that vary is no whole number in every row
            for other in np.argsort(unexplained[at], kind="stable")[:MAX_CANDIDATES]:
                trial = ArithmeticRelation(name, 0.0, ((names[other], 1.0),), function=function)
                if unexplained[at, other] > MAX_UNEXPLAINED_SHARE or not can_compute(trial, relations):
                    continue
                relation = _fit_logarithm(name, names[other], columns, function)
                if relation is not None:
                    relations.append(relation)
                    break
    return relations[len(known) :]


def _fit_logarithm(name: str, source: str, columns: Mapping[str, Floats], function: str) -> ArithmeticRelation | None:
    """Fit a column as a multiple of a function of another plus a constant, None if that is not exact."""
    with np.errstate(all="ignore"):
        applied = FUNCTIONS[function][0](columns[source])
    both = np.isfinite(applied) & ~np.isnan(columns[name])
    if both.sum() < MIN_ROWS or np.ptp(applied[both]) == 0:
        return None
    factor = np.polyfit(applied[both], columns[name][both], 1)[0]
    return round_coefficients(name, [(source, float(factor))], columns, function)


def _unexplained_shares(targets: Floats, sources: Floats) -> Floats:
    """Return the share of each target's variance that a line in each source leaves unexplained, (targets, sources)."""
    here, there = ~np.isnan(targets), ~np.isnan(sources)
    first, second = np.where(here, targets, 0.0), np.where(there, sources, 0.0)
    first = np.where(here, first - first.sum(1, keepdims=True) / np.maximum(here.sum(1, keepdims=True), 1), 0.0)
    second = np.where(there, second - second.sum(1, keepdims=True) / np.maximum(there.sum(1, keepdims=True), 1), 0.0)
    one, two = here.astype(float), there.astype(float)
    rows = one @ two.T
    with np.errstate(all="ignore"):
        mean, other = first @ two.T / rows, one @ second.T / rows
        covariance = first @ second.T / rows - mean * other
        variance = first**2 @ two.T / rows - mean**2
        spread = one @ (second**2).T / rows - other**2
        shares = 1 - covariance**2 / (variance * spread)
    return np.where((rows >= 0.25 * targets.shape[1]) & np.isfinite(shares), shares, 1.0)
