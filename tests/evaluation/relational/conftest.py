"""A clinic whose histories are known: patients, visits in order, drugs of the visits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema

Tables = dict[str, pd.DataFrame]


def make_clinic(patients: int, seed: int, *, independent: bool = False) -> Tables:
    """Wards persist from visit to visit, and gaps depend on the sex; with ``independent`` neither holds."""
    rng = np.random.default_rng(seed)
    people = pd.DataFrame({"id": range(patients), "sex": rng.choice(["f", "m"], patients)})
    people["birth"] = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 18000, patients), unit="D")
    owner = np.repeat(np.arange(patients), 1 + rng.poisson(3, patients))
    first = np.r_[True, owner[1:] != owner[:-1]]
    ward = rng.integers(0, 3, len(owner))
    if not independent:
        for i in np.flatnonzero(~first):
            ward[i] = ward[i - 1] if rng.random() < 0.9 else ward[i]
    slow = np.where(people.sex.to_numpy()[owner] == "f", 200, 40) if not independent else 120
    gap = np.where(first, 0, rng.exponential(slow, len(owner)))
    start = rng.integers(0, 2000, patients)[owner]
    day = start + pd.Series(gap).groupby(owner).cumsum().to_numpy()
    visits = pd.DataFrame({"id": range(len(owner)), "patient": owner})
    visits["day"] = pd.Timestamp("2010-01-01") + pd.to_timedelta(day.astype(int), unit="D")
    visits["ward"] = np.array(["eye", "heart", "skin"])[ward]
    visits["cost"] = rng.gamma(2, 50 * (1 + ward)).round(2)
    visits["paid"] = (visits.cost * rng.uniform(0.5, 1, len(owner))).round(2)
    visit = np.repeat(np.arange(len(owner)), rng.integers(0, 3, len(owner)))
    drugs = pd.DataFrame({"visit": visit, "drug": rng.choice(["a", "b", "c"], len(visit))})
    return {"patients": people, "visits": visits, "drugs": drugs}


def clinic_schema(tables: Tables) -> DatabaseSchema:
    links = (ForeignKey("visits", "patient", "patients"), ForeignKey("drugs", "visit", "visits"))
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    return DatabaseSchema(schemas, {"patients": "id", "visits": "id"}, links, {"visits": "day"})


@pytest.fixture(scope="session")
def clinic() -> Callable[..., Tables]:
    return make_clinic


@pytest.fixture(scope="session")
def real(clinic: Callable[..., Tables]) -> Tables:
    return clinic(250, 0)


@pytest.fixture(scope="session")
def schema(real: Tables) -> DatabaseSchema:
    return clinic_schema(real)
