"""Variance of the counts that the marginal synthesizer will make, from the rows, the columns and the budget.

The tables and their shares of the budget are those of the fit, except that every value is taken to be equally frequent
and that up to 11 % of the budget may go to recurring differences of numbers, which depend on the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from tabsynth.common.arrays import Integers
from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.budget_allocation import (
    independent,
    independent_shares,
    level_shares,
    measurement_shares,
    n_bins,
    n_groups,
    n_tokens,
    n_trees,
    one_way_share,
    plan_one_ways,
    prefers_products,
    products_share,
)
from tabsynth.synthesizers.marginal.count_source import noise_sigma
from tabsynth.synthesizers.marginal.one_way_marginals import BINS_FOR_EACH_TOKEN
from tabsynth.synthesizers.marginal.two_way_marginals import MeasurementPlan, group_tokens

Pair = tuple[str, str]


@dataclass(frozen=True)
class PlannedNoise:
    """The noise of the counts that a fit of the marginal synthesizer will make, from public facts.

    Attributes:
        rho: The budget, half the squared mu of Gaussian DP.
        rows: Number of rows.
        unit: Maximum number of rows of a person.
        grids: The cells of each counted column.
        joint: Whether pairs may be counted; if not, single columns get the budget.
    """

    rho: float
    rows: int
    unit: int
    grids: Mapping[str, Grid]
    joint: bool = True

    @property
    def units(self) -> float:
        """Number of persons."""
        return self.rows / self.unit

    @property
    def groups(self) -> tuple[int, int]:
        """Groups of a column at the coarse and the medium resolution."""
        return n_groups(self.units, self.rho)

    @cached_property
    def counts_pairs(self) -> bool:
        """Whether pairs are counted."""
        pairs = len(self.grids) * (len(self.grids) - 1) // 2
        if not self.joint or not pairs or prefers_products(self.grids, self.units, self.rho, pairs):
            return False
        return not independent(self.units, self.rho, pairs)

    @cached_property
    def share(self) -> float:
        """Share of the budget for single columns."""
        return one_way_share(self.units, self.rho) if len(self.grids) > 1 else 1.0

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Tokens of each column: its values, or bins of about equal numbers of rows."""
        bins = n_tokens(self.units, self.rho)
        return {
            name: min(len(grid.low), bins) + grid.nullable if grid.line else grid.size
            for name, grid in self.grids.items()
        }

    def variance(self, share: float) -> float:
        """Return the variance of a count with a share of the budget."""
        return noise_sigma(self.rho, share, self.unit) ** 2

    def distance(self, variance: float, cells: int) -> float:
        """Return the expected distance of a table of counts, by its number of cells and the sum of noise variances.

        Where noise exceeds the differences between cells, a fit shrinks it. As these differences are not known in
        advance, every distribution is taken to be equally likely (a Dirichlet prior).
        """
        signal = self.rows**2 * (cells - 1) / (cells * (cells + 1))
        left = variance * signal / (variance + signal)
        return math.sqrt(cells * left / (2 * math.pi)) / self.rows

    def token_variances(self) -> dict[str, float]:
        """Return the mean variance of each column's tokens."""
        plan = plan_one_ways(self.grids, self.share, self.units, self.rho)
        second = dict(plan.second)
        if self.counts_pairs and not second:
            second |= measurement_shares(self.grids, self.units, self.rho)
        elif not self.counts_pairs and len(self.grids) > 1:
            pairs = len(self.grids) * (len(self.grids) - 1) // 2
            left = 1 - self.share - products_share(self.units, self.rho, pairs, 0)[0]
            for name, part in independent_shares(self.grids, left).items():
                second[name] = second.get(name, 0.0) + part
        first = {
            (name, blocks): self.variance(part)
            for (name, blocks, _), part in zip(plan.tables, plan.shares, strict=False)
        }
        out = {}
        for name, grid in self.grids.items():
            tokens = self.sizes[name]
            fine = grid.size / tokens * first[name, False]
            if name in second:
                bins = min(BINS_FOR_EACH_TOKEN * tokens, grid.size) if grid.line else tokens
                out[name] = 1 / (1 / fine + tokens / bins / self.variance(second[name]))
            elif (name, True) in first:
                blocks = int(grid.blocks[-1]) + 1
                summed = 1 / (1 / first[name, True] + blocks / (tokens * fine))
                out[name] = max(tokens - blocks, 0) / tokens * fine + (min(blocks / tokens, 1.0)) ** 2 * summed
            else:
                out[name] = fine
        return out

    def interaction_variances(self, target: str | None) -> dict[Pair, float]:
        """Return the sum of the cells' variances of each pair on medium groups, given its single columns."""
        names = list(self.grids)
        at = None if target is None else names.index(target)
        every = tuple(combinations(range(len(names)), 2))
        within = () if at is None else tuple(pair for pair in every if at not in pair)
        coarse, medium, fine = (self._groups(most) for most in (*self.groups, self._n_fine_groups))
        levels = {"coarse pairs": MeasurementPlan(coarse, every), "medium pairs": MeasurementPlan(medium, every)}
        if at is not None and within:
            levels["triples"] = MeasurementPlan(coarse, (), within, at)
        shares = level_shares(levels, 1 - self.share, self.units, self.rho)
        rough, medium_noise = (self._variances(levels[name], shares[name]) for name in ("coarse pairs", "medium pairs"))
        precision = {pair: 1 / variance for pair, variance in zip(every, rough, strict=True)}
        if at is not None and within:
            groups = levels["triples"].sizes
            for (a, b), variance in zip(within, self._variances(levels["triples"], shares["triples"]), strict=True):
                for first, second, summed in ((a, b, at), (a, at, b), (b, at, a)):
                    precision[min(first, second), max(first, second)] += 1 / (variance * groups[summed])
        # Which pairs are the strongest is not known in advance: the mean of both cases, by their frequency.
        detailed = MeasurementPlan(fine, every)
        strongest = min(1.0, n_trees(self.units, self.rho) * (len(names) - 1) / len(every))
        fine_noise = self._variances(detailed, shares["fine"] / strongest)
        out = {}
        for place, (a, b) in enumerate(every):
            small, cells, all_cells = (
                level.sizes[a] * level.sizes[b] for level in (levels["coarse pairs"], levels["medium pairs"], detailed)
            )
            few, free = (
                (level.sizes[a] - 1) * (level.sizes[b] - 1)
                for level in (levels["coarse pairs"], levels["medium pairs"])
            )
            own = 1 / medium_noise[place]
            cases = []
            for known in (own, own + cells / (all_cells * fine_noise[place])):
                cases.append(few / (known + cells / small * precision[a, b]) + (free - few) / known)
            out[names[a], names[b]] = (1 - strongest) * cases[0] + strongest * cases[1]
        return out

    @property
    def _n_fine_groups(self) -> int:
        """Maximum groups of a column in the finest counts of pairs."""
        bins = n_bins(self.units, self.rho)
        return bins if bins < n_tokens(self.units, self.rho) else max(self.sizes.values())

    def _groups(self, most: int) -> tuple[Integers, ...]:
        """Return the group of each token of each column, with at most this many groups besides missing values."""
        columns = ((grid, self.sizes[name]) for name, grid in self.grids.items())
        return tuple(
            group_tokens(np.full(size, 1 / size), most, size - grid.nullable if grid.line else 0)
            for grid, size in columns
        )

    def _variances(self, level: MeasurementPlan, share: float) -> list[float]:
        """Return the variance of the cells of each table of a level."""
        weights = level.weights()
        return [self.variance(part) for part in (share * weights / weights.sum()).tolist()]
