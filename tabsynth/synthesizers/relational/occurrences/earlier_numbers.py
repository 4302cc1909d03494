"""Numbers that depend on the number of an earlier sibling, such as weekly sales, or a salary that seldom changes.

The change is similar for small and large numbers. The network therefore has logits that depend on the distance only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from tabsynth.codec.codec import Codec
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Integers
from tabsynth.synthesizers.relational.occurrences.precedents import RowClass, rows_before

EDGES = np.geomspace(0.01, 2.5, 16)
"""Upper edges of the bins of distances, in standard deviations of the numbers' normal scores."""

N_DISTANCES = 2 * (len(EDGES) + 1) + 2
"""Number of bins of distances: equal, larger, smaller, and one for tokens that are not numbers."""

MIN_GAIN = 0.15
"""Minimum log-likelihood gain of the distance over the row's categories, in nats per row."""

MIN_GROUP_ROWS = 10
"""Minimum rows with equal categories for the distribution of distances of independent numbers."""


@dataclass(frozen=True, eq=False)
class EarlierNumber:
    """A slot whose number depends on the number of an earlier sibling.

    Attributes:
        slot: Its position in sampling order.
        by_class: Whether the earlier sibling is the last one of the same class; otherwise the previous sibling.
        classes: Binned distance of each token from each earlier token, shape (size + 1, size).
    """

    slot: int
    by_class: bool
    classes: npt.NDArray[np.uint8]


def distance_classes(coder: QuantileCoder) -> npt.NDArray[np.uint8]:
    """Return the binned distance of each token from each earlier one, shape (size + 1, size).

    The last row stands for a row without an earlier sibling.
    """
    n = coder.n_ordered_tokens
    counts = coder.counts[:n] + 0.5
    scores = ndtri((np.cumsum(counts) - counts / 2) / counts.sum())
    distance = scores[None, :] - scores[:, None]
    sides = np.searchsorted(EDGES, np.abs(distance)) + 1
    out = np.full((coder.size + 1, coder.size), N_DISTANCES - 1, np.uint8)
    out[:n, :n] = np.where(distance == 0, 0, np.where(distance > 0, sides, sides + len(EDGES) + 1))
    return out


def choose_earlier_numbers(
    tokens: Integers,
    coders: Mapping[int, QuantileCoder],
    categories: Sequence[int],
    row_class: RowClass | None,
    starts: Integers,
) -> tuple[EarlierNumber, ...]:
    """Return the slots whose numbers depend on an earlier sibling's number given the categories of the row.

    Args:
        tokens: Training rows in sampling order, siblings together and in order, shape (n, slots).
        coders: Coders of the slots of numbers.
        categories: Slots of categories.
        row_class: The class that defines precedents; None for no precedents.
        starts: Row number of each parent's first child, and the number of rows.
    """
    alike = np.zeros(len(tokens), np.int64)
    if len(categories):
        alike = np.unique(tokens[:, list(categories)], axis=0, return_inverse=True)[1].reshape(-1)
    sources = {False: _previous(starts)}
    if row_class is not None:
        sources[True] = rows_before(row_class.of(tokens), starts)
    out = []
    for slot, coder in coders.items():
        classes = distance_classes(coder)
        gains = {by: _gain(tokens[:, slot], rows, alike, classes) for by, rows in sources.items()}
        by_class = max(gains, key=gains.__getitem__)
        if gains[by_class] >= MIN_GAIN:
            out.append(EarlierNumber(slot, by_class, classes))
    return tuple(out)


def free_numbers(codec: Codec, order: Sequence[int], computed: Collection[int], gap: str) -> dict[int, QuantileCoder]:
    """Return the coders of numbers encoded in one slot, by position in sampling order, without computed ones and gaps.

    Args:
        codec: Vocabulary of the rows.
        order: The slots in sampling order.
        computed: Positions of computed slots.
        gap: Column of the gaps.
    """
    coders, slots = codec.numeric_coders, codec.slots
    own = {at: slots[i] for at, i in enumerate(order) if slots[i].digit is None and at not in computed}
    return {at: coders[one.column] for at, one in own.items() if one.column in coders and one.column != gap}


def earlier_rows(one: EarlierNumber, tokens: Integers, row_class: RowClass | None, starts: Integers) -> Integers:
    """Return the earlier row on whose number each row's number depends, -1 for none, shape (n,)."""
    return rows_before(row_class.of(tokens), starts) if one.by_class and row_class is not None else _previous(starts)


def _previous(starts: Integers) -> Integers:
    out = np.arange(starts[-1]) - 1
    out[starts[:-1]] = -1
    return out


def _gain(own: Integers, before: Integers, alike: Integers, classes: npt.NDArray[np.uint8]) -> float:
    """Return the divergence of the distances from those of numbers permuted within categories, in nats per row."""
    rows = np.flatnonzero((before >= 0) & (np.bincount(alike)[alike] >= MIN_GROUP_ROWS))
    if not len(rows):
        return 0.0
    rng = np.random.default_rng(0)
    order = np.lexsort((rng.random(len(rows)), alike[rows]))
    exchanged = np.empty(len(rows), np.int64)
    exchanged[np.argsort(alike[rows], kind="stable")] = own[rows][order]
    earlier = own[before[rows]]
    real, chance = (
        np.bincount(classes[earlier, tokens], minlength=N_DISTANCES) + 0.5 for tokens in (own[rows], exchanged)
    )
    return float((real * np.log(real / real.sum() / (chance / chance.sum()))).sum() / len(own))
