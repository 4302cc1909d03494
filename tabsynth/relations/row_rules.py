"""Rules that every row satisfies: order between columns, equality within a group, and bands of a numeric column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats

Values = Mapping[str, Any]
"""Numbers of numeric columns and tokens of categorical ones, shape (n,) each."""


def whole_ticks(values: Floats, ticks: int) -> Floats:
    """Return datetimes in whole ticks of a coarser resolution that has ``ticks`` of theirs, shape (n,)."""
    return values if ticks == 1 else np.floor(values / ticks)


@dataclass(frozen=True)
class OrderRule:
    """``high - low >= gap`` wherever both are present.

    Attributes:
        low, high: The columns.
        gap: The minimum difference, 0 for plain order; for datetimes in units of their resolution.
        text: The rule as users read it.
        evidence: Rows expected to violate the rule by chance; none does.
        low_ticks, high_ticks: For datetimes of two resolutions, ticks of each column in one tick of the coarser one,
            such as 1440 for minutes beside days. The whole coarser ticks are compared.
        exempt_column: Column of the two with a value that needs no order, "" for none.
        exempt: Its value.
    """

    low: str
    high: str
    gap: float
    text: str
    evidence: float
    low_ticks: int = 1
    high_ticks: int = 1
    exempt_column: str = ""
    exempt: float = 0.0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.low, self.high)

    def holds(self, values: Values) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        slack = 1e-9 * abs(self.gap)
        high, low = whole_ticks(values[self.high], self.high_ticks), whole_ticks(values[self.low], self.low_ticks)
        violated = high - low < self.gap - slack
        if self.exempt_column:
            violated &= values[self.exempt_column] != self.exempt
        return np.asarray(~violated)

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Resample both numbers inside their tokens; if the tokens exclude the rule, reflect one number."""
        for column in (self.high, self.low):
            rows = np.flatnonzero(~self.holds(values) & ~pinned[column])
            if len(rows):
                other = values[self.low if column == self.high else self.high][rows]
                values[column][rows] = self._moved(column, values[column][rows], other, coders[column], seed[rows])

    def _moved(self, column: str, values: Floats, other: Floats, coder: QuantileCoder, seed: Floats) -> Floats:
        """Resample a number inside its token on the correct side of the other, or reflect it at the boundary."""
        low, high = (
            bound[np.minimum(coder.encode(values), coder.n_ordered_tokens - 1)] for bound in coder.token_bounds()
        )
        if column == self.high:
            edge = (whole_ticks(other, self.low_ticks) + self.gap) * self.high_ticks
        else:  # up to the last tick of the other's coarser tick
            edge = (whole_ticks(other, self.high_ticks) - self.gap + 1) * self.low_ticks - 1
            edge = edge if self.low_ticks > 1 else whole_ticks(other, self.high_ticks) - self.gap
        least, most = (np.maximum(low, edge), high) if column == self.high else (low, np.minimum(high, edge))
        inside = _between(coder, least, most, seed)
        reflected = coder.round_to_step(2 * edge - values)
        beyond = (reflected < coder.low[0]) | (reflected > coder.high[-1])
        if beyond.any():  # clipping would create a point mass at the end of the column
            reflected[beyond] = self._beside(column, edge[beyond], coder, seed[beyond])
        return np.where(least <= most, inside, reflected)

    def _beside(self, column: str, edge: Floats, coder: QuantileCoder, seed: Floats) -> Floats:
        """Resample a number from those of the column that are on the correct side of its boundary."""
        edge = np.clip(edge, coder.low[0], coder.high[-1])
        if column == self.high:
            return _between(coder, edge, np.full(len(edge), coder.high[-1]), seed)
        return _between(coder, np.full(len(edge), coder.low[0]), edge, seed)


