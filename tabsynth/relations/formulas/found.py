"""The formulas found so far: which columns may still be computed, and from which."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.formulas.expressions import Formula
from tabsynth.relations.formulas.fitting import chance_matches
from tabsynth.relations.formulas.rule import FormulaRule, agree
from tabsynth.relations.rule_columns import Columns

MIN_EVIDENCE_ROWS = 30.0
"""Minimum rows that would violate a formula by chance: many formulas are compared."""

EXACT_SHARE, MIN_ROUNDING_SHARE = 1e-5, 0.4
"""Spread of the rounding errors of a computed column, relative to that of uniform errors: at most the first if nothing
was rounded, otherwise at least the second."""

MIN_NUMBERS = 8
"""Minimum different numbers that a formula computes."""


@dataclass
class Found:
    """The formulas found so far.

    Attributes:
        columns: The table.
        reads: The columns that each computed column depends on.
        rules: The formulas.
    """

    columns: Columns
    reads: dict[str, frozenset[str]]
    rules: list[FormulaRule] = field(default_factory=list)

    @classmethod
    def start(cls, columns: Columns, computed: Mapping[str, frozenset[str]]) -> Found:
        """Begin with the columns that exact relations compute."""
        return cls(columns, dict(computed))

    def targets(self, unit: str) -> list[str]:
        """Return the columns of a unit that nothing computes, those of most decimals, and the last ones, first."""
        names = [name for name in self.names(unit) if name not in self.reads]
        names.reverse()
        return sorted(names, key=lambda name: self.columns.steps[name])

    def names(self, unit: str) -> list[str]:
        """Return the numeric columns of a unit."""
        return [name for name, own in self.columns.units.items() if own == unit]

    def may_compute(self, name: str, sources: Collection[str]) -> bool:
        """Return whether a column may be computed: nothing computes it, and no source depends on it."""
        if not self.reads:
            return name not in sources
        ahead, seen = list(sources), set(sources)
        while ahead:
            more = self.reads.get(ahead.pop(), frozenset()) - seen
            seen |= more
            ahead += more
        return name not in self.reads and name not in seen

    def add(
        self, name: str, formula: Formula, rounding: str, within: Bools | None = None, exempt: float | None = None
    ) -> bool:
        """Add a formula if it holds in all rows and has enough evidence; return whether it does.

        Args:
            name: The column.
            formula: The formula.
            rounding: How its number is rounded.
            within: The rows in which agreement is evidence; all by default.
            exempt: Another number that the column may have.
        """
        if not self.may_compute(name, formula.columns):
            return False
        observed, step = self.columns.numbers[name], self.columns.steps[name]
        predicted = formula.of(self.columns.values)
        known = ~np.isnan(observed) & np.isfinite(predicted)
        known = known if exempt is None else known & (observed != exempt)
        if not agree(observed[known], predicted[known], step, rounding).all():
            return False
        known = known if within is None else known & within
        if _is_inverse(observed[known] - predicted[known], step):
            return False
        if not known.any() or len(np.unique(observed[known])) < MIN_NUMBERS:
            return False
        evidence = float((1 - chance_matches(observed[known], predicted[known], step)).sum())
        if evidence < MIN_EVIDENCE_ROWS:
            return False
        text = self._text(name, formula, rounding)
        text += "" if exempt is None else f" unless {name} == {exempt:g}"
        self.rules.append(FormulaRule(name, formula, step, rounding, text, round(evidence, 1), exempt))
        self.reads[name] = frozenset(formula.columns)
        return True

    def _text(self, name: str, formula: Formula, rounding: str) -> str:
        """Return a formula of a column as users read it."""
        step = self.columns.steps[name]
        if formula.kind != "by_group":
            return f"{name} = {rounded_text(formula, step, rounding)}"
        if len(formula.keys) > 1 or len(formula.names) > 1:
            return f"{name} is {rounded_text(formula, step, rounding)}"
        (group,), ((value,),) = formula.names, formula.keys
        label = self.columns.labels.get(group, {}).get(value, f"{value:g}")
        return f"{name} = {rounded_text(formula.parts[0], step, rounding)} if {group} == {label}"


def _is_inverse(rest: Floats, step: float) -> bool:
    """Return whether a formula is far more precise than the column: not this column was computed, but one it reads."""
    spread = float(rest.std()) if len(rest) else 0.0
    return EXACT_SHARE < spread / max(step, 1e-300) * 12**0.5 < MIN_ROUNDING_SHARE


def rounded_text(formula: Formula, step: float, rounding: str) -> str:
    """Return a formula as users read it, with its rounding unless this is to the nearest."""
    if rounding == "nearest":
        return str(formula)
    return f"{formula} rounded {rounding}" + f" to {step:g}" * (step != 1)


def sampled(rows: int, most: int) -> slice:
    """Return a slice of at most about so many rows."""
    return slice(None, None, max(1, rows // most))
