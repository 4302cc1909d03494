"""Repair of sampled rows under declared constraints: arithmetic, then determined cells, then cells of donors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tabsynth.common.arrays import Bools, Integers
from tabsynth.relations.declared.fixed_cells import FixedCells
from tabsynth.relations.declared.grids import Grid
from tabsynth.relations.declared.hot_deck import Check, Columns, combine_donors, put, replace_from_donors, take
from tabsynth.relations.declared.propagation import propagate, reflect
from tabsynth.relations.declared.rule_set import Component, RuleSet
from tabsynth.schema.constraints.base import is_missing, present
from tabsynth.schema.constraints.order import Range

MAX_SWEEPS = 3
"""Maximum rounds of setting determined cells and solving equations, since one may undo the other."""

MIN_DONORS = 100
"""Minimum rows that satisfy the rules; with fewer, more rows are sampled as donors."""


@dataclass(frozen=True, eq=False)
class Repair:
    """Repair of rows under a rule set.

    Attributes:
        rules: The rules.
        grids: The values of each column.
        rng: Random generator.
        context: Function that returns the other columns of the rows, which define their similarity.
        more: Samples more rows with all columns under the same conditions, as donors; None if it is not possible.
        repaired: Number of rows that violated each rule after arithmetic, in the order of the rules.
    """

    rules: RuleSet
    grids: dict[str, Grid]
    rng: np.random.Generator
    context: Callable[[], Columns]
    more: Callable[[], Columns] | None = None
    repaired: list[int] = field(default_factory=list)

    def run(self, values: Columns, fixed_cells: FixedCells) -> Integers:
        """Repair rows in place; return the rows that still violate a rule.

        Args:
            values: The columns of the rules and the derived ones.
            fixed_cells: Cells that must not change.
        """
        drawn = {name: cells.copy() for name, cells in values.items() if name in self.grids}
        grids = {
            name: grid.within(*fixed_cells.bounds.get(name, (-np.inf, np.inf))) for name, grid in self.grids.items()
        }
        self._fill_derived(values)
        propagate(values, self.rules.equations, fixed_cells.decided_cells(self.rules.columns, size_of(values)), grids)
        satisfied = {id(rule): rule.holds(values, self.rules.steps) for rule in self.rules.rules}
        self.repaired[:] = [int((~satisfied[id(rule)]).sum()) for rule in self.rules.rules]
        left = np.zeros(size_of(values), bool)
        for component in self.rules.components:
            part = _ComponentRepair(self, component, fixed_cells, grids)
            left[part.run(values, drawn, [satisfied[id(rule)] for rule in component.rules])] = True
        return np.flatnonzero(left)

    def _fill_derived(self, values: Columns) -> None:
        """Fill missing derived cells whose columns are present with the value of another row, in place."""
        for one in self.rules.derived:
            cells = values[one.name]
            known = np.flatnonzero(~np.isnan(cells))
            gaps = np.flatnonzero(np.isnan(cells) & present(values, one.form.columns))
            if len(gaps) and len(known):
                cells[gaps] = cells[self.rng.choice(known, len(gaps))]

    @cached_property
    def own_context(self) -> Columns:
        """The other columns of the rows."""
        return self.context()

    @cached_property
    def extra(self) -> Columns | None:
        """More rows."""
        return None if self.more is None else self.more()


@dataclass(frozen=True, eq=False)
class _ComponentRepair:
    """Repair of the rules of one component.

    Attributes:
        repair: The repair of the whole rule set.
        component: The rules, their columns and equations.
        fixed_cells: Cells that must not change.
        grids: The possible values of each column under the conditions.
    """

    repair: Repair
    component: Component
    fixed_cells: FixedCells
    grids: dict[str, Grid]

    def run(self, values: Columns, drawn: Columns, satisfied: Sequence[Bools]) -> Integers:
        """Repair rows in place; return the rows that still violate a rule.

        Args:
            values: The columns of the rules and the derived ones.
            drawn: The columns as they were sampled.
            satisfied: The rows that satisfy each rule, shape (n,) each.
        """
        state = np.stack([*satisfied, self._inside(values, self.fixed_cells)])
        if state.all():
            return np.zeros(0, np.int64)
        state = self._state(values, self.fixed_cells, state, self._set_determined(values, self.fixed_cells, {}))
        rows = np.flatnonzero(~state.all(axis=0))
        if len(rows) and self.component.equations:
            self._correct_numbers(values, drawn, rows, state)
            rows = rows[~state[:, rows].all(axis=0)]
        return self._take_from_donors(values, rows, state) if len(rows) else rows

    def _correct_numbers(self, values: Columns, drawn: Columns, rows: Integers, state: Bools) -> None:
        """Where arithmetic failed, restore the sampled numbers or reflect them, in place."""
        held, steps = take(values, rows), self.repair.rules.steps
        rows = rows[~np.logical_and.reduce([one.form.holds(held, steps) for one in self.component.equations])]
        if not len(rows):
            return
        fixed_cells = self.fixed_cells.of_rows(rows)
        fixed = {name: fixed_cells.fixed(name, len(rows)) for name in self.component.columns}
        before = {name: drawn[name] for name in self.component.columns if name in drawn}
        left = np.ones(len(rows), bool)
        for trial in (take(values, rows) | take(before, rows), take(values, rows)):
            known = self._state(trial, fixed_cells)
            for _ in range(MAX_SWEEPS):
                if known.all() or not reflect(trial, self.component.equations, fixed, self.grids):
                    break
                known = self._state(trial, fixed_cells, known, self._computed)
            met = left & known.all(axis=0)
            put(values, rows, {name: trial[name] for name in self.component.columns}, met)
            state[:, rows[met]] = known[:, met]
            left &= ~met

    def _take_from_donors(self, values: Columns, rows: Integers, state: Bools) -> Integers:
        """Repair rows with cells of rows that satisfy the rules, in place; return the rows that still fail.

        First the columns of one violated rule are replaced, then all columns of the component by one donor's, then
        single cells by those of several donors.
        """
        names = self.component.columns
        everything = {**self.repair.own_context, **values}
        pool = take(everything, np.flatnonzero(state.all(axis=0)))
        if size_of(pool) < MIN_DONORS and self.repair.extra is not None:
            extra = {name: cells.copy() for name, cells in self.repair.extra.items()}
            everyone = FixedCells({}, self.fixed_cells.restricted, self.fixed_cells.bounds)
            self._complete(extra, everyone, {})
            met = self._state(extra, everyone).all(axis=0)
            pool = {name: np.concatenate([cells, extra[name][met]]) for name, cells in pool.items()}
        free = {name: ~self.fixed_cells.fixed(name, size_of(values)) for name in names}
        rng = self.repair.rng
        for at, rule in enumerate(self.component.rules):
            broken = rows[~state[at, rows]]
            replace_from_donors(everything, broken, pool, rule.columns, free, self._check(state, at), rng)
        rows, check = rows[~state[:, rows].all(axis=0)], self._check(state, None)
        rows = replace_from_donors(everything, rows, pool, names, free, check, rng)
        rows = combine_donors(everything, rows, pool if size_of(pool) else values, names, free, check, rng)
        return self._move_into_ranges(values, rows, free, check)

    def _move_into_ranges(self, values: Columns, rows: Integers, free: Mapping[str, Bools], check: Check) -> Integers:
        """Clip columns to their declared ranges, in place; return the rows that still fail."""
        for rule in self.component.rules:
            if not len(rows) or not isinstance(rule, Range) or rule.by:
                continue
            trial = take(values, rows)
            low, high = (
                trial[end] if isinstance(end, str) else (open_end if end is None else end)
                for end, open_end in ((rule.low, -np.inf), (rule.high, np.inf))
            )
            moved = np.clip(trial[rule.column], low, high)
            trial[rule.column] = np.where(free[rule.column][rows], moved, trial[rule.column])
            good = check(trial, rows, (rule.column,))
            put(values, rows, {name: trial[name] for name in self.component.columns}, good)
            rows = rows[~good]
        return rows

    def _check(self, state: Bools, at: int | None) -> Check:
        """Return a check that trial rows satisfy one rule, or all, and violate no rule that they satisfied before.

        The check updates the state, as rows that pass it are kept.
        """

        def check(trial: Columns, rows: Integers, replaced: Sequence[str]) -> Bools:
            fixed_cells, before = self.fixed_cells.of_rows(rows), state[:, rows]
            changed = self._complete(trial, fixed_cells, {name: np.ones(len(rows), bool) for name in replaced})
            after = self._state(trial, fixed_cells, before, {*replaced, *changed})
            good = after.all(axis=0) if at is None else after[at] & (after | ~before).all(axis=0)
            state[:, rows[good]] = after[:, good]
            return np.asarray(good, dtype=bool)

        return check

    def _complete(self, values: Columns, fixed_cells: FixedCells, stays: dict[str, Bools]) -> set[str]:
        """Solve the equations and set determined cells, in place; return the columns that may have changed."""
        propagate(values, self.component.equations, self._decided(values, fixed_cells, stays), self.grids)
        return self._computed | self._set_determined(values, fixed_cells, stays)

    @cached_property
    def _computed(self) -> set[str]:
        """The columns of the equations."""
        return {name for equation in self.component.equations for name in equation.columns}

    def _decided(self, values: Columns, fixed_cells: FixedCells, stays: dict[str, Bools]) -> dict[str, Bools]:
        cells = fixed_cells.decided_cells(self.component.columns, size_of(values))
        return {name: decided | stays[name] if name in stays else decided for name, decided in cells.items()}

    def _set_determined(self, values: Columns, fixed_cells: FixedCells, stays: dict[str, Bools]) -> set[str]:
        """Set the cells that other cells determine, in place; return the columns that may have changed."""
        decided, changed = self._decided(values, fixed_cells, stays), set[str]()
        for _ in range(MAX_SWEEPS):
            moved = set[str]()
            for rule in self.component.rules:
                for cell in rule.determined(values):
                    cells, own = values[cell.column], cell.values
                    if cell.column in self.grids and cells.dtype != object:
                        own = self.grids[cell.column].snap(own)
                    same = (cells == own) | (is_missing(cells) & is_missing(own))
                    rows = cell.rows & ~decided[cell.column] & ~same.astype(bool)
                    if rows.any():
                        cells[rows] = own[rows]
                        decided[cell.column] = decided[cell.column] | rows
                        moved.add(cell.column)
            if not moved:
                break
            propagate(values, self.component.equations, decided, self.grids)
            changed |= moved | self._computed
        return changed

    def _state(
        self, values: Columns, fixed_cells: FixedCells, before: Bools | None = None, changed: Collection[str] = ()
    ) -> Bools:
        """Return whether each row satisfies each rule and, last, the ranges of the columns, shape (rules + 1, n).

        With the state before a change, only the rules of changed columns are evaluated.
        """
        steps, rules = self.repair.rules.steps, self.component.rules
        if before is None:
            return np.stack([*(rule.holds(values, steps) for rule in rules), self._inside(values, fixed_cells)])
        out = before.copy()
        for at, rule in enumerate(rules):
            if not set(rule.columns).isdisjoint(changed):
                out[at] = rule.holds(values, steps)
        if not self.grids.keys().isdisjoint(changed):
            out[-1] = self._inside(values, fixed_cells)
        return out

    def _inside(self, values: Columns, fixed_cells: FixedCells) -> Bools:
        """Return the rows in which all numbers are within their ranges, missing or fixed, shape (n,)."""
        inside = np.ones(size_of(values), bool)
        for name in self.component.columns:
            if name in self.grids:
                cells = values[name]
                inside &= self.grids[name].inside(cells) | np.isnan(cells) | fixed_cells.fixed(name, len(cells))
        return inside


def size_of(values: Columns) -> int:
    """Return the number of rows."""
    return len(next(iter(values.values())))
