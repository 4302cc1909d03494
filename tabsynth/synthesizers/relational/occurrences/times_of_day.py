"""Times of day of a history, such as appointments between 8 and 18 o'clock.

Times are sampled as gaps, whose bins are wider than a day, so that the hours of the day are lost. After sampling, the
times of day are mapped by their quantiles to those of the training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.codec.numbers.day_times import measure_day_times
from tabsynth.codec.numbers.local_clock import LocalClock, clock_from_state
from tabsynth.codec.numeric_encoder import QuantileCoder
from tabsynth.codec.quantile_bins import measure_quantiles
from tabsynth.common.arrays import Arrays, Floats, Integers, check_numbers

PARTS = 24
"""Parts of a day in which the distributions of training rows and sampled rows are compared."""

MIN_DISTANCE = 0.1
"""Minimum total variation distance of the two distributions: smaller differences stay as they are, because times that
follow a parent's time, such as procedures in a visit, already have its hours."""

MAX_QUANTILES, TOKENS = 1024, 256
"""Number of quantiles of the sampled times, and approximate number of tokens of the training times."""


@dataclass(frozen=True, eq=False)
class TimesOfDay:
    """A mapping of sampled times of day to those of the training rows.

    Attributes:
        coder: Distribution of the training rows' times of day, in units of the axis since midnight.
        day: Units of the axis in a day.
        sampled: Quantiles of the sampled times of day, ascending, shape (quantiles,).
        clock: Local time of a zone with summer time.
    """

    coder: QuantileCoder
    day: float
    sampled: Floats
    clock: LocalClock | None

    @classmethod
    def fit(
        cls,
        times: Floats,
        roots: Integers,
        sample: Callable[[], Floats],
        *,
        day: float,
        clock: LocalClock | None,
        min_group: int,
    ) -> Self | None:
        """Return the mapping; None if the hours of the day do not matter or are right without it.

        Args:
            times: Times of the training rows, shape (n,).
            roots: The root's row number of each row, shape (n,).
            sample: Returns the times of histories that are sampled for the training parents.
            day: Units of the times in a day.
            clock: Local time of a zone with summer time.
            min_group: Minimum number of roots of a time of day.
        """
        clock = None if clock is None else clock.measure(times)
        local = times if clock is None else clock.to_local(times)
        order = np.argsort(local, kind="stable")
        if not len(times) or measure_day_times(local[order], roots[order], min_group, day) is None:
            return None
        sampled = sample()
        other = sampled if clock is None else clock.to_local(sampled)
        own, found = np.mod(local, day), np.sort(np.mod(other, day))
        shares = [np.bincount((hours * PARTS // day).astype(np.int64), minlength=PARTS) for hours in (own, found)]
        distance = 0.5 * np.abs(shares[0] / len(own) - shares[1] / len(found)).sum()
        coder = measure_quantiles(own, tokens=TOKENS, decimals=0, min_group=min_group, persons=roots)
        if coder is None or distance < MIN_DISTANCE:
            return None
        places = np.linspace(0, len(found) - 1, min(len(found), MAX_QUANTILES)).round().astype(np.int64)
        return cls(coder, day, found[places], clock)

    def restore(
        self, times: Floats, parents: Integers, bounds: tuple[Floats, Floats], rng: np.random.Generator
    ) -> Floats:
        """Return the times with the training rows' times of day, on the same days and in the same order, shape (n,).

        Later rows of a parent's day keep their distance from the first. Equal times of day of one parent stay equal.

        Args:
            times: Sampled times, siblings together and in order, shape (n,).
            parents: The parent's number of each row, shape (n,).
            bounds: Origin and end of each parent's history, shape (parents,) each.
            rng: Random generator.
        """
        if not len(times):
            return times
        local = times if self.clock is None else self.clock.to_local(times)
        days = np.floor(local / self.day)
        hours = local - days * self.day
        below, upto = (np.searchsorted(self.sampled, hours, side=side) for side in ("left", "right"))
        inside = upto > below
        below, upto = np.where(inside, below, np.maximum(below - 1, 0)), np.where(inside, upto, np.maximum(below, 1))
        position = rng.random(int(parents.max()) + 1)[parents]
        share = (below + position * (upto - below)) / len(self.sampled)
        chosen = self.coder.quantile(np.minimum(share, 1 - 1e-9) * self.coder.mass.sum())
        first = np.append(True, (np.diff(parents) != 0) | (np.diff(days) != 0))
        shift = (chosen - hours)[np.flatnonzero(first)][np.cumsum(first) - 1]
        local = days * self.day + np.clip(np.round(hours + shift), 0, self.day - 1)
        moved = local if self.clock is None else self.clock.to_utc(local)
        moved = np.clip(moved, *(ends[parents] for ends in bounds))
        return np.asarray(pd.Series(moved).groupby(parents).cummax(), np.float64)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``from_state``."""
        config, arrays = self.coder.state()
        clock = None if self.clock is None else [self.clock.zone, self.clock.unit, self.clock.first_share]
        return {"coder": config, "day": self.day, "clock": clock}, {**arrays, "sampled": self.sampled}

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> Self:
        """Rebuild from a state.

        Raises:
            ValueError: The state describes no times of day.
        """
        day, sampled = float(config["day"]), arrays["sampled"]
        check_numbers(sampled, (sampled.size,), "the times of day of a history are no numbers", low=0.0)
        if not (np.isfinite(day) and day >= 1 and sampled.size and (np.diff(sampled) >= 0).all() and sampled[-1] < day):
            raise ValueError("the times of day of a history do not ascend within a day")
        return cls(QuantileCoder.from_state(config["coder"], arrays), day, sampled, clock_from_state(config["clock"]))
