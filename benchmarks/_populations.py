"""Populations that benchmarks draw real rows from: public tables beside the repository, and one made here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from _common import DATA

from tabsynth.schema import Schema

TABLES: dict[str, tuple[str, list[str], list[str]]] = {
    "adult": ("income", ["sex", "race"], []),
    "shoppers": ("Revenue", ["Region"], []),
    "default": ("default.payment.next.month", ["SEX"], ["ID"]),
    "beijing": ("pm2.5", ["cbwd"], ["No"]),
    "diabetes130": ("readmitted", ["gender", "race"], ["encounter_id", "patient_nbr"]),
}
"""Of each public table: the target, the sensitive columns, and keys that are left out."""

KINDS: dict[str, dict[str, Any]] = {
    "age": {"kind": "numeric", "high": 75},
    "weight": {"kind": "numeric"},
    "height": {"kind": "numeric"},
    "dose": {"kind": "numeric", "nullable": True},
    "seen": {"kind": "datetime", "format": "%Y-%m-%d"},
    "group": {"kind": "categorical", "role": "sensitive"},
    "site": {"kind": "categorical"},
    "stage": {"kind": "categorical"},
    "ill": {"kind": "categorical", "role": "target"},
}


@dataclass(frozen=True, eq=False)
class Population:
    """Where rows come from.

    Attributes:
        name: Its name.
        schema: What its columns are.
        draw: Tables of so many rows each, of which no two share a row.
    """

    name: str
    schema: Schema
    draw: Callable[[list[int], np.random.Generator], list[pd.DataFrame]]


def population(name: str) -> Population:
    """One of ``TABLES``, or ``made``, which is generated again for every draw."""
    if name == "made":
        facts = {key: dict(kind) for key, kind in KINDS.items()}
        facts["age"].pop("high")  # an evaluation would refuse rows that violate it
        return Population(name, Schema.from_dict({"columns": facts}), lambda rows, rng: [people(n, rng) for n in rows])
    target, sensitive, keys = TABLES[name]
    frame = pd.read_csv(DATA / f"{name}.csv.gz", low_memory=False).drop(columns=keys)
    facts = Schema.infer(frame).to_dict()
    for column, role in [(target, "target"), *((column, "sensitive") for column in sensitive)]:
        facts["columns"][column]["role"] = role

    def draw(rows: list[int], rng: np.random.Generator) -> list[pd.DataFrame]:
        order = rng.permutation(len(frame))[: sum(rows)]
        return [frame.iloc[part].reset_index(drop=True) for part in np.split(order, np.cumsum(rows)[:-1])]

    return Population(name, Schema.from_dict(facts), draw)


def people(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Dependent columns of several kinds, a few of whose values are in disorder."""
    age = np.clip(rng.normal(50, 15, n), 18, 95)
    height = rng.normal(170, 8, n)
    weight = 0.8 * (height - 90) + rng.normal(0, 9, n) + 0.1 * age
    dose = np.exp(rng.normal(1, 0.7, n))
    dose[rng.random(n) < 1 / (1 + np.exp((age - 40) / 6))] = np.nan
    seen = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.floor(rng.beta(2, 1, n) * 800), unit="D")
    group = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    site = rng.choice([f"site {i}" for i in range(8)], n)
    stage = np.where(age > 60, rng.choice(["II", "III"], n), rng.choice(["I", "II"], n))
    ill = np.where(rng.random(n) < 1 / (1 + np.exp(-(age - 55) / 8)), "yes", "no")
    columns = (age, weight, height, dose, seen.strftime("%Y-%m-%d"), group, site, stage, ill)
    return pd.DataFrame(dict(zip(KINDS, columns, strict=True)))
