"""Days on which events recur: days of the month, weekdays, and days on which there was an event a month before.

Salaries, standing orders and interest recur on one day of each month or on its last day. Where events of several kinds
alternate, the gaps between siblings do not show this. Therefore the logits of gaps of whole days also depend on the day
that the gap reaches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
        n_classes: Number of classes of events, 0 without classes.
    """

    seconds: float
    lengths: Integers
    n_classes: int

    @classmethod
    def of(cls, coder: QuantileCoder, seconds: float, n_classes: int) -> CalendarGaps:
        """Return the gaps of a coder.

        Args:
            coder: The coder of the gaps.
            seconds: Length of a unit of time.
            n_classes: Number of classes of events, 0 without classes.
        """
        lengths = np.full(coder.size, -1)
        low, high = (ends * (seconds / DAY_SECONDS) for ends in coder.token_bounds())
        single = (np.ceil(low - 0.01) == np.floor(high + 0.01)) & (low > -0.01) & (high < N_LENGTHS - 0.5)
        lengths[: len(low)][single] = np.round(high[single]).astype(np.int64)
        return cls(seconds, lengths, n_classes)

    @property
    def late_sizes(self) -> list[int]:
        """Number of tokens of each feature of a row's day."""
        return [MONTH_DAYS, RECURRENCES] + [self.n_classes + 1] * (self.n_classes > 0)

    def days(self, times: Floats) -> Integers:
        """Return times as numbers of days."""
        return day_numbers(times, self.seconds)

    def of_rows(
        self, times: Floats, classes: Integers | None, starts: Integers
    ) -> tuple[npt.NDArray[np.uint8], Integers]:
        """Return the classes of the days that each training row's gap could reach, and the features of its day.

        Args:
            times: Times of the rows, siblings together and in order, shape (n,).
            classes: Class of each row, None without classes, shape (n,).
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
            recent.update(days[rows], None if classes is None else classes[rows])
        return reached, features


class RecentDays:
    """Days of the last two months with events, of many parents in parallel.

    Args:
        gaps: The gaps.
        parents: Number of parents.
        least, most: First and last possible day.
    """

    def __init__(self, gaps: CalendarGaps, parents: int, least: int, most: int) -> None:
        self._least, self._n_classes = int(least), gaps.n_classes
        dates = np.arange(int(least), int(most) + N_LENGTHS + 1).astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        place, last = _places(dates, months)
        self._month_day = np.where(last, MONTH_DAYS - 1, place).astype(np.uint8)
        self._before = [_months_before(months, place, last, number) for number in (1, 2)]
        self._stamps = np.full((parents, RING), np.iinfo(np.int64).min)
        self._counts = np.zeros((parents, RING), np.int64)
        self._classes = np.zeros((parents, RING, MAX_SAME_DAY), np.int64)

    def reached(self, previous: Integers) -> npt.NDArray[np.uint8]:
        """Return the classes of the days after gaps of 0, 1, ... days from the previous sibling's, (n, kinds, lengths).

        Classes of the kinds are numbered consecutively. A day before the reached one is skipped.
        """
        days = previous[:, None] + np.arange(N_LENGTHS)
        events = np.zeros(days.shape, np.int64)
        events[:, 0] = self._events(previous[:, None])[:, 0]
        recurrence, month_day = self._recurrence(days, events), self._month_day[days - self._least].astype(np.int64)
        skipped = np.minimum(_before(recurrence % 2), MAX_SKIPPED)
        end = (month_day == MONTH_DAYS - 1) & (np.arange(N_LENGTHS) > 0)
        ends = np.minimum(_before(end.astype(np.int64)), MAX_ENDS)
        kinds: list[Integers] = [month_day, (days + 3) % WEEKDAYS, recurrence * (MAX_SKIPPED + 1) + skipped, ends]
        offsets = np.cumsum([0, *KINDS[:-1]])
        return np.stack([own + offset for own, offset in zip(kinds, offsets, strict=True)], 1).astype(np.uint8)

    def features(self, days: Integers) -> Integers:
        """Return the day of the month, the recurrence and the class of the event a month before, shape (n, features).

        If there was more than one event on the day a month before, it is that of the same number within the day.
        """
        events = self._events(days[:, None])
        out = [self._month_day[days - self._least], self._recurrence(days[:, None], events)[:, 0]]
        if self._n_classes:
            before, rows, same = self._before[0][days - self._least], np.arange(len(days)), events[:, 0]
            some = self._events(before[:, None])[:, 0] > same
            own = self._classes[rows, before % RING, np.minimum(same, MAX_SAME_DAY - 1)]
            out.append(np.where(some, own, self._n_classes))
        return np.stack(out, 1).astype(np.int64)

    def update(self, days: Integers, classes: Integers | None) -> None:
        """Add one more row of each of the first parents, shape (n,)."""
        rows, at = np.arange(len(days)), days % RING
        self._counts[rows, at] = np.where(self._stamps[rows, at] == days, self._counts[rows, at], 0)
        self._stamps[rows, at] = days
        if classes is not None:
            self._classes[rows, at, np.minimum(self._counts[rows, at], MAX_SAME_DAY - 1)] = classes
        self._counts[rows, at] += 1

    def _events(self, days: Integers) -> Integers:
        """Return the number of events of the first parents on some days each, shape (n, days)."""
        rows, at = np.arange(len(days))[:, None], days % RING
        return np.where(self._stamps[rows, at] == days, self._counts[rows, at], 0)

    def _recurrence(self, days: Integers, events: Integers) -> Integers:
        """Return whether more than ``events`` took place a month, two months and a week before, as a binary number."""
        before = [*(own[days - self._least] for own in self._before), days - 7]
        return np.asarray(sum((self._events(own) > events) * 2**bit for bit, own in enumerate(before)), np.int64)


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
