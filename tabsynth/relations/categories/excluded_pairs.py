"""Pairs of categories that never occur together although both are frequent, such as a husband and never married.

Networks give such pairs a small probability. The tokens of rows with an excluded pair are repaired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from tabsynth.common.arrays import Bools, Floats, Integers, Tokens
from tabsynth.relations.order_evidence import MAX_SCALE_TOKENS, extrapolated_rates

MAX_SCAN_ROWS = 2500
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MAX_TOKENS = 500
"""Maximum number of tokens of a slot."""

MAX_ORDERED_TOKENS = 32
"""Maximum number of ordered tokens of a slot; only the pairs of one slot without order are searched."""

MIN_ROWS = 50
"""Minimum rows of a table."""

MIN_RIVAL_PERSONS = 20
"""Minimum persons of a token whose rate serves as an estimate of the rate by chance."""

MIN_EVIDENCE = 30.0
"""Minimum number of persons that would have an excluded pair by chance."""


@dataclass(frozen=True, eq=False)
class ExcludedPairs:
    """Tokens of two slots that never occur in one row.

    Attributes:
        first, second: The two slots.
        pairs: Whether two tokens exclude each other, shape (size of the first slot, size of the second slot).
    """

    first: int
    second: int
    pairs: npt.NDArray[np.bool_]

    @property
    def slots(self) -> tuple[int, int]:
        """Both slots."""
        return self.first, self.second

    def violated(self, tokens: npt.NDArray[Any]) -> Bools:
        """Return the rows with an excluded pair, shape (rows,); -1 is any token."""
        first, second = tokens[:, self.first], tokens[:, self.second]
        return np.asarray((first >= 0) & (second >= 0) & self.pairs[first, second])

    def excluded(self, slot: int, tokens: npt.NDArray[Any], size: int) -> Bools:
        """Return the tokens of one of the slots that the other slot's token excludes, shape (rows, size)."""
        return np.asarray(
            self.pairs[tokens[:, self.first]] if slot == self.second else self.pairs.T[tokens[:, self.second]]
        )

    def without(self, tokens: npt.NDArray[Any]) -> Self | None:
        """Return the pairs that do not occur in some rows, None if all do."""
        here = self.violated(tokens)
        pairs = self.pairs.copy()
        pairs[tokens[here, self.first], tokens[here, self.second]] = False
        return replace(self, pairs=pairs) if pairs.any() else None

    def narrow(self, allowed: list[Bools]) -> None:
        """Remove, in place, allowed tokens of either slot that exclude all allowed tokens of the other."""
        for slot, other, pairs in ((self.first, self.second, self.pairs), (self.second, self.first, self.pairs.T)):
            kept = allowed[slot] & ~pairs[:, allowed[other]].all(axis=1)
            if kept.any():
                allowed[slot] = kept

    def describe(self, columns: Sequence[str]) -> dict[str, Any]:
        """Return the pairs for the model card, given the column of each slot."""
        return {
            "rule": f"some values of {columns[self.first]} and {columns[self.second]} exclude each other",
            "values": f"{int(self.pairs.sum())} of {self.pairs.size} pairs",
        }


