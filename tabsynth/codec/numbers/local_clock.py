"""Local time of a zone with summer time: moments that are frequent at one local hour are at two hours of UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Bools, Floats

MAX_NANOSECONDS = 9_200_000_000_000_000_000
"""Maximum distance from 1970 of a converted moment, some days less than that of ``datetime64[ns]``."""


@dataclass(frozen=True)
class LocalClock:
    """The local time of a zone, in numbers of the column's unit.

    Attributes:
        zone: Name of the time zone.
        unit: Nanoseconds of the column's unit.
        first_share: Share of the training rows at local times that occur twice which are at the first occurrence.
    """

    zone: str
    unit: int
    first_share: float = 1.0

    def to_local(self, moments: Floats) -> Floats:
        """Return the local times of moments in UTC, shape (n,); NaN and infinities stay as they are."""
        index = self._index(moments)
        return moments + self._units(index.tz_localize("UTC").tz_convert(self.zone).tz_localize(None) - index)

    def to_utc(self, local: Floats, is_first: Bools | None = None) -> Floats:
        """Return moments in UTC of local times, shape (n,); times that do not exist move forward.

        Args:
            local: The local times.
            is_first: Which of them are the first occurrence where a time occurs twice; default: as most rows.
        """
        first = np.full(len(local), self.first_share >= 0.5) if is_first is None else is_first
        index = self._index(local)
        moments = index.tz_localize(self.zone, ambiguous=first, nonexistent="shift_forward")
        return local + self._units(moments.tz_convert("UTC").tz_localize(None) - index)

    def measure(self, moments: Floats) -> LocalClock | None:
        """Return the clock with the share of the moments' first occurrences; None if its times are no whole units."""
        local = self.to_local(moments)
        if ((local - moments) % 1).any():
            return None
        first, second = (self.to_utc(local, np.full(len(local), one)) for one in (True, False))
        twice = first != second
        share = float(np.mean(first[twice] == moments[twice])) if twice.any() else 1.0
        return LocalClock(self.zone, self.unit, share)

    def _index(self, numbers: Floats) -> pd.DatetimeIndex:
        """Return naive datetimes of numbers, within the years in which every zone can be converted."""
        inside = np.clip(np.nan_to_num(numbers), -MAX_NANOSECONDS // self.unit, MAX_NANOSECONDS // self.unit)
        return pd.DatetimeIndex((inside.astype(np.int64) * self.unit).astype("datetime64[ns]"))

    def _units(self, offsets: pd.TimedeltaIndex) -> Floats:
        return np.asarray(offsets.to_numpy().astype("timedelta64[ns]").astype(np.int64) / self.unit)


def local_clock(zone: Any, name: str, unit: int) -> LocalClock | None:
    """Return the clock of a column's zone; None without a zone, and for offsets from UTC that never change."""
    if zone is None or zone.utcoffset(None) is not None or name == "UTC":
        return None
    return LocalClock(name, unit)


def clock_from_state(state: Any) -> LocalClock | None:
    """Return the clock of a coder's state; None where it has none.

    Raises:
        ValueError: The state describes no clock.
    """
    if state is None:
        return None
    try:
        zone, unit, share = state
        clock = LocalClock(str(zone), int(unit), float(share))
        clock.to_utc(clock.to_local(np.zeros(1)))
    except Exception as error:  # of zoneinfo, pytz, dateutil or pandas
        raise ValueError("the time zone of a datetime is unknown") from error
    if clock.unit < 1 or not 0 <= clock.first_share <= 1:
        raise ValueError("the local time of a datetime has no unit or no share")
    return clock
