"""Errors of tables and links: columns, pairs, children per parent, parents with children, and aggregates."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tabsynth.evaluation.relational.encoded_database import EncodedDatabase
from tabsynth.evaluation.relational.errors_between import (
    Measurement,
    Parts,
    across,
    column_errors,
    join_columns,
    ks_distance,
    number_tables,
    pair_errors,
    within,
)
from tabsynth.evaluation.relational.errors_of_sequences import sequence_errors
from tabsynth.evaluation.relational.siblings import aggregate, count_children, place_table
from tabsynth.schema.database.database_schema import ForeignKey

Errors = dict[tuple[str, str], Measurement]
"""Measurements by subject (``visits``, ``visits.patient``) and score."""


def measure_errors(real: EncodedDatabase, other: EncodedDatabase, tables: Collection[str] | None = None) -> Errors:
    """Compute all errors of two databases that need no classifier, in percent.

    Args:
        real: The real database.
        other: The other database.
        tables: Tables to measure, with their foreign keys; default: all.
    """
    schema = real.schema
    tables = list(schema.tables) if tables is None else tables
    out: dict[tuple[str, str], Measurement | None] = {}
    for name in tables:
        left, right = real.tables[name], other.tables[name]
        if name in schema.reference or not left.encoding.names:
            continue
        out[name, "shape_error"] = Measurement.mean(column_errors(left, right))
        out[name, "trend_error"] = Measurement.mean(pair_errors(left, right, within(len(left.encoding.names))))
        if name in schema.order and schema.main_key(name) is not None:
            out |= {(name, score): error for score, error in sequence_errors(real, other, name).items()}
    for key in schema.foreign_keys:
        subject = link_name(key)
        if key.parent in schema.reference or key.table not in tables:
            continue
        distance = ks_distance(*(count_children(side, key).astype(np.float64) for side in (real, other)))
        out[subject, "cardinality_error"] = Measurement(100 * distance)
        out[subject, "parent_trend_error"] = Measurement.mean(parent_trends(real, other, key))
        if key == schema.main_key(key.table):
            out[subject, "grandparent_trend_error"] = Measurement.mean(grandparent_trends(real, other, key))
            shapes, trends = aggregate_errors(real, other, key)
            out[subject, "aggregate_shape_error"] = Measurement.mean(shapes)
            out[subject, "aggregate_trend_error"] = Measurement.mean(trends)
    return {name: error for name, error in out.items() if error is not None}


def link_name(key: ForeignKey) -> str:
    """Return the name of a link: its child table and column."""
    return f"{key.table}.{key.column}"


def parent_trends(real: EncodedDatabase, other: EncodedDatabase, key: ForeignKey) -> Parts:
    """Return the errors of pairs of a child's column and its parent's."""
    sides = []
    for side in (real, other):
        child, parent = side.tables[key.table], place_table(side.tables[key.parent], side.parents[key])
        sides.append(join_columns([("", child), (f"{key.parent}.", parent)]))
    d, above = (len(real.tables[name].encoding.names) for name in (key.table, key.parent))
    return pair_errors(sides[0], sides[1], across(d, above))


def grandparent_trends(real: EncodedDatabase, other: EncodedDatabase, key: ForeignKey) -> Parts:
    """Return the errors of pairs of a child's column and its grandparent's; empty without a grandparent."""
    above = real.schema.main_key(key.parent)
    if above is None:
        return {}
    sides = []
    for side in (real, other):
        rows = np.append(side.parents[above], -1)[side.parents[key]]
        parent = place_table(side.tables[above.parent], rows)
        sides.append(join_columns([("", side.tables[key.table]), (f"{above.parent}.", parent)]))
    d, over = (len(real.tables[name].encoding.names) for name in (key.table, above.parent))
    return pair_errors(sides[0], sides[1], across(d, over))


def aggregate_errors(real: EncodedDatabase, other: EncodedDatabase, key: ForeignKey) -> tuple[Parts, Parts]:
    """Return the errors of aggregates per parent: of their distributions, and of their trends with the parent."""
    (names, left), (_, right) = (aggregate(side, key) for side in (real, other))
    sides = number_tables(names, left, right)
    parents = [side.tables[key.parent] for side in (real, other)]
    joined = [join_columns([("", parent), ("", sums)]) for parent, sums in zip(parents, sides, strict=True)]
    d, k = len(parents[0].encoding.names), len(names)
    pairs = [*across(d, k), *((a + d, b + d) for a, b in within(k))]
    # The number of children has a separate score.
    shapes = {part: value for part, value in column_errors(*sides).items() if part != ("number",)}
    return shapes, pair_errors(joined[0], joined[1], pairs)
