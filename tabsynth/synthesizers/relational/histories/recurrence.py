"""Time since the last sibling of a class, such as a yearly visit, which a learned memory approximates poorly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from tabsynth.common.arrays import Arrays, Floats, Integers

MAX_CLASSES = 12

MIN_SHARE, MAX_STAY, MAX_AGREEMENT = 0.01, 0.8, 0.95
"""Minimum share of rows in a class; columns that are repeated more often persist rather than recur; of two classes that
agree in so many of their rows, one is followed."""

N_BINS = 32


@dataclass(frozen=True, eq=False)
class Recurrence:
    """Classes of siblings and the bins of the time since each; build it with ``fit``.

    Attributes:
        slots: Slot of each class, in drawing order, shape (classes,).
        tokens: Its token, shape (classes,).
        edges: Inner edges of the bins of each class.
    """

    slots: Integers
    tokens: Integers
    edges: tuple[Floats, ...]

    @classmethod
    def fit(cls, tokens: Integers, candidates: Sequence[int], times: Floats, starts: Integers) -> Self:
        """Choose the most frequent classes that recur, and cut equal-mass bins.

        Args:
            tokens: Training rows in drawing order, siblings together and in order, shape (n, slots).
            candidates: Slots of categories.
            times: Their times, shape (n,).
            starts: Row number of each parent's first child, and the number of rows.
        """
        later = np.ones(len(tokens), bool)
        later[starts[:-1]] = False
        rows, found = np.flatnonzero(later), []
        for slot in candidates:
            if len(rows) and np.mean(tokens[rows, slot] == tokens[rows - 1, slot]) < MAX_STAY:
                shares = np.bincount(tokens[:, slot]) / len(tokens)
                found += [(-shares[token], slot, token) for token in np.flatnonzero(shares >= MIN_SHARE).tolist()]
        chosen: list[tuple[int, int]] = []
        for _, slot, token in sorted(found):
            own = tokens[:, slot] == token
            others = [tokens[:, i] == j for i, j in chosen]
            if len(chosen) < MAX_CLASSES and all((own & o).sum() < MAX_AGREEMENT * (own | o).sum() for o in others):
                chosen.append((slot, token))
        classes = np.array(chosen, np.int64).reshape(-1, 2)
        out = cls(classes[:, 0], classes[:, 1], ())
        since = times[:, None] - out.last_times(tokens, times, starts)
        shares = np.arange(1, N_BINS) / N_BINS
        present = [column[~np.isnan(column)] for column in since.T]
        edges = [np.unique(np.quantile(one, shares)) if len(one) else np.zeros(0) for one in present]
        return cls(out.slots, out.tokens, tuple(edges))

    @property
    def sizes(self) -> list[int]:
        """Number of tokens of the time since each class."""
        return [len(edges) + 2 for edges in self.edges]

    def none_yet(self, parents: int) -> Floats:
        """Return the last time of each class before any sibling, NaN, shape (parents, classes)."""
        return np.full((parents, len(self.slots)), np.nan)

    def last_times(self, tokens: Integers, times: Floats, starts: Integers) -> Floats:
        """Return the time of the last earlier sibling of each class, NaN for none, shape (n, classes)."""
        out, number = self.none_yet(len(tokens)), np.arange(len(tokens))
        begin = np.repeat(starts[:-1], np.diff(starts))
        for k, (slot, token) in enumerate(zip(self.slots, self.tokens, strict=True)):
            held = np.maximum.accumulate(np.where(tokens[:, slot] == token, number, -1))
            before = np.append([-1], held[:-1])
            there = before >= begin
            out[there, k] = times[before[there]]
        return out

    def update(self, last: Floats, tokens: Integers, times: Floats) -> Floats:
        """Return the last times after one more row of each parent, shape (parents, classes)."""
        return np.where(tokens[:, self.slots] == self.tokens, times[:, None], last)

    def read(self, last: Floats, now: Floats) -> Integers:
        """Return the binned time since each class, the last token for never, shape (n, classes)."""
        since = now[:, None] - last
        out = [np.searchsorted(edges, column, side="right") for edges, column in zip(self.edges, since.T, strict=True)]
        tokens = np.stack(out, 1) if out else np.zeros(since.shape)
        return np.where(np.isnan(since), np.array(self.sizes, np.int64) - 1, tokens).astype(np.int64)

    def state(self) -> Arrays:
        """Return plain data and arrays for ``from_state``."""
        return {"slots": self.slots, "tokens": self.tokens} | {f"bins.{i}": one for i, one in enumerate(self.edges)}

    @classmethod
    def from_state(cls, arrays: Arrays) -> Self:
        """Rebuild from a state."""
        return cls(arrays["slots"], arrays["tokens"], tuple(arrays[f"bins.{i}"] for i in range(len(arrays["slots"]))))
