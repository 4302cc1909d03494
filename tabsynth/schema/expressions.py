"""A safe expression language for formulas of columns.

A formula is parsed by Python's parser, and every node is checked against the list below, so a file of formulas cannot
run code. There are no attributes, subscripts or assignments, and the only names are those of columns.

- ``+ - * / // % **``, ``< <= == != >= >``, ``and or not``, ``x in ("a", "b")``
- numbers, ``"text"``, ``True``, ``False``
- ``where(condition, then, otherwise)``, ``min(...)``, ``max(...)``, ``round(x, decimals)``, ``floor``, ``abs``,
  ``sqrt``, ``exp``, ``log``
- ``missing(column)``: whether the cell is empty
- a column by its name, or ``col("its name")`` if the name is not a Python identifier. A date is the number of days
  since 1970, so ``admitted + 3`` is three days later.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.errors import InputError, did_you_mean, quote

Array = npt.NDArray[Any]

MAX_FORMULA_CHARS = 2000
"""Maximum length of a formula."""

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: np.logical_not,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.GtE: operator.ge,
    ast.Gt: operator.gt,
}
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "where": (lambda condition, then, other: _where(condition, then, other), 3, 3),
    "min": (lambda *sides: np.minimum.reduce(np.broadcast_arrays(*sides)), 2, 20),
    "max": (lambda *sides: np.maximum.reduce(np.broadcast_arrays(*sides)), 2, 20),
    "round": (lambda x, decimals=0.0: np.round(x, int(decimals)), 1, 2),
    "floor": (np.floor, 1, 1),
    "abs": (np.abs, 1, 1),
    "sqrt": (np.sqrt, 1, 1),
    "exp": (np.exp, 1, 1),
    "log": (np.log, 1, 1),
}
"""Each function, with its minimum and maximum number of arguments."""


@dataclass(frozen=True)
class Formula:
    """A checked formula.

    Attributes:
        text: As it was written.
        tree: Its syntax tree, of allowed nodes only.
        names: The columns that it reads.

    Example:
        >>> formula = Formula.parse("where(age >= 18, round(weight / 4, 1), 0)", ["age", "weight"])
        >>> formula.evaluate({"age": np.array([30.0, 9.0]), "weight": np.array([80.0, 30.0])}, 2)
        array([20.,  0.])
    """

    text: str
    tree: ast.expr
    names: frozenset[str]

    @cached_property
    def value_names(self) -> frozenset[str]:
        """The columns whose values are read, rather than only whether they are missing."""
        return frozenset(_value_names(self.tree))

    @classmethod
    def parse(cls, text: Any, columns: Any, where: str = "formula") -> Formula:
        """Read and check a formula; a number is one too.

        Args:
            text: The formula.
            columns: The columns that it may read; None for any.
            where: Name of the owner in messages.

        Raises:
            InputError: It cannot be parsed, or uses an unsupported construct.
        """
        if isinstance(text, (int, float)) and np.isfinite(text):
            text = repr(text)
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_FORMULA_CHARS:
            raise InputError(f"{where}: {str(text)[:60]!r} is not a formula such as 'price * 1.2' (or a number)")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
            names = frozenset(_check_nodes(tree))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            message = str(error) if isinstance(error, _RefusedError) else f"it cannot be read ({error})"
            raise InputError(f"{where}: the formula {text!r} cannot be used: {message}") from error
        for name in sorted(names):
            if columns is not None and name not in columns:
                hint = did_you_mean(name, columns)
                raise InputError(
                    f"{where}: the formula {text!r} reads {name!r}{hint}, which is not a column; there are "
                    f"{quote(columns, 12)}"
                )
        return cls(text, tree, names)

    @classmethod
    def of_tree(cls, tree: ast.expr) -> Formula:
        """Return a part of the tree of a checked formula as a formula."""
        return cls(ast.unparse(tree), tree, frozenset(_check_nodes(tree)))

    def evaluate(self, columns: Mapping[str, Array], n: int) -> Array:
        """Evaluate the formula for n rows, shape (n,); a division by zero gives an infinite or missing number.

        Raises:
            InputError: Its parts do not go together, such as text and a number.
        """
        try:
            with np.errstate(all="ignore"):
                value = np.asarray(_value(self.tree, columns))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"the formula {self.text!r} does not work out: {error}") from error
        return np.broadcast_to(value, (n,)).copy()


class _RefusedError(ValueError):
    """An expression outside the language."""


def _check_nodes(node: ast.AST) -> Iterator[str]:
    """Yield the columns that a tree reads; raises at a node that is not allowed."""
    match node:
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            yield from _check_nodes(left)
            yield from _check_nodes(right)
        case ast.UnaryOp(op, operand) if type(op) in _UNARY:
            yield from _check_nodes(operand)
        case ast.BoolOp(_, values):
            for value in values:
                yield from _check_nodes(value)
        case ast.Compare(left, [op], [ast.Tuple(elts) | ast.List(elts)]) if isinstance(op, (ast.In, ast.NotIn)):
            yield from _check_nodes(left)
            if not all(isinstance(item, ast.Constant) for item in elts):
                raise _RefusedError('"in" is followed by values in brackets')
        case ast.Compare(left, ops, comparators) if all(type(op) in _COMPARE for op in ops):
            for side in (left, *comparators):
                yield from _check_nodes(side)
        case ast.Call(ast.Name("col"), [ast.Constant(str(name))], []):
            yield name
        case ast.Call(ast.Name("missing"), [ast.Name() | ast.Call(ast.Name("col")) as column], []):
            yield from _check_nodes(column)
        case ast.Call(ast.Name("missing")):
            raise _RefusedError("missing takes a column")
        case ast.Call(ast.Name(name), args, []) if name in _FUNCTIONS:
            _, fewest, most = _FUNCTIONS[name]
            if not fewest <= len(args) <= most:
                raise _RefusedError(f"{name} takes {fewest if fewest == most else f'{fewest} to {most}'} arguments")
            if name == "round" and len(args) == 2 and not isinstance(args[1], ast.Constant):
                raise _RefusedError("round wants its decimals as a plain number")
            for arg in args:
                yield from _check_nodes(arg)
        case ast.Call():
            raise _RefusedError(
                f"{ast.unparse(node.func)!r} is not one of {', '.join(['col', 'missing', *_FUNCTIONS])}"
            )
        case ast.Name(name):
            yield name
        case ast.Constant(value) if isinstance(value, (int, float, str)):
            if isinstance(value, int) and abs(value) > 2**53:
                raise _RefusedError(f"the number {value} is too large")
        case _:
            raise _RefusedError(f"{ast.unparse(node)!r} is not in the language; see tabsynth.schema.expressions")


def _value_names(node: ast.AST) -> Iterator[str]:
    """Yield the columns that a checked tree reads outside ``missing``."""
    match node:
        case ast.Call(ast.Name("missing")):
            return
        case ast.Call(ast.Name("col"), [ast.Constant(str(name))]):
            yield name
        case ast.Call(ast.Name(), args):
            for arg in args:
                yield from _value_names(arg)
        case ast.Name(name):
            yield name
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _value_names(child)


def _value(node: ast.expr, columns: Mapping[str, Array]) -> Any:
    """Evaluate a checked tree to a number, a text or an array."""
    match node:
        case ast.BinOp(left, op, right):
            return _BINARY[type(op)](_number(_value(left, columns)), _number(_value(right, columns)))
        case ast.UnaryOp(op, operand):
            return _UNARY[type(op)](_value(operand, columns))
        case ast.BoolOp(op, values):
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return join.reduce(np.broadcast_arrays(*(_value(value, columns) for value in values))).astype(bool)
        case ast.Compare(left, [op], [ast.Tuple(elts) | ast.List(elts)]) if isinstance(op, (ast.In, ast.NotIn)):
            held = _value(left, columns)
            found = (
                np.logical_or.reduce([held == _value(item, columns) for item in elts]) if elts else np.zeros(1, bool)
            )
            return found if isinstance(op, ast.In) else np.logical_not(found)
        case ast.Compare(left, ops, comparators):
            sides = [_value(side, columns) for side in (left, *comparators)]
            each = [_COMPARE[type(op)](sides[i], sides[i + 1]) for i, op in enumerate(ops)]
            return np.logical_and.reduce(np.broadcast_arrays(*each)).astype(bool)
        case ast.Call(ast.Name("col"), [ast.Constant(name)]):
            return columns[str(name)]
        case ast.Call(ast.Name("missing"), [column]):
            return pd.isna(_value(column, columns))
        case ast.Call(ast.Name(name), args):
            return _FUNCTIONS[name][0](*(_value(arg, columns) for arg in args))
        case ast.Name(name):
            return columns[name]
        case ast.Constant(value):
            # As 64-bit floats numbers cannot grow without end.
            return np.float64(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    raise AssertionError(f"{ast.unparse(node)} was not checked")


def _number(value: Any) -> Any:
    """Return a side of an arithmetic operation: numbers only, or 3 * "abc" would be text."""
    held = np.asarray(value)
    if held.dtype.kind == "U" or (held.dtype == object and any(isinstance(item, str) for item in held.ravel())):
        raise TypeError("text cannot be reckoned with")
    return held.astype(np.float64)


def _where(condition: Any, then: Any, other: Any) -> Array:
    """Return one of two values for each row; texts keep their type."""
    if any(np.asarray(side).dtype.kind in "UO" for side in (then, other)):
        then, other = np.asarray(then, dtype=object), np.asarray(other, dtype=object)
    chosen: Array = np.where(np.asarray(condition, dtype=bool), then, other)
    return chosen
