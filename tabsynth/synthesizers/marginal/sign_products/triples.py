"""Selection of three columns that depend on each other in a way that no two of them show.

The products of the signs of all triples are measured for a small share of the budget. Where a product differs from the
one that a mixture fitted to pairs implies by more than noise, the triple is counted. Selection is post-processing of
the noisy products.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.synthesizers.marginal.count_source import MeasuredRows
from tabsynth.synthesizers.marginal.product_mixture import Mixture
from tabsynth.synthesizers.marginal.sign_products.products import Signs, balanced_signs, measure_products

Triple = tuple[int, int, int]

SEARCH_SHARE = 0.01
"""Share of the budget for the products of all triples."""

MAX_PRODUCT_NOISE = 0.03
"""The products are not measured where the standard deviation of their means would be larger."""

MIN_DEVIATION = 0.2
"""Minimum difference of a mean product from the one that pairs imply."""

MIN_SIGMAS = 5.0
"""Minimum difference in standard deviations of the noise: one triple in 1.7 million exceeds it by chance."""

MAX_TRIPLES = 8
"""Maximum number of triples that are counted."""

TRIPLE_SHARE = 0.03
"""Share of the budget for the counts of each selected triple."""

MAX_TRIPLES_SHARE = 2 / 3
"""Maximum share of the remaining budget for the counts of all selected triples."""


def affordable(columns: int, measured: MeasuredRows) -> bool:
    """Return whether the products of all triples of this many columns would be precise enough for a selection."""
    triples = comb(columns, 3)
    return triples > 0 and measured.relative_sigma(SEARCH_SHARE / triples) <= MAX_PRODUCT_NOISE


def select_triples(
    marginals: Sequence[Floats],
    n_ordered: Sequence[int],
    pairs_only: Mixture,
    measured: MeasuredRows,
    target: int | None = None,
) -> tuple[Triple, ...]:
    """Measure the products of all triples; return the triples that pairs do not explain, strongest first.

    Args:
        marginals: The distribution of each column.
        n_ordered: Number of leading tokens of each column that are ordered.
        pairs_only: A mixture that was fitted to pairs.
        measured: The rows to count.
        target: A column whose triples are counted anyway.
    """
    signs = [balanced_signs(marginal, length) for marginal, length in zip(marginals, n_ordered, strict=True)]
    triples = [triple for triple in combinations(range(len(signs)), 3) if target not in triple]
    if not triples:
        return ()
    means, sigma = measure_products(signs, triples, measured, SEARCH_SHARE)
    difference = np.abs(means - implied_products(pairs_only, signs, triples)).min(0)
    least = max(MIN_DEVIATION, MIN_SIGMAS * sigma)
    order = np.argsort(-difference, kind="stable")[:MAX_TRIPLES]
    return tuple(triples[place] for place in order if difference[place] > least)


def implied_products(mixture: Mixture, signs: Sequence[Signs], triples: Sequence[Triple]) -> Floats:
    """Compute the mean products of signs that a mixture fitted to pairs implies, shape (2, triples).

    The first are those of the mixture; those of another mixture with the same pairs may differ. The second are those of
    its columns and pairs without a third cumulant, which are near those of maximum entropy.
    """
    means = np.stack([part.astype(np.float64) @ sign for part, sign in zip(mixture.parts, signs, strict=True)])
    first, second, third = np.array(triples).T
    product = (means[first] * means[second] * means[third]).mean(1)
    single, pair = means.mean(1), means @ means.T / means.shape[1]
    one, two, three = single[first], single[second], single[third]
    without = one * pair[second, third] + two * pair[first, third] + three * pair[first, second] - 2 * one * two * three
    return np.stack([product, without])


def by_last_column(triples: Sequence[Triple]) -> dict[int, tuple[tuple[int, int], ...]]:
    """Return the triples as pairs of columns within the groups of a third one."""
    pairs: dict[int, tuple[tuple[int, int], ...]] = {}
    for first, second, third in triples:
        pairs[third] = (*pairs.get(third, ()), (first, second))
    return pairs
