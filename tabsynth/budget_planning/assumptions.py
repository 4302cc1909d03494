"""Placeholders for facts that a schema leaves open, so that a budget can be planned before they are declared."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pandas as pd

from tabsynth.errors import quote
from tabsynth.schema.columns import Categorical, Column, Datetime, Numeric
from tabsynth.schema.schema import Schema

PLACEHOLDER_VALUES = 8
"""Assumed number of categories."""

PLACEHOLDER_RANGE = 100
"""Assumed range of numbers, from 0 if neither bound is declared."""

PLACEHOLDER_DAYS = 3650
"""Assumed range of dates, from 2010 if neither bound is declared."""


def complete_schema(schema: Schema) -> tuple[Schema, tuple[str, ...]]:
    """Return a schema in which every fact is given, and a sentence on each kind of fact that was assumed.

    Persons are protected by the number of rows that the plan counts, so no column identifies them. Constraints of
    columns with assumed facts are left out.
    """
    columns: dict[str, Column] = {}
    values: list[str] = []
    bounds: list[str] = []
    for name, column in schema.items():
        known = replace(column, origin="declared", role=None if column.role == "person" else column.role)
        if isinstance(known, Categorical) and known.values is None:
            known = replace(known, values=tuple(f"v{i}" for i in range(PLACEHOLDER_VALUES)))
            values.append(name)
        elif isinstance(known, (Numeric, Datetime)) and (known.low is None or known.high is None):
            known = _bounded_number(known) if isinstance(known, Numeric) else _bounded_date(known)
            bounds.append(name)
        columns[name] = known
    assumed = {*values, *bounds}
    kept = tuple(one for one in schema.constraints if not assumed.intersection(one.columns))
    notes = []
    if values:
        notes.append(f"{PLACEHOLDER_VALUES} values of {quote(values, 6)}, which the schema does not list")
    if bounds:
        notes.append(f"a range of {PLACEHOLDER_RANGE}, or of ten years, of {quote(bounds, 6)}, which have no bounds")
    return Schema(columns, kept), tuple(notes)


def _bounded_number(column: Numeric) -> Numeric:
    low, high = column.low, column.high
    if low is None:
        low = 0 if high is None else high - PLACEHOLDER_RANGE
    return replace(column, low=low, high=low + PLACEHOLDER_RANGE if high is None else high)


def _bounded_date(column: Datetime) -> Datetime:
    span = timedelta(days=PLACEHOLDER_DAYS)
    low, high = column.low, column.high
    if low is None:
        low = "2010-01-01" if high is None else str((pd.Timestamp(high) - span).date())
    return replace(column, low=low, high=str((pd.Timestamp(low) + span).date()) if high is None else high)
