"""Minimum number of persons who share a released value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MIN_EDGE_VALUES = 8
"""Fewer values at the limit identify few rows."""
MAX_EDGE_SHARE = 0.02
"""Maximum share of the rows with values at the limit."""


def release_floor(persons: npt.NDArray[np.integer], min_group: int) -> int:
    """Return the minimum number of persons who share a released value, at least ``min_group``.

    A value at the limit is released because of each person who has it: without one of them it would be rare. A training
    row therefore has a released value more often than another row of the same population, by the share of the rows at
    the limit. The limit is raised while many values are at and just below it, as in a long tail of rare values.

    Args:
        persons: Persons of each value.
        min_group: The minimum; 1 releases every value.
    """
    values, total = np.bincount(np.asarray(persons, dtype=np.int64)), int(np.sum(persons))
    floor = max(min_group, 1)
    while (
        floor < len(values)
        and min(values[floor - 1 : floor + 1]) >= MIN_EDGE_VALUES
        and floor * values[floor] > MAX_EDGE_SHARE * total
    ):
        floor += 1
    return floor
