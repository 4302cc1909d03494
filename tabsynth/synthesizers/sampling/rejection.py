"""Rejection sampling: rows that violate a discovered rule are sampled again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Bools, Integers
from tabsynth.errors import ConditionError

MAX_REDRAWS = 50


def sample_valid(
    n: int, sample: Callable[[Integers, int], pd.DataFrame], valid: Callable[[pd.DataFrame, int], Bools]
) -> pd.DataFrame:
    """Sample ``n`` valid rows.

    Args:
        n: Number of rows.
        sample: Samples the rows of given numbers, at an attempt counted from 0.
        valid: Returns which rows of an attempt are valid.

    Raises:
        ConditionError: Some rows are not valid after ``MAX_REDRAWS`` attempts.
    """
    left = np.arange(n)
    accepted: list[pd.DataFrame] = []
    for attempt in range(MAX_REDRAWS):
        rows = sample(left, attempt).set_index(left)
        good = valid(rows, attempt)
        accepted.append(rows[good])
        left = left[~good]
        if not len(left):
            return (accepted[0] if len(accepted) == 1 else pd.concat(accepted).sort_index()).reset_index(drop=True)
    raise ConditionError(
        f"{len(left)} of {n} rows still break a constraint of the schema after {MAX_REDRAWS} draws; "
        "the conditions may contradict the constraints"
    )
