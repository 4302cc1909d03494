"""Days on which events recur: days of the month, weekdays, and days on which there was an event a month before.

Salaries, standing orders and interest recur on one day of each month or on its last day. Where events of several kinds
alternate, the gaps between siblings do not show this. Therefore the logits of gaps of whole days also depend on the day
that the gap reaches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.common.arrays import Bools, Floats, Integers

N_LENGTHS = 63
"""Gaps of 0 to 62 days, which is two months, have classes of the days that they reach."""

MONTH_DAYS, WEEKDAYS, RECURRENCES = 32, 7, 8
"""Number of classes of days of the month, with one for the last day of each month; of weekdays; and of whether there
was an event a month, two months and a week before."""

MAX_SKIPPED, MAX_ENDS = 3, 2
"""Largest number of skipped days with an event a month before, and of skipped ends of months, with an own class."""

KINDS = (MONTH_DAYS, WEEKDAYS, RECURRENCES * (MAX_SKIPPED + 1), MAX_ENDS + 1)
"""Number of classes of each kind of the days that a gap may reach."""

N_CLASSES = sum(KINDS)

RING = 64
"""Number of days that are remembered for each parent: two months."""

MAX_SAME_DAY = 4
"""Number of events of one day whose classes are remembered."""

MIN_RECURRENCE, MIN_ROWS = 0.5, 20
"""Minimum share of a recurring class's rows that repeat one of the same class a month or a week before, and minimum
number of rows that could."""

DAY_SECONDS = 86_400.0


def is_daily(step: float, seconds: float | None) -> bool:
    """Return whether all times are whole days and some are one day apart.

    Args:
        step: Length of which the distance of any two times is a multiple; 0 if there is none.
        seconds: Length of a unit of time; 0 or None if the order column is no date.
    """
    return bool(seconds) and abs(step * (seconds or 0.0) - DAY_SECONDS) < 1e-3


def day_numbers(times: Floats, seconds: float) -> Integers:
    """Return times in units of a length in seconds as numbers of days."""
    return np.floor(times * (seconds / DAY_SECONDS) + 1e-6).astype(np.int64)


@dataclass(frozen=True, eq=False)
class CalendarGaps:
    """Gaps of whole days.

    Attributes:
        seconds: Length of a unit of the order column.
        lengths: Length of each gap token in days, -1 for tokens of more than one length, shape (tokens,).
        recurring: Whether events of each class recur every month and every week, shape (2, classes); one class if
            events have none.
    """

    seconds: float
    lengths: Integers
    recurring: Bools

    @classmethod
    def of(cls, coder: QuantileCoder, seconds: float, recurring: Bools) -> CalendarGaps:
        """Return the gaps of a coder.

        Args:
            coder: The coder of the gaps.
            seconds: Length of a unit of time.
            recurring: Classes of events that recur, as for the attribute.
        """
        lengths = np.full(coder.size, -1)
        low, high = (ends * (seconds / DAY_SECONDS) for ends in coder.token_bounds())
        single = (np.ceil(low - 0.01) == np.floor(high + 0.01)) & (low > -0.01) & (high < N_LENGTHS - 0.5)
        lengths[: len(low)][single] = np.round(high[single]).astype(np.int64)
        return cls(seconds, lengths, recurring)

    @property
    def late_sizes(self) -> list[int]:
        """Number of tokens of each feature of a row's day."""
        return [MONTH_DAYS, RECURRENCES, self.recurring.shape[1] + 1]

    def days(self, times: Floats) -> Integers:
        """Return times as numbers of days."""
        return day_numbers(times, self.seconds)

    def of_rows(self, times: Floats, classes: Integers, starts: Integers) -> tuple[npt.NDArray[np.uint8], Integers]:
        """Return the classes of the days that each training row's gap could reach, and the features of its day.

        Args:
            times: Times of the rows, siblings together and in order, shape (n,).
            classes: Class of each row, shape (n,).
            starts: Row number of each parent's first child, and the number of rows.

        Returns:
            As ``RecentDays.reached``, shape (n, kinds, lengths), and ``RecentDays.features``, shape (n, features).
        """
        days, counts = self.days(times), np.diff(starts)
        recent = RecentDays(self, len(counts), days.min(), days.max())
        order = np.argsort(-counts, kind="stable")
        reached = np.zeros((len(days), len(KINDS), N_LENGTHS), np.uint8)
        features = np.zeros((len(days), len(self.late_sizes)), np.int64)
        for place in range(int(counts.max(initial=0))):
            rows = starts[:-1][order[: int(np.searchsorted(-counts[order], -place, side="left"))]] + place
            if place:
                reached[rows] = recent.reached(days[rows - 1])
            features[rows] = recent.features(days[rows])
            recent.update(days[rows], classes[rows])
        return reached, features


def recurring_classes(days: Integers, classes: Integers, n_classes: int, starts: Integers) -> Bools:
    """Return whether events of each class recur every month and every week, shape (2, classes).

    Args:
        days: Number of each training row's day, siblings together and in order, shape (n,).
        classes: Class of each row, shape (n,).
        n_classes: Number of classes.
        starts: Row number of each parent's first child, and the number of rows.
    """
    parents, begin = (
        np.repeat(np.arange(len(starts) - 1), np.diff(starts)),
        np.repeat(days[starts[:-1]], np.diff(starts)),
    )
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    place, last = _places(days.astype("datetime64[D]"), months)
    events = pd.MultiIndex.from_arrays([parents, days, classes])
    out = np.zeros((2, n_classes), bool)
    for at, before in enumerate((_months_before(months, place, last, 1), days - 7)):
        possible = before >= begin
        found = pd.MultiIndex.from_arrays([parents, before, classes]).isin(events) & possible
        rows, again = (np.bincount(classes[own], minlength=n_classes) for own in (possible, found))
        out[at] = (rows >= MIN_ROWS) & (again >= MIN_RECURRENCE * rows)
    return out


