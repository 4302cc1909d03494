"""Constraints between the columns of a row, as declared in a schema; ``docs/how-to/rules.md`` describes the format."""

from __future__ import annotations

from tabsynth.schema.constraints.base import Constraint, Steps, Values
from tabsynth.schema.constraints.expression import Expression, IfThen, MissingWhen
from tabsynth.schema.constraints.keys import OneOf, RefusedRule, Unique
from tabsynth.schema.constraints.linear import Linear, Product
from tabsynth.schema.constraints.order import Inequality, Order, Range
from tabsynth.schema.constraints.reading import KINDS, constraint_from_dict
from tabsynth.schema.constraints.values import Combinations, Forbidden, Lookup

__all__ = [
    "KINDS",
    "Combinations",
    "Constraint",
    "Expression",
    "Forbidden",
    "IfThen",
    "Inequality",
    "Linear",
    "Lookup",
    "MissingWhen",
    "OneOf",
    "Order",
    "Product",
    "Range",
    "RefusedRule",
    "Steps",
    "Unique",
    "Values",
    "constraint_from_dict",
]
