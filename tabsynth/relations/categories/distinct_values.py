"""Columns whose values all differ in every row, such as a ranking of items or two teams of a match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats, Integers

MAX_TRIES = 20
"""Number of times that all free cells of a row are sampled again if no value is left for a column."""


@dataclass(frozen=True)
class DistinctRule:
    """The values of several columns all differ in each row, among the cells that are present.

    Attributes:
        members: The columns.
        values: Known values of each column, numbers or tokens, ascending.
        codes: Codes of these values; equal values of two columns have one code.
        weights: Shares of rows that have these values.
        text: The rule as users read it.
        evidence: Pairs of equal values expected by chance; there are none.
    """

    members: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    codes: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    text: str
    evidence: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return self.members

    def _coded(self, values: Mapping[str, Any], rows: Any) -> Integers:
        """Return the codes of some rows, -1 for missing and unknown values, shape (columns, rows)."""
        out = np.full((len(self.members), len(values[self.members[0]][rows])), -1, np.int64)
        for at, name in enumerate(self.members):
            own, known = values[name][rows], np.array(self.values[at])
            place = np.minimum(np.searchsorted(known, own), len(known) - 1)
            out[at] = np.where(known[place] == own, np.array(self.codes[at])[place], -1)
        return out

    def holds(self, values: Mapping[str, Any]) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        return np.asarray(~_repeats(self._coded(values, slice(None))).any(axis=0))

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Replace repeated values by others that no column of the row has, sampled in proportion to their shares."""
        rows = np.flatnonzero(~self.holds(values))
        held = np.stack([pinned[name][rows] for name in self.members])
        rng = np.random.default_rng(np.ascontiguousarray(seed[:8]).view(np.uint64))
        for tries in range(MAX_TRIES):
            if not len(rows):
                return
            codes = self._coded(values, rows)
            codes = self._redrawn(codes, held, rng, every=tries > 0)
            good = ~_repeats(codes).any(axis=0)
            for at, name in enumerate(self.members):
                number = np.zeros(max(map(max, self.codes)) + 1)
                number[list(self.codes[at])] = self.values[at]
                changed = good & (codes[at] >= 0) & ~held[at]
                values[name][rows[changed]] = number[codes[at][changed]]
            rows, held = rows[~good], held[:, ~good]

    def _redrawn(self, codes: Integers, held: Any, rng: np.random.Generator, *, every: bool) -> Integers:
        """Return codes in which repeated or all free codes are replaced by codes that do not occur in the row."""
        count, n = codes.shape
        order = np.argsort(rng.random((count, n)) + ~held, axis=0)  # fixed cells keep their values
        used = np.zeros((n, max(map(max, self.codes)) + 1), bool)
        empty, row = np.zeros((count, n), bool), np.arange(n)
        for at in order:
            own = codes[at, row]
            seen = (own >= 0) & (used[row, np.maximum(own, 0)] | every) & ~held[at, row]
            empty[at[seen], row[seen]] = True
            kept = (own >= 0) & ~seen
            used[row[kept], own[kept]] = True
        out = codes.copy()
        for at in order:
            for column in np.unique(at):
                here = np.flatnonzero((at == column) & empty[column])
                chances = np.zeros(used.shape[1])
                chances[list(self.codes[column])] = self.weights[column]
                ends = np.cumsum(chances * ~used[here], axis=1)
                open_ = ends[:, -1] > 0
                here, ends = here[open_], ends[open_]
                drawn = (ends <= (rng.random(len(here)) * ends[:, -1])[:, None]).sum(axis=1)
                out[column, here] = drawn
                used[here, drawn] = True
        return out


def _repeats(codes: Integers) -> Bools:
    """Return which cells have the code of a cell before them in the row, shape (columns, rows)."""
    out = np.zeros(codes.shape, bool)
    for at in range(1, len(codes)):
        out[at] = ((codes[:at] == codes[at]) & (codes[at] >= 0)).any(axis=0)
    return out
