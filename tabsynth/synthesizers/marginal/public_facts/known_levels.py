"""What the public knows of pairs of columns, beside what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.synthesizers.marginal.two_way_marginals import MeasurementPlan, Measurements, Pair

KNOWN_SHARE = 0.03
"""What is known is fitted as if this share of the budget had measured it: more would leave the rest unfitted."""

PUBLISHED_WEIGHT = 30.0
"""How much more published pairs weigh: there are few, and nothing else is to change them."""


@dataclass(frozen=True, eq=False)
class PublicFacts:
    """What is known of the tokens of columns that are measured.

    Attributes:
        zeros: Combinations of the tokens of pairs that no row has, shape (tokens, tokens).
        families: For each column the public ways to gather its tokens: the family of each, the fewest first.
        published: Shares of all rows of a pair, with the groups of each of the two columns' tokens that they are of.
    """

    zeros: Mapping[Pair, Bools] = field(default_factory=dict)
    families: Mapping[int, Sequence[Integers]] = field(default_factory=dict)
    published: Sequence[tuple[Pair, tuple[Integers, Integers], Floats]] = ()

    def known_levels(self, sizes: Sequence[int], variance: float) -> list[Measurements]:
        """The structural zeros and the published pairs as measurements of a small variance.

        Args:
            sizes: Tokens of each column.
            variance: That of each share.
        """
        fine = tuple(np.arange(size) for size in sizes)
        out = []
        if self.zeros:
            tables = tuple(np.zeros(own.shape) for own in self.zeros.values())
            variances = tuple(np.where(own, variance, np.inf) for own in self.zeros.values())
            out.append(Measurements(MeasurementPlan(fine, tuple(self.zeros)), tables, variances))
        for (a, b), (first, second), shares in self.published:
            groups = tuple(first if i == a else second if i == b else own for i, own in enumerate(fine))
            out.append(Measurements(MeasurementPlan(groups, ((a, b),)), (shares,), (variance / PUBLISHED_WEIGHT,)))
        return out

    def with_zeros(self, level: Measurements) -> Measurements:
        """A level whose impossible cells are empty: they held noise alone."""
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
        """Combinations of the groups of a pair that no row has."""
        a, b = pair
        may = np.zeros((plan.sizes[a], plan.sizes[b]), bool)
        np.logical_or.at(may, np.ix_(plan.groups[a], plan.groups[b]), ~self.zeros[pair])
        return ~may
