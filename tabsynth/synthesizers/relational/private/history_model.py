"""Private model of a child table: a mixture over a row, its previous sibling and its parent, fitted to noisy marginals.

The model counts pairs of a row's columns, of a column of the row and one of its sibling, and of a column of the row and
one of its parent. Pairs within the sibling or within the parent are not counted, because the model is only conditioned
on
them. The rows of a person have a total weight of one, so that noise does not grow with the length of histories. The
number of rows is a column of the parent, so conditional distributions are not biased by these weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, ClassVar

import numpy as np

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Arrays, Bools, Floats, Integers, Tokens
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.enforcement import Relations
from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.budget_allocation import (
    DEFAULT_EXPECTED_ROWS,
    independent,
    n_bins,
    one_way_share,
)
from tabsynth.synthesizers.marginal.count_source import CountSource
from tabsynth.synthesizers.marginal.fit import LearnedSlots, independent_model
from tabsynth.synthesizers.marginal.one_way_marginals import measure_one_ways
from tabsynth.synthesizers.marginal.private_rows import CellRows
from tabsynth.synthesizers.marginal.public_codec import public_codec, slot_counts
from tabsynth.synthesizers.marginal.recurring_differences import measure_recurring_differences
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.marginal.two_way_marginals import Pair
from tabsynth.synthesizers.options import FitOptions, SampleContext
from tabsynth.synthesizers.relational.private.learned_tables import GAP, MAX_GAP, N_GAPS_PER_DECADE
from tabsynth.synthesizers.relational.private.linked_rows import LinkedRows, weigh_persons


@dataclass(frozen=True, eq=False)
class ParentContext:
    """Expected parents of a child table's rows, by post-processing of the parents' model.

    Attributes:
        names: The learned slots of the parents.
        counts: Expected count of each token of each slot among the rows, up to a factor.
        lines: Number of leading ordered tokens of each slot.
        first_share: The expected share of rows without an earlier sibling.
    """

    names: list[str]
    counts: list[Floats]
    lines: list[int]
    first_share: float


class HistoryRows:
    """Rows of a child table with their previous siblings and parents, repeated by the weights of persons.

    Args:
        name: The table.
        rows: All its rows.
        linked: Function that reads parents and persons.
        parents: All rows of the parent table.
        above: The parent table's model, whose learned tokens are read.
        rows_per_person: Number of counted rows of each person.
        noise: Source of the random choice among the rows of a person.
    """

    def __init__(
        self,
        name: str,
        rows: CellRows,
        linked: Callable[[], LinkedRows],
        parents: CellRows,
        above: MarginalSynthesizer,
        rows_per_person: int,
        noise: Noise,
    ) -> None:
        self.name, self.rows, self._linked, self._parents, self._above = name, rows, linked, parents, above
        self._rows_per_person, self._noise = rows_per_person, noise

    @cached_property
    def _chosen(self) -> Integers:
        return weigh_persons(self._linked().persons[self.name], self._rows_per_person, self._noise)

    @property
    def grids(self) -> dict[str, Grid]:
        """The cells of each learned column."""
        return self.rows.grids

    def cells(self, name: str) -> Integers:
        """Return the cell of every counted row of a column, shape (n,)."""
        return self.rows.cells(name)[self._chosen]

    def line(self, name: str) -> Floats:
        """Return the numbers of a numeric column, shape (n,)."""
        return self.rows.line(name)[self._chosen]

    def tokens(self, codec: Codec, active: list[int]) -> Tokens:
        """Return tokens of each counted row, of the row before (-1 for none) and of the parent, shape (n, slots)."""
        rows, parents = self.rows.tokens(codec)[:, active], self._linked().parents[self.name]
        before = np.concatenate([np.full((1, len(active)), -1, np.int32), rows])[:-1] if len(rows) else rows
        before[np.diff(parents, prepend=-1) != 0] = -1
        above = self._parents.tokens(self._above.codec_)[:, self._above.active_][parents]
        return np.concatenate([part[self._chosen] for part in (rows, before, above)], axis=1)


class HistoryMarginals(MarginalSynthesizer):
    """Mixture over the slots of a child's row, of the sibling before and of the parent."""

    kind: ClassVar[str] = "history"
    context_: ParentContext
    parent_sizes_: list[int]

    def fit_history(
        self, rows: HistoryRows, context: ParentContext, source: CountSource, n_public: int | None, run: FitOptions
    ) -> None:
        """Learn a child table from noisy counts alone; every read is charged before.

        Args:
            rows: Its rows.
            context: Expected parents of the rows.
            source: Source of the counts.
            n_public: Approximate number of persons, if it is public.
            run: Seed and progress of the steps after the counts.
        """
        self.context_, self.parent_sizes_ = context, [len(counts) for counts in context.counts]
        unit, schema, grids = source.max_rows_per_unit, rows.rows.schema, rows.grids
        if not grids:
            self.codec_, self.relations_ = public_codec(schema, {}, {}, {}, 1), Relations({})
            self._prepare([slot_counts(self.codec_, position) for position in range(len(self.codec_.slots))], [])
            return
        expected = float(n_public or DEFAULT_EXPECTED_ROWS)
        share = one_way_share(expected, source.rho)
        single = measure_one_ways(
            grids, rows.cells, source, share, expected_rows=expected, may_spend_all=True, pairs=len(grids)
        )
        self.rows_ = max(round(single.rows), 1)
        persons = single.rows / unit
        self.codec_ = public_codec(schema, grids, single.counts, single.sigma, n_bins(persons, source.rho))
        self._prepare([slot_counts(self.codec_, position) for position in range(len(self.codec_.slots))], [])
        if not self.active_:
            self.relations_ = Relations({})
            return
        slots = self._slots(single.rows)
        if single.spent == 1:
            self.relations_ = Relations({})
            self._set_model(independent_model(slots, source, run.seed))
            return
        differences, spent = measure_recurring_differences(schema, grids, self.codec_, rows.line, single.rows, source)
        self.relations_ = Relations(differences)
        self._few_pairs = independent(persons, source.rho, len(slots.pairs or ()))
        self._fit_marginals(
            lambda: self._with_none(rows.tokens(self.codec_, self.active_)),
            single.rows,
            source,
            1 - single.spent - spent,
            run,
        )

    _few_pairs = False

    def _slots(self, rows: float) -> LearnedSlots:
        slots = super()._slots(rows)
        size, context = len(slots.names), self.context_
        first = context.first_share
        before = [np.append(counts * (1 - first), counts.sum() * first) for counts in slots.counts]
        above = [1 + np.rint(1e6 * counts / counts.sum()) for counts in context.counts]
        siblings = tuple((i, size + i) for i in range(size))
        pairs: tuple[Pair, ...] = siblings
        if not self._few_pairs:
            pairs = (
                *combinations(range(size), 2),
                *((i, j) for i in range(size) for j in range(size, 2 * size + len(above))),
            )
        return replace(
            slots,
            names=[*slots.names, *(f"{name} before" for name in slots.names), *context.names],
            counts=[*slots.counts, *(np.rint(counts).astype(np.int64) for counts in (*before, *above))],
            allowed=[
                *slots.allowed,
                *(np.append(allowed, True) for allowed in slots.allowed),
                *(counts > 1 for counts in above),
            ],
            lines=[*slots.lines, *slots.lines, *context.lines],
            target=None,
            pairs=pairs,
        )

    def _with_none(self, tokens: Tokens) -> Tokens:
        """Return tokens in which a missing previous sibling is represented by a separate token."""
        size = len(self.active_)
        none = np.array([len(self.counts_[i]) for i in self.active_], np.int32)
        before = tokens[:, size : 2 * size]
        tokens[:, size : 2 * size] = np.where(before < 0, none, before)
        return tokens

    def draw_next(
        self,
        before: Tokens,
        parents: Tokens,
        pinned: Bools,
        limits: list[Floats | None],
        rng: np.random.Generator,
    ) -> Tokens:
        """Sample the learned tokens of the next sibling of some parents, shape (n, learned slots).

        Args:
            before: Tokens of the previous sibling, -1 for none.
            parents: Tokens of the parents.
            pinned: Whether the plan determines the time of the sibling.
            limits: Allowed share of each token of each learned slot, None for unrestricted slots.
            rng: Random generator.
        """
        n_slots = len(self.active_)
        if not n_slots:
            return np.zeros((len(before), 0), np.int32)
        fixed = self._with_none(np.concatenate([np.full_like(before, -1), before, parents], axis=1))
        gap = self.gap_slot
        if gap is None:
            return self._draw_free(fixed, limits, rng)
        missing = self.codec_.slots[self.active_[gap]].missing
        assert missing is not None
        fixed[pinned, gap] = missing
        present = np.ones(len(self.counts_[self.active_[gap]]))
        present[missing] = 0.0
        out = np.empty((len(before), n_slots), np.int32)
        out[pinned] = self._draw_free(fixed[pinned], limits, rng)
        out[~pinned] = self._draw_free(fixed[~pinned], [*limits[:gap], present, *limits[gap + 1 :]], rng)
        return out

    def _sample_tokens(self, fixed: Tokens, limits: list[Floats | None], draw: SampleContext) -> Tokens:
        others = np.full((len(fixed), len(self._model_sizes) - fixed.shape[1]), -1, fixed.dtype)
        return self._draw_free(np.concatenate([fixed, others], axis=1), limits, draw.rng)  # of any sibling and parent

    def _draw_free(self, fixed: Tokens, limits: list[Floats | None], rng: np.random.Generator) -> Tokens:
        allowed = [*self._allowed_weights(limits), *([None] * (fixed.shape[1] - len(limits)))]
        return self.model_.draw(fixed, allowed, rng)[:, : len(limits)]

    @property
    def gap_slot(self) -> int | None:
        """The learned slot of the gap; None if there is none."""
        columns = [self.codec_.slots[i].column for i in self.active_]
        return columns.index(GAP) if GAP in columns else None

    def gap_codes(self, tokens: Tokens, rng: np.random.Generator) -> Floats:
        """Return the gaps of sampled tokens, shape (n,); arbitrary if gaps are not learned."""
        if self.gap_slot is None:
            even = np.maximum(rng.random(len(tokens)), 1e-4)
            return np.asarray(np.ceil(MAX_GAP + N_GAPS_PER_DECADE * np.log10(even)))
        return np.asarray(np.nan_to_num(self.codec_.numeric_coders[GAP].decode(tokens[:, self.gap_slot], rng)))

    def whole_tokens(self, learned: Tokens) -> Tokens:
        """Return the tokens of all slots from those of the learned slots."""
        tokens = self._constant_tokens(len(learned))
        tokens[:, self.active_] = learned
        return tokens

    @property
    def rules(self) -> RuleSet:
        """The declared constraints."""
        return RuleSet.of(self.schema_)

    def _model_state(self) -> tuple[dict[str, Any], Arrays]:
        config, arrays = super()._model_state()
        return {**config, "parents": self.parent_sizes_}, arrays

    def _restore_model(self, config: dict[str, Any], arrays: Arrays) -> None:
        self.parent_sizes_ = [int(size) for size in config["parents"]]
        super()._restore_model(config, arrays)

    @property
    def _model_sizes(self) -> tuple[int, ...]:
        """Number of tokens of the slots of a row, of its previous sibling, which may be missing, and of its parent."""
        return (*self.layout_.sizes, *(size + 1 for size in self.layout_.sizes), *self.parent_sizes_)
