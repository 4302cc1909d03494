"""Noisy measure of how far the columns of a table depend on each other, which decides whether pairs are counted.

Counts of pairs add noise to every column. They are worth it only if the columns' dependence exceeds that noise. The
mean square of many noisy products of signs, less the variance of their noise, is precise even where no product is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import combinations

import numpy as np

from tabsynth.common.arrays import Floats, Integers, Tokens
from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.count_source import CountSource, MeasuredRows
from tabsynth.synthesizers.marginal.sign_products.products import balanced_signs, measure_products


def measure_dependence(
    grids: Mapping[str, Grid],
    estimates: Mapping[str, Floats],
    cells: Callable[[str], Integers],
    rows: float,
    source: CountSource,
    share: float,
) -> float:
    """Measure the root mean square of the products of signs of all pairs, beyond that of independent columns.

    Args:
        grids: The public cells of each column.
        estimates: Estimated rows of each cell, from noisy counts.
        cells: Function that reads the cell of every row of a column.
        rows: The noisy number of rows.
        source: The source of counts, which charges them.
        share: Share of the budget to spend.
    """
    shares = {name: counts / max(counts.sum(), 1e-9) for name, counts in estimates.items()}
    signs = [balanced_signs(shares[name], len(grid.low)) for name, grid in grids.items()]

    @cache
    def read() -> Tokens:
        return np.stack([cells(name).astype(np.int32) for name in grids], axis=1)

    pairs = list(combinations(range(len(grids)), 2))
    products, sigma = measure_products(signs, pairs, MeasuredRows(read, rows, source, list(grids)), share)
    means = np.array([shares[name] @ sign for name, sign in zip(grids, signs, strict=True)])
    first, second = np.array(pairs).T
    excess = products - means[first] * means[second]
    return float(np.sqrt(max((excess**2).mean() - sigma**2, 0.0)))
