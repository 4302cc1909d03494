"""Conditions on one column: a value, an interval, or missing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats

LARGEST = sys.float_info.max
"""End of an interval that is unbounded on this side."""


@dataclass(frozen=True)
class Condition:
    """A column has a value, lies in an interval, or is missing.

    Attributes:
        column: The column.
        least, most: Inclusive ends of the interval, equal for one value; None where the column is missing.
        negated: Whether the condition is negated; a negated condition is false for missing cells, except that of
            ``None``.
        text: The condition as users read it.
    """

    column: str
    least: float | None
    most: float | None
    negated: bool = False
    text: str = ""

    def of(self, values: Mapping[str, Any]) -> Bools:
        """Return the rows in which the condition holds, shape (n,)."""
        own = values[self.column]
        missing = np.isnan(own)
        if self.least is None or self.most is None:
            return np.asarray(~missing if self.negated else missing)
        inside = (own >= self.least) & (own <= self.most)
        return np.asarray(~inside & ~missing if self.negated else inside)


def condition_from_state(data: Mapping[str, Any]) -> Condition:
    """Rebuild a condition from plain data."""
    least, most = (None if data[key] is None else float(data[key]) for key in ("least", "most"))
    return Condition(str(data["column"]), least, most, bool(data["negated"]), str(data["text"]))


def draw_other(
    value: float | None, choices: Sequence[float], weights: Sequence[float], coder: QuantileCoder | None, seed: Floats
) -> Floats:
    """Return values of a column other than one value or missing, shape (n,).

    Args:
        value: The value, None for missing.
        choices: Values to sample from; if empty, the distribution of the coder is used.
        weights: Their shares.
        coder: The coder of a numeric column.
        seed: Uniform random numbers, shape (n,).
    """
    if len(choices):
        ends = np.cumsum(np.array(weights))
        at = np.searchsorted(ends, seed * ends[-1], side="right")
        return np.asarray(np.array(choices)[np.minimum(at, len(choices) - 1)])
    assert coder is not None
    first = last = 0.0
    if value is not None:
        first, last = (float(coder.cumulative_mass(np.array([value]), inclusive=own)[0]) for own in (False, True))
    mass = seed * (float(coder.mass.sum()) - (last - first))
    return coder.quantile(mass + (mass >= first) * (last - first))
