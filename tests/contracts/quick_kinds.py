"""Quick options of every kind of synthesizer, and a table with a column of every kind."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import torch

from tabsynth.schema import Schema

QUICK: dict[str, dict[str, int]] = {
    "masked": {"epochs": 1},
    "vae": {"epochs": 1},
    "gan": {"epochs": 1},
    "marginal": {"components": 32},
    "ctgan": {"epochs": 1, "batch_size": 100},
    "tvae": {"epochs": 10, "batch_size": 100},
    "gaussian_copula": {},
    "copula_gan": {"epochs": 1, "batch_size": 100},
}
"""Options for a fit of a second or so, by kind."""


ROWS = 307


SCHEMA = Schema.from_dict(
    {
        "columns": {
            "mrn": {"kind": "identifier"},
            "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
            "income": {"kind": "numeric", "nullable": True, "decimals": 2},
            "visits": {"kind": "numeric", "nullable": True, "decimals": 0},
            "sex": {"kind": "categorical", "values": ["f", "m"], "nullable": True},
            "grade": {"kind": "categorical", "ordered": True},
            "smoker": {"kind": "boolean"},
            "consent": {"kind": "boolean", "nullable": True},
            "seen": {"kind": "datetime", "resolution": "D"},
            "born": {"kind": "datetime", "format": "%d/%m/%Y", "resolution": "D", "nullable": True},
            "note": {"kind": "text"},
            "country": {"kind": "categorical"},
            "dose": {"kind": "numeric"},
            "empty": {"kind": "numeric", "nullable": True},
        }
    }
)


def toy_table() -> pd.DataFrame:
    """A seeded frame of every kind of column, with gaps, a constant column of each sort and one without values."""
    rng = np.random.default_rng(7)
    age = rng.integers(18, 91, ROWS)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, ROWS), "D")
    born = pd.Series(pd.Timestamp("1940-01-01") + pd.to_timedelta(rng.integers(0, 20_000, ROWS), "D"))
    frame = pd.DataFrame(
        {
            "mrn": [f"M{number:010d}" for number in rng.permutation(ROWS)],
            "age": age,
            "income": np.round(rng.lognormal(8, 1, ROWS) + 20 * age, 2),
            "visits": pd.array(rng.poisson(3, ROWS), dtype="Int64"),
            "sex": rng.choice(["f", "m"], ROWS).astype(object),
            "grade": pd.Categorical(rng.choice(["low", "mid", "high"], ROWS), ["low", "mid", "high"], ordered=True),
            "smoker": rng.random(ROWS) < 0.3,
            "consent": pd.array(rng.random(ROWS) < 0.6, dtype="boolean"),
            "seen": day,
            "born": born.dt.strftime("%d/%m/%Y").astype(object),
            "note": [f"seen by nurse {number}" for number in range(ROWS)],
            "country": "CH",
            "dose": 2.5,
            "empty": np.nan,
        }
    )
    for name, share in {"income": 0.2, "visits": 0.15, "sex": 0.1, "consent": 0.25, "born": 0.1}.items():
        frame.loc[rng.random(ROWS) < share, name] = None
    return frame


def random_states() -> tuple[Any, list[int], list[int]]:
    """The states of the global generators of Python, numpy and torch."""
    keys: list[int] = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    return random.getstate(), keys, torch.get_rng_state().tolist()
