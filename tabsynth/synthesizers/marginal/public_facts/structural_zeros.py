"""Structural zeros: combinations of two columns' cells that the schema's constraints rule out."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.codec.column_values import UNIT_NANOSECONDS
from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.columns import Column, Datetime
from tabsynth.schema.constraints import Constraint, Expression, IfThen, MissingWhen
from tabsynth.schema.expressions import Formula
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import row_values
from tabsynth.synthesizers.marginal.bins.public_bins import Grid
from tabsynth.synthesizers.marginal.public_codec import tokens_of_cells
from tabsynth.synthesizers.marginal.public_facts.determined_columns import Determined

MAX_COMBINATIONS = 2_000_000
"""Maximum combinations of values at which a rule is evaluated; larger rules are only enforced in sampled rows."""

MAX_CUTS = 4
"""Maximum cuts of a numeric column by one pair of columns."""

Names = tuple[str, str]


@dataclass(frozen=True, eq=False)
class _Points:
    """Values of a measured column, and of those that it determines, in the form of constraints.

    Attributes:
        values: The values of each column, shape (points,).
        cells: The cell of each value, shape (points,).
    """

    values: Mapping[str, Any]
    cells: Integers


def structural_zeros(
    rules: RuleSet, grids: Mapping[str, Grid], determined: Mapping[str, Determined]
) -> dict[Names, Bools]:
    """Return the combinations of two columns' cells that some constraint rules out, shape (cells, cells) per pair.

    Args:
        rules: The declared constraints.
        grids: The cells of each column.
        determined: The columns that lookups determine; rules on them become rules on their roots.
    """
    forbidden: dict[Names, Bools] = {}
    order = list(grids)
    for rule in rules.rules:
        if not rule.columns or not all(name in grids for name in rule.columns):
            continue
        roots = {determined[name].root if name in determined else name for name in rule.columns}
        columns = sorted(roots, key=order.index)
        if len(columns) < 2 or not _can_be_tried(rule, columns, grids, rules.schema):
            continue
        points = [_points(name, rule, rules.schema, grids, determined) for name in columns]
        if np.prod([float(len(each.cells)) for each in points]) > MAX_COMBINATIONS:
            continue
        satisfied = _hold(rule, points, rules)
        for a, b in combinations(range(len(columns)), 2):
            others = tuple(axis for axis in range(len(columns)) if axis not in (a, b))
            may = np.zeros((grids[columns[a]].size, grids[columns[b]].size), bool)
            np.logical_or.at(may, np.ix_(points[a].cells, points[b].cells), satisfied.any(axis=others))
            if not may.all():
                pair = columns[a], columns[b]
                forbidden[pair] = forbidden.get(pair, False) | ~may
    return forbidden


def token_zeros(codec: Codec, grids: Mapping[str, Grid], zeros: Mapping[Names, Bools]) -> dict[Names, Bools]:
    """Return the combinations of tokens all of whose combinations of cells are ruled out."""
    out = {}
    for (a, b), forbidden in zeros.items():
        first, second = (tokens_of_cells(grids[name], codec.coders[name]) for name in (a, b))
        tokens = np.ix_(first, second)
        may, seen = np.zeros((2, codec.coders[a].size, codec.coders[b].size), bool)
        np.logical_or.at(may, tokens, ~forbidden)
        seen[tokens] = True
        if (seen & ~may).any():
            out[a, b] = seen & ~may
    return out


def public_cuts(grids: Mapping[str, Grid], zeros: Mapping[Names, Bools]) -> dict[str, Integers]:
    """Return the cells of numeric columns at which the structural zeros change, so that no token contains both sides.

    Zeros that change at many cells, as for the order of two numbers, give no cuts.
    """
    out: dict[str, Integers] = {}
    for pair, table in zeros.items():
        for name, forbidden in zip(pair, (table, table.T), strict=True):
            ordered = forbidden[: len(grids[name].low)]
            cuts = 1 + np.flatnonzero((ordered[1:] != ordered[:-1]).any(1))
            if 0 < len(cuts) <= MAX_CUTS:
                out[name] = np.union1d(out.get(name, cuts), cuts)
    return out


def _can_be_tried(rule: Constraint, names: Sequence[str], grids: Mapping[str, Grid], schema: Schema) -> bool:
    """Whether a rule is satisfiable in a combination of cells if and only if some of their points satisfy it."""
    wide = [name for name in names if (grids[name].low < grids[name].high).any()]
    forms = rule.linear_forms()
    if forms or rule.product_forms():
        return not wide or (bool(forms) and not any(form.is_equation for form in forms))
    return len(wide) < 2 and not any(isinstance(schema[name], Datetime) for name in wide)


def _points(
    name: str, rule: Constraint, schema: Schema, grids: Mapping[str, Grid], determined: Mapping[str, Determined]
) -> _Points:
    """Return the values of a column at which a rule is evaluated, with those of the columns that it determines."""
    grid = grids[name]
    if grid.line:
        numbers, cells = _line_points(grid, _constants(rule), schema[name])
        values = {name: numbers}
    else:
        cells = np.arange(grid.size)
        values = {name: _as_read(schema, name, [*grid.values, *[None] * grid.nullable])}
    for other, one in determined.items():
        if one.root == name and other in rule.columns:
            other_grid, at = grids[other], one.cells[cells]
            scale = _scale(schema[other])
            values[other] = (
                scale * other_grid.low[at]
                if other_grid.line
                else _as_read(schema, other, [other_grid.values[i] for i in at])
            )
    return _Points(values, cells)


def _line_points(grid: Grid, constants: Sequence[float], column: Column) -> tuple[Floats, Integers]:
    """Return the ends and middle of each cell of a numeric column, and numbers next to the rule's constants."""
    scale, n_ordered = _scale(column), len(grid.low)
    step = 1e-6 * max(grid.high[-1] - grid.low[0], 1.0) if grid.decimals is None else 10.0**-grid.decimals
    middle = (grid.low + grid.high) / 2
    if grid.decimals is not None:
        middle = np.clip(np.round(middle, grid.decimals), grid.low, grid.high)
    numbers, cells = [grid.low, middle, grid.high], [np.arange(n_ordered)] * 3
    inner = np.unique([value / scale + nudge for value in constants for nudge in (-step, 0.0, step)])
    inside = (grid.low[:, None] < inner) & (inner < grid.high[:, None])
    at, which = np.nonzero(inside)
    out, point_cells = np.concatenate([*numbers, inner[which]]), np.concatenate([*cells, at])
    distinct = np.unique(np.stack([point_cells.astype(np.float64), out]), axis=1)
    point_cells, out = distinct[0].astype(np.int64), distinct[1] * scale
    return np.append(out, [np.nan] * grid.nullable), np.append(point_cells, [grid.size - 1] * grid.nullable).astype(
        np.int64
    )


