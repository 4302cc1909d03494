"""The constraints of a schema with their equations, derived columns and connected components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Bools
from tabsynth.data.table import Table
from tabsynth.relations.declared.equations import DerivedColumn, Equation, Form, build_equations
from tabsynth.relations.declared.grids import Grid, column_grid
from tabsynth.schema.columns import Datetime, Identifier, Numeric
from tabsynth.schema.constraints import Constraint, Expression, IfThen, Lookup, MissingWhen, RefusedRule, Unique, Values
from tabsynth.schema.constraints.linear_forms import LinearForm
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import row_values, schema_steps


@dataclass(frozen=True)
class Component:
    """Rules that share columns, with no column shared with any other rule.

    Attributes:
        rules: The rules.
        columns: Their columns.
        equations: Their equations.
    """

    rules: tuple[Constraint, ...]
    columns: tuple[str, ...]
    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class RuleSet:
    """The constraints of a schema.

    Attributes:
        schema: The schema.
        rules: Its constraints on single rows.
        keys: Its keys.
        equations: Forms that arithmetic enforces.
    """

    schema: Schema
    rules: tuple[Constraint, ...]
    keys: tuple[Unique, ...]
    equations: tuple[Equation, ...]

    @classmethod
    def of(cls, schema: Schema) -> RuleSet:
        """Collect the constraints of a schema, without refused rules."""
        rules = tuple(rule for rule in schema.constraints if not isinstance(rule, (RefusedRule, Unique)))
        keys = tuple(rule for rule in schema.constraints if isinstance(rule, Unique))
        forms = [form for rule in rules for form in numeric_forms(rule, schema)]
        return cls(schema, rules, keys, build_equations(schema, forms))

    def __bool__(self) -> bool:
        return bool(self.rules or self.keys)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that take part."""
        names = {name for rule in (*self.rules, *self.keys) for name in rule.columns}
        return tuple(name for name in self.schema if name in names)

    @cached_property
    def derived(self) -> tuple[DerivedColumn, ...]:
        """The columns that a model learns in addition to the schema's."""
        return tuple(equation.derived for equation in self.equations if equation.derived is not None)

    @cached_property
    def repeatable_keys(self) -> tuple[Unique, ...]:
        """The keys that sampled rows may repeat: those without an identifier, which is never repeated."""
        return tuple(k for k in self.keys if not any(isinstance(self.schema[name], Identifier) for name in k.of))

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """Rules that share columns, directly or through others."""
        groups: list[tuple[list[Constraint], set[str]]] = []
        for rule in self.rules:
            joined = [group for group in groups if group[1] & set(rule.columns)]
            groups = [group for group in groups if group not in joined]
            rules = [one for group in joined for one in group[0]]
            groups.append(([*rules, rule], set(rule.columns).union(*(group[1] for group in joined))))
        return tuple(
            Component(
                tuple(rules),
                tuple(name for name in self.schema if name in names),
                tuple(equation for equation in self.equations if set(equation.columns) <= names),
            )
            for rules, names in groups
        )

    @cached_property
    def steps(self) -> Mapping[str, float]:
        """The distance of neighbouring values of columns with declared decimals or resolution."""
        return schema_steps(self.schema, self.columns)

    def hold(self, values: Values, rules: Sequence[Constraint] | None = None) -> Bools:
        """Return which rows satisfy all rules, shape (n,)."""
        chosen = self.rules if rules is None else rules
        n = len(next(iter(values.values())))
        good = [np.ones(n, bool), *(rule.holds(values, self.steps) for rule in chosen)]
        return np.asarray(np.logical_and.reduce(good), dtype=bool)

    def grids(self, codec: Codec | None) -> dict[str, Grid]:
        """Return the possible values of each numeric column of the rules."""
        numeric = [name for name in self.columns if isinstance(self.schema[name], (Numeric, Datetime))]
        out = {name: column_grid(self.schema[name], codec) for name in numeric}
        for equation in self.equations:
            form = equation.form
            if isinstance(form, LinearForm) and len(form.terms) == 1 and not form.is_equation:
                ((name, factor),) = form.terms
                nudge = out[name].step if form.strict else 0.0
                for end, sign in ((form.least, 1.0), (form.greatest, -1.0)):
                    if end is not None:
                        edge = (end - form.constant) / factor
                        upward = sign * factor > 0
                        span = (edge + nudge, np.inf) if upward else (-np.inf, edge - nudge)
                        out[name] = out[name].within(*span)
        return out

    def model_schema(self) -> Schema:
        """Return the schema of a private fit, with derived columns whose bounds follow from declared ones."""
        columns = self.schema.columns
        more = {
            one.name: one.column(columns, nullable=any(columns[name].nullable for name in one.form.columns))
            for one in self.derived
        }
        return Schema({**columns, **more}, self._refused(), self.schema.sdv, self.schema.ledger)

    def add_derived(self, frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
        """Add the derived columns to rows of a private fit, clipped to their bounds.

        Args:
            frame: Rows with values inside the declared bounds.
            schema: The result of ``model_schema``.
        """
        if not self.derived:
            return frame
        values = row_values(frame, self.schema, dict.fromkeys(n for one in self.derived for n in one.form.columns))
        out = frame.copy()
        for one in self.derived:
            column = schema[one.name]
            assert isinstance(column, Numeric)
            out[one.name] = np.clip(one.measure(values), column.low, column.high)
        return out

    def training_table(self, table: Table) -> Table:
        """Add the derived columns to a training table; they are missing in rows that violate their rule."""
        if not self.derived:
            return table if not self else replace(table, schema=self._plain_schema({}))
        values = row_values(table.frame, self.schema, self.columns)
        columns: dict[str, Numeric] = {}
        frame = table.frame.copy()
        for one in self.derived:
            data = np.where(one.form.holds(values, self.steps), one.measure(values), np.nan)
            frame[one.name] = data
            columns[one.name] = Numeric(name=one.name, decimals=one.decimals, nullable=bool(np.isnan(data).any()))
        return Table(frame, self._plain_schema(columns))

    def _plain_schema(self, more: Mapping[str, Any]) -> Schema:
        return Schema({**self.schema.columns, **more}, self._refused(), self.schema.sdv, self.schema.ledger)

    def _refused(self) -> tuple[Constraint, ...]:
        return tuple(rule for rule in self.schema.constraints if isinstance(rule, RefusedRule))

    def card(self) -> list[dict[str, Any]]:
        """Return the model card's entries: each rule and the mechanism that enforces it."""
        return [{"rule": rule.describe(), "kept_by": self._mechanism(rule)} for rule in (*self.rules, *self.keys)]

    def _mechanism(self, rule: Constraint) -> str:
        forms = numeric_forms(rule, self.schema)
        mechanisms = {_equation_mechanism(equation) for equation in self.equations if equation.form in forms}
        if isinstance(rule, Unique):
            return "other values for repeated keys"
        computes = isinstance(rule, Expression) and rule.computed
        if not mechanisms and (computes or isinstance(rule, (IfThen, Lookup, MissingWhen))):
            return "setting what other cells determine, else repair from rows that satisfy it"
        return " and ".join(sorted(mechanisms)) or "repair from rows that satisfy it"


def numeric_forms(rule: Constraint, schema: Schema) -> list[Form]:
    """Return the linear forms and products of a rule, if all its columns are numbers or dates."""
    if not all(isinstance(schema[name], (Numeric, Datetime)) for name in rule.columns):
        return []
    return [*rule.linear_forms(), *rule.product_forms()]


def _equation_mechanism(equation: Equation) -> str:
    if equation.target is None:
        return "bounds" if len(equation.form.columns) == 1 else "repair"
    return "arithmetic" if equation.derived is None else f"learning {equation.derived.name!r}"
