"""Find contradictions between constraints of any kind with the SMT solver z3 (extra ``solver``)."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from tabsynth.relations.declared.equations import declared_bounds
from tabsynth.relations.declared.rule_set import numeric_forms
from tabsynth.schema.columns import Boolean, Categorical, Datetime, Numeric
from tabsynth.schema.constraints import (
    Combinations,
    Constraint,
    Expression,
    Forbidden,
    IfThen,
    Lookup,
    MissingWhen,
    OneOf,
    Range,
)
from tabsynth.schema.constraints.linear_forms import LinearForm
from tabsynth.schema.constraints.recognition import column_name, conjuncts
from tabsynth.schema.expressions import Formula
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import schema_steps

TIMEOUT_MS = 5000
"""Time limit of the solver; without an answer no contradiction is reported."""


class _UnsupportedError(ValueError):
    """An expression that is not translated for the solver."""


def find_contradiction(schema: Schema) -> list[str]:
    """Return constraints and bounds that contradict each other; empty if there are none or z3 is not installed.

    A column is assumed to be present unless a constraint refers to its missing values.
    """
    try:
        z3 = import_module("z3")
    except ImportError:
        return []
    problem = _Problem(z3, schema)
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT_MS)
    labels: dict[str, str] = {}
    for at, (claim, label) in enumerate(problem.claims()):
        labels[f"p{at}"] = label
        solver.assert_and_track(claim, f"p{at}")
    if solver.check() != z3.unsat:
        return []
    core = {str(one) for one in solver.unsat_core()}
    return [label for name, label in labels.items() if name in core]


class _Problem:
    """The constraints of a schema as logical claims about one row."""

    def __init__(self, z3: Any, schema: Schema) -> None:
        self.z3, self.schema = z3, schema
        self.codes: dict[Any, int] = {}
        self.variables = {name: self._variable(name) for name in schema}
        self.gaps = {name: z3.Bool(f"missing {name}") for name in schema}

    def claims(self) -> list[tuple[Any, str]]:
        """Return all claims with their descriptions."""
        z3, out = self.z3, []
        optional: set[str] = set()
        for rule in self.schema.constraints:
            formulas = _formulas(rule)
            optional |= {rule.column} if isinstance(rule, MissingWhen) else set()
            optional |= {name for formula in formulas for name in formula.names - formula.value_names}
            try:
                claim = self._claim(rule)
            except _UnsupportedError:
                continue
            if claim is not None:
                out.append((claim, rule.describe()))
        for name, column in self.schema.items():
            present = z3.Not(self.gaps[name])
            if name not in optional:
                out.append((present, f"{name!r} is present"))
            low, high = declared_bounds(column)
            if low is not None:
                out.append((self.variables[name] >= low, f"the lower bound of {name!r}"))
            if high is not None:
                out.append((self.variables[name] <= high, f"the upper bound of {name!r}"))
            if isinstance(column, Categorical) and column.values is not None:
                known = [self.variables[name] == self._code(value) for value in column.values]
                out.append((z3.Or(*known), f"the values of {name!r}"))
        return out

    def _variable(self, name: str) -> Any:
        column = self.schema[name]
        if isinstance(column, Boolean):
            return self.z3.Bool(name)
        whole = isinstance(column, Numeric) and column.decimals == 0
        return self.z3.Int(name) if whole or not isinstance(column, (Numeric, Datetime)) else self.z3.Real(name)

    def _code(self, value: Any) -> int:
        """Return the integer code of a category."""
        return self.codes.setdefault(value, len(self.codes))

    def _equals(self, name: str, value: Any) -> Any:
        column = self.schema[name]
        if isinstance(column, Boolean):
            return self.variables[name] == bool(value)
        if isinstance(column, (Numeric, Datetime)):
            if isinstance(value, str):
                raise _UnsupportedError
            return self.variables[name] == value
        return self.variables[name] == self._code(value)

    def _where_present(self, names: Sequence[str], claim: Any) -> Any:
        gaps = [self.gaps[name] for name in dict.fromkeys(names)]
        return self.z3.Or(claim, *gaps) if gaps else claim

    def _claim(self, rule: Constraint) -> Any:
        z3 = self.z3
        forms = [form for form in numeric_forms(rule, self.schema) if isinstance(form, LinearForm)]
        if forms:
            return self._where_present(rule.columns, z3.And(*(self._form(form) for form in forms)))
        match rule:
            case Range(by=str(by)):
                parts = [
                    z3.Implies(self._equals(by, value), self._between(rule.column, low, high))
                    for value, (low, high) in rule.groups
                ]
                return self._where_present(rule.columns, z3.And(*parts))
            case Lookup():
                parts = [
                    z3.Implies(self._equals(rule.by, key), self._equals(rule.column, value))
                    for key, value in rule.pairs
                ]
                return self._where_present(rule.columns, z3.And(*parts))
            case Combinations(values=tuple(rows)) | Forbidden(values=rows):
                each = [z3.And(*(self._equals(n, v) for n, v in zip(rule.of, row, strict=True))) for row in rows]
                claim = z3.Or(*each) if isinstance(rule, Combinations) else z3.Not(z3.Or(*each))
                return self._where_present(rule.of, claim)
            case OneOf():
                chosen = [z3.If(self._is_set(name), 1, 0) for name in rule.of]
                return z3.Sum(*chosen) == 1 if rule.exactly else z3.Sum(*chosen) <= 1
            case Expression():
                return self._where_present(sorted(rule.formula.value_names), self._truth(rule.formula.tree))
            case IfThen():
                names = sorted(rule.condition.value_names | rule.consequence.value_names)
                then = z3.Implies(self._truth(rule.condition.tree), self._truth(rule.consequence.tree))
                return self._where_present(names, then)
            case MissingWhen():
                where, gap = self._truth(rule.condition.tree), self.gaps[rule.column]
                claim = gap == where if rule.only else z3.Implies(where, gap)
                return self._where_present(sorted(rule.condition.value_names), claim)
        return None

    def _form(self, form: LinearForm) -> Any:
        total = self.z3.Sum(*(self.z3.RealVal(str(k)) * self.variables[name] for name, k in form.terms)) + form.constant
        if form.is_equation:
            # The tolerance allows for rounding.
            step = schema_steps(self.schema, [form.target]).get(form.target, 1e-6)
            slack = 0.51 * step * abs(dict(form.terms)[form.target]) if form.tolerance is None else form.tolerance
            least = form.least or 0.0
            return self.z3.And(total >= least - slack, total <= least + slack)
        parts = [total > form.least if form.strict else total >= form.least] if form.least is not None else []
        if form.greatest is not None:
            parts.append(total < form.greatest if form.strict else total <= form.greatest)
        return self.z3.And(*parts)

    def _between(self, name: str, low: float | None, high: float | None) -> Any:
        variable = self.variables[name]
        ends = [variable >= low] if low is not None else []
        return self.z3.And(*ends, *([variable <= high] if high is not None else []))

    def _is_set(self, name: str) -> Any:
        column = self.schema[name]
        here = self.z3.Not(self.gaps[name])
        if isinstance(column, Boolean):
            return self.z3.And(here, self.variables[name])
        return self.z3.And(here, self.variables[name] != 0) if isinstance(column, Numeric) else here

    def _truth(self, node: ast.expr) -> Any:
        """Translate a Boolean expression."""
        z3 = self.z3
        parts = conjuncts(node)
        if len(parts) > 1:
            return z3.And(*(self._truth(part) for part in parts))
        match node:
            case ast.Constant(bool(value)):
                return z3.BoolVal(value)
            case ast.BoolOp(ast.Or(), values):
                return z3.Or(*(self._truth(value) for value in values))
            case ast.UnaryOp(ast.Not(), operand):
                return z3.Not(self._truth(operand))
            case ast.Call(ast.Name("missing"), [arg]) if (name := column_name(arg)) is not None:
                return self.gaps[name]
            case ast.Call(ast.Name("where"), [condition, then, other]):
                return z3.If(self._truth(condition), self._truth(then), self._truth(other))
            case ast.Compare(left, [ast.In() | ast.NotIn() as op], [ast.Tuple(elts) | ast.List(elts)]):
                member = z3.Or(*(self._compare(left, ast.Eq(), item) for item in elts))
                return member if isinstance(op, ast.In) else z3.Not(member)
            case ast.Compare(left, [op], [right]):
                return self._compare(left, op, right)
        name = column_name(node)
        if name is not None and isinstance(self.schema[name], Boolean):
            return self.variables[name]
        raise _UnsupportedError

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Any:
        for side, other in ((left, right), (right, left)):
            name = column_name(side)
            if name is not None and isinstance(other, ast.Constant) and isinstance(op, (ast.Eq, ast.NotEq)):
                equal = self._equals(name, other.value)
                return equal if isinstance(op, ast.Eq) else self.z3.Not(equal)
        compare: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
            ast.Lt: lambda a, b: a < b,
            ast.LtE: lambda a, b: a <= b,
            ast.Eq: lambda a, b: a == b,
            ast.NotEq: lambda a, b: a != b,
            ast.GtE: lambda a, b: a >= b,
            ast.Gt: lambda a, b: a > b,
        }
        return compare[type(op)](self._number(left), self._number(right))

    def _number(self, node: ast.expr) -> Any:
        """Translate a numeric expression."""
        z3 = self.z3
        match node:
            case ast.Constant(int() | float() as value) if not isinstance(value, bool):
                return z3.RealVal(str(value))
            case ast.UnaryOp(ast.USub(), operand):
                return -self._number(operand)
            case ast.BinOp(left, ast.Add(), right):
                return self._number(left) + self._number(right)
            case ast.BinOp(left, ast.Sub(), right):
                return self._number(left) - self._number(right)
            case ast.BinOp(left, ast.Mult(), right):
                return self._number(left) * self._number(right)
            case ast.BinOp(left, ast.Div(), ast.Constant(int() | float() as value)) if value:
                return self._number(left) / z3.RealVal(str(value))
            case ast.Call(ast.Name("abs"), [arg]):
                term = self._number(arg)
                return z3.If(term >= 0, term, -term)
            case ast.Call(ast.Name("min" | "max" as which), [first, *rest]):
                out = self._number(first)
                for one in rest:
                    term = self._number(one)
                    out = z3.If((term < out) if which == "min" else (term > out), term, out)
                return out
            case ast.Call(ast.Name("where"), [condition, then, other]):
                return z3.If(self._truth(condition), self._number(then), self._number(other))
        name = column_name(node)
        if name is None or not isinstance(self.schema[name], (Numeric, Datetime)):
            raise _UnsupportedError
        variable = self.variables[name]
        return z3.ToReal(variable) if variable.is_int() else variable


def _formulas(rule: Constraint) -> list[Formula]:
    """Return the expressions of a constraint."""
    parts = [getattr(rule, name, None) for name in ("formula", "condition", "consequence")]
    return [formula for formula in parts if isinstance(formula, Formula)]
