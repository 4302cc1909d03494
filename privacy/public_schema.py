"""Schema checks of a private fit: every fact that shapes the output must be declared or measured under DP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields

from tabsynth.errors import PrivacyError, quote, warn_caller
from tabsynth.privacy.mechanisms.canonical_cells import MAX_EXACT_INTEGER, digit_format, find_ambiguity
from tabsynth.privacy.mechanisms.clamping import OTHER
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Identifier, Numeric
from tabsynth.schema.schema import Schema

MEASURE = "or measure it for a charge with tabsynth.privacy.domains.measure ('tabsynth measure')"

_PUBLISHED = frozenset({
    "name", "nullable", "role", "origin", "values", "ordered", "low", "high", "decimals", "format", "resolution",
    "pattern", "replacement",
})  # fmt: skip
"""Facts of a column that a private model may keep; all others, such as notes of the inference, could leak."""


def private_schema(schema: Schema, unit: str = "row") -> None:
    """Check that a schema is public enough for a private fit. No data is read.

    In a column that is not declared ``nullable``, missing cells count as the last declared value.

    Args:
        schema: The schema.
        unit: ``row``, or the column that identifies persons.

    Raises:
        PrivacyError: A fact is inferred or missing; the message names each column and the remedy.
    """
    faults = [fault for column in schema.values() if (fault := _find_fault(column))]
    inferred = [name for name, column in schema.items() if column.origin == "inferred" and column.role != "weight"]
    if inferred:
        faults.insert(0, _explain_inferred(inferred))
    if faults:
        more = f"; and {len(faults) - 5} more columns" if len(faults) > 5 else ""
        raise PrivacyError("the schema is not public enough for a private fit: " + "; ".join(faults[:5]) + more)
    persons = schema.with_role("person")
    if unit == "row":
        if persons:
            raise PrivacyError(
                f"column {persons[0]!r} identifies persons, but the unit of privacy is a row: use "
                f"Privacy(unit={persons[0]!r}, rows_per_person=...), or take its role away"
            )
    elif unit not in schema:
        raise PrivacyError(f"the unit of privacy {unit!r} is not a column of the schema; there are {quote(schema)}")
    elif not isinstance(schema[unit], Identifier):
        raise PrivacyError(
            f"column {unit!r} is the unit of privacy but is declared {schema[unit].kind}; declare it identifier, which "
            "is never learned"
        )


def _explain_inferred(names: Sequence[str]) -> str:
    """Return why inferred columns are not public, and the remedy in Python and in the schema's file."""
    what = f"column {names[0]!r} was" if len(names) == 1 else f"columns {quote(names)} were"
    return (
        f"{what} inferred from the data: declare what is public knowledge (schema.replace({names[0]!r}, ...), or in "
        f"the schema's file remove 'origin: inferred' from each column that you have checked), {MEASURE}"
    )


def to_public_schema(schema: Schema) -> Schema:
    """Return a copy of the schema with only the facts that shape a private model's output."""
    columns = {}
    for name, column in schema.items():
        facts = {item.name: getattr(column, item.name) for item in fields(column) if item.name in _PUBLISHED}
        columns[name] = type(column)(**facts)
    return Schema(columns, schema.constraints)


def _find_fault(column: Column) -> str:
    """Return why a column is not public and the remedy; empty if it is."""
    name = f"column {column.name!r}"
    if column.role == "weight":
        return f"{name} holds weights, which multiply the influence of a row: leave it out of a private fit"
    if column.origin == "inferred":
        return ""
    if isinstance(column, Categorical) and column.values is None:
        return f"{name} has no values: declare them, {MEASURE}"
    if isinstance(column, (Numeric, Datetime)):
        absent = [side for side in ("low", "high") if getattr(column, side) is None]
        if absent:
            return f"{name} has no {' and no '.join(absent)}: declare public bounds, {MEASURE}"
    return _find_inexact_values(column)


def _find_inexact_values(column: Column) -> str:
    """Return why a column's values are ambiguous, so that one row could change how others are parsed; empty if not."""
    name = f"column {column.name!r}"
    if isinstance(column, Categorical) and (why := find_ambiguity(column.values or ())):
        return f"{name}: among its values, {why}"
    if isinstance(column, Numeric) and column.decimals == 0 and not _is_exact_integer(column):
        return (
            f"{name} may hold whole numbers from 2**53 on, which are not exact: narrow its bounds or leave decimals out"
        )
    if isinstance(column, Datetime) and (form := digit_format(column.format)) and len(f"{0:{form}}") > 15:
        return f"{name}: a date of more than 15 digits is not exact as a number: use a format with separators"
    return ""


def public_dtypes(schema: Schema) -> dict[str, str]:
    """Return the pandas dtype of each synthetic column as in ``Codec.dtypes``, from the schema alone."""
    return {name: _dtype(column) for name, column in schema.items()}


def _dtype(column: Column) -> str:
    if isinstance(column, Numeric):
        whole = column.decimals == 0 and _is_exact_integer(column)
        return ("Int64" if column.nullable else "int64") if whole else "float64"
    if isinstance(column, Boolean):
        return "boolean" if column.nullable else "bool"
    if isinstance(column, Datetime):
        return "object" if column.format else "datetime64[ns]"
    if isinstance(column, Categorical) and column.values:
        kinds = {type(value) for value in column.values}
        if kinds == {int}:
            return "Int64" if column.nullable else "int64"
        if kinds == {bool}:
            return "boolean" if column.nullable else "bool"
        if kinds <= {int, float}:
            return "float64"
    return "object"


def _is_exact_integer(column: Numeric) -> bool:
    return max(abs(column.low or 0), abs(column.high or 0)) < MAX_EXACT_INTEGER


def warn_of_unmeasured(columns: Iterable[Column]) -> None:
    """Warn of measured columns in which noise hid every category, or the range; depends on released facts only."""
    names = [
        column.name
        for column in columns
        if (isinstance(column, Categorical) and column.values == (OTHER,))
        or (isinstance(column, Numeric) and column.low is not None and column.low == column.high)
    ]
    if names:
        warn_caller(
            f"columns {quote(names)}: the noise hid every category, or the range, so that a fit cannot learn them; "
            "declare their values or bounds if these are public, or measure fewer columns or with more epsilon"
        )
