"""Discover columns that are the logarithm of another, by the correlation of all pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.relations.arithmetic import FUNCTIONS, MIN_ROWS, ArithmeticRelation, can_compute, round_coefficients
from tabsynth.relations.pairwise_fit import MAX_UNEXPLAINED_SHARE, unexplained_shares
from tabsynth.relations.product_discovery import MAX_CANDIDATE_PAIRS, MAX_PAIR_ROWS


def discover_logarithms(columns: Mapping[str, Floats], known: Sequence[ArithmeticRelation]) -> list[ArithmeticRelation]:
    """Find columns that are a multiple of the logarithm of another plus a constant, as ``log(income)``."""
    names = list(columns)
    rows = len(next(iter(columns.values()))) if columns else 0
    if len(names) < 2 or rows < MIN_ROWS:
        return []
    scan = np.stack([columns[name][:: max(1, rows // MAX_PAIR_ROWS)] for name in names])
    relations = list(known)
    for function, (apply, _) in FUNCTIONS.items():
        with np.errstate(all="ignore"):
            applied = apply(scan)
        unexplained = unexplained_shares(scan, np.where(np.isfinite(applied), applied, np.nan))
        np.fill_diagonal(unexplained, 1.0)
        # Logarithms of different numbers are not all whole numbers.
        near = (unexplained <= MAX_UNEXPLAINED_SHARE).any(axis=1)
        for at, name in [(at, names[at]) for at in np.flatnonzero(near) if (columns[names[at]] % 1 > 0).any()]:
            for other in np.argsort(unexplained[at], kind="stable")[:MAX_CANDIDATE_PAIRS]:
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
