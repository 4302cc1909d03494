"""Rounding of numbers and dates: hundreds, quarters, cents or fifteen decimals; midnights, weekends, firsts of a month.

Distances between distributions hardly change with it, because rounded and unrounded amounts are close.
"""

from __future__ import annotations

import numpy as np

from tabsynth.common.arrays import Floats, Integers
from tabsynth.evaluation.score import Score
from tabsynth.evaluation.stats.bootstrap import conditional_variation
from tabsynth.evaluation.stats.encoded_table import EncodedTable
from tabsynth.evaluation.stats.table_comparison import Comparison, PartErrors, total_variation_distance
from tabsynth.reporting.number_format import format_number
from tabsynth.schema.columns import Datetime
from tabsynth.schema.rounding import FRACTIONS, PARTS_OF_A_DAY, nearest_multiple
from tabsynth.schema.schema import Schema

MIN_VALUES = 20
"""Minimum non-zero numbers of a column in each table."""

MIN_EXPONENT, MAX_EXPONENT = -6, 9
"""Powers of ten of the units; values that are multiples of none have more decimals."""

EXACT, SINGLE = 1e-14, 6e-8
"""Relative tolerances for multiples: errors of sums of decimals in double precision, and of single precision."""

DAY = 86_400.0


def _number_units() -> tuple[float, ...]:
    tens = [10.0**power for power in range(MIN_EXPONENT, MAX_EXPONENT + 1)]
    units = {float(f"{ten * part:.3g}") for ten in tens for part in (1, 0.5, 0.25)} | set(FRACTIONS)
    return tuple(sorted((unit for unit in units if unit >= 10.0**MIN_EXPONENT), reverse=True))


NUMBER_UNITS = _number_units()
TIME_UNITS = (*(DAY / parts for parts in PARTS_OF_A_DAY), 1e-3)
"""Units of datetimes in seconds, coarsest (a day) first."""


def rounding_scores(comparison: Comparison, schema: Schema) -> list[Score]:
    """Return the error of the rounding of numbers and dates; empty if no column has two kinds of rounding."""
    errors = PartErrors()
    for j, name in enumerate(comparison.real.encoding.names):
        keys = _class_keys(comparison, j, isinstance(schema[name], Datetime))
        if keys is None:
            continue
        size = 1 + max(int(key.max()) for pair in keys for key in pair)
        value = _distance(*keys[0], size)
        gap = _shares(keys[0][0], size) - _shares(keys[0][1], size)
        deviation = comparison.resample.share_deviations(*keys[0], size, skip=1)
        draws = np.minimum(comparison.resample.calibrate(deviation, gap, conditional_variation, value), 1.0)
        errors.add((name,), value, comparison.floor([np.array(_distance(*pair, size)) for pair in keys[1:]]), draws)
    if not errors.columns:
        return []
    score = errors.score(
        "rounding_error",
        "Distance between the distributions of the units to which numbers and dates are rounded.",
        "Total variation of the coarsest unit of which each number is a multiple (powers of ten, their halves and "
        "quarters, thirds to sixteenths; for datetimes parts of a day, first days of months, weekends), without "
        f"zeros; mean over the columns with at least two units. {comparison.method_note}",
    )
    return [score]


def describe_rounding(real: EncodedTable, synthetic: EncodedTable, schema: Schema, name: str) -> str:
    """Describe the rounding that is too frequent in the synthetic column, with both shares."""
    j = real.encoding.names.index(name)
    is_date = isinstance(schema[name], Datetime)
    classes = _classes([_values(real, j), _values(synthetic, j)], is_date)
    labels = (_date_labels if is_date else _number_labels)()
    shares = [np.bincount(each, minlength=len(labels) + 1)[1:] / max((each > 0).sum(), 1) for each in classes]
    top = int(np.argmax(shares[1] - shares[0]))
    before, after = (format_number(100 * float(share[top]), "%") for share in shares)
    return f"{after} of synthetic values {labels[top]}, of real ones {before}"


def _class_keys(comparison: Comparison, j: int, is_date: bool) -> list[tuple[Integers, Integers]] | None:
    """Return the rounding classes of a column, from 1, in each pair of tables; None for one class or few values."""
    if not comparison.real.encoding.continuous[j]:
        return None
    tables = list({id(table): table for pair in comparison.pairs for table in pair}.values())
    classes = _classes([_values(table, j) for table in tables], is_date)
    by_table = dict(zip(map(id, tables), classes, strict=True))
    keys = [(by_table[id(a)], by_table[id(b)]) for a, b in comparison.pairs]
    present = [key[key > 0] for key in keys[0]]
    if min(map(len, present)) < MIN_VALUES or len(np.unique(np.concatenate(present))) < 2:
        return None
    return keys


