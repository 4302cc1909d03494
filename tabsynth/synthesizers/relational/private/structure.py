"""Private measurements of linked tables before their rows are learned: maximum numbers of children, and timelines."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats, Integers
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noisy_counts import gaussian_scale, noisy_counts
from tabsynth.privacy.public_schema import public_dtypes
from tabsynth.schema.columns import Datetime
from tabsynth.synthesizers.marginal.bins.adaptive_bins import kept_stretch
from tabsynth.synthesizers.marginal.bins.public_bins import column_grid
from tabsynth.synthesizers.relational.private.linked_rows import LinkedRows, weigh_persons
from tabsynth.synthesizers.relational.private.public_tables import PublicTables
from tabsynth.synthesizers.relational.timeline import Axis, Timeline

MAX_CAP = 1024
"""Largest maximum number of children that is measured."""

MAX_UNSURE_CAP = 16
"""Bound that is used if the budget is too small to measure one: the most frequent number of children up to this."""

MIN_ORDERED_SHARE = 0.9
"""Minimum noisy share of persons of whom a random row does not precede (follow) a parent's date that is the origin (the
end) of histories."""


def cap_candidates() -> Integers:
    """Return the public candidates of a maximum, ascending: 1, 2, 3, 4, 6, 8, 12, 16 and so on."""
    powers = 2 ** np.arange(int(np.log2(MAX_CAP)))
    return np.unique(np.concatenate([powers, powers[1:] * 3 // 2, [MAX_CAP]]))


def measure_caps(
    read: Callable[[], LinkedRows],
    public: PublicTables,
    declared: Mapping[str, int],
    rho: float,
    ledger: PrivacyLedger,
    noise: Noise,
) -> dict[str, int]:
    """Return the declared or measured maximum number of children of a parent in each child table.

    Args:
        read: Reads the rows.
        public: Their schemas and links.
        declared: The declared maxima.
        rho: The budget of all other maxima together.
        ledger: The ledger that is charged.
        noise: Source of randomness.
    """
    caps, candidates = dict(declared), cap_candidates()
    opened = [name for name in public.children if name not in caps]
    for name in opened:
        sigma = gaussian_scale(rho / len(opened), 1)
        counts = noisy_counts(
            lambda name=name: np.bincount(  # type: ignore[misc]
                np.searchsorted(candidates[:-1], read().most_children(name, public.parent(name))),
                minlength=len(candidates),
            ),
            sigma=sigma,
            sensitivity=1,
            ledger=ledger,
            purpose=f"persons by their number of rows of {name}",
            columns=[f"{name} (rows of a parent)"],
            noise=noise,
        ).astype(np.float64)
        first, last = kept_stretch(counts, sigma)
        if (first, last) == (0, len(candidates)):  # nothing exceeds the noise
            last = 1 + int(np.argmax(counts[candidates <= MAX_UNSURE_CAP]))
        caps[name] = int(candidates[last - 1])
    return caps


def measure_timelines(
    read: Callable[[], LinkedRows],
    public: PublicTables,
    rho: float,
    ledger: PrivacyLedger,
    noise: Noise,
    choice: Noise,
) -> dict[str, Timeline]:
    """Choose the encoding of the times of each ordered child table, from noisy counts of persons.

    Args:
        read: Reads the rows.
        public: Their schemas and links.
        rho: The budget of all tables together.
        ledger: The ledger that is charged.
        noise: Source of the noise.
        choice: Source of the random choice of a row of each person, independent of the noise.
    """
    out = {}
    ordered = [name for name in public.children if name in public.schema.order]
    for name in ordered:
        timeline = _public_timeline(name, public)
        above = public.visible[public.parent(name)]
        dates = [date for date in above if timeline.axis.accepts(above[date])]
        sensitivity = math.sqrt(2 * len(dates) + 2)
        counts = noisy_counts(
            lambda name=name, timeline=timeline, dates=dates: _count_persons(  # type: ignore[misc]
                read(), public, name, timeline, dates, choice
            ),
            sigma=gaussian_scale(rho / len(ordered), sensitivity),
            sensitivity=sensitivity,
            ledger=ledger,
            purpose=f"persons whose rows of {name} are between dates of {public.parent(name)}",
            columns=[f"{name}.{timeline.axis.column.name}", *(f"{public.parent(name)}.{date}" for date in dates)],
            noise=noise,
        ).astype(np.float64)
        shares = counts[1:] / max(counts[0], 1.0)
        before, after = shares[1 : 1 + len(dates)], shares[1 + len(dates) :]
        origin = _surest(dates, before, [above[date].nullable for date in dates])
        end = _surest(dates, np.where([date == origin for date in dates], 0.0, after), [False] * len(dates))
        out[name] = replace(timeline, origin=origin, end=end, spanned=bool(shares[0] > 0.5))
    return out


def _surest(dates: list[str], shares: Floats, refused: list[bool]) -> str | None:
    """Return the date with the largest share, if it is large enough."""
    scored = [(share, date) for date, share, no in zip(dates, shares.tolist(), refused, strict=True) if not no]
    share, date = max(scored, default=(0.0, None))
    return date if share >= MIN_ORDERED_SHARE else None


def _public_timeline(name: str, public: PublicTables) -> Timeline:
    """Return the times of a table, clamped to its declared bounds."""
    visible, order = public.visible[name], public.schema.order[name]
    dtypes = public_dtypes(visible)
    column = visible[order]
    grid = column_grid(column)
    dated = isinstance(column, Datetime)
    offsets = {
        date: dtypes[date] for date in visible if dated and date != order and isinstance(visible[date], Datetime)
    }
    axis = Axis(column, dtypes[order], Axis.of(column, pd.Series(dtype=dtypes[order])).seconds)
    return Timeline(axis, None, None, (float(grid.low[0]), float(grid.high[-1])), False, offsets)


def _count_persons(
    rows: LinkedRows, public: PublicTables, name: str, timeline: Timeline, dates: list[str], choice: Noise
) -> Integers:
    """Count persons with children, with short histories, and with a random child not before (not after) each date.

    Only one child of each person is compared, because many persons have some exceptional child.
    """
    parent = public.parent(name)
    above, owners, persons = rows.frames[parent], rows.parents[name], rows.persons[name]
    times = timeline.axis.numbers(timeline.axis.column, rows.frames[name][timeline.axis.column.name])
    number = int(max(persons, default=-1)) + 1
    here = np.bincount(persons, minlength=number) > 0
    first = np.searchsorted(owners, owners)
    last = np.searchsorted(owners, owners, side="right") - 1
    length = np.bincount(persons, times[last] - times[first], number)
    rest = np.bincount(persons, timeline.window[1] - times[last], number)
    out = [here, here & (length < rest)]
    one = weigh_persons(persons, 1, choice)
    moments = [timeline.axis.numbers(public.visible[parent][date], above[date])[owners[one]] for date in dates]
    out += [~(sign * (times[one] - moment) < 0) for sign in (1, -1) for moment in moments]
    return np.array([has_property.sum() for has_property in out], np.int64)
