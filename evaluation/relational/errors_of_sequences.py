"""Errors of sequences of siblings: times, transitions, steps, autocorrelation."""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats
from tabsynth.evaluation.relational.encoded_database import EncodedDatabase
from tabsynth.evaluation.relational.errors_between import Measurement, Parts, ks_distance, variation
from tabsynth.evaluation.relational.siblings import Siblings
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.schema.columns import Datetime


def sequence_errors(real: EncodedDatabase, other: EncodedDatabase, name: str) -> dict[str, Measurement | None]:
    """Compute the errors of the histories of an ordered child table, in percent."""
    times = [sibling_times(side, name) for side in (real, other)]
    first = [_first_times(side, name) for side in (real, other)]
    steps, correlations = _number_errors(real, other, name)
    transitions, repeats = _category_errors(real, other, name)
    return {
        "gap_error": Measurement(100 * ks_distance(*times)),
        "first_error": Measurement(100 * ks_distance(*first)),
        "equal_times_error": Measurement(100 * abs(equal_share(times[0]) - equal_share(times[1]))),
        "transition_error": Measurement.mean(transitions),
        "persistence_error": Measurement.mean(repeats),
        "step_error": Measurement.mean(steps),
        "autocorrelation_error": Measurement.mean(correlations),
    }


def sibling_times(database: EncodedDatabase, name: str) -> Floats:
    """Return the step of the order column from each sibling to the next."""
    siblings = _siblings(database, name)
    values = database.order[name][siblings.rows]
    return np.diff(values, prepend=np.nan)[siblings.follows]


def equal_share(steps: Floats) -> float:
    """Return the share of steps that are zero."""
    return float((steps == 0).mean()) if len(steps) else 0.0


def _siblings(database: EncodedDatabase, name: str) -> Siblings:
    key = database.schema.main_key(name)
    assert key is not None
    return Siblings.of(database, key)


def _first_times(database: EncodedDatabase, name: str) -> Floats:
    """Return the order value of each first sibling, since the parent's first date if both are dates."""
    siblings = _siblings(database, name)
    first = ~siblings.follows
    values = database.order[name][siblings.rows][first]
    key = database.schema.main_key(name)
    assert key is not None
    parent, kinds = database.tables[key.parent], database.schema.tables[key.parent]
    numbers = [
        column for column, number in zip(parent.encoding.names, parent.encoding.continuous, strict=True) if number
    ]
    dates = [i for i, column in enumerate(numbers) if isinstance(kinds[column], Datetime)]
    if not dates or not isinstance(database.schema.tables[name][database.schema.order[name]], Datetime):
        return values
    return np.asarray(values - parent.values[siblings.parent[first], dates[0]])


def _category_errors(real: EncodedDatabase, other: EncodedDatabase, name: str) -> tuple[Parts, Parts]:
    """Return the total variation of transitions and the difference of the shares of repeated values, by category."""
    sides = [(side.tables[name], _siblings(side, name)) for side in (real, other)]
    transitions: Parts = {}
    repeats: Parts = {}
    encoding = sides[0][0].encoding
    for j, column in enumerate(encoding.names):
        if encoding.continuous[j]:
            continue
        size = int(encoding.sizes[j])
        moves, repeated = [], []
        for table, siblings in sides:
            codes = table.codes[siblings.rows, j]
            after = np.flatnonzero(siblings.follows)
            moves.append(codes[after - 1] * size + codes[after])
            repeated.append(float((codes[after - 1] == codes[after]).mean()) if len(after) else 0.0)
        transitions[(column,)] = variation(moves[0], moves[1], size * size)
        repeats[(column,)] = abs(repeated[0] - repeated[1])
    return transitions, repeats


def _number_errors(real: EncodedDatabase, other: EncodedDatabase, name: str) -> tuple[Parts, Parts]:
    """Return the distance of steps between siblings and half the difference of lag-1 correlations, by number."""
    sides = [(side.tables[name], _siblings(side, name)) for side in (real, other)]
    encoding = sides[0][0].encoding
    numbers = [column for column, number in zip(encoding.names, encoding.continuous, strict=True) if number]
    steps: Parts = {}
    correlations: Parts = {}
    for at, column in enumerate(numbers):
        if column == real.schema.order[name]:
            continue
        pairs = [_successive(table, siblings, at) for table, siblings in sides]
        steps[(column,)] = ks_distance(*(after - before for before, after in pairs))
        lag_correlations = [_correlation(before, after) for before, after in pairs]
        if not np.isnan(lag_correlations[0]):
            correlations[(column,)] = (
                1.0 if np.isnan(lag_correlations[1]) else abs(lag_correlations[0] - lag_correlations[1]) / 2
            )
    return steps, correlations


def _successive(table: EncodedTable, siblings: Siblings, at: int) -> tuple[Floats, Floats]:
    """Return a number of each previous sibling, and of the sibling itself."""
    values, after = table.values[siblings.rows, at], np.flatnonzero(siblings.follows)
    return values[after - 1], values[after]


def _correlation(first: Floats, second: Floats) -> float:
    known = ~np.isnan(first) & ~np.isnan(second)
    x, y = first[known], second[known]
    if len(x) < 2 or x.std() <= 1e-12 * max(abs(x.mean()), 1.0) or y.std() <= 1e-12 * max(abs(y.mean()), 1.0):
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
