"""The rule that a formula of other columns determines a number, up to its rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.relations.arithmetic import FLOAT32_PRECISION
from tabsynth.relations.formulas.expressions import Formula

N_BISECTIONS = 48
"""Number of halvings by which a formula is solved for a column."""

ROUNDINGS: Mapping[str, tuple[float, float]] = {"nearest": (-0.501, 0.501), "down": (-1.0, 0.0), "up": (0.0, 1.0)}
"""Ends of the difference between a rounded number and the formula, in steps; ties are inside."""

SLACK = 1e-9
"""Relative precision of computed numbers that are not rounded, and precision of others in steps."""

MIN_SINGLE_STEP = 1e-5
"""Rounding step below which numbers may have been 32-bit floats."""


@dataclass(frozen=True)
class FormulaRule:
    """A number equals a formula of other columns, rounded.

    Attributes:
        column: The number.
        formula: The formula.
        step: The rounding step of the number, 0 for none.
        rounding: How it is rounded, one of ``ROUNDINGS``.
        text: The rule as users read it.
        evidence: Rows expected to violate the rule by chance; none does.
        exempt: Another number that the column may have, such as 0 for no fee; None for no number.
    """

    column: str
    formula: Formula
    step: float
    rounding: str
    text: str
    evidence: float
    exempt: float | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        return (*self.formula.columns, self.column)

    def number(self, values: Mapping[str, Any]) -> Floats:
        """Return the number that each row determines, NaN if it determines none, shape (n,)."""
        out = self.formula.of(values)
        known = np.isfinite(out) if self.exempt is None else np.isfinite(out) & (values[self.column] != self.exempt)
        out = np.where(known, out, np.nan)
        if not self.step:
            return out
        per_unit = round(1 / self.step)
        # As in the rounding to decimals by numpy and pandas, so that ties agree.
        steps = out * per_unit if per_unit and abs(per_unit * self.step - 1) < SLACK else out / self.step
        if self.rounding == "nearest":
            return np.asarray(np.rint(steps) * self.step)
        tiny = SLACK * np.maximum(np.abs(steps), 1)
        return np.asarray((np.floor(steps + tiny) if self.rounding == "down" else np.ceil(steps - tiny)) * self.step)

    def holds(self, values: Mapping[str, Any]) -> Bools:
        """Return whether each row satisfies the rule, shape (n,)."""
        good = agree(values[self.column], self.formula.of(values), self.step, self.rounding)
        return good if self.exempt is None else good | (values[self.column] == self.exempt)

    def repair(
        self,
        values: dict[str, Any],
        coders: Mapping[str, QuantileCoder],
        pinned: Mapping[str, Bools],
        seed: Floats,
        bounds: tuple[float, float] | None = None,
    ) -> None:
        """Overwrite the number; if it is pinned, solve the formula for one of its columns, or for several together.

        A pinned number may change between ``bounds``.
        """
        rows = ~self.holds(values) & ~pinned[self.column]
        values[self.column][rows] = coders[self.column].round_to_step(self.number(values)[rows])
        sources = [name for name in self.formula.columns if name in coders]
        sources.sort(key=lambda name: -len(coders[name].low))
        for names in [*([name] for name in sources), sources]:
            rows = ~self.holds(values)
            for name in names:
                rows = rows & ~pinned[name] & ~np.isnan(values[name])
            if names and rows.any():
                self._solve(values, {name: coders[name] for name in names}, np.flatnonzero(rows), bounds)

    def _solve(
        self,
        values: dict[str, Any],
        coders: Mapping[str, QuantileCoder],
        rows: Integers,
        bounds: tuple[float, float] | None,
    ) -> None:
        """Move columns, each by one share of the way to the ends of its range, until the formula has the number."""
        own = {name: values[name][rows] for name in self.columns}
        start = {name: coder.cumulative_mass(own[name]) for name, coder in coders.items()}

        def moved(share: Floats) -> dict[str, Floats]:
            out = {}
            for name, coder in coders.items():
                total = float(coder.mass.sum())
                mass = start[name] + np.where(share > 0, share * (total - start[name]), share * start[name])
                out[name] = coder.quantile(np.clip(mass, 0, total * (1 - 1e-12)))
            return out

        def excess(share: Floats) -> Floats:
            return np.asarray(self.formula.of({**own, **moved(share)}) - own[self.column])

        ends = [np.full(len(rows), -1.0), np.full(len(rows), 1.0)]
        found = np.zeros(len(rows), bool)
        result = {name: own[name].copy() for name in (*coders, self.column)}
        rising = excess(ends[1]) >= excess(ends[0])
        for _ in range(N_BISECTIONS):
            middle = (ends[0] + ends[1]) / 2
            trial = moved(middle)
            good = self.holds({**own, **trial}) & ~found
            if bounds is not None:
                number = self.number({**own, **trial})
                moved_number = ~found & ~good & (number >= bounds[0]) & (number <= bounds[1])
                result[self.column][moved_number] = number[moved_number]
                good |= moved_number
            for name in coders:
                result[name][good] = trial[name][good]
            found |= good
            if found.all():
                break
            above = (excess(middle) > 0) == rising
            ends = [np.where(above, ends[0], middle), np.where(above, middle, ends[1])]
        for name, numbers in result.items():
            values[name][rows[found]] = numbers[found]


def agree(observed: Floats, predicted: Floats, step: float, rounding: str) -> Bools:
    """Return whether numbers equal their predictions up to rounding, or one of both is unknown, shape (n,)."""
    slack = tolerance(np.abs(observed), step)
    low, high = (end * step for end in ROUNDINGS[rounding])
    # A number that is rounded up is less than a step above the formula.
    above = -slack if rounding == "up" else slack
    below = -slack if rounding == "down" else slack
    with np.errstate(invalid="ignore"):
        rest = observed - predicted
        return np.asarray(~((rest < low - below) | (rest > high + above)) | ~np.isfinite(predicted))


def tolerance(size: Floats, step: float) -> Floats:
    """Return the error of numbers by the precision of floats, shape (n,)."""
    if not step:
        return np.asarray((SLACK + FLOAT32_PRECISION) * size)
    return np.asarray(SLACK * step + (FLOAT32_PRECISION if step < MIN_SINGLE_STEP else 1e-14) * size)