class RecentDays:
    """Days of the last two months with events, of many parents in parallel.

    Args:
        gaps: The gaps.
        parents: Number of parents.
        least, most: First and last possible day.
    """

    def __init__(self, gaps: CalendarGaps, parents: int, least: int, most: int) -> None:
        self.gaps, self._least, self._recurring = gaps, int(least), gaps.recurring
        dates = np.arange(int(least), int(most) + N_LENGTHS + 1).astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        place, last = _places(dates, months)
        self._month_day = np.where(last, MONTH_DAYS - 1, place).astype(np.uint8)
        self._before = [_months_before(months, place, last, number) for number in (1, 2)]
        self._stamps = np.full((parents, RING), np.iinfo(np.int64).min)
        self._counts = np.zeros((2, parents, RING), np.int64)
        self._classes = np.zeros((parents, RING, MAX_SAME_DAY), np.int64)

    def reached(self, previous: Integers) -> npt.NDArray[np.uint8]:
        """Return the classes of the days after gaps of 0, 1, ... days from the previous sibling's, (n, kinds, lengths).

        Classes of the kinds are numbered consecutively. A day before the reached one is skipped.
        """
        days = previous[:, None] + np.arange(N_LENGTHS)
        recurrence, month_day = self._recurrence(days), self._month_day[days - self._least].astype(np.int64)
        skipped = np.minimum(_before(recurrence % 2), MAX_SKIPPED)
        end = (month_day == MONTH_DAYS - 1) & (np.arange(N_LENGTHS) > 0)
        ends = np.minimum(_before(end.astype(np.int64)), MAX_ENDS)
        kinds: list[Integers] = [month_day, (days + 3) % WEEKDAYS, recurrence * (MAX_SKIPPED + 1) + skipped, ends]
        offsets = np.cumsum([0, *KINDS[:-1]])
        return np.stack([own + offset for own, offset in zip(kinds, offsets, strict=True)], 1).astype(np.uint8)

    def features(self, days: Integers) -> Integers:
        """Return the day of the month, the recurrence and the class of the event a month before, shape (n, features).

        If more than one event recurs on the day a month before, it is that of the same number within the day.
        """
        before, rows, same = self._before[0][days - self._least], np.arange(len(days)), self._events(0, days[:, None])
        some = self._events(0, before[:, None]) > same
        own = self._classes[rows, before % RING, np.minimum(same[:, 0], MAX_SAME_DAY - 1)]
        own = np.where(some[:, 0], own, self._recurring.shape[1])
        return np.stack([self._month_day[days - self._least], self._recurrence(days[:, None])[:, 0], own], 1)

    def update(self, days: Integers, classes: Integers) -> None:
        """Add one more row of each of the first parents, shape (n,)."""
        rows, at = np.arange(len(days)), days % RING
        new = self._stamps[rows, at] != days
        self._stamps[rows, at] = days
        self._counts[:, rows[new], at[new]] = 0
        monthly = self._recurring[0, classes]
        place = np.minimum(self._counts[0, rows, at], MAX_SAME_DAY - 1)
        self._classes[rows[monthly], at[monthly], place[monthly]] = classes[monthly]
        self._counts[:, rows, at] += self._recurring[:, classes]

    def _events(self, kind: int, days: Integers) -> Integers:
        """Return the number of recurring events of the first parents on some days each, shape (n, days)."""
        rows, at = np.arange(len(days))[:, None], days % RING
        return np.where(self._stamps[rows, at] == days, self._counts[kind, rows, at], 0)

    def _recurrence(self, days: Integers) -> Integers:
        """Return whether more events took place a month, two months and a week before than on a day so far.

        The result is a binary number for each day, shape (n, days).
        """
        before = [*((0, own[days - self._least]) for own in self._before), (1, days - 7)]
        return np.asarray(
            sum((self._events(k, own) > self._events(k, days)) * 2**bit for bit, (k, own) in enumerate(before)),
            np.int64,
        )


def _before(counts: Integers) -> Integers:
    """Return the sums over all earlier columns."""
    return np.asarray(np.cumsum(counts, axis=1) - counts)


def _places(dates: npt.NDArray[np.datetime64], months: npt.NDArray[np.datetime64]) -> tuple[Integers, Bools]:
    """Return each date's place in its month, from 0, and whether it is the last."""
    place = (dates - months.astype("datetime64[D]")).astype(np.int64)
    return place, place == _lengths(months) - 1


def _lengths(months: npt.NDArray[np.datetime64]) -> Integers:
    ends = [own.astype("datetime64[D]").astype(np.int64) for own in (months, months + 1)]
    return np.asarray(ends[1] - ends[0])


def _months_before(months: npt.NDArray[np.datetime64], place: Integers, last: Bools, number: int) -> Integers:
    """Return the day some months earlier: the last day for a last day, otherwise the day of the same number if any."""
    own = months - number
    most = _lengths(own) - 1
    return own.astype("datetime64[D]").astype(np.int64) + np.where(last, most, np.minimum(place, most))
