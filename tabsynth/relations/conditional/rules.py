"""Rules under conditions: bounds of numbers, values with several causes, counts of conditions, decimals of groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.conditional.conditions import Condition, draw_other


@dataclass(frozen=True)
class ThresholdRule:
    """A number is beyond a bound in every row that satisfies a condition on another column.

    Attributes:
        column: The numeric column.
        sign: 1 if the bound is the minimum, -1 if it is the maximum.
        bound: The bound, inclusive.
        condition: The condition. If it is negated, its column has the condition's value on the other side of the bound.
        text: The rule as users read it.
        evidence: Rows expected to violate the rule by chance; none does.
    """

    column: str
    sign: float
    bound: float
    condition: Condition
    text: str
    evidence: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.column, self.condition.column)

    def holds(self, values: Mapping[str, Any]) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        beyond = self.sign * (values[self.column] - self.bound) < 0
        return np.asarray(~(beyond & self.condition.of(values)))

    def repair(
        self,
        values: dict[str, Any],
        coders: Mapping[str, QuantileCoder],
        pinned: Mapping[str, Bools],
        seed: Floats,
        bounds: Sequence[ThresholdRule] = (),
    ) -> None:
        """Move the number inside its token; if the token excludes that, set the other column or move it further.

        The number is moved between all ``bounds`` of its column.
        """
        coder, other = coders[self.column], self.condition.column
        rows = np.flatnonzero(~self.holds(values) & ~pinned[self.column])
        if len(rows):
            token = np.minimum(coder.encode(values[self.column][rows]), coder.n_ordered_tokens - 1)
            low, high = (end[token] for end in coder.token_bounds())
            self._move(values, rows, low, high, coder, seed, bounds)
        if self.condition.negated:
            rows = np.flatnonzero(~self.holds(values) & ~pinned[other])
            values[other][rows] = np.nan if self.condition.least is None else self.condition.least
        rows = np.flatnonzero(~self.holds(values) & ~pinned[self.column])
        if len(rows):
            ends = np.full(len(rows), coder.low[0]), np.full(len(rows), coder.high[-1])
            self._move(values, rows, *ends, coder, seed, bounds)

    def _move(
        self,
        values: dict[str, Any],
        rows: Any,
        low: Floats,
        high: Floats,
        coder: QuantileCoder,
        seed: Floats,
        bounds: Sequence[ThresholdRule],
    ) -> None:
        """Sample numbers between two ends on the correct side of every bound, if there are any."""
        least, most = low, high
        for rule in (self, *bounds):
            here = rule.condition.of(values)[rows]
            if rule.sign > 0:
                least = np.where(here, np.maximum(least, rule.bound), least)
            else:
                most = np.where(here, np.minimum(most, rule.bound), most)
        first, last = coder.cumulative_mass(least), coder.cumulative_mass(most, inclusive=True)
        drawn = np.clip(coder.quantile(first + seed[rows] * (last - first)), least, most)
        possible = least <= most
        values[self.column][rows[possible]] = coder.round_to_step(drawn[possible])


@dataclass(frozen=True)
class CauseRule:
    """A column has a value, or is missing, exactly where at least one of several conditions holds.

    Attributes:
        column: The column.
        value: The value, None for missing.
        causes: The conditions.
        choices, weights: Other values of the column and their frequencies; empty for numbers of many values.
        text, evidence: As in ``ThresholdRule``.
    """

    column: str
    value: float | None
    causes: tuple[Condition, ...]
    choices: tuple[float, ...]
    weights: tuple[float, ...]
    text: str
    evidence: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.column, *dict.fromkeys(cause.column for cause in self.causes))

    def _sides(self, values: Mapping[str, Any]) -> tuple[Bools, Bools]:
        """Return the rows in which a cause is true, and those in which the column has the value."""
        caused = np.logical_or.reduce([cause.of(values) for cause in self.causes])
        return caused, Condition(self.column, self.value, self.value).of(values)

    def holds(self, values: Mapping[str, Any]) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        caused, present = self._sides(values)
        unknown = np.isnan(values[self.column]) & (self.value is not None)
        return np.asarray((caused == present) | unknown)

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Set the value in rows in which a cause is true, and sample another value in the others."""
        caused, present = self._sides(values)
        free = ~pinned[self.column] & ~self.holds(values)
        values[self.column][free & caused] = np.nan if self.value is None else self.value
        rows = np.flatnonzero(free & ~caused & present)
        if len(rows):
            coder = coders.get(self.column)
            values[self.column][rows] = draw_other(self.value, self.choices, self.weights, coder, seed[rows])


@dataclass(frozen=True)
class CountRule:
    """A column counts how many of several conditions hold.

    Attributes:
        column: The numeric column.
        constant: Added to the number of conditions.
        terms: The conditions; at most one of those on a column is true in a row.
        text, evidence: As in ``ThresholdRule``.
    """

    column: str
    constant: float
    terms: tuple[Condition, ...]
    text: str
    evidence: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.column, *dict.fromkeys(term.column for term in self.terms))

    def number(self, values: Mapping[str, Any]) -> Floats:
        """Return the count of each row, shape (n,)."""
        return np.asarray(self.constant + np.sum([term.of(values) for term in self.terms], axis=0, dtype=np.float64))

    def holds(self, values: Mapping[str, Any]) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        return np.asarray(np.isnan(values[self.column]) | (values[self.column] == self.number(values)))

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Overwrite the count."""
        rows = ~self.holds(values) & ~pinned[self.column]
        values[self.column][rows] = self.number(values)[rows]


@dataclass(frozen=True)
class DecimalsRule:
    """Numbers have fewer decimals where another column has certain values, such as amounts in a currency without cents.

    Attributes:
        column: The numeric column.
        group: The other column.
        values: Some of its values, ascending.
        decimals: Maximum decimals for each of them.
        text, evidence: As in ``ThresholdRule``.
    """

    column: str
    group: str
    values: tuple[float, ...]
    decimals: tuple[int, ...]
    text: str
    evidence: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.column, self.group)

    def _rounded(self, values: Mapping[str, Any]) -> Floats:
        """Return the numbers with the decimals of their group."""
        out = np.array(values[self.column], dtype=np.float64)
        for value, decimals in zip(self.values, self.decimals, strict=True):
            rows = values[self.group] == value
            out[rows] = np.round(out[rows], decimals)
        return out

    def holds(self, values: Mapping[str, Any]) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        own = values[self.column]
        return np.asarray(np.isnan(own) | (np.abs(own - self._rounded(values)) <= 1e-9 * np.maximum(1.0, np.abs(own))))

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Round the numbers."""
        rows = ~self.holds(values) & ~pinned[self.column]
        values[self.column][rows] = self._rounded(values)[rows]
