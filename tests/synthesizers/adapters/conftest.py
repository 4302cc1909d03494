"""A table with gaps and an order for the tests of the adapters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    start = np.round(rng.normal(50, 10, 211), 1)
    stop = np.round(start + rng.exponential(5, 211) + 0.1, 1)
    group = np.where(start + rng.normal(0, 5, 211) > 50, "late", "early").astype(object)
    made = pd.DataFrame({"start": start, "stop": stop, "group": group})
    made.loc[rng.random(211) < 0.2, "stop"] = np.nan
    made.loc[rng.random(211) < 0.1, "group"] = None
    return made
