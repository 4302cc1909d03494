"""A population to draw real rows from, and generators that leak in known ways."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tabsynth.schema import Schema

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "age": {"kind": "numeric", "decimals": 0},
            "income": {"kind": "numeric"},
            "score": {"kind": "numeric", "nullable": True},
            "sex": {"kind": "categorical", "role": "sensitive"},
            "town": {"kind": "categorical", "role": "quasi_identifier"},
            "ill": {"kind": "categorical", "role": "target"},
        }
    }
)


def population(n: int, seed: int) -> pd.DataFrame:
    """Rows of mixed kinds that depend on each other; nearly all differ."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, n)
    income = np.exp(rng.normal(9 + age / 100, 0.6))
    score = rng.normal(income / 10_000, 1.0)
    score[rng.random(n) < 0.05] = np.nan
    sex = rng.choice(["f", "m"], n)
    town = rng.choice([f"t{i}" for i in range(12)], n, p=np.arange(12, 0, -1) / 78)
    ill = np.where(rng.random(n) < 1 / (1 + np.exp((60 - age) / 10)), "yes", "no")
    return pd.DataFrame({"age": age, "income": income, "score": score, "sex": sex, "town": town, "ill": ill})


@pytest.fixture(scope="session")
def draw() -> Callable[[int, int], pd.DataFrame]:
    return population


@pytest.fixture(scope="session")
def schema() -> Schema:
    return SCHEMA
