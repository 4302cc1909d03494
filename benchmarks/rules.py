"""Declared constraints at scale: random compositions of three rules, and the distribution of a difference.

    python benchmarks/rules.py --short
    python benchmarks/rules.py --compositions 300 --rows 1000000

Prints one JSON object: violations (expected: 0), and for the stay table the mean, the share over 20 days and the speed
with and without the rule.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.errors import ConditionError
from tabsynth.schema import Schema
from tabsynth.schema.validation import satisfies
from tabsynth.synthesizers.registry import create

COUNTRIES = {"Bern": "CH", "Basel": "CH", "Oslo": "NO", "Rome": "IT"}

RULES: list[dict[str, Any]] = [
    {"kind": "order", "sequence": ["admitted", "discharged"]},
    {"kind": "order", "sequence": ["admitted", "discharged"], "greatest": 60},
    {"kind": "order", "sequence": ["low", "mid", "high"]},
    {"kind": "range", "column": "age", "by": "group", "bounds": {"child": [0, 17], "adult": [18, 64], "old": [65, 99]}},
    {"kind": "range", "column": "mid", "low": "low", "high": "high"},
    {"kind": "linear", "column": "total", "terms": ["net", "tax"]},
    {"kind": "expression", "rule": "tax <= net"},
    {"kind": "expression", "rule": "net + tax <= 1.3 * net"},
    {"kind": "product", "column": "bmi", "terms": {"weight": 1, "height": -2}},
    {"kind": "lookup", "column": "country", "by": "city", "values": COUNTRIES},
    {"kind": "combinations", "of": ["city", "country"]},
    {"kind": "forbidden", "of": ["group", "pregnant"], "values": [["old", True], ["child", True]]},
    {"kind": "if_then", "when": "age < 18", "then": "kids == 0"},
    {"kind": "if_then", "when": "pregnant", "then": "age > 17 and age < 50"},
    {"kind": "one_of", "of": ["x", "y", "z"]},
    {"kind": "missing", "column": "ended", "when": "not died"},
    {"kind": "expression", "rule": "where(age < 18, not pregnant, True)"},
]

CONDITIONS: list[dict[str, Any] | None] = [
    None,
    {"age": (60, 80)},
    {"discharged": ("2023-01-01", "2023-02-01")},
    {"total": (20.0, 30.0)},
    {"city": "Oslo"},
    {"mid": (1.0, None)},
    {"pregnant": True},
]


def patients(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """A table that obeys all rules."""
    age, city, picked = rng.integers(0, 90, n), rng.choice(list(COUNTRIES), n), rng.integers(0, 4, n)
    net = np.round(rng.lognormal(3, 0.5, n), 2)
    tax = np.round(net * 0.2 * rng.random(n), 2)
    weight, height = np.round(rng.normal(70, 12, n), 1), np.round(rng.normal(1.7, 0.1, n), 2)
    admitted = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D")
    died = rng.random(n) < 0.3
    low = np.round(rng.normal(0, 1, n), 2)
    high = np.round(low + rng.exponential(1, n), 2)
    return pd.DataFrame(
        {
            "age": age,
            "pregnant": (age > 17) & (age < 50) & (rng.random(n) < 0.2),
            "kids": np.where(age < 18, 0, rng.poisson(1.3, n)),
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
            "discharged": admitted + pd.to_timedelta(np.floor(rng.exponential(3, n)), "D"),
            "died": died,
            "ended": pd.Series(rng.integers(0, 100, n)).where(died),
            "x": picked == 0,
            "y": picked == 1,
            "z": picked == 2,
            "low": low,
            "mid": np.clip(np.round(low + (high - low) * rng.random(n), 2), low, high),
            "high": high,
        }
    )


def violated(rows: pd.DataFrame, schema: Schema) -> int:
    """Rows that violate a constraint."""
    good = np.logical_and.reduce([satisfies(rule, rows, schema) for rule in schema.constraints])
    return int((~good).sum())


def compositions(kind: str, count: int, rows: int) -> dict[str, Any]:
    """Random compositions of three rules, with and without a condition."""
    rng = np.random.default_rng(0)
    frame = patients(600, rng)
    inferred = Schema.infer(frame).to_dict()
    broken = drawn = refused = 0
    failures: list[dict[str, Any]] = []
    for at in range(count):
        rules = [RULES[i] for i in rng.choice(len(RULES), 3, replace=False)]
        names = {
            name for rule in Schema.from_dict({**inferred, "constraints": rules}).constraints for name in rule.columns
        }
        names |= {"age", "total", "city"}
        given = CONDITIONS[int(rng.integers(len(CONDITIONS)))]
        names |= set(given or {})
        schema = {"columns": {n: inferred["columns"][n] for n in frame if n in names}, "constraints": rules}
        model = create(kind).fit(frame[[n for n in frame if n in names]], schema=Schema.from_dict(schema), seed=at)
        for condition in (None, given):
            try:
                sample = model.sample(rows // count // 2, given=condition, seed=at)
            except ConditionError as error:
                refused += 1
                failures.append({"rules": rules, "given": str(condition), "why": str(error)})
                continue
            drawn += len(sample)
            bad = violated(sample, model.schema_)
            broken += bad
            if bad:
                failures.append({"rules": rules, "given": str(condition), "violations": bad})
    return {"compositions": count, "rows": drawn, "violations": broken, "refused": refused, "failures": failures[:20]}


def stays(kind: str, n: int, rows: int) -> dict[str, Any]:
    """The stay of patients of three wards: mean 3 days."""
    rng = np.random.default_rng(0)
    ward = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    days = np.floor(rng.exponential(np.select([ward == "a", ward == "b"], [1.6, 3.1], 7.0)) + 0.5)
    admitted = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 1400, n), "D")
    real = pd.DataFrame({"ward": ward, "admitted": admitted, "discharged": admitted + pd.to_timedelta(days, "D")})
    out: dict[str, Any] = {"real_mean": days.mean(), "real_over_20": (days > 20).mean()}
    for name, rules in (("without", []), ("with", [RULES[0]])):
        schema = Schema.from_dict({**Schema.infer(real).to_dict(), "constraints": rules})
        model = create(kind).fit(real, schema=schema, seed=0, progress=False)
        start = time.perf_counter()
        drawn = model.sample(rows, seed=1, progress=False)
        seconds = time.perf_counter() - start
        own = (drawn["discharged"] - drawn["admitted"]).dt.days
        out[name] = {"mean": own.mean(), "over_20": (own > 20).mean(), "rows_a_second": round(rows / seconds)}
    return out


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="marginal")
    parser.add_argument("--compositions", type=int, default=300)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--stay-rows", type=int, default=1500)
    parser.add_argument("--short", action="store_true", help="a pass of a few seconds")
    args = parser.parse_args()
    count, rows = (3, 1200) if args.short else (args.compositions, args.rows)
    result = {
        "kind": args.kind,
        "compositions": compositions(args.kind, count, rows) if count else None,
        "stay": stays(args.kind, 300 if args.short else args.stay_rows, 300 if args.short else 20_000),
    }
    print(json.dumps(result, indent=1, default=float))


if __name__ == "__main__":
    main()
