"""Describe the columns of a schema and their values to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.schema.columns import Column, Datetime, Numeric
from tabsynth.schema.schema import Schema
from tabsynth.schema.text_inference import MIN_GROUP
from tabsynth.schema.validation import to_instants, to_numbers

QUANTILES = (0, 0.25, 0.5, 0.75, 1)


def describe(schema: Schema, frame: pd.DataFrame | None = None) -> list[dict[str, Any]]:
    """Describe each column in one row.

    Args:
        schema: The schema.
        frame: Adds frequent values (``examples``), ``quantiles`` and the share of missing values.
    """
    rows = []
    for name, column in schema.items():
        row: dict[str, Any] = {
            "column": name,
            "kind": column.kind,
            "nullable": column.nullable,
            "role": column.role or "",
            "origin": column.origin,
            "because": column.why,
            "question": column.question,
        }
        if frame is not None and name in frame:
            counts = frame[name].value_counts()
            row["distinct"] = len(counts)
            row["examples"] = [str(value) for value in counts[counts >= MIN_GROUP].index[:3]]
            row["quantiles"] = _quantiles(frame[name], column)
            row["missing"] = float(frame[name].isna().mean())
        rows.append(row)
    return rows


def _quantiles(values: pd.Series, column: Column) -> list[str]:
    """Return the minimum, quartiles and maximum as text; empty for columns without an order."""
    present = values.dropna()
    if not len(present) or not isinstance(column, (Numeric, Datetime)):
        return []
    if isinstance(column, Datetime):
        ordered = to_instants(present, column.format).sort_values(ignore_index=True)
        return [str(ordered[round(part * (len(ordered) - 1))]) for part in QUANTILES]
    numbers = np.quantile(to_numbers(present, column.format), QUANTILES)
    return [f"{number:.6g}" for number in numbers]


def open_questions(inferred: Schema, declared: Mapping[str, Column]) -> dict[str, str]:
    """Return the questions about inferred columns that a declared schema leaves unchanged."""
    return {
        name: question
        for name, question in inferred.questions.items()
        if name in declared and _facts(declared[name]) == _facts(inferred[name])
    }


def _facts(column: Column) -> dict[str, Any]:
    return {key: value for key, value in column.to_dict().items() if key not in ("why", "question")}
