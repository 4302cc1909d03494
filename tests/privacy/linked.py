"""A small clinic of linked tables: patients, their visits, and the tests of each visit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema

Tables = dict[str, pd.DataFrame]
KEY = {"kind": "identifier"}


def table_schema(**columns: Any) -> Schema:
    return Schema.from_dict({"columns": columns})


SCHEMA = DatabaseSchema(
    {
        "patients": table_schema(
            pid=KEY,
            sex={"kind": "categorical", "values": ["f", "m"]},
            birth={"kind": "datetime", "low": "1930-01-01", "high": "2010-12-31", "resolution": "D"},
        ),
        "visits": table_schema(
            vid=KEY,
            pid=KEY,
            day={"kind": "datetime", "low": "2010-01-01", "high": "2019-12-31", "resolution": "D"},
            ward={"kind": "categorical", "values": ["eye", "heart"], "nullable": True},
            left={"kind": "datetime", "low": "2010-01-01", "high": "2020-12-31", "resolution": "D"},
        ),
        "tests": table_schema(vid=KEY, kind={"kind": "categorical", "values": ["a", "b", "c"]}),
    },
    {"patients": "pid", "visits": "vid"},
    (ForeignKey("visits", "pid", "patients"), ForeignKey("tests", "vid", "visits")),
    {"visits": "day"},
)


def people(n: int, seed: int = 0) -> Tables:
    """Women have more visits, mostly to the eye ward, and most visits are to the ward of the one before."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], n)
    owner = np.repeat(np.arange(n), rng.poisson(np.where(sex == "f", 4.0, 1.5)))
    day = pd.Timestamp("2011-01-01") + pd.to_timedelta(rng.integers(0, 2900, len(owner)), unit="D")
    visits = pd.DataFrame({"pid": [f"p{i}" for i in owner], "day": day}).sort_values(["pid", "day"], ignore_index=True)
    ward = rng.choice(["eye", "heart"], len(owner))
    women = dict(zip([f"p{i}" for i in range(n)], sex == "f", strict=True))
    for i, pid in enumerate(visits.pid):
        if i and pid == visits.pid[i - 1]:
            ward[i] = ward[i - 1] if rng.random() < 0.8 else ward[i]
        else:
            ward[i] = "eye" if (rng.random() < 0.9) == women[pid] else "heart"
    visits = visits.assign(ward=ward, vid=[f"v{i}" for i in range(len(owner))])
    visits["left"] = visits.day + pd.to_timedelta(rng.integers(0, 9, len(owner)), unit="D")
    under = np.repeat(np.arange(len(owner)), rng.poisson(0.7, len(owner)))
    return {
        "patients": pd.DataFrame(
            {
                "pid": [f"p{i}" for i in range(n)],
                "sex": sex,
                "birth": pd.Timestamp("1940-01-01") + pd.to_timedelta(rng.integers(0, 20_000, n), unit="D"),
            }
        ),
        "visits": visits[["vid", "pid", "day", "ward", "left"]],
        "tests": pd.DataFrame({"vid": visits.vid.to_numpy()[under], "kind": rng.choice(["a", "b", "c"], len(under))}),
    }


def with_person(tables: Tables, visits: int, tests: int) -> Tables:
    """The tables and one person with many rows, all alike."""
    days = pd.date_range("2012-01-01", periods=visits, freq="D")
    more = {
        "patients": pd.DataFrame({"pid": ["new"], "sex": ["f"], "birth": [pd.Timestamp("1950-05-05")]}),
        "visits": pd.DataFrame(
            {"vid": [f"n{i}" for i in range(visits)], "pid": "new", "day": days, "ward": "heart", "left": days}
        ),
        "tests": pd.DataFrame({"vid": [f"n{i}" for i in range(visits)] * tests, "kind": "b"}),
    }
    return {name: pd.concat([frame, more[name]], ignore_index=True) for name, frame in tables.items()}


def facts(tables: Tables) -> dict[str, float]:
    """Shares that no table shows by itself."""
    visits = tables["visits"].merge(tables["patients"], on="pid")
    women = tables["patients"].sex == "f"
    same = visits.ward[1:].to_numpy() == visits.ward[:-1].to_numpy()
    kin = visits.pid[1:].to_numpy() == visits.pid[:-1].to_numpy()
    return {
        "sex": (visits.sex == "f").mean(),
        "stay": len(visits) / len(women) / 5,
        "eye": (visits.ward[visits.sex == "f"] == "eye").mean(),
        "same": float(same[kin].mean()),
    }
