"""Constraint propagation: compute a cell if all other cells of its equation are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tabsynth.common.arrays import Bools, Floats
from tabsynth.relations.declared.equations import Equation
from tabsynth.relations.declared.grids import Grid
from tabsynth.schema.constraints.linear_forms import LinearForm

Columns = dict[str, Any]


def propagate(
    values: Columns, equations: Sequence[Equation], decided: Mapping[str, Bools], grids: Mapping[str, Grid]
) -> None:
    """Compute cells such that equations hold, in place.

    Decided cells are propagated first. Then the remaining columns are fixed at their values one by one, columns that no
    equation determines first, and each is propagated in turn.

    Args:
        values: The columns, including derived ones.
        equations: The equations.
        decided: Cells that must not change, shape (n,) for each column.
        grids: The possible values of each column.
    """
    active = [_active(values, equation) for equation in equations]
    if not equations or not any(rows.any() for rows in active):
        return
    names = list(dict.fromkeys(name for equation in equations for name in equation.columns))
    settled = {name: decided[name].copy() for name in names}
    _spread(values, equations, active, settled, decided, grids)
    targets = {equation.target for equation in equations}
    for name in sorted(names, key=lambda name: name in targets):
        if not settled[name].all():
            settled[name][:] = True
            _spread(values, equations, active, settled, decided, grids)
    for equation, rows in zip(equations, active, strict=True):
        _shift(values, equation, rows, decided, grids)


def _active(values: Columns, equation: Equation) -> Bools:
    """Return the rows in which an equation applies: none of its cells is missing, shape (n,)."""
    names = [*equation.columns, *([equation.derived.name] if equation.derived else [])]
    if equation.target is None:
        return np.zeros(len(values[names[0]]), bool)
    return np.asarray(~np.logical_or.reduce([np.isnan(values[name]) for name in names]), dtype=bool)


def _spread(
    values: Columns,
    equations: Sequence[Equation],
    active: Sequence[Bools],
    settled: dict[str, Bools],
    decided: Mapping[str, Bools],
    grids: Mapping[str, Grid],
) -> None:
    """Solve equations with one unsettled column until none is left, in place."""
    moved = True
    while moved:
        moved = False
        for equation, here in zip(equations, active, strict=True):
            single = here & (np.sum([~settled[name] for name in equation.columns], axis=0) == 1)
            for name in equation.columns:
                rows = np.flatnonzero(single & ~settled[name])
                if len(rows):
                    solved = _solved(values, equation, name, rows, grids[name])
                    clipped = grids[name].clip(solved, _others_decided(equation, name, decided)[rows])
                    values[name][rows] = np.where(np.isfinite(solved), clipped, values[name][rows])
                    settled[name][rows] = moved = True


def _others_decided(equation: Equation, name: str, decided: Mapping[str, Bools]) -> Bools:
    """Return the rows in which all other columns of an equation are fixed, shape (n,)."""
    given = [decided[other] for other in equation.columns if other != name]
    return np.asarray(np.logical_and.reduce([np.ones(len(decided[name]), bool), *given]), dtype=bool)


def _solved(values: Columns, equation: Equation, name: str, rows: Any, grid: Grid) -> Floats:
    """Solve an equation for a column on its grid, shape (rows,)."""
    form = equation.form
    needed = {*equation.columns, *([equation.derived.name] if equation.derived else [])}
    cells = {column: values[column][rows] for column in needed}
    out = grid.snap(equation.solve(name, cells))
    if isinstance(form, LinearForm) and not form.is_equation and grid.step:
        # Rounding may cross a bound.
        trial = {**cells, name: out}
        up = np.sign(dict(form.terms)[name]) * grid.step
        bad = ~form.holds(trial, {})
        total = form.total(trial)
        above = np.zeros(len(out), bool) if form.greatest is None else total >= form.greatest
        out = np.where(bad, grid.snap(out + np.where(above, -up, up)), out)
    return out


def _shift(
    values: Columns, equation: Equation, active: Bools, decided: Mapping[str, Bools], grids: Mapping[str, Grid]
) -> None:
    """Where the target was clipped to its range, adjust another column instead, in place."""
    if equation.derived is None or equation.target is None or not isinstance(equation.form, LinearForm):
        return
    slack = 1.5 * sum(abs(k) * (grids[name].step or 1e-9) for name, k in equation.form.terms)
    for name in equation.columns[1:]:
        gap = np.abs(equation.form.total(values) - values[equation.derived.name])
        rows = np.flatnonzero(active & ~decided[name] & (gap > slack))
        if len(rows):
            solved = _solved(values, equation, name, rows, grids[name])
            values[name][rows] = np.where(grids[name].inside(solved), solved, values[name][rows])


def reflect(
    values: Columns, equations: Sequence[Equation], decided: Mapping[str, Bools], grids: Mapping[str, Grid]
) -> bool:
    """Where a linear form exceeds a bound, reflect it at the bound by moving its first free column, in place.

    Returns:
        Whether any cell was moved.
    """
    moved = False
    for equation in equations:
        form = equation.form
        for name in equation.columns if isinstance(form, LinearForm) else ():
            assert isinstance(form, LinearForm)
            total = form.total(values)
            low = -np.inf if form.least is None else form.least
            high = np.inf if form.greatest is None else form.greatest
            with np.errstate(invalid="ignore"):
                wanted = np.where(total < low, np.minimum(2 * low - total, high), np.maximum(2 * high - total, low))
                rows = np.flatnonzero(((total < low) | (total > high)) & ~decided[name])
            if len(rows):
                cells = {column: values[column][rows] for column in equation.columns}
                solved = grids[name].snap(form.solve(name, cells, wanted[rows]))
                values[name][rows] = grids[name].clip(solved, _others_decided(equation, name, decided)[rows])
                moved = True
    return moved
