"""What public structure saves a private fit: a census-like table, with and without its declared constraints.

Fine codes of area and occupation have coarse ones, children have neither work nor income, and group quarters have no
rooms. The table is made by a rule of its own, with a seed for each run.

    python benchmarks/private_structure.py                     epsilon 0.1, 1 and 10, five seeds
    python benchmarks/private_structure.py --short             one small table at epsilon 1; nothing is kept
"""

from __future__ import annotations

import argparse
import datetime
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import print_result
from private import distances

from tabsynth import MarginalSynthesizer, Privacy
from tabsynth.schema import Schema
from tabsynth.schema.validation import satisfies

RESULTS = Path(__file__).resolve().parent / "results" / "private.jsonl"
AREAS = {f"d{i:02}": f"a{i // 4}" for i in range(24)}
GROUPS = {f"{letter}{i}": f"group {letter}" for letter in "ABCDEFG" for i in range(1, 7)} | {"none": "no occupation"}
ADULT_AGE, PENSION_AGE = 15, 66


def main() -> None:
    """Print and keep a line of JSON for each epsilon and seed, with and without constraints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilons", default="0.1,1,10")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--machine", default="2 CPU cores")
    parser.add_argument("--short", action="store_true")
    args = parser.parse_args()
    epsilons = [1.0] if args.short else [float(each) for each in args.epsilons.split(",")]
    seeds = [0] if args.short else [int(each) for each in args.seeds.split(",")]
    for epsilon in epsilons:
        for seed in seeds:
            for declared in (False, True):
                figures = run(3000 if args.short else args.rows, epsilon, seed, declared=declared)
                figures |= {"date": datetime.date.today().isoformat(), "machine": args.machine}
                print_result(figures, None if args.short else RESULTS)


def run(rows: int, epsilon: float, seed: int, *, declared: bool) -> dict[str, Any]:
    """Fit, draw and score."""
    frame, whole = census(rows, seed), schema_of()
    schema = whole if declared else Schema(whole.columns)
    began = time.process_time()
    model = MarginalSynthesizer().fit(frame, schema=schema, privacy=Privacy(epsilon, 1e-6), progress=False)
    drawn = model.sample(rows, seed=seed, progress=False)
    cpu = time.process_time() - began
    kept = np.logical_and.reduce([satisfies(rule, drawn, whole) for rule in whole.constraints])
    return {
        "table": "census",
        "model": "marginal, constraints declared" if declared else "marginal",
        "epsilon": epsilon,
        "spent": round(model.ledger_.epsilon(), 6),
        "seed": seed,
        "rows": rows,
        "cpu_seconds": round(cpu, 2),
        "rows_kept": float(np.mean(kept)),
    } | distances(frame, drawn, whole)


def census(rows: int, seed: int) -> pd.DataFrame:
    """Persons of a made country."""
    rng = np.random.default_rng(seed)
    weight = 1 / (1 + np.arange(len(AREAS)))
    density = rng.choice(list(AREAS), rows, p=weight / weight.sum())
    urban = np.isin(density, list(AREAS)[:6])
    age = np.clip(np.round(rng.gamma(3.5, 11, rows)), 0, 95).astype(int)
    child, old = age < ADULT_AGE, age > PENSION_AGE
    quarters = np.where(rng.random(rows) < 0.04 + 0.1 * (age > 75), rng.choice(["institution", "other"], rows), "none")
    schooling = np.where(rng.random(rows) < 0.6, "middle", "low")
    schooling = np.where(rng.random(rows) < 0.25 + 0.25 * urban, "high", schooling)
    schooling = np.where(child, "none", schooling)
    letters = np.where(schooling == "middle", rng.choice(list("CDE"), rows), rng.choice(list("EFG"), rows))
    letters = np.where(schooling == "high", rng.choice(list("ABC"), rows, p=[0.5, 0.3, 0.2]), letters)
    rank = np.minimum(rng.geometric(0.35, rows), 6)
    works = ~child & (rng.random(rows) < np.where(old, 0.1, 0.75))
    pairs = zip(letters, rank, works, strict=True)
    occupation = [f"{letter}{at}" if own else "none" for letter, at, own in pairs]
    pay = np.exp(rng.normal(9.8 + 0.5 * (schooling == "high") + 0.2 * urban, 0.6, rows))
    income = np.where(works, np.clip(np.round(pay, -2), 100, 200_000), 0).astype(int)
    rooms = np.clip(rng.poisson(3 + 1.2 * (income > 30_000) + 0.8 * ~urban, rows), 1, 9)
    status = np.where(works, "employed", np.where(old, "retired", "other"))
    wed = rng.random(rows) < np.clip((age - 18) / 40, 0.05, 0.75)
    return pd.DataFrame(
        {
            "density": density,
            "area": [AREAS[own] for own in density],
            "age": age,
            "sex": rng.choice(["f", "m"], rows),
            "education": schooling,
            "occupation": occupation,
            "occupation_group": [GROUPS[own] for own in occupation],
            "status": np.where(child, "child", status),
            "marital": np.where(~child & wed, "married", "single"),
            "income": income,
            "quarters": quarters,
            "rooms": np.where(quarters == "none", rooms, 0),
        }
    )


def schema_of() -> Schema:
    """The dictionary of the table: its values, and the rules that every person satisfies."""
    columns: dict[str, dict[str, Any]] = {
        "density": {"kind": "categorical", "values": list(AREAS)},
        "area": {"kind": "categorical", "values": sorted(set(AREAS.values()))},
        "age": {"kind": "numeric", "low": 0, "high": 99, "decimals": 0},
        "sex": {"kind": "categorical", "values": ["f", "m"]},
        "education": {"kind": "categorical", "values": ["none", "low", "middle", "high"]},
        "occupation": {"kind": "categorical", "values": list(GROUPS)},
        "occupation_group": {"kind": "categorical", "values": sorted(set(GROUPS.values()))},
        "status": {"kind": "categorical", "values": ["child", "employed", "retired", "other"]},
        "marital": {"kind": "categorical", "values": ["single", "married"]},
        "income": {"kind": "numeric", "low": 0, "high": 200_000, "decimals": 0},
        "quarters": {"kind": "categorical", "values": ["none", "institution", "other"]},
        "rooms": {"kind": "numeric", "low": 0, "high": 9, "decimals": 0},
    }
    lookups = [
        {"kind": "lookup", "column": "area", "by": "density", "values": AREAS},
        {"kind": "lookup", "column": "occupation_group", "by": "occupation", "values": GROUPS},
    ]
    implied = [
        ("age < 15", "status == 'child'"),
        ("age >= 15", "status != 'child'"),
        ("age < 15", "income == 0"),
        ("age < 15", "occupation == 'none'"),
        ("age < 15", "education == 'none'"),
        ("age < 15", "marital == 'single'"),
        ("occupation == 'none'", "income == 0"),
        ("occupation != 'none'", "status == 'employed'"),
        ("occupation == 'none'", "status != 'employed'"),
        ("quarters != 'none'", "rooms == 0"),
        ("quarters == 'none'", "rooms >= 1"),
    ]
    rules = [{"kind": "if_then", "when": when, "then": then} for when, then in implied]
    return Schema.from_dict({"columns": columns, "constraints": lookups + rules})


if __name__ == "__main__":
    main()
