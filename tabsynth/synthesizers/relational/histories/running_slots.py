"""Slots of running totals: computed from the row's other slots during sampling, and inputs of the history network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tabsynth.codec.categorical_encoder import ValueCoder
from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Arrays, Bools, Floats, Integers
from tabsynth.relations.linked.running_totals import RunningTotal

N_BINS = 64
"""Number of equal-mass bins of the remaining change of a total."""

AFTER_SHARES = (0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Quantile levels of the bin edges of a total after a row; 0 is a further edge."""

N_AFTER = len(AFTER_SHARES) + 2

MAX_RISE = 2.0
"""Bound of the corrections of rows that raise a total, in nats."""

CHUNK_ROWS = 20_000
"""Maximum number of rows whose bins are computed at once."""


@dataclass(frozen=True, eq=False)
class RunningSlots:
    """Running totals whose column is a slot.

    Attributes:
        codec: Codec of the rows.
        order: The slots in sampling order.
        totals: The totals.
        places: Position of each total's slot in that order.
        edges: Inner edges of the bins of the remaining change of each total, and of that change per remaining row.
        after: Inner edges of the bins of each total after a row.
    """

    codec: Codec
    order: Sequence[int]
    totals: tuple[RunningTotal, ...]
    places: tuple[int, ...]
    edges: tuple[Floats, ...] = ()
    after: tuple[Floats, ...] = ()

    @classmethod
    def of(cls, codec: Codec, order: Sequence[int], totals: Sequence[RunningTotal]) -> Self:
        """Return the totals whose columns are sampled slots."""
        at = {codec.slots[i].column: place for place, i in enumerate(order) if codec.slots[i].digit is None}
        held = [
            one
            for one in totals
            if one.column in at
            and {one.column, *dict(one.terms)} <= set(codec.numeric_coders)
            and (not one.sign or isinstance(codec.coders.get(one.sign), ValueCoder))
        ]
        return cls(codec, order, tuple(held), tuple(at[one.column] for one in held))

    def with_edges(self, before: Floats, after: Floats, closing: Floats, left: Integers) -> Self:
        """Return a copy with the bins of each total and of its remaining change, from training rows.

        Args:
            before: Totals of the previous sibling, shape (n, totals).
            after: Totals of the rows, shape (n, totals).
            closing: Totals of the parent's last child, NaN where unknown, shape (n, totals).
            left: Number of the parent's remaining rows, this one included, shape (n,).
        """
        shares = np.arange(1, N_BINS) / N_BINS
        data = [column[~np.isnan(column)] for column in _left(before, closing, left)]
        bins = tuple(np.unique(np.append(np.quantile(own, AFTER_SHARES), 0.0)) for own in after.T)
        return replace(
            self, edges=tuple(np.unique(np.quantile(own, shares)) if len(own) else own for own in data), after=bins
        )

    @property
    def sizes(self) -> list[int]:
        """Number of tokens of each feature; the last token stands for an unknown total."""
        return [len(edges) + 2 for edges in self.edges]

    def early(self, before: Floats, closing: Floats, left: Integers) -> Integers:
        """Return the tokens of the remaining change of each total, shape (n, features).

        Args:
            before: Totals of the previous sibling, shape (n, totals).
            closing: Totals of the parent's last child, NaN where unknown, shape (n, totals).
            left: Number of the parent's remaining rows, this one included, shape (n,).
        """
        columns = [
            np.where(np.isnan(data), len(edges) + 1, np.searchsorted(edges, data, side="right"))
            for data, edges in zip(_left(before, closing, left), self.edges, strict=True)
        ]
        return np.stack(columns, axis=1) if columns else np.zeros((len(before), 0), np.int64)

    def known(self, first: Bools, begun: Floats) -> dict[int, Bools]:
        """Return the rows in which each slot is computed, by its position, shape (n,).

        Args:
            first: Rows without an earlier sibling, shape (n,).
            begun: Initial value of each total, NaN if the first row is sampled instead, shape (n, totals).
        """
        return {place: ~first | ~np.isnan(begun[:, number]) for number, place in enumerate(self.places)}

    def is_free(self, place: int, before: Floats) -> Bools:
        """Return the rows in which the slot at a position is sampled instead of computed, shape (n,)."""
        if place not in self.places:
            return np.ones(len(before), bool)
        return np.isnan(before[:, self.places.index(place)])

    def compute(
        self, place: int, tokens: Integers, numbers: Floats, before: Floats, rng: np.random.Generator
    ) -> Integers:
        """Return the tokens of a slot, shape (n,), and update ``before`` to the totals after the row.

        In rows in which the slot was sampled, the total is the sampled number.

        Args:
            place: Position of the slot.
            tokens: The row's tokens so far, shape (n, slots).
            numbers: The row's numbers so far, NaN where missing, shape (n, slots).
            before: Totals of the previous sibling, NaN in a first row whose slot is sampled, shape (n, totals).
            rng: Random generator.
        """
        number = self.places.index(place)
        total = self.totals[number]
        change = np.full(len(tokens), total.constant)
        for name, factor in total.terms:
            change += factor * np.nan_to_num(self._numbers(name, tokens, numbers, rng))
        if total.sign:
            change *= self._factors(total)[self._tokens(total.sign, tokens)]
        free = np.isnan(before[:, number])
        drawn = self._drawn(total.column, tokens, rng) if free.any() else change
        before[:, number] = np.where(free, np.nan_to_num(drawn), before[:, number] + change)
        own = self.codec.numeric_coders[total.column].encode(before[:, number]).astype(np.int64)
        return np.where(free, tokens[:, place], own)

    def beyond(self, place: int, tokens: Integers, before: Floats, allowed: Bools) -> Bools | None:
        """Return the tokens of a slot that would move a total out of its range, shape (n, size); None without a total.

        The slot that is sampled last, an amount or its sign, bounds the total. If all tokens would leave the range, the
        token of the smallest change stays allowed. A total that is negative in less than 1 % of the training rows is
        negative in such rows only: networks do not learn from so few rows when it rises again.

        Args:
            place: Position of the slot.
            tokens: The row's tokens so far, shape (n, slots).
            before: Totals of the previous sibling, shape (n, totals).
            allowed: Tokens that may be sampled, shape (size,) or (n, size).
        """
        out, change = None, np.zeros((len(tokens), allowed.shape[-1]))
        for number, total in enumerate(self.totals):
            if self._deciding(total) == place:
                own, change = self._beyond(number, place, tokens, before[:, number])
                own &= ~np.isnan(before[:, [number]])
                out = own if out is None else out | own
        if out is None:
            return None
        change = np.where(allowed, change, np.inf)
        none_left = ~(allowed & ~out).any(axis=1, keepdims=True)
        return np.asarray(out & ~(none_left & (change == change.min(axis=1, keepdims=True))))

    @property
    def deciding(self) -> dict[int, int]:
        """First total that each slot determines; of the slots from which a total is computed, the one sampled last."""
        at = {self._deciding(total): number for number, total in reversed([*enumerate(self.totals)])}
        return {place: number for place, number in sorted(at.items()) if place >= 0}

    def after_bins(self, tokens: Integers, before: Floats) -> npt.NDArray[np.uint8]:
        """Return the bin of the total after the row for each token of the slots of ``deciding``, shape (n, tokens).

        Args:
            tokens: Rows in sampling order, shape (n, slots).
            before: Totals of the previous sibling, NaN in a first row whose slot is sampled, shape (n, totals).
        """
        sizes = [self.codec.slots[self.order[place]].size for place in self.deciding]
        out = np.zeros((len(tokens), sum(sizes)), np.uint8)
        for begin in range(0, len(tokens), CHUNK_ROWS):
            rows, start = slice(begin, begin + CHUNK_ROWS), 0
            for (place, number), size in zip(self.deciding.items(), sizes, strict=True):
                least, most, _ = self._after(self.totals[number], place, tokens[rows], before[rows, number])
                bins = np.searchsorted(self.after[number], (least + most) / 2, side="right")
                free = np.isnan(before[rows, number])[:, None]
                out[rows, start : start + size] = np.where(free, 0, bins)
                start += size
        return out

    def corrections(
        self, place: int, bins: npt.NDArray[np.uint8], bias: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return the correction of each token of a slot that decides a total, shape (n, size).

        Where larger numbers raise the total it is bounded. Otherwise an account that is nearly empty, which is rare,
        would be filled by an impossible amount of interest.

        Args:
            place: Position of the slot.
            bins: Bin of the total after the row for each token, shape (n, size).
            bias: Correction of each bin.
        """
        out, numbers = bias[bins], self.codec.numeric_coders.get(self.codec.slots[self.order[place]].column)
        if numbers is None:
            return out
        rising = bins[:, numbers.n_ordered_tokens - 1] > bins[:, 0]
        return np.asarray(np.where(rising[:, None], np.clip(out, -MAX_RISE, MAX_RISE), out), np.float32)

    def bins_of(self, number: int, tokens: Integers) -> Integers:
        """Return the bin of a total by the tokens of its slot, shape (n,)."""
        means = self.codec.numeric_coders[self.totals[number].column].means()
        own = np.minimum(tokens[:, self.places[number]], len(means) - 1)
        return np.searchsorted(self.after[number], means[own], side="right").astype(np.int64)

    def _deciding(self, total: RunningTotal) -> int:
        """Return the later of the slots of a total's only term and its sign, -1 if one of them takes several slots."""
        columns = [self.codec.slots[i].column for i in self.order]
        term = total.terms[0][0] if len(total.terms) == 1 else ""
        if not {term, total.sign or term} <= set(columns):
            return -1
        at_term, at_sign = columns.index(term), columns.index(total.sign or term)
        return max(at_term, at_sign) if self.codec.slots[self.order[at_term]].digit is None else -1

    def _after(
        self, total: RunningTotal, place: int, tokens: Integers, before: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return the least and greatest total after each token of a determining slot, and the factor of its change."""
        columns = [self.codec.slots[i].column for i in self.order]
        at_term, at_sign = (columns.index(name) for name in (total.terms[0][0], total.sign or total.terms[0][0]))
        coder, size = self.codec.numeric_coders[total.terms[0][0]], self.codec.slots[self.order[at_term]].size
        bounds = [np.append(ends, np.zeros(size - len(ends))) for ends in coder.token_bounds()]  # missing counts as 0
        if place == at_term:
            low, high = (ends[None, :] for ends in bounds)
            factor = self._factors(total)[tokens[:, at_sign]][:, None] if total.sign else np.ones((len(tokens), 1))
        else:
            at = np.minimum(tokens[:, at_term], size - 1)
            low, high = (ends[at][:, None] for ends in bounds)
            factor = self._factors(total)[None, :]
        factor = factor * total.terms[0][1]
        ends = before[:, None] + factor * low, before[:, None] + factor * high
        return np.minimum(*ends), np.maximum(*ends), factor

    def _beyond(self, number: int, place: int, tokens: Integers, before: Floats) -> tuple[Bools, Floats]:
        total = self.totals[number]
        own, rarely_negative = self.codec.numeric_coders[total.column], bool(self.after) and self.after[number][0] >= 0
        least, most, factor = self._after(total, place, tokens, before)
        floor = 0.0 if total.floor is None and rarely_negative else total.floor
        below = most < own.low[0] if floor is None else least < floor
        return np.where(factor < 0, below, least > own.high[-1]), np.abs(least + most - 2 * before[:, None])

    def _tokens(self, column: str, tokens: Integers) -> Integers:
        """Return the tokens of a column, shape (n,); the most frequent token if the column is not sampled."""
        own = [place for place, i in enumerate(self.order) if self.codec.slots[i].column == column]
        if own:
            return tokens[:, own[0]]
        return np.full(len(tokens), int(np.argmax(self.codec.coders[column].counts)))

    def _numbers(self, column: str, tokens: Integers, numbers: Floats, rng: np.random.Generator) -> Floats:
        """Return the sampled numbers of a column, shape (n,); those of its most frequent token if it is not sampled."""
        own = [place for place, i in enumerate(self.order) if self.codec.slots[i].column == column]
        return (
            numbers[:, own[0]]
            if own and self.codec.slots[self.order[own[0]]].digit is None
            else self._drawn(column, tokens, rng)
        )

    def _drawn(self, column: str, tokens: Integers, rng: np.random.Generator) -> Floats:
        return self.codec.numeric_coders[column].decode(self._tokens(column, tokens).astype(np.int32), rng)

    def _factors(self, total: RunningTotal) -> Floats:
        """Return the factor of each token of the sign's column."""
        coder = self.codec.coders[total.sign]
        assert isinstance(coder, ValueCoder)
        return total.factor_of([*map(str, coder.values), "", ""])

    def state(self) -> tuple[list[dict[str, Any]], Arrays]:
        """Return plain data and arrays for ``from_state``."""
        arrays: dict[str, npt.NDArray[Any]] = {f"totals.{i}": edges for i, edges in enumerate(self.edges)}
        arrays |= {f"after.{i}": edges for i, edges in enumerate(self.after)}
        return [one.to_dict() for one in self.totals], arrays

    @classmethod
    def from_state(cls, codec: Codec, order: Sequence[int], plain: Sequence[Mapping[str, Any]], arrays: Arrays) -> Self:
        """Rebuild from a state."""
        out = cls.of(codec, order, [RunningTotal.from_dict(item) for item in plain])
        edges = tuple(arrays[f"totals.{i}"] for i in range(2 * len(out.totals)))
        return replace(out, edges=edges, after=tuple(arrays[f"after.{i}"] for i in range(len(out.totals))))


def _left(before: Floats, closing: Floats, left: Integers) -> list[Floats]:
    """Return the remaining change of each total, followed by that change per remaining row."""
    rest = (closing - np.nan_to_num(before)).T
    return [column for own in rest for column in (own, own / np.maximum(left, 1))]
