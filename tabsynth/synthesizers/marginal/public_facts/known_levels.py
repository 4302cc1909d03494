"""Public facts on pairs of columns as measurements, fitted beside the noisy ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.synthesizers.marginal.two_way_marginals import MeasurementPlan, Measurements, Pair

KNOWN_SHARE = 0.03
"""Public facts weigh as much as measurements with this share of the budget; larger weights slow down the fit."""

PUBLISHED_WEIGHT = 30.0
"""Factor of the weight of published pairs, of which there are few."""


@dataclass(frozen=True, eq=False)
class PublicFacts:
    """Public facts on the tokens of measured columns.

    Attributes:
        zeros: Impossible combinations of two columns' tokens, shape (tokens, tokens).
        families: Public partitions of a column's tokens: the family of each token, those with fewer families first.
        published: Published pairs, each with the groups of the two columns' tokens and the groups' joint shares.
    """

    zeros: Mapping[Pair, Bools] = field(default_factory=dict)
    families: Mapping[int, Sequence[Integers]] = field(default_factory=dict)
    published: Sequence[tuple[Pair, tuple[Integers, Integers], Floats]] = ()

    def known_levels(self, sizes: Sequence[int], variance: float) -> list[Measurements]:
        """Return the structural zeros and the published pairs as measurements.

        Args:
            sizes: Tokens of each column.
            variance: Variance of each share.
        """
        fine = tuple(np.arange(size) for size in sizes)
        out = []
        if self.zeros:
            tables = tuple(np.zeros(table.shape) for table in self.zeros.values())
            variances = tuple(np.where(table, variance, np.inf) for table in self.zeros.values())
            out.append(Measurements(MeasurementPlan(fine, tuple(self.zeros)), tables, variances))
        for (a, b), (first, second), shares in self.published:
            groups = tuple(first if i == a else second if i == b else tokens for i, tokens in enumerate(fine))
            out.append(Measurements(MeasurementPlan(groups, ((a, b),)), (shares,), (variance / PUBLISHED_WEIGHT,)))
        return out

    def with_zeros(self, level: Measurements) -> Measurements:
        """Return a level with the noise of impossible cells removed."""
        if not self.zeros:
            return level
        plan, target = level.plan, level.plan.target
        shares = list(level.shares)
        for at, pair in enumerate((*plan.pairs, *plan.triples)):
            if pair in self.zeros:
                shares[at] = np.where(self._empty_groups(plan, pair), 0.0, shares[at])
            if at < len(plan.pairs) or target is None:
                continue
            for axis, column in enumerate(pair):
                both = min(target, column), max(target, column)
                if both in self.zeros:
                    empty = self._empty_groups(plan, both)
                    empty = np.expand_dims(empty if both[0] == target else empty.T, 2 - axis)
                    shares[at] = np.where(empty, 0.0, shares[at])
        return replace(level, shares=tuple(shares))

    def _empty_groups(self, plan: MeasurementPlan, pair: Pair) -> Bools:
        """Return the impossible combinations of a pair's groups."""
        a, b = pair
        may = np.zeros((plan.sizes[a], plan.sizes[b]), bool)
        np.logical_or.at(may, np.ix_(plan.groups[a], plan.groups[b]), ~self.zeros[pair])
        return ~may
