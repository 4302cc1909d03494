"""One long table of histories as a parent table of persons and a child table of events, and back."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tabsynth.errors import DataError, InputError, quote
from tabsynth.schema.columns import Identifier
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema

PERSONS, EVENTS = "persons", "events"


def split_histories(
    frame: pd.DataFrame, *, person: str, order: str, schema: Schema | None = None
) -> tuple[dict[str, pd.DataFrame], DatabaseSchema]:
    """Split a long table for ``RelationalSynthesizer``.

    Args:
        frame: One row for each event.
        person: The column of persons.
        order: The column by which a person's events are ordered, a date or a number.
        schema: The schema of ``frame``; inferred when left out.

    Returns:
        The tables ``persons``, with the columns that are constant within each person, and ``events``, and their schema.
        If a constraint relates a constant column to one that varies, the constant column remains in ``events``.

    Raises:
        InputError: A column does not exist.
        DataError: A row has no person.
    """
    missing = [name for name in (person, order) if name not in frame]
    if missing:
        raise InputError(f"the table has no column {quote(missing)}; it has {quote(frame.columns)}")
    if frame[person].isna().any():
        raise DataError(f"{person!r} is missing in {int(frame[person].isna().sum())} rows; remove these rows")
    schema = Schema.infer(frame) if schema is None else schema
    groups = frame.groupby(person, sort=False)
    others = [name for name in schema if name not in (person, order)]
    # Persons with a single event are no evidence that a column is constant.
    constant = [
        name for name in others if groups.ngroups < len(frame) and (groups[name].nunique(dropna=False) == 1).all()
    ]
    mixed = {name for rule in schema.constraints if not set(rule.columns) <= {*constant} for name in rule.columns}
    constant = [name for name in constant if name not in mixed]
    persons = frame.drop_duplicates(person)[[person, *constant]].reset_index(drop=True)
    kept = [name for name in schema if name not in constant]
    events = frame[kept].reset_index(drop=True)
    key = Identifier(name=person)
    event_columns = {name: key if name == person else schema[name] for name in kept}
    rules = [rule for rule in schema.constraints if person not in rule.columns]
    of_persons = tuple(rule for rule in rules if rule.columns and set(rule.columns) <= {*constant})
    of_events = tuple(rule for rule in rules if rule not in of_persons)
    database = DatabaseSchema(
        {
            PERSONS: Schema({person: key, **{name: schema[name] for name in constant}}, of_persons),
            EVENTS: Schema(event_columns, of_events),
        },
        {PERSONS: person},
        (ForeignKey(EVENTS, person, PERSONS),),
        {EVENTS: order},
    )
    return {PERSONS: persons, EVENTS: events}, database


def join_histories(tables: Mapping[str, pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """One long table of sampled persons and events.

    Args:
        tables: Result of ``RelationalSynthesizer.sample`` for the tables of ``split_histories``.
        columns: The columns in order.
    """
    shared = [name for name in tables[PERSONS] if name in tables[EVENTS]]
    return tables[EVENTS].merge(tables[PERSONS], on=shared, how="left", validate="many_to_one")[columns]
