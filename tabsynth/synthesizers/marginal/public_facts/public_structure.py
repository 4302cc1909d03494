"""Public facts on a table: constraints of its schema and published distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from tabsynth.codec.codec import Codec
from tabsynth.codec.token_slots import MAX_SLOT_TOKENS
from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.errors import InputError
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.bins.adaptive_bins import merge_cells
from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.one_way_marginals import OneWayMarginals
from tabsynth.synthesizers.marginal.product_mixture import Mixture
from tabsynth.synthesizers.marginal.public_codec import tokens_of_cells
from tabsynth.synthesizers.marginal.public_facts.determined_columns import (
    Determined,
    add_determined,
    determined_columns,
    determined_counts,
    token_shares,
)
from tabsynth.synthesizers.marginal.public_facts.known_levels import PublicFacts
from tabsynth.synthesizers.marginal.public_facts.published_marginals import read_published, single_shares
from tabsynth.synthesizers.marginal.public_facts.structural_zeros import public_cuts, structural_zeros, token_zeros

N_PUBLISHED_BINS = 24
"""Approximate number of tokens of a numeric column whose distribution is published."""

N_RAKES = 20
"""Iterations of proportional fitting of a column to published distributions of columns that it determines."""


@dataclass(frozen=True, eq=False)
class PublicStructure:
    """Public facts on a table.

    Attributes:
        rules: The declared constraints.
        grids: The cells of each learned column.
        determined: Columns that a lookup determines.
        published: Published shares of cells, by column or pair of columns.
        singles: The published distribution of columns.
        zeros: Combinations of two columns' cells that constraints rule out.
        counts: Estimated rows of each cell of each column, once they are known.
        sigma: Standard deviation of the noise of each column's counts.
    """

    rules: RuleSet
    grids: Mapping[str, Grid]
    determined: Mapping[str, Determined]
    published: Mapping[tuple[str, ...], Floats]
    singles: Mapping[str, Floats]
    zeros: Mapping[tuple[str, str], Bools]
    counts: Mapping[str, Floats] = field(default_factory=dict)
    sigma: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, rules: RuleSet, schema: Schema, grids: Mapping[str, Grid], published: Any, *, lookups: bool = True
    ) -> PublicStructure:
        """Collect the public facts.

        Args:
            rules: The declared constraints.
            schema: The schema of the learned columns.
            grids: Their cells.
            published: Tables in the form of ``read_published``.
            lookups: Whether columns that lookups determine are not measured.
        """
        tables = read_published(published, schema, grids)
        determined = determined_columns(rules.schema, grids) if lookups else {}
        zeros = structural_zeros(rules, grids, determined)
        return cls(rules, grids, determined, tables, single_shares(tables), zeros)

    @property
    def cuts(self) -> dict[str, Integers]:
        """Cells of numeric columns at which a token always begins."""
        out = public_cuts(self.grids, self.zeros)
        for name, shares in self.singles.items():
            if self.grids[name].line:
                tokens = merge_cells(shares[: len(self.grids[name].low)], N_PUBLISHED_BINS, 0.0)
                begins = 1 + np.flatnonzero(np.diff(tokens))
                out[name] = np.union1d(out.get(name, begins), begins)
        return out

    @property
    def pooling_sigma(self) -> dict[str, float]:
        """The noise by which rare values are pooled.

        Columns of lookups are not pooled: a pooled value has no single looked-up value.
        """
        joined = {name for name, one in self.determined.items() for name in (name, one.root)}
        whole = {name for name in joined if self.grids[name].size + 2 <= MAX_SLOT_TOKENS}
        return {
            name: 0.0 if name in whole and not self.grids[name].line else sigma for name, sigma in self.sigma.items()
        }

    @property
    def exact(self) -> set[str]:
        """Columns whose distribution follows from published tables, wholly or by what they determine."""
        return {self.determined[name].root if name in self.determined else name for name in self.singles}

    def counted(self) -> dict[str, Grid]:
        """Return the columns whose one-way counts are measured; at least one, which gives the number of rows."""
        rest = {name: grid for name, grid in self.grids.items() if name not in self.determined}
        return {name: grid for name, grid in rest.items() if name not in self.singles} or dict(list(rest.items())[:1])

    def counted_share(self) -> float:
        """Return the share of undetermined columns whose one-way counts are measured."""
        return len(self.counted()) / (len(self.grids) - len(self.determined))

    def complete(self, single: OneWayMarginals) -> PublicStructure:
        """Add the counts of all columns, given the measured ones."""
        counts, sigma = dict(single.counts), dict(single.sigma)
        for name, shares in self.singles.items():
            if name not in self.determined:
                counts[name], sigma[name] = single.rows * shares, 0.0
        for _ in range(N_RAKES):
            for name, one in self.determined.items():
                if name in self.singles and one.root not in self.singles:
                    implied = np.bincount(one.cells, weights=counts[one.root], minlength=self.grids[name].size)
                    scale = np.divide(
                        single.rows * self.singles[name], implied, out=np.zeros(len(implied)), where=implied > 0
                    )
                    counts[one.root] = counts[one.root] * scale[one.cells]
        determined_counts(self.determined, self.grids, counts)
        sigma |= {name: sigma[one.root] for name, one in self.determined.items()}
        return replace(self, counts={name: counts[name] for name in self.grids}, sigma=sigma)

    def facts(self, codec: Codec, slots: Sequence[int]) -> PublicFacts:
        """Return the public facts on the tokens of measured slots, given as positions in the token matrix."""
        place = {codec.slots[at].column: i for i, at in enumerate(slots) if codec.slots[at].digit is None}
        zeros = {}
        for (a, b), table in token_zeros(codec, self.grids, self.zeros).items():
            if a in place and b in place:
                first, second = sorted((place[a], place[b]))
                zeros[first, second] = table if place[a] < place[b] else table.T
        families: dict[int, list[Integers]] = {}
        for name, one in self.determined.items():
            if one.root in place:
                families.setdefault(place[one.root], []).append(self._tokens(codec, one, name))
        return PublicFacts(
            zeros,
            {i: sorted(partitions, key=lambda table: int(table.max())) for i, partitions in families.items()},
            [pair for names, table in self.published.items() if (pair := self._pair(codec, place, names, table))],
        )

    def extend(self, model: Mixture, codec: Codec, active: Sequence[int]) -> Mixture:
        """Return the mixture of all active slots, given that of the measured ones."""
        shares = {
            name: (one.root, token_shares(codec, self.grids, self.counts, name, one))
            for name, one in self.determined.items()
        }
        whole = add_determined(model, codec, active, shares)
        place = {codec.slots[at].column: i for i, at in enumerate(active) if codec.slots[at].digit is None}
        forbidden = token_zeros(codec, self.grids, self.zeros)
        forbidden |= {(root, name): table == 0 for name, (root, table) in shares.items()}
        for a, b in combinations(self.determined, 2):
            if self.determined[a].root == self.determined[b].root:
                table = np.ones((codec.coders[a].size, codec.coders[b].size), bool)
                table[self._cell_tokens(codec, a), self._cell_tokens(codec, b)] = False
                forbidden[a, b] = table
        return replace(
            whole,
            forbidden={
                (min(place[a], place[b]), max(place[a], place[b])): table if place[a] < place[b] else table.T
                for (a, b), table in forbidden.items()
                if a in place and b in place
            },
        )

    def _cell_tokens(self, codec: Codec, name: str) -> Integers:
        """Return the token of a determined column for each cell of its root."""
        tokens = tokens_of_cells(self.grids[name], codec.coders[name])[self.determined[name].cells]
        return tokens.astype(np.int64)

    def _tokens(self, codec: Codec, one: Determined, name: str) -> Integers:
        """Return the most frequent token of a determined column for each token of its root."""
        cells = np.ones(self.grids[one.root].size)
        return np.asarray(token_shares(codec, self.grids, {one.root: cells}, name, one).argmax(1), np.int64)

    def _pair(
        self, codec: Codec, place: Mapping[str, int], names: Sequence[str], shares: Floats
    ) -> tuple[tuple[int, int], tuple[Integers, Integers], Floats] | None:
        """Return a published pair as shares of tokens; None for a single column or an inactive one."""
        if len(names) < 2:
            return None
        roots = [self.determined[name].root if name in self.determined else name for name in names]
        if roots[0] == roots[1]:
            raise InputError(
                f"public_marginals: {names[0]!r} and {names[1]!r} both follow from {roots[0]!r} by a lookup; give the "
                f"distribution of {roots[0]!r} instead"
            )
        if not all(root in place for root in roots):
            return None
        groups = []
        for axis, (name, root) in enumerate(zip(names, roots, strict=True)):
            token = tokens_of_cells(self.grids[name], codec.coders[name])
            size = codec.coders[name].size
            moved = np.moveaxis(shares, axis, 0)
            summed = np.zeros((size, moved.shape[1]))
            np.add.at(summed, token, moved)
            shares = np.moveaxis(summed, 0, axis)
            group = np.arange(size) if name == root else self._tokens(codec, self.determined[name], name)
            groups.append(group)
        if place[roots[0]] > place[roots[1]]:
            groups, roots, shares = groups[::-1], roots[::-1], shares.T
        return (place[roots[0]], place[roots[1]]), (groups[0], groups[1]), shares
