"""The table of ``benchmarks/rules.py``, rules that its rows obey, and rules that contradict them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tabsynth.schema import Schema

Rule = dict[str, Any]

COUNTRIES = {"Bern": "CH", "Basel": "CH", "Oslo": "NO", "Rome": "IT"}

RULES: list[Rule] = [
    {"kind": "order", "sequence": ["admitted", "discharged"]},
    {"kind": "order", "sequence": ["admitted", "discharged"], "greatest": 60},
    {"kind": "order", "sequence": ["low", "mid", "high"]},
    {"kind": "inequality", "low": "tax", "high": "total", "strict": True},
    {"kind": "range", "column": "age", "by": "group", "bounds": {"child": [0, 17], "adult": [18, 64], "old": [65, 99]}},
    {"kind": "range", "column": "mid", "low": "low", "high": "high"},
    {"kind": "range", "column": "kids", "low": 0, "high": 12},
    {"kind": "linear", "column": "total", "terms": ["net", "tax"]},
    {"kind": "linear", "column": "discharged", "terms": ["admitted", "stay"]},
    {"kind": "expression", "rule": "tax <= net"},
    {"kind": "expression", "rule": "net + tax <= 1.3 * net"},
    {"kind": "product", "column": "bmi", "terms": {"weight": 1, "height": -2}},
    {"kind": "lookup", "column": "country", "by": "city", "values": COUNTRIES},
    {"kind": "combinations", "of": ["city", "country"]},
    {"kind": "combinations", "of": ["group", "pregnant"], "values": [["child", False], ["adult", False],
                                                                     ["adult", True], ["old", False]]},
    {"kind": "forbidden", "of": ["group", "pregnant"], "values": [["old", True], ["child", True]]},
    {"kind": "if_then", "when": "age < 18", "then": "kids == 0"},
    {"kind": "if_then", "when": "pregnant", "then": "age > 17 and age < 50"},
    {"kind": "one_of", "of": ["x", "y", "z"]},
    {"kind": "one_of", "of": ["x", "y", "z", "none"], "exactly": True},
    {"kind": "missing", "column": "ended", "when": "not died"},
    {"kind": "missing", "column": "ended", "when": "age < 5 or not died", "only": False},
    {"kind": "unique", "of": ["room", "bed"]},
    {"kind": "expression", "rule": "where(age < 18, not pregnant, True)"},
    {"kind": "expression", "rule": "abs(weight - 70) < 60 or height > 1.2"},
]  # fmt: skip

CONTRADICTIONS: list[tuple[Rule, Rule]] = [
    (RULES[0], {"kind": "order", "sequence": ["discharged", "admitted"], "strict": True}),
    (RULES[1], {"kind": "order", "sequence": ["admitted", "discharged"], "least": 61}),
    (RULES[2], {"kind": "expression", "rule": "high < low"}),
    (RULES[3], {"kind": "linear", "column": "total", "terms": ["tax"], "constant": -1}),
    (RULES[4], {"kind": "expression", "rule": 'group == "old" and age < 65'}),
    (RULES[5], {"kind": "order", "sequence": ["high", "mid"], "least": 1}),
    (RULES[6], {"kind": "expression", "rule": "kids > 12"}),
    (RULES[7], {"kind": "expression", "rule": "net + tax < total - 1"}),
    (RULES[8], {"kind": "expression", "rule": "discharged - admitted > stay + 1"}),
    (RULES[9], {"kind": "order", "sequence": ["net", "tax"], "strict": True}),
    (RULES[12], {"kind": "forbidden", "of": ["city", "country"], "values": [list(p) for p in COUNTRIES.items()]}),
    (RULES[14], {"kind": "expression", "rule": 'pregnant and group != "adult"'}),
    (RULES[15], {"kind": "expression", "rule": 'pregnant and group == "old"'}),
    (RULES[16], {"kind": "expression", "rule": "age < 10 and kids > 0"}),
    (RULES[17], {"kind": "expression", "rule": "pregnant and age < 3"}),
    (RULES[18], {"kind": "expression", "rule": "x and y"}),
    (RULES[19], {"kind": "forbidden", "of": ["x", "y", "z", "none"], "values": [
        [n == one for n in range(4)] for one in range(4)]}),
    (RULES[20], {"kind": "expression", "rule": "not died and not missing(ended)"}),
    (RULES[23], {"kind": "expression", "rule": "age < 18 and pregnant"}),
]  # fmt: skip
"""Rules of the table, each with a rule that contradicts it."""

CONDITIONS: list[dict[str, Any] | None] = [
    {"age": (60, 80)},
    {"discharged": ("2023-01-01", "2023-02-01")},
    {"total": (20.0, 30.0)},
    {"city": "Oslo"},
    {"mid": (1.0, None)},
    {"pregnant": True},
    {"kids": (3, 4), "x": True},
    {"age": (0, 2), "country": ["NO", "IT"]},
]

MIXTURE = {"child": 0.6, "adult": 0.3, "old": 0.1}


def patients(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """A table that obeys all rules."""
    age, city, picked = rng.integers(0, 90, n), rng.choice(list(COUNTRIES), n), rng.integers(0, 4, n)
    net = np.round(rng.lognormal(3, 0.5, n) + 1, 2)
    tax = np.round(net * 0.2 * rng.random(n), 2)
    weight, height = np.round(rng.normal(70, 12, n), 1), np.round(rng.normal(1.7, 0.1, n), 2)
    admitted = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D")
    stay = np.minimum(np.floor(rng.exponential(3, n)), 60).astype(int)
    died = (rng.random(n) < 0.3) & (age > 4)
    low = np.round(rng.normal(0, 1, n), 2)
    high = np.round(low + rng.exponential(1, n), 2)
    key = rng.permutation(100 * 100)[:n] if n <= 10_000 else np.arange(n)
    return pd.DataFrame(
        {
            "age": age,
            "pregnant": (age > 17) & (age < 50) & (rng.random(n) < 0.2),
            "kids": np.where(age < 18, 0, np.minimum(rng.poisson(1.3, n), 12)),
            "group": np.where(age < 18, "child", np.where(age < 65, "adult", "old")),
            "city": city,
            "country": [COUNTRIES[name] for name in city],
            "net": net,
            "tax": tax,
            "total": np.round(net + tax, 2),
            "weight": weight,
            "height": height,
            "bmi": np.round(weight / height**2, 1),
            "admitted": admitted,
            "stay": stay,
            "discharged": admitted + pd.to_timedelta(stay, "D"),
            "died": died,
            "ended": pd.Series(rng.integers(0, 100, n)).where(died),
            "x": picked == 0,
            "y": picked == 1,
            "z": picked == 2,
            "none": picked == 3,
            "low": low,
            "mid": np.clip(np.round(low + (high - low) * rng.random(n), 2), low, high),
            "high": high,
            "room": key // 100,
            "bed": key % 100,
        }
    )


def schema_of(frame: pd.DataFrame, rules: list[Rule]) -> Schema:
    """The inferred schema with the rules; the group is the source of the rows."""
    columns = Schema.infer(frame).to_dict()["columns"]
    if "city" in columns:
        columns["city"]["values"] = list(COUNTRIES)
    columns["group"] = {**columns["group"], "role": "source"} if "group" in columns else {}
    return Schema.from_dict({"columns": {n: c for n, c in columns.items() if c}, "constraints": rules})


def public_schema_of(names: list[str], rules: list[Rule]) -> Schema:
    """A schema that is written without the table."""
    date = {"kind": "datetime", "low": "2022-01-01", "high": "2024-12-31", "resolution": "D"}
    flag = {"kind": "boolean"}
    columns: dict[str, dict[str, Any]] = {
        "age": _number(0, 99),
        "pregnant": flag,
        "kids": _number(0, 20),
        "group": {"kind": "categorical", "values": ["child", "adult", "old"], "role": "source"},
        "city": {"kind": "categorical", "values": list(COUNTRIES)},
        "country": {"kind": "categorical", "values": ["CH", "NO", "IT"]},
        "net": _number(0, 200, 2),
        "tax": _number(0, 200, 2),
        "total": _number(0, 400, 2),
        "weight": _number(1, 200, 1),
        "height": _number(1, 2.5, 2),
        "bmi": _number(0, 300, 1),
        "admitted": date,
        "stay": _number(0, 90),
        "discharged": date,
        "died": flag,
        "ended": {**_number(0, 99), "nullable": True},
        **dict.fromkeys(("x", "y", "z", "none"), flag),
        **dict.fromkeys(("low", "mid", "high"), _number(-10, 20, 2)),
        **dict.fromkeys(("room", "bed"), _number(0, 99)),
    }
    return Schema.from_dict({"columns": {name: columns[name] for name in names}, "constraints": rules})


def _number(low: float, high: float, decimals: int = 0) -> dict[str, Any]:
    return {"kind": "numeric", "low": low, "high": high, "decimals": decimals}
