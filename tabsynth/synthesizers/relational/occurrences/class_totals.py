"""Number of children of each parent that have a certain value, for values whose shares differ most between parents.

A diagnosis recurs in the visits of those patients who have it. The number of these visits is sampled with the parent,
as a column of the plan. The history network reads how many of them remain to be sampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Arrays, Bools, Floats, Integers
from tabsynth.schema.columns import Column
from tabsynth.synthesizers.relational.occurrences.nested_shares import NestedShares
from tabsynth.synthesizers.relational.occurrences.regular_counts import RegularCounts

MAX_TOTALS, PARENTS_PER_TOTAL = 24, 25
"""Maximum number of classes, and minimum number of parents per class: plans of many shares would identify parents."""

MIN_MEAN_CHILDREN = 5.0
"""Minimum mean number of children per parent; shorter histories are described by their kind alone."""

MIN_GAIN, CHANCE_DEVIATIONS = 0.01, 5.0
"""Minimum log-likelihood gain, in nats per child, of own shares for each parent over a common share, and the number of
standard deviations of the gain by chance that are added to it."""

MAX_AGREEMENT = 0.9
"""Maximum Jaccard index of the rows of two classes, or of one class and the complement of the other."""

N_SHARES = 16
"""Number of bins of a class's share of the remaining children, besides one bin for 0 and one for 1."""


@dataclass(frozen=True)
class ChildClass:
    """The children that have a value in a column; the value None stands for missing cells."""

    column: str
    value: Any

    def rows(self, children: pd.DataFrame) -> Bools:
        """Return which children are of the class, shape (n,)."""
        values = children[self.column]
        return np.asarray(values.isna() if self.value is None else (values == self.value).fillna(False), bool)


@dataclass(frozen=True, eq=False)
class PlannedClasses:
    """Classes whose shares are columns of the parent's plan.

    Attributes:
        by_column: The classes by plan column.
        nesting: How they exclude and contain each other.
        regular: Those whose number follows from the length of the history.
    """

    by_column: Mapping[str, ChildClass] = field(default_factory=dict)
    nesting: NestedShares = field(default_factory=NestedShares.none)
    regular: RegularCounts = field(default_factory=RegularCounts.none)


