"""Errors between two encoded tables: of single columns and of pairs of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, product

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.stats.distances import (
    MAX_DENSE_CELLS,
    correlation_distance,
    number_distance,
    pairwise_correlations,
    shape_errors,
)
from tabsynth.evaluation.stats.encoded_table import N_BINS, EncodedTable, Encoding

MAX_ROUNDING = 1e-9
"""Relative tolerance of rounding errors, as in means of equal numbers."""

Parts = dict[tuple[str, ...], float]


@dataclass(frozen=True)
class Measurement:
    """An error in percent: the mean of its parts, or a value without parts.

    Attributes:
        value: The error.
        parts: The error of each column or pair.
    """

    value: float
    parts: Mapping[tuple[str, ...], float] = field(default_factory=dict)

    @classmethod
    def mean(cls, parts: Mapping[tuple[str, ...], float]) -> Measurement | None:
        """Return the mean of errors, which are fractions; None without parts."""
        if not parts:
            return None
        percent = {names: 100 * float(value) for names, value in parts.items()}
        return cls(float(np.mean(list(percent.values()))), percent)


def column_errors(real: EncodedTable, other: EncodedTable) -> Parts:
    """Return the error of every column's distribution, as a fraction."""
    names = real.encoding.names
    if not len(real) or not len(other):
        return dict.fromkeys(((name,) for name in names), float(len(real) != len(other)))
    return {(name,): float(value) for name, value in zip(names, shape_errors(real, other), strict=True)}


def pair_errors(real: EncodedTable, other: EncodedTable, pairs: Iterable[tuple[int, int]]) -> Parts:
    """Return the error of each pair's relation as a fraction, from correlations or contingency tables."""
    names, continuous = real.encoding.names, real.encoding.continuous
    chosen = list(pairs)
    if not len(real) or not len(other):
        return {(names[a], names[b]): float(len(real) != len(other)) for a, b in chosen}
    place = np.cumsum(continuous) - 1
    gap = np.zeros((0, 0))
    if sum(continuous[a] and continuous[b] for a, b in chosen):
        gap = correlation_distance(pairwise_correlations(real.values), pairwise_correlations(other.values))
    out: Parts = {}
    for a, b in chosen:
        if continuous[a] and continuous[b]:
            out[names[a], names[b]] = float(gap[place[a], place[b]])
        else:
            out[names[a], names[b]] = _contingency_error(real, other, a, b)
    return out


def within(columns: int) -> list[tuple[int, int]]:
    """Return all pairs of columns."""
    return list(combinations(range(columns), 2))


def across(first: int, second: int) -> list[tuple[int, int]]:
    """Return all pairs of one of the ``first`` columns and one of the ``second`` columns after them."""
    return list(product(range(first), range(first, first + second)))


def _contingency_error(real: EncodedTable, other: EncodedTable, a: int, b: int) -> float:
    size = int(real.encoding.sizes[b])
    left, right = (table.codes[:, a] * size + table.codes[:, b] for table in (real, other))
    return variation(left, right, int(real.encoding.sizes[a]) * size)


def variation(left: Integers, right: Integers, size: int) -> float:
    """Return the total variation between the shares of codes below ``size``."""
    if not len(left) or not len(right):
        return float(len(left) != len(right))
    if size > MAX_DENSE_CELLS:
        unique, both = np.unique(np.concatenate([left, right]), return_inverse=True)
        left, right, size = both[: len(left)], both[len(left) :], len(unique)
    shares = [np.bincount(codes, minlength=size) / len(codes) for codes in (left, right)]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum())


def ks_distance(real: Floats, other: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance of the present values; 1 if only one table has values."""
    left, right = real[~np.isnan(real)], other[~np.isnan(other)]
    if not len(left) or not len(right):
        return float(len(left) != len(right))
    return number_distance(left, right)


def join_columns(parts: Iterable[tuple[str, EncodedTable]]) -> EncodedTable:
    """Join the columns of tables with equal numbers of rows; the names of each get a prefix."""
    tables = list(parts)
    encoding = Encoding(
        tuple(f"{prefix}{name}" for prefix, table in tables for name in table.encoding.names),
        np.concatenate([table.encoding.continuous for _, table in tables]),
        np.concatenate([table.encoding.sizes for _, table in tables]),
        tuple(labels for _, table in tables for labels in table.encoding.labels),
    )
    codes, values = (np.hstack([getattr(t, kind) for _, t in tables]) for kind in ("codes", "values"))
    return EncodedTable(encoding, codes, values)


def _bin_edges(values: Floats) -> Floats:
    """Return the edges of equal-width bins; a range within rounding errors becomes one bin."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if high - low <= MAX_ROUNDING * max(abs(low), abs(high)):
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, N_BINS + 1)


def number_tables(names: tuple[str, ...], real: Floats, other: Floats) -> tuple[EncodedTable, EncodedTable]:
    """Encode two tables of numbers with equal-width bins of the first."""
    sides: tuple[list[Integers], list[Integers]] = ([], [])
    for j in range(len(names)):
        present = real[~np.isnan(real[:, j]), j]
        edges = _bin_edges(present)
        for side, values in zip(sides, (real[:, j], other[:, j]), strict=True):
            codes = np.searchsorted(edges[1:-1], values, side="right").astype(np.int64) + 1
            side.append(np.where(np.isnan(values), 0, codes))
    encoding = Encoding(
        names, np.ones(len(names), bool), np.full(len(names), N_BINS + 1, np.int64), tuple(() for _ in names)
    )
    first, second = (np.column_stack(codes) if codes else np.zeros((0, 0), np.int64) for codes in sides)
    return EncodedTable(encoding, first, real), EncodedTable(encoding, second, other)
