"""Open questions about the proposed keys and foreign keys of a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import pandas as pd

from tabsynth.errors import quote
from tabsynth.schema.columns import Datetime, Numeric
from tabsynth.schema.database.key_inference import GENERIC, Link, may_be_key
from tabsynth.schema.schema import Schema

MAX_LIST_ROWS = 50
"""Maximum rows of a parent that may be a public list, such as countries or wards."""

MIN_ROWS_PER_ENTRY = 20
"""Minimum child rows per parent row for a small parent to be a possible public list."""

MAX_KEY_COLUMNS = 8
"""Maximum columns of a table that are tried for a key of two or three columns."""


def find_questions(
    frames: Mapping[str, pd.DataFrame],
    schemas: Mapping[str, Schema],
    primary: Mapping[str, str],
    links: Sequence[Link],
    order: Mapping[str, str],
) -> dict[str, str]:
    """Return the questions that the user should decide, by table or ``table.column``.

    Args:
        frames: The tables by name.
        schemas: Their schemas.
        primary: The proposed primary keys.
        links: The proposed foreign keys: child, column, parent.
        order: The proposed order columns.
    """
    out: dict[str, str] = {}
    for name, frame in frames.items():
        schema = schemas[name]
        own = [link for link in links if link[0] == name]
        main = next((link for link in own if link[2] != name), None)
        questions = [] if name in primary else _composite_key(frame, schema, own)
        if main is None and len(frames) > 1 and not any(link[2] == name and link[0] != name for link in links):
            questions.append("no link to another table was found: declare a foreign key, or leave the table out")
        if main is not None and sum(link[2] != name for link in own) > 1:
            others = quote(link[2] for link in own if link[2] not in (name, main[2]))
            questions.append(
                f"the rows are modelled as the history of {main[2]!r} (column {main[1]!r}), not of {others}: "
                "list another foreign key first if it should be the main one"
            )
        questions += _order_question(schema, name, order) if main is not None else []
        questions += _list_question(frames, name, links)
        if questions:
            out[name] = "; ".join(questions)
        linked = {link[1] for link in own}
        for column in schema:
            if column not in linked and column != primary.get(name):
                parents = _parents_together(frames, schema, name, column, primary)
                if parents:
                    out[f"{name}.{column}"] = (
                        f"its values are keys of {quote(parents)}, of none alone: a polymorphic reference is not "
                        "supported; split the column into one foreign key for each parent"
                    )
    return out


def without_key_questions(schemas: Mapping[str, Schema], links: Sequence[Link]) -> dict[str, Schema]:
    """Return the schemas without questions about columns that are proposed as foreign keys, which answers them."""
    out = dict(schemas)
    for table, column, _ in links:
        if out[table][column].question:
            columns = {**out[table].columns, column: replace(out[table][column], question="")}
            out[table] = replace(out[table], columns=columns)
    return out


def _composite_key(frame: pd.DataFrame, schema: Schema, own: Sequence[Link]) -> list[str]:
    """Return the smallest set of key-like columns that identifies a row, as a question."""
    linked = [link[1] for link in own]
    numbers = [c for c in schema if isinstance(schema[c], Numeric) and may_be_key(schema, c) and c not in linked]
    dates = [c for c in schema if isinstance(schema[c], Datetime)]
    rest = [c for c in schema if c not in linked and c not in numbers and c not in dates]
    candidates = [c for c in [*linked, *dates, *numbers, *rest] if frame[c].notna().all()][:MAX_KEY_COLUMNS]
    for size in (2, 3):
        for columns in combinations(candidates, size):
            if (not linked or set(columns) & set(linked)) and not frame.duplicated(list(columns)).any():
                return [
                    f"no column identifies a row, but {quote(columns)} together do: "
                    "declare them in composite_keys if that always holds"
                ]
    return []


def _order_question(schema: Schema, name: str, order: Mapping[str, str]) -> list[str]:
    dates = [column for column in schema if isinstance(schema[column], Datetime)]
    if name not in order:
        return ["no date orders the rows of a parent: declare a column in order if there is one"]
    others = [column for column in dates if column != order[name]]
    if others:
        return [f"the rows of a parent are ordered by {order[name]!r}: or by {quote(others)}?"]
    return []


def _list_question(frames: Mapping[str, pd.DataFrame], name: str, links: Sequence[Link]) -> list[str]:
    children = [link[0] for link in links if link[2] == name and link[0] != name]
    rows = sum(len(frames[child]) for child in children)
    if children and len(frames[name]) <= MAX_LIST_ROWS and rows >= MIN_ROWS_PER_ENTRY * len(frames[name]):
        return [f"{len(frames[name])} rows with {rows:,} children: declare it in reference if it is a public list"]
    return []


def _parents_together(
    frames: Mapping[str, pd.DataFrame], schema: Schema, name: str, column: str, primary: Mapping[str, str]
) -> list[str]:
    """Return tables whose keys together contain every value of a column, although no single table's keys do."""
    values = frames[name][column].dropna()
    if not may_be_key(schema, column) or column.lower() in GENERIC or not len(values):
        return []
    if values.dtype.kind in "iuf" and not column.lower().endswith(("_id", "id", "_key", "_ref")):
        return []
    distinct = pd.Series(values.unique())
    found = {
        parent: distinct.isin(frames[parent][key])
        for parent, key in primary.items()
        if parent != name and frames[parent][key].dtype.kind == values.dtype.kind
    }
    some = {parent: held for parent, held in found.items() if held.any()}
    if len(some) < 2 or not pd.DataFrame(some).any(axis=1).all():
        return []
    return list(some)