@dataclass(frozen=True)
class EqualityRule:
    """``column == source`` in the rows whose ``group`` column has one value, or is missing.

    Attributes:
        group: The column that defines the group.
        value: Its value: a number, or a token.
        column, source: The two numeric columns.
        text, evidence: As in ``OrderRule``.
        missing: Whether the rows are those in which the group column is missing.
    """

    group: str
    value: float
    column: str
    source: str
    text: str
    evidence: float
    missing: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.group, self.column, self.source)

    def applies(self, values: Values) -> Bools:
        """Return the rows of the group, shape (n,)."""
        return np.asarray(np.isnan(values[self.group]) if self.missing else values[self.group] == self.value)

    def holds(self, values: Values) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        difference = values[self.column] - values[self.source]
        return np.asarray(~self.applies(values) | (difference == 0) | np.isnan(difference))

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Overwrite one number with the other."""
        for own, other in ((self.column, self.source), (self.source, self.column)):
            rows = ~self.holds(values) & ~pinned[own]
            values[own][rows] = values[other][rows]


@dataclass(frozen=True)
class BandRule:
    """A low-cardinality column is a step function of a numeric column, or of a sum or difference of two.

    Attributes:
        column: The low-cardinality column.
        terms: The numeric columns with their signs.
        lower, upper: Ends of each band's observed values, ascending.
        labels: Number or token of the column in each band.
        text, evidence: As in ``OrderRule``.
    """

    column: str
    terms: tuple[tuple[str, float], ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    labels: tuple[float, ...]
    text: str
    evidence: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (self.column, *(name for name, _ in self.terms))

    def _bands(self, values: Values) -> tuple[Any, Bools]:
        """Return each row's label, and whether the row lies between two bands, where the label is unknown."""
        number = np.sum([sign * values[name] for name, sign in self.terms], axis=0)
        band = np.clip(np.searchsorted(np.array(self.lower), number, side="right") - 1, 0, None)
        between = (number > np.array(self.upper)[band]) & (band < len(self.upper) - 1)
        return np.where(np.isnan(number), np.nan, np.array(self.labels)[band]), between

    def holds(self, values: Values) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        label, between = self._bands(values)
        return np.asarray(np.isnan(label) | np.isnan(values[self.column]) | ((values[self.column] == label) & ~between))

    def repair(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools], seed: Floats
    ) -> None:
        """Compute the column from its band; if it is pinned, move a term into the band instead."""
        label, _ = self._bands(values)
        rows = ~np.isnan(label) & ~np.isnan(values[self.column]) & ~pinned[self.column]
        values[self.column][rows] = label[rows]
        self._leave_gaps(values, coders, pinned)
        for name, sign in self.terms:
            rows = np.flatnonzero(pinned[self.column] & ~pinned[name] & ~self.holds(values))
            matches = np.array(self.labels) == values[self.column][rows][:, None]
            rows, band = rows[matches.any(axis=1)], matches[matches.any(axis=1)].argmax(axis=1)
            lower, upper = np.array(self.lower)[band], np.array(self.upper)[band]
            others = np.sum([own * values[other][rows] for other, own in self.terms if other != name], axis=0)
            moved = coders[name].round_to_step((lower + seed[rows] * (upper - lower) - others) * sign)
            values[name][rows] = np.clip(moved, coders[name].low[0], coders[name].high[-1])

    def _leave_gaps(
        self, values: dict[str, Any], coders: Mapping[str, QuantileCoder], pinned: Mapping[str, Bools]
    ) -> None:
        """Move a term of the numbers between two bands to the end of the band below."""
        for name, sign in self.terms:
            rows = np.flatnonzero(self._bands(values)[1] & ~np.isnan(values[self.column]) & ~pinned[name])
            if len(rows):
                number = np.sum([own * values[other][rows] for other, own in self.terms], axis=0)
                band = np.searchsorted(np.array(self.lower), number, side="right") - 1
                excess = number - np.array(self.upper)[band]
                values[name][rows] = coders[name].round_to_step(values[name][rows] - sign * excess)


def _between(coder: QuantileCoder, least: Floats, most: Floats, seed: Floats) -> Floats:
    """Return numbers of a column's distribution between two ends, at a share of the mass between them."""
    first, last = coder.cumulative_mass(least), coder.cumulative_mass(most, inclusive=True)
    return coder.round_to_step(np.clip(coder.quantile(first + seed * (last - first)), least, most))
