"""Read constraints from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tabsynth.errors import SchemaError
from tabsynth.schema.constraints.base import Constraint
from tabsynth.schema.constraints.expression import Expression, IfThen, MissingWhen
from tabsynth.schema.constraints.keys import OneOf, RefusedRule, Unique
from tabsynth.schema.constraints.linear import Linear, Product
from tabsynth.schema.constraints.order import Inequality, Order, Range
from tabsynth.schema.constraints.values import Combinations, Forbidden, Lookup

KINDS: dict[str, type[Constraint]] = {
    kind.kind: kind
    for kind in (
        Inequality,
        Order,
        Range,
        Linear,
        Product,
        Combinations,
        Lookup,
        Forbidden,
        OneOf,
        Unique,
        IfThen,
        MissingWhen,
        Expression,
        RefusedRule,
    )
}


def constraint_from_dict(data: Any) -> Constraint:
    """Read a constraint; the inverse of ``to_dict``.

    Raises:
        SchemaError: An unknown kind or key.
    """
    if not isinstance(data, Mapping) or str(data.get("kind")) not in KINDS:
        raise SchemaError(f'a constraint is {{"kind": one of {", ".join(KINDS)}, ...}}, not {data!r}')
    try:
        return KINDS[data["kind"]](**{key: value for key, value in data.items() if key != "kind"})
    except TypeError as error:
        raise SchemaError(f"constraint {dict(data)!r}: {error}") from error