def choose_classes(
    children: pd.DataFrame,
    columns: Mapping[str, Column],
    rows: Integers,
    roots: Integers,
    min_group: int,
    lengths: Integers | None = None,
) -> tuple[ChildClass, ...]:
    """Return the regular classes, and those whose shares differ most between parents, by the log-likelihood ratio.

    Args:
        children: Child rows.
        columns: Their columns.
        rows: The parent's row number of each child, shape (n,).
        roots: The root's row number of each child, shape (n,).
        min_group: Minimum number of roots with a child of the class.
        lengths: Lengths of the histories of parents with children, see ``calendar_lengths``; None for no regular
            classes.
    """
    parents, own = np.unique(rows, return_inverse=True)
    if len(rows) < MIN_MEAN_CHILDREN * len(parents):
        return ()
    counts, found = np.bincount(own), list[tuple[float, int, ChildClass]]()
    least = MIN_GAIN * len(rows) + CHANCE_DEVIATIONS * np.sqrt(len(parents) / 2)  # half a chi-squared value each
    for name, column in columns.items():
        if column.kind not in ("categorical", "boolean"):
            continue
        codes, values = pd.factorize(children[name])
        for code in range(-1, len(values)):
            held = codes == code
            totals = np.bincount(own[held], minlength=len(parents))
            gain = _gain(totals, counts)
            if (
                lengths is not None
                and RegularCounts.fit(totals[:, None].astype(np.float64), lengths, min_group).units[0] >= 0
            ):
                gain = np.inf
            if gain > least and len(np.unique(roots[held])) >= min_group:
                found.append((-gain, len(found), ChildClass(name, None if code < 0 else values[code])))
    chosen: list[tuple[ChildClass, Bools]] = []
    most = min(MAX_TOTALS, -(-len(parents) // PARENTS_PER_TOTAL))
    for _, _, one in sorted(found, key=lambda item: item[:2]):
        held = one.rows(children)
        agree = [(held & other).sum() / max((held | other).sum(), 1) for _, other in chosen]
        agree += [(~held & other).sum() / max((~held | other).sum(), 1) for _, other in chosen]
        if len(chosen) < most and max(agree, default=0.0) < MAX_AGREEMENT:
            chosen.append((one, held))
    return tuple(one for one, _ in chosen)


def _gain(totals: Integers, counts: Integers) -> float:
    """Return the log-likelihood gain of own shares for each parent, minus half a nat per parent, its mean by chance."""
    share, shares = totals.sum() / counts.sum(), totals / counts
    if share in (0.0, 1.0):
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(totals > 0, totals * np.log(shares / share), 0.0)
        other = np.where(totals < counts, (counts - totals) * np.log((1 - shares) / (1 - share)), 0.0)
    return float((one + other).sum() - 0.5 * len(counts))


@dataclass(frozen=True, eq=False)
class ClassTotals:
    """Classes of children by their tokens.

    Attributes:
        columns: The parent's plan column of each class.
        slots: Slot of each class, in sampling order, shape (classes,).
        tokens: Token of each class, shape (classes,).
        nesting: How the classes exclude and contain each other.
        regular: Classes whose number follows from the length of the history.
        deciding: Slot, token and class of each token that only rows of the class have, in slots before that of the
            class, shape (tokens, 3).
    """

    columns: tuple[str, ...]
    slots: Integers
    tokens: Integers
    nesting: NestedShares = field(default_factory=NestedShares.none)
    regular: RegularCounts = field(default_factory=RegularCounts.none)
    deciding: Integers = field(default_factory=lambda: np.zeros((0, 3), np.int64))

    @classmethod
    def none(cls) -> Self:
        """Return no classes."""
        return cls((), np.zeros(0, np.int64), np.zeros(0, np.int64))

    @property
    def sizes(self) -> list[int]:
        """Number of tokens of each class's feature: none, shares, all, unknown."""
        return [N_SHARES + 3] * len(self.slots)

    def left_before(self, tokens: Integers, totals: Floats, starts: Integers) -> Floats:
        """Return the number of remaining children of each class, the row included, NaN if unknown, shape (n, classes).

        Args:
            tokens: Training rows in sampling order, siblings together and in order, shape (n, slots).
            totals: Totals of each parent with children, shape (parents with children, classes).
            starts: Row number of each parent's first child, and the number of rows.
        """
        seen = np.cumsum(tokens[:, self.slots] == self.tokens, axis=0)
        before = np.concatenate([np.zeros_like(seen[:1]), seen[:-1]])
        lengths = np.diff(starts)
        return np.asarray(np.repeat(totals + before[starts[:-1]], lengths, axis=0) - before)

    def update(self, left: Floats, tokens: Integers) -> Floats:
        """Return the remaining children of each class after one more row of each parent, shape (parents, classes)."""
        return np.asarray(left - (tokens[:, self.slots] == self.tokens))

    def used(self, slot: int, left: Floats, planned: Floats, size: int) -> Bools:
        """Return the tokens of a slot that must not be sampled, shape (n, size).

        These are the tokens of classes without remaining children, and tokens of earlier slots that only rows of a
        class have, for parents that have no child of the class. Where a class merely has no remaining children, the
        earlier slots are not limited: an upper limit without a lower one would make the class too rare.

        Args:
            slot: The slot.
            left: Remaining children of each class, shape (n, classes).
            planned: All planned children of each class, shape (n, classes).
            size: Number of tokens of the slot.
        """
        out = np.zeros((len(left), size), bool)
        for token, k in self.deciding[self.deciding[:, 0] == slot, 1:]:
            out[:, token] |= planned[:, k] <= 0
        for k in np.flatnonzero(self.slots == slot):
            out[:, self.tokens[k]] |= left[:, k] <= 0
        return out

    def read(self, left: Floats, rows_left: Integers) -> Integers:
        """Return the binned share of each class among the remaining children, shape (n, classes)."""
        share = np.clip(left / np.maximum(rows_left, 1)[:, None], 0.0, 1.0)
        out = np.where(share <= 0, 0, np.where(share >= 1, N_SHARES + 1, 1 + np.floor(share * N_SHARES)))
        return np.where(np.isnan(left), N_SHARES + 2, out).astype(np.int64)

    def state(self) -> Arrays:
        """Return arrays for ``from_state``."""
        own = {"slots": self.slots, "tokens": self.tokens, "deciding": self.deciding}
        return {**own, **self.nesting.state(), **self.regular.state()}

    @classmethod
    def from_state(cls, columns: Sequence[str], arrays: Arrays) -> Self:
        """Rebuild from a state."""
        nesting = NestedShares.from_state(arrays, len(columns))
        regular = RegularCounts.from_state(arrays, len(columns))
        deciding = arrays.get("deciding", np.zeros((0, 3), np.int64))
        return cls(tuple(columns), arrays["slots"], arrays["tokens"], nesting, regular, deciding)


def deciding_tokens(tokens: Integers, slots: Integers, classes: Integers, earlier: Sequence[int]) -> Integers:
    """Return the slot, token and class of each token that only rows of the class have, shape (tokens, 3).

    Args:
        tokens: Training rows in sampling order, shape (n, slots).
        slots: Slot of each class, shape (classes,).
        classes: Token of each class, shape (classes,).
        earlier: Slots to search; of these, those before the slot of a class.
    """
    out = []
    for k, (place, token) in enumerate(zip(slots, classes, strict=True)):
        held = tokens[:, place] == token
        for slot in earlier:
            if slot < place:
                size = int(tokens[:, slot].max()) + 1
                inside, outside = (np.bincount(tokens[rows, slot], minlength=size) for rows in (held, ~held))
                out += [(slot, own, k) for own in np.flatnonzero((inside > 0) & (outside == 0))]
    return np.array(out, np.int64).reshape(-1, 3)
