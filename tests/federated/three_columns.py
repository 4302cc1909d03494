"""A plan of four sites, and rows of its schema."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tabsynth.federated import FederatedPlan
from tabsynth.schema import Schema

SCHEMA = Schema.from_dict(
    {
        "columns": {
            "age": {"kind": "numeric", "low": 0, "high": 99, "decimals": 0},
            "sex": {"kind": "categorical", "values": ["f", "m"]},
            "ill": {"kind": "boolean", "nullable": True, "role": "target"},
        }
    }
)


NAMES = ("a", "b", "c", "d")


PLAN = FederatedPlan(schema=SCHEMA, sites=NAMES, epsilon=3.0, delta=1e-5, components=4)


def rows(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], n)
    age = np.clip(rng.normal(np.where(sex == "f", 60, 40), 10), 0, 99).round()
    return pd.DataFrame({"age": age, "sex": sex, "ill": rng.random(n) < age / 120})
