"""Recognise expressions that can be enforced by construction: linear forms, and columns set to a value."""

from __future__ import annotations

import ast
from typing import Any

from tabsynth.schema.constraints.linear_forms import LinearForm

Terms = dict[str, float]


def conjuncts(tree: ast.expr) -> list[ast.expr]:
    """Split a conjunction or a chain of comparisons into its parts."""
    match tree:
        case ast.BoolOp(ast.And(), values):
            return [part for value in values for part in conjuncts(value)]
        case ast.Compare(left, ops, comparators) if len(ops) > 1:
            sides = [left, *comparators]
            return [ast.Compare(sides[i], [op], [sides[i + 1]]) for i, op in enumerate(ops)]
    return [tree]


def linear_forms_of(tree: ast.expr) -> tuple[LinearForm, ...]:
    """Return linear forms that are together equivalent to an expression; empty if there are none."""
    forms = [_linear_form(part) for part in conjuncts(tree)]
    return tuple(form for form in forms if form is not None) if None not in forms else ()


def assignments(tree: ast.expr) -> list[tuple[str, Any]]:
    """Return the columns that a conjunction sets to a constant, None for missing; empty for other expressions."""
    out: list[tuple[str, Any]] = []
    for part in conjuncts(tree):
        match part:
            case ast.Compare(left, [ast.Eq()], [ast.Constant(value)]) if (name := column_name(left)) is not None:
                out.append((name, value))
            case ast.Call(ast.Name("missing"), [arg]) if (name := column_name(arg)) is not None:
                out.append((name, None))
            case ast.UnaryOp(ast.Not(), operand) if (name := column_name(operand)) is not None:
                out.append((name, False))
            case _ if (name := column_name(part)) is not None:
                out.append((name, True))
            case _:
                return []
    return out


def computed_columns(tree: ast.expr) -> list[tuple[str, ast.expr]]:
    """Return the columns that a conjunction equates with formulas, and these; empty for other expressions."""
    out: list[tuple[str, ast.expr]] = []
    for part in conjuncts(tree):
        match part:
            case ast.Compare(left, [ast.Eq()], [right]) if (name := column_name(left)) is not None:
                out.append((name, right))
            case _:
                return []
    return out


def column_name(node: ast.expr) -> str | None:
    """Return the column that a node refers to, or None."""
    match node:
        case ast.Name(name):
            return name
        case ast.Call(ast.Name("col"), [ast.Constant(str(name))]):
            return name
    return None


def _linear_form(node: ast.expr) -> LinearForm | None:
    """Return a comparison of sums as a linear form, None for other nodes."""
    match node:
        case ast.Compare(left, [op], [right]) if isinstance(op, (ast.Lt, ast.LtE, ast.Eq, ast.GtE, ast.Gt)):
            low, high = _linear(left), _linear(right)
            if low is None or high is None:
                return None
            if isinstance(op, (ast.Gt, ast.GtE)):
                low, high = high, low
            terms = {name: high[0].get(name, 0.0) - low[0].get(name, 0.0) for name in {**high[0], **low[0]}}
            terms = {name: factor for name, factor in terms.items() if factor}
            if len(terms) == 0:
                return None
            target = column_name(left) or column_name(right) or next(iter(terms))
            if target not in terms:
                target = next(iter(terms))
            constant = high[1] - low[1]
            equal = isinstance(op, ast.Eq)
            if equal and terms[target] < 0:
                terms, constant = {name: -factor for name, factor in terms.items()}, -constant
            if not equal and len(terms) > 1:
                target = next(name for name in {**high[0], **low[0]} if name in terms)
            strict = isinstance(op, (ast.Lt, ast.Gt))
            return LinearForm(tuple(terms.items()), constant, 0.0, 0.0 if equal else None, strict, target=target)
    return None


def _linear(node: ast.expr) -> tuple[Terms, float] | None:
    """Return the factors and the constant of a weighted sum of columns, None for other nodes."""
    match node:
        case ast.Constant(value) if isinstance(value, (int, float)) and not isinstance(value, bool):
            return {}, float(value)
        case ast.UnaryOp(ast.USub(), operand):
            return _scaled(_linear(operand), -1.0)
        case ast.UnaryOp(ast.UAdd(), operand):
            return _linear(operand)
        case ast.BinOp(left, ast.Add() | ast.Sub() as op, right):
            first, second = _linear(left), _scaled(_linear(right), 1.0 if isinstance(op, ast.Add) else -1.0)
            if first is None or second is None:
                return None
            names = {**first[0], **second[0]}
            return {n: first[0].get(n, 0.0) + second[0].get(n, 0.0) for n in names}, first[1] + second[1]
        case ast.BinOp(left, ast.Mult(), right):
            for one, other in ((left, right), (right, left)):
                factor = _linear(one)
                if factor is not None and not factor[0]:
                    return _scaled(_linear(other), factor[1])
            return None
        case ast.BinOp(left, ast.Div(), right):
            factor = _linear(right)
            if factor is not None and not factor[0] and factor[1]:
                return _scaled(_linear(left), 1.0 / factor[1])
            return None
    name = column_name(node)
    return None if name is None else ({name: 1.0}, 0.0)


def _scaled(sum_of: tuple[Terms, float] | None, factor: float) -> tuple[Terms, float] | None:
    return None if sum_of is None else ({name: k * factor for name, k in sum_of[0].items()}, sum_of[1] * factor)