def _scale(column: Column) -> float:
    """Return the unit of a column's cells in the unit of constraints, which is days for dates."""
    return UNIT_NANOSECONDS[column.resolution or "s"] / UNIT_NANOSECONDS["D"] if isinstance(column, Datetime) else 1.0


def _as_read(schema: Schema, name: str, values: list[Any]) -> Any:
    return row_values(pd.DataFrame({name: pd.Series(values, dtype=object)}), schema, [name])[name]


def _constants(rule: Constraint) -> list[float]:
    """Return the numbers in a rule's expressions."""
    if isinstance(rule, IfThen):
        formulas: tuple[Formula, ...] = rule.condition, rule.consequence
    elif isinstance(rule, MissingWhen):
        formulas = (rule.condition,)
    else:
        formulas = (rule.formula,) if isinstance(rule, Expression) else ()
    nodes = [node.value for formula in formulas for node in ast.walk(formula.tree) if isinstance(node, ast.Constant)]
    numbers = {float(value) for value in nodes if isinstance(value, (int, float)) and not isinstance(value, bool)}
    return sorted(numbers | {-value for value in numbers})


def _hold(rule: Constraint, points: Sequence[_Points], rules: RuleSet) -> Bools:
    """Whether a rule holds at every combination of points, shape (points of each)."""
    shape = tuple(len(each.cells) for each in points)
    at = [index.ravel() for index in np.indices(shape)]
    values = {name: cells[place] for each, place in zip(points, at, strict=True) for name, cells in each.values.items()}
    return np.asarray(rule.holds(values, rules.steps)).reshape(shape)