def _values(table: EncodedTable, j: int) -> Floats:
    return np.asarray(table.values[:, int(table.encoding.continuous[:j].sum())])


def _classes(columns: list[Floats], is_date: bool) -> list[Integers]:
    """Return the rounding class of each value, from 1; 0 for missing values and for zeros, multiples of every unit."""
    single = not is_date and any(_is_single(values) for values in columns)
    return [_date_classes(values) if is_date else _number_classes(values, single) for values in columns]


def _is_single(values: Floats) -> bool:
    """Return whether all numbers are of single precision and some have decimals."""
    present = values[np.isfinite(values)]
    return bool((present.astype(np.float32) == present).all() and (present % 1 != 0).any())


def _number_classes(values: Floats, single: bool) -> Integers:
    distinct, inverse = np.unique(values, return_inverse=True)
    out = _coarsest(distinct, NUMBER_UNITS, SINGLE if single else EXACT) + 1
    out[~np.isfinite(distinct) | (distinct == 0)] = 0
    return np.asarray(out[inverse])


def _coarsest(values: Floats, units: tuple[float, ...], precision: float) -> Integers:
    """Return the index of the coarsest unit that divides each value, or the number of units if none does, (n,)."""
    out = np.full(len(values), len(units), dtype=np.int64)
    pending = np.flatnonzero(np.isfinite(values))
    for at, unit in enumerate(units):
        if not len(pending):
            break
        current = values[pending]
        is_multiple = np.abs(nearest_multiple(current, unit) - current) <= precision * np.abs(current)
        out[pending[is_multiple]] = at
        pending = pending[~is_multiple]
    return out


def _date_classes(seconds: Floats) -> Integers:
    """Return classes of the time of day, with firsts of years and months, separately for weekdays and weekends."""
    present = np.isfinite(seconds)
    known = seconds[present]
    unit = _coarsest(known % DAY, TIME_UNITS, 1e-9) + 2
    days = np.floor(known / DAY).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    first = (unit == 2) & (days == months.astype("datetime64[D]"))
    unit[first] = 1
    unit[first & (months.astype("datetime64[Y]").astype("datetime64[M]") == months)] = 0
    weekday = (days.astype(np.int64) + 3) % 7
    out = np.zeros(len(seconds), dtype=np.int64)
    out[present] = 1 + 2 * unit + (weekday >= 5)
    return out


def _number_labels() -> list[str]:
    labels = []  # a class holds the values that no coarser unit divides
    for unit in NUMBER_UNITS:
        decimals = len(f"{unit:.8f}".rstrip("0").partition(".")[2])
        parts = round(1 / unit)
        if unit in FRACTIONS and parts in (3, 6, 12):
            labels.append(f"are multiples of 1/{parts} and of no larger unit")
        elif unit == 1:
            labels.append("are whole numbers and multiples of no larger unit")
        elif unit < 1 and unit == 10.0**-decimals:
            labels.append(f"are rounded to {decimals} decimal{'s' if decimals > 1 else ''}")
        else:
            labels.append(f"are multiples of {unit:,.{decimals}f} and of no larger unit")
    return [*labels, f"have more than {-MIN_EXPONENT} decimals"]


def _date_labels() -> list[str]:
    names = {
        DAY: "are at midnight",
        3600.0: "are at full hours",
        60.0: "are at full minutes",
        1.0: "are at full seconds",
    }
    labels = ["are a first of January", "are the first of a month"]
    for unit in TIME_UNITS:
        minutes = f"{unit / 60:g} minutes" if unit < 3600 else f"{unit / 3600:g} hours"
        labels.append(names.get(unit, f"are at multiples of {minutes if unit > 60 else f'{unit:g} seconds'}"))
    labels.append("are at fractions of a second")
    return [label + day for label in labels for day in (" on weekdays", " on weekends")]


def _shares(keys: Integers, size: int) -> Floats:
    """Return the shares of the classes from 1 among the values that have one, shape (size - 1,)."""
    counts = np.bincount(keys, minlength=size)[1:].astype(np.float64)
    return np.asarray(counts / max(float(counts.sum()), 1.0))


def _distance(left: Integers, right: Integers, size: int) -> float:
    one, other = left[left > 0], right[right > 0]
    if not len(one) or not len(other):
        return float(bool(len(one)) != bool(len(other)))
    return total_variation_distance(one, other, size)
