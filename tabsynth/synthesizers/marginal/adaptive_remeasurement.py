"""A second look at the pairs that tell most: half of what pairs may cost goes to all, half to trees of the strongest.

Which pairs are the strongest is read off the noisy counts of the first half, so that the choice costs nothing; it is
adaptive composition, which zCDP allows (Bun and Steinke 2016, lemma 2.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats
from tabsynth.synthesizers.marginal.budget_allocation import MixtureConfig
from tabsynth.synthesizers.marginal.count_source import CountSource, Reader
from tabsynth.synthesizers.marginal.product_mixture import Mixture, fit_mixture
from tabsynth.synthesizers.marginal.two_way_marginals import MeasurementPlan, Measurements, Pair, PairShares, measure

N_SPANNING_TREES = 2
"""Spanning trees of pairs that are counted again: one alone would leave out every pair that closes a ring."""

REMEASUREMENT_SHARE = 0.5
"""Share of the pairs' budget for the second look; what triples get is left to them, for they serve the target."""

MAX_COMPONENTS, MAX_STEPS = 128, 150
"""The mixture that the strongest pairs are read off; a rough one does."""


def remeasurement_share(plan: MeasurementPlan) -> float:
    """The share of the counts' budget that is kept for the second look; none where there is nothing to choose."""
    if len(plan.pairs) < len(plan.sizes):
        return 0.0
    weights = plan.weights()
    return float(REMEASUREMENT_SHARE * weights[: len(plan.pairs)].sum() / weights.sum())


def remeasure(
    marginals: Sequence[Floats],
    first: Measurements,
    plan: MeasurementPlan,
    tokens: Reader,
    rows: float,
    source: CountSource,
    share: float,
    names: Sequence[str],
    config: MixtureConfig,
    seed: int,
) -> Measurements:
    """Count the strongest pairs once more, in one charge; a row is in one cell of each, as in the first counts.

    Args:
        marginals: The distribution of each column.
        first: The counts so far.
        plan: What they are.
        tokens: Reads the tokens of all rows, shape (n, columns).
        rows: The noisy number of rows.
        source: Where counts come from.
        share: The share of the budget to spend.
        names: The columns' names, for the ledger.
        config: How the mixture is fitted in the end.
        seed: Seed of the rough mixture's start.
    """
    rough = replace(config, components=min(MAX_COMPONENTS, config.components), steps=min(MAX_STEPS, config.steps))
    pairs = strongest_pairs(fit_mixture(marginals, first, rows, rough, seed=seed), plan.pairs)
    return combine_measurements(first, measure(MeasurementPlan(plan.sizes, pairs), tokens, rows, source, share, names))


def strongest_pairs(mixture: Mixture, pairs: Sequence[Pair], trees: int = N_SPANNING_TREES) -> tuple[Pair, ...]:
    """Pairs of some spanning trees of most mutual information, each tree among what those before it left.

    The first is the tree of Chow and Liu (1968) for the mixture. Where the pairs do not reach all columns, the trees
    are forests.
    """
    parts = [part.astype(np.float64) for part in mixture.parts]
    left = sorted(pairs, key=lambda pair: (-_mutual_information(parts[pair[0]].T @ parts[pair[1]]), pair))
    out: list[Pair] = []
    for _ in range(trees):
        group = list(range(len(parts)))
        later = []
        for a, b in left:
            if group[a] == group[b]:
                later.append((a, b))
                continue
            out.append((a, b))
            group = [group[a] if own == group[b] else own for own in group]
        left = later
    return tuple(out)


def combine_measurements(first: Measurements, second: Measurements) -> Measurements:
    """The mean of both counts of each pair by inverse variance; triples stay as they are."""
    weights = first.pairs.weights + second.pairs.weights
    sums = first.pairs.shares * first.pairs.weights + second.pairs.shares * second.pairs.weights
    shares: npt.NDArray[np.float32] = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0)
    return Measurements(PairShares(shares, weights), first.groups, first.within)


def _mutual_information(table: Floats) -> float:
    """Mutual information of a pair in nats, from its table up to a factor."""
    joint = np.maximum(table / table.sum(), 1e-12)
    apart = np.outer(joint.sum(1), joint.sum(0))
    return float((joint * np.log(joint / apart)).sum())
