"""Dependence in tables too short for counts of pairs: products of signs, spread over the tokens by a normal copula.

Products that noise explains are replaced by those of independent columns, by the noisy products alone: a table without
dependence, or with more noise than dependence, gets independent columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.synthesizers.marginal.count_source import MeasuredRows
from tabsynth.synthesizers.marginal.sign_products.normal_copula import copula_table, correlation_of_product
from tabsynth.synthesizers.marginal.sign_products.products import (
    Signs,
    balanced_signs,
    measure_products,
    product_threshold,
)
from tabsynth.synthesizers.marginal.two_way_marginals import MeasurementPlan, Measurements, Pair, group_tokens

N_GROUPS = 16
"""Groups of an ordered column."""

MIN_HALF = 0.02
"""Columns with a smaller half of their tokens have no measurable dependence."""


def measure_correlations(
    marginals: Sequence[Floats],
    n_ordered: Sequence[int],
    pairs: Sequence[Pair],
    measured: MeasuredRows,
    share: float,
) -> Measurements | None:
    """Measure the products of the signs of pairs of columns; None if noise explains all of them or there is none.

    Args:
        marginals: The distribution of each column.
        n_ordered: Number of leading tokens of each column that are ordered.
        pairs: Pairs of columns.
        measured: The rows to count.
        share: Share of the budget to spend.

    Returns:
        A table for each pair: that of a normal copula for two columns that are ordered or of two tokens.
    """
    if not pairs:
        return None
    signs = [balanced_signs(marginal, length) for marginal, length in zip(marginals, n_ordered, strict=True)]
    products, sigma = measure_products(signs, pairs, measured, share)
    means = np.array([marginal @ sign for marginal, sign in zip(marginals, signs, strict=True)])
    first, second = np.array(pairs).T
    excess = drop_noise(products - means[first] * means[second], sigma)
    if not excess.any():
        return None
    ranked = [_ranked_groups(*facts) for facts in zip(marginals, n_ordered, signs, strict=True)]
    columns = [
        (np.bincount(groups, weights=marginal).astype(np.float64), _group_signs(groups, sign))
        for groups, marginal, sign in zip(ranked, marginals, signs, strict=True)
    ]
    tables, variances = [], []
    for (a, b), value in zip(pairs, excess.tolist(), strict=True):
        table, slope = _table_and_slope(columns[a], columns[b], value, sigma)
        tables.append(table)
        # One number was measured: a change by its noise changes all cells together by one standard deviation.
        variances.append(max(float((slope**2).sum()), 1e-12))
    return Measurements(MeasurementPlan(tuple(ranked), tuple(pairs)), tuple(tables), tuple(variances))


def drop_noise(values: Floats, sigma: float) -> Floats:
    """Return noisy values with those set to zero that noise explains."""
    return np.where(np.abs(values) > product_threshold(len(values)) * sigma, values, 0.0)


def _ranked_groups(marginal: Floats, n_ordered: int, signs: Signs) -> Integers:
    """Return a column's groups: of neighbouring tokens with one sign if it is ordered, else of equal signs."""
    if n_ordered <= 1:
        return np.unique(signs, return_inverse=True)[1].astype(np.int64)
    groups = group_tokens(marginal, N_GROUPS, n_ordered)
    return np.unique(2 * groups + (signs > 0), return_inverse=True)[1].astype(np.int64)


def _group_signs(groups: Integers, signs: Signs) -> Signs:
    out = np.zeros(int(groups.max()) + 1, np.int8)
    out[groups] = signs
    return out


def _table_and_slope(
    first: tuple[Floats, Signs], second: tuple[Floats, Signs], excess: float, sigma: float
) -> tuple[Floats, Floats]:
    """Return the table of a pair whose mean product exceeds that of independent columns, and its change by sigma."""
    (one, one_sign), (two, two_sign) = first, second
    here = np.ix_(one_sign != 0, two_sign != 0)
    mass = one[one_sign != 0].sum(), two[two_sign != 0].sum()
    halves = one[one_sign < 0].sum() / mass[0], two[two_sign < 0].sum() / mass[1]
    apart = np.outer(one, two)
    if min(*halves, 1 - halves[0], 1 - halves[1]) < MIN_HALF:
        return apart, np.full(apart.shape, 1.0)
    independent = (1 - 2 * halves[0]) * (1 - 2 * halves[1])

    def table(value: float) -> Floats:
        out, whole = apart.copy(), mass[0] * mass[1]
        correlation = correlation_of_product(independent + value / whole, *halves)
        inside = copula_table(one[one_sign != 0] / mass[0], two[two_sign != 0] / mass[1], correlation)
        out[here] = whole * inside
        return out

    return table(excess), (table(excess + sigma) - table(excess - sigma)) / 2
