"""Tokens of a child row's position in its history: number of siblings, calendar, elapsed and remaining time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tabsynth.common.arrays import Arrays, Floats, Integers
from tabsynth.synthesizers.relational.occurrences.calendar_days import day_numbers, is_daily
from tabsynth.synthesizers.relational.occurrences.class_totals import ClassTotals
from tabsynth.synthesizers.relational.occurrences.regular_counts import calendar_lengths

N_BINS, MAX_DATES = 64, 256
"""Number of equal-mass bins of a running number, and maximum number of dates of a panel with a token each."""

MAX_COUNT_TOKEN = 31
"""Largest token of a count: one token for each count below 16, then two for each doubling."""

MAX_MONTHS = 6
"""Maximum difference between the remaining number of a class and the remaining months that has a token of its own."""

EARLY = ("time left", "time left per row", "gap before", "age before", "mean gap", "pace")
LATE = ("age", "calendar", "gap", "time left after")
CYCLES = (("hour", 3600.0, 24), ("weekday", 86_400.0, 7), ("day of year", 86_400.0 * 365.25 / 24, 24))
"""Name, length of a step in seconds, and number of steps of each calendar cycle."""


@dataclass(frozen=True)
class Clock:
    """Position of each row in its parent's history.

    Attributes:
        place: Number of earlier siblings, shape (n,).
        count: Number of siblings in all, shape (n,).
        low: The parent's origin, shape (n,).
        first: Time of the parent's first child, shape (n,).
        last: Time of the parent's last child, shape (n,).
        previous: Time of the previous sibling; the origin for a first child, shape (n,).
        before: The gap before that sibling, shape (n,).
        left: Number of remaining siblings of each class of the plan, NaN where unknown, shape (n, classes).
    """

    place: Integers
    count: Integers
    low: Floats
    first: Floats
    last: Floats
    previous: Floats
    before: Floats
    left: Floats


@dataclass(frozen=True)
class RunningContext:
    """Bins of the running numbers, created by ``fit``.

    Attributes:
        edges: Inner edges of each running number's bins, by its name.
        start: Start of the window, the origin of calendar time.
        seconds: Length of a unit of time; 0 if the order column is numeric, None for a table without order.
        step: Length of which the distance of any two times is a multiple; 0 if there is none.
        classes: Classes of children whose numbers are in the plan.
        monthly: Whether their remaining numbers are also compared with the remaining months.
    """

    edges: dict[str, Floats]
    start: float
    seconds: float | None
    step: float
    classes: ClassTotals
    monthly: bool = False

    @classmethod
    def fit(
        cls, clock: Clock, times: Floats, start: float, seconds: float | None, step: float, classes: ClassTotals
    ) -> Self:
        """Cut equal-mass bins.

        Args:
            clock: Training rows.
            times: Their times, shape (n,).
            start: Start of the window.
            seconds: Length of a unit of time.
            step: Length of which the distance of any two times is a multiple.
            classes: Classes of children whose numbers are in the plan.
        """
        if seconds is None:
            return cls({}, start, None, step, classes)
        numbers = {**_early(clock), **_late(clock, times, start)}
        shares = np.arange(1, N_BINS) / N_BINS
        edges = {name: np.unique(np.quantile(data, shares)) for name, data in numbers.items()}
        if step and np.ptp(times) < MAX_DATES * step:
            edges["calendar"] = np.unique(numbers["calendar"])[1:] - step / 2
        return cls(edges, start, seconds, step, classes, is_daily(step, seconds))

    def on_grid(self, times: Floats) -> Floats:
        """Round times to a whole number of steps from the start of the window."""
        return np.asarray(np.round((times - self.start) / self.step) * self.step + self.start) if self.step else times

    @property
    def daily(self) -> bool:
        """Whether all times are whole days, some of them one day apart."""
        return is_daily(self.step, self.seconds)

    @property
    def early_sizes(self) -> list[int]:
        """Number of tokens of each early feature."""
        numbers = [len(self.edges[name]) + 1 for name in EARLY if name in self.edges]
        months = [2 * MAX_MONTHS + 2] * len(self.classes.slots) if self.monthly else []
        return [MAX_COUNT_TOKEN + 1] * 2 + numbers + self.classes.sizes + months

    @property
    def late_sizes(self) -> list[int]:
        """Number of tokens of each late feature."""
        cycles = [size for _, _, size in CYCLES] if self.seconds else []
        return [len(self.edges[name]) + 1 for name in LATE if name in self.edges] + cycles

    def early(self, clock: Clock) -> Integers:
        """Return the tokens of the features that are known before the row's time, shape (n, early features)."""
        out = [count_token(clock.place), count_token(clock.count - clock.place)]
        if self.seconds is not None:
            out += [self._binned(name, data) for name, data in _early(clock).items()]
        out += list(self.classes.read(clock.left, clock.count - clock.place).T)
        if self.monthly:
            out += list(self._beyond_months(clock).T)
        return np.stack(out, axis=1)

    def late(self, clock: Clock, times: Floats) -> Integers:
        """Return the tokens of the features that depend on the row's time, shape (n, late features)."""
        if self.seconds is None:
            return np.zeros((len(times), 0), np.int64)
        out = [self._binned(name, data) for name, data in _late(clock, times, self.start).items()]
        if self.seconds:
            out += [(times * self.seconds // step % size).astype(np.int64) for _, step, size in CYCLES]
        return np.stack(out, axis=1)

    def _beyond_months(self, clock: Clock) -> Integers:
        """Return by how much each class's remaining number exceeds the remaining months, shape (n, classes).

        A standing order that is paid until the end has to begin when the two are equal.
        """
        days = (day_numbers(times, self.seconds or 0.0) for times in (clock.previous, clock.last))
        months = calendar_lengths(*days)[:, 1]
        beyond = np.clip(clock.left - months[:, None], -MAX_MONTHS, MAX_MONTHS) + MAX_MONTHS
        return np.where(np.isnan(beyond), 2 * MAX_MONTHS + 1, beyond).astype(np.int64)

    def _binned(self, name: str, data: Floats) -> Integers:
        return np.searchsorted(self.edges[name], data, side="right").astype(np.int64)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``from_state``."""
        config = {"start": self.start, "seconds": self.seconds, "step": self.step, "names": list(self.edges)}
        config |= {"classes": list(self.classes.columns), "monthly": self.monthly}
        return config, {
            **{f"edges.{i}": edges for i, edges in enumerate(self.edges.values())},
            **self.classes.state(),
        }

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> Self:
        """Rebuild from a state."""
        edges = {name: arrays[f"edges.{i}"] for i, name in enumerate(config["names"])}
        classes = ClassTotals.from_state(config["classes"], arrays)
        monthly = bool(config.get("monthly"))  # files of earlier versions do not state it
        return cls(edges, config["start"], config["seconds"], config["step"], classes, monthly)


def count_token(count: Integers) -> Integers:
    """Return the token of a count: the count itself below 16, then on a logarithmic scale."""
    large = 16 + np.floor(2 * np.log2(np.maximum(count, 16) / 16)).astype(np.int64)
    return np.minimum(np.where(count < 16, np.maximum(count, 0), large), MAX_COUNT_TOKEN)


def _early(clock: Clock) -> dict[str, Floats]:
    left = np.maximum(clock.last - clock.previous, 0.0)
    span, started = np.maximum(clock.last - clock.first, 0.0), clock.place > 0
    return {
        "time left": left,
        "time left per row": left / np.maximum(clock.count - clock.place, 1),
        "gap before": clock.before,
        "age before": clock.previous - clock.low,
        "mean gap": span / np.maximum(clock.count - 1, 1),
        "pace": np.where(started, (clock.previous - clock.first) / np.maximum(span, 1e-9), 0.0)
        - np.maximum(clock.place - 1, 0) / np.maximum(clock.count - 1, 1),
    }


def _late(clock: Clock, times: Floats, start: float) -> dict[str, Floats]:
    return {
        "age": times - clock.low,
        "calendar": times - start,
        "gap": times - clock.previous,
        "time left after": np.maximum(clock.last - times, 0.0),
    }
