"""Slots of the token matrix: one for each column, two digits for columns with very many tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tabsynth.codec.categorical_encoder import Coder
from tabsynth.common.arrays import Arrays, Floats, Tokens, check_numbers

MAX_SLOT_TOKENS = 1024
"""A column with more tokens is written as two digits."""


@dataclass(frozen=True)
class Slot:
    """One position of the token matrix: a whole column, or one digit of a wide one.

    Attributes:
        column: The column.
        size: Number of tokens.
        digit: 0 for the high digit of a wide column, 1 for the low one.
        missing: The MISSING token; None for a low digit.
    """

    column: str
    size: int
    digit: int | None = None
    missing: int | None = None


def column_slots(name: str, coder: Coder) -> Iterator[Slot]:
    """One slot, or two digits of about equal size, with RARE and MISSING as separate high digits."""
    if coder.size <= MAX_SLOT_TOKENS:
        yield Slot(name, coder.size, missing=coder.missing)
        return
    base = math.ceil(math.sqrt(coder.rare))
    high = math.ceil(coder.rare / base) + 2
    yield Slot(name, high, digit=0, missing=high - 1)
    yield Slot(name, base, digit=1)


def split_digits(tokens: Tokens, coder: Coder, high: int, base: int) -> tuple[Tokens, Tokens]:
    """Return the two digits of a wide column's tokens, -1 where unknown."""
    digits = np.where(tokens < coder.rare, tokens // base, tokens - coder.missing + high - 1)
    low = np.where(tokens < coder.rare, tokens % base, 0)
    known = tokens >= 0
    return np.where(known, digits, -1).astype(np.int32), np.where(known, low, -1).astype(np.int32)


def join_digits(first: Tokens, second: Tokens, coder: Coder, high: int, base: int) -> Tokens:
    """Return a wide column's tokens from their two digits."""
    value = np.minimum(first * base + second, coder.rare - 1)
    return np.where(first < high - 2, value, first - high + 1 + coder.missing).astype(np.int32)


def digit_share(coder: Coder, share: Floats, high: int, base: int, digit: int | None) -> Floats:
    """Return the allowed shares of a wide column's tokens as shares of one digit.

    Returns:
        For the high digit, the share that it can reach, by training frequency, shape (high,); for the low digit, its
        shares after each high digit, shape (high, base).
    """
    table, counts = np.zeros((high, base)), np.zeros((high, base))
    first, second = split_digits(np.arange(len(share), dtype=np.int32), coder, high, base)
    table[first, second], counts[first, second] = share, coder.counts
    if digit == 1:
        return table
    return np.asarray((table * counts).sum(1) / np.maximum(counts.sum(1), 1))


def stored_counts(arrays: Arrays, sizes: Sequence[int]) -> list[npt.NDArray[np.int64]]:
    """Return the rows of each token of each slot from the arrays of a model file.

    Raises:
        ValueError: They are those of other slots.
    """
    counts = [arrays[f"count.{i}"] for i in range(len(sizes))]
    if f"count.{len(sizes)}" in arrays or [count.shape for count in counts] != [(size,) for size in sizes]:
        raise ValueError("the counts of tokens do not match the columns")
    for count in counts:
        check_numbers(count, count.shape, "the counts of tokens", low=0, whole=True)
    return counts
