"""Conditions of the command line (``--given``) as ``sample(given=...)`` expects them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tabsynth.cli.output import number

if TYPE_CHECKING:
    from tabsynth.schema.columns import Column
    from tabsynth.schema.schema import Schema


def parse_given(
    conditions: Iterable[str], schema: Schema, known: Mapping[str, Sequence[Any]] | None = None
) -> dict[str, Any] | None:
    """The conditions of a command line as ``sample(given=...)`` wants them.

    Args:
        conditions: ``COLUMN=VALUE``, ``COLUMN=LOW:HIGH`` (numbers and dates; an end may be left out),
            ``COLUMN=A,B`` (categories) or ``COLUMN=`` (missing).
        schema: The model's.
        known: The values that the model knows, by column, where the schema does not hold them.

    Raises:
        ConditionError: No ``COLUMN=VALUE``, an unknown column, or a value that its column cannot have.
    """
    from tabsynth.errors import ConditionError, quote

    given: dict[str, Any] = {}
    for text in conditions:
        places = [i for i, letter in enumerate(text) if letter == "=" and text[:i] in schema]
        if not places:
            name, sign, _ = text.partition("=")
            wrong = f"unknown column {name!r}; there are {quote(schema, 12)}" if sign else "write COLUMN=VALUE"
            raise ConditionError(f"--given {text}: {wrong}")
        name, value = text[: places[-1]], text[places[-1] + 1 :]
        if name in given:
            raise ConditionError(f"--given names column {name!r} twice; give one condition for it")
        given[name] = _condition(schema[name], value, (known or {}).get(name, ()))
    return given or None


def _condition(column: Column, text: str, known: Sequence[Any]) -> Any:
    """A condition in the type of its column."""
    from tabsynth.errors import ConditionError, quote
    from tabsynth.schema.columns import Boolean, Categorical, Datetime, Numeric

    if isinstance(column, (Numeric, Datetime)):
        single = partial(number, option=f"--given {column.name}") if isinstance(column, Numeric) else str
        ends = _ends(text, times=isinstance(column, Datetime))
        if ends is not None:
            return tuple(single(end) if end else None for end in ends)
        return single(text) if text else None
    if isinstance(column, Boolean) and text:
        if text.lower() not in ("true", "false"):
            raise ConditionError(f"--given {column.name}={text}: the column is boolean; give true or false")
        return text.lower() == "true"
    declared = column.values if isinstance(column, Categorical) else None
    values = {str(value): value for value in declared or known}
    if text in values or not values:
        return values.get(text, text or None)
    parts = text.split(",")
    if all(part in values for part in parts):
        return [values[part] for part in parts]
    if not text:
        return None
    raise ConditionError(f"--given {column.name}={text}: the column has the values {quote(values, 12)}")


def _ends(text: str, *, times: bool) -> tuple[str, str] | None:
    """The two ends of LOW:HIGH; None when the text is a single value."""
    if text.startswith(":") or text.endswith(":"):
        return (text[:-1], "") if text.endswith(":") else ("", text[1:])
    # Times hold colons too: the sign of a range is the middle one, and both ends are spelled alike.
    parts = text.split(":")
    low, high = ":".join(parts[: len(parts) // 2]), ":".join(parts[len(parts) // 2 :])
    alike = re.sub(r"\d+", "0", low) == re.sub(r"\d+", "0", high)
    return (low, high) if len(parts) % 2 == 0 and (alike or not times) else None