def discover_excluded_pairs(
    tokens: Tokens,
    sizes: Sequence[int],
    open_: Sequence[Sequence[int] | None],
    n_ordered: Sequence[int],
    persons: Integers | None = None,
) -> Iterator[ExcludedPairs]:
    """Find the pairs of tokens that occur in no row, with enough evidence.

    A pair is excluded if the smallest rates of one token beside the other tokens of the second slot would lead one to
    expect ``MIN_EVIDENCE`` persons with the pair.

    Args:
        tokens: Shape (rows, slots), -1 where a row does not have the column.
        sizes: Number of tokens of each slot.
        open_: For each slot the pooled tokens, after which anything may follow; None excludes the slot.
        n_ordered: Number of ordered tokens of each slot.
        persons: Person of each row, shape (rows,); None if each row is its own person.
    """
    used = [
        i
        for i in range(len(sizes))
        if open_[i] is not None and sizes[i] <= MAX_TOKENS and n_ordered[i] <= MAX_ORDERED_TOKENS
    ]
    if len(tokens) < MIN_ROWS or len(used) < 2:
        return
    share = min(1.0, MAX_SCAN_ROWS / len(tokens))
    scan = tokens[:: max(1, len(tokens) // MAX_SCAN_ROWS)][:, used]
    scales = [n_ordered[i] > 0 or sizes[i] <= MAX_SCALE_TOKENS for i in used]
    for one, other in _candidates(scan, [sizes[i] for i in used], [open_[i] or () for i in used], scales, share):
        i, j = used[one], used[other]
        if n_ordered[i] and n_ordered[j]:
            continue
        here = (tokens[:, i] >= 0) & (tokens[:, j] >= 0)
        own = None if persons is None else persons[here]
        excluded = _excluded(
            *_counts(tokens[here, i], tokens[here, j], sizes[i], sizes[j], own), scales[one] and scales[other]
        )
        excluded[list(open_[i] or ())], excluded[:, list(open_[j] or ())] = False, False
        if excluded.any():
            yield ExcludedPairs(i, j, excluded)


def _candidates(
    scan: Tokens, sizes: Sequence[int], open_: Sequence[Sequence[int]], scales: Sequence[bool], share: float
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of slots with excluded tokens in a sample of the rows."""
    start = np.append(0, np.cumsum(sizes))
    rows, slots = np.nonzero(scan >= 0)
    columns = start[slots] + scan[rows, slots]
    table = sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(scan), start[-1]))
    for i in range(len(sizes) - 1):
        together = (table[:, start[i] : start[i + 1]].T @ table[:, start[i + 1] :]).toarray().astype(np.float64)
        together[list(open_[i])] = 0
        for j in range(i + 1, len(sizes)):
            counts = together[:, start[j] - start[i + 1] : start[j + 1] - start[i + 1]]
            counts[:, list(open_[j])] = 0
            # By chance a sample may contain half of the expected evidence.
            if _excluded(
                counts, counts.sum(axis=1), counts.sum(axis=0), scales[i] and scales[j], share / (1 + (share < 1))
            ).any():
                yield i, j


def _counts(
    first: Tokens, second: Tokens, size: int, other: int, persons: Integers | None
) -> tuple[Floats, Floats, Floats]:
    """Return the persons with each pair of tokens, shape (size, other), and those with each token of both slots."""
    pairs = _persons(first.astype(np.int64) * other + second, size * other, persons).reshape(size, other)
    if persons is None:
        return pairs, pairs.sum(axis=1), pairs.sum(axis=0)
    return pairs, _persons(first, size, persons), _persons(second, other, persons)


def _persons(codes: Integers | Tokens, size: int, persons: Integers | None) -> Floats:
    """Return the number of persons with each code, shape (size,)."""
    if persons is not None:
        codes = np.unique(persons * size + codes) % size
    return np.bincount(codes, minlength=size).astype(np.float64)


def _excluded(counts: Floats, first: Floats, second: Floats, scaled: bool, share: float = 1.0) -> Bools:
    """Return the pairs without persons that have enough evidence, given the persons of each pair and token."""
    evidence = np.maximum(_evidence(counts, first, scaled, share), _evidence(counts.T, second, scaled, share).T)
    return np.asarray((counts == 0) & (evidence >= MIN_EVIDENCE * share))


def _evidence(counts: Floats, size: Floats, scaled: bool, share: float) -> Floats:
    """Return the persons with each pair expected from the smallest rates of the second token beside first ones.

    Distant steps of one scale are rarely together: with ``scaled``, the rates are extrapolated.
    """
    rivals = (counts > 0) & (size >= MIN_RIVAL_PERSONS * share)[:, None]
    if scaled:
        return np.asarray(size[:, None] * extrapolated_rates(counts, size, rivals))
    least = np.where(rivals, counts / np.maximum(size, 1)[:, None], np.inf).min(axis=0)
    return np.asarray(size[:, None] * np.where(np.isinf(least), 0.0, least))
