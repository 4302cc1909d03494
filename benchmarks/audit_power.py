"""Which planted leaks the audit finds, by the number of rows, and how often it accuses fresh rows.

    python benchmarks/audit_power.py            1,000, 3,000 and 8,000 rows, 10 tables each; 40 fresh splits
    python benchmarks/audit_power.py --short    1,000 rows, 2 tables

Every leak is planted in the synthetic table itself and the whole audit is run on it; each rate is shown beside what the
audit of a fresh table from the same population says that it would have found.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.privacy.audit import audit
from tabsynth.schema import Schema

ROWS = (1_000, 3_000, 8_000)
SCHEMA = Schema.from_dict(
    {
        "columns": {name: {"kind": "numeric"} for name in ("age", "income", "dose")}
        | {name: {"kind": "categorical"} for name in ("sex", "town", "ill")}
    }
)
NUMBERS = ["age", "income", "dose"]


def population(count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of mixed kinds that depend on each other."""
    age = rng.normal(50, 15, count)
    data = {"age": age, "income": np.exp(rng.normal(9 + age / 100, 0.6)), "dose": rng.normal(age / 10, 1.0)}
    data |= {"sex": rng.choice(["f", "m"], count), "town": rng.choice([f"t{i}" for i in range(12)], count)}
    return pd.DataFrame(data | {"ill": np.where(rng.random(count) < 1 / (1 + np.exp((60 - age) / 10)), "yes", "no")})


def leaked_rows(name: str, train: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The rows that a leak puts into the synthetic table."""
    kind, amount = name.rsplit(" ", 1)
    count = int(amount) if float(amount) >= 1 else round(float(amount) * len(train))
    if kind == "isolated":
        scaled = (train[NUMBERS] - train[NUMBERS].median()) / train[NUMBERS].std()
        return train.loc[(scaled**2).sum(axis=1).nlargest(count).index]
    rows = train.sample(count, random_state=int(rng.integers(2**31)))
    if kind == "smote":
        other = train.sample(count, random_state=int(rng.integers(2**31)))
        rows[NUMBERS] += rng.random((count, 1)) / 2 * (other[NUMBERS].to_numpy() - rows[NUMBERS])
    noise = {"noise1": 0.01, "noise5": 0.05}.get(kind, 0.0)
    spread = (train[NUMBERS].quantile(0.9) - train[NUMBERS].quantile(0.1)).to_numpy()
    if noise:
        rows[NUMBERS] += noise * spread * rng.normal(size=(count, len(NUMBERS)))
    return rows


LEAKS = ("copies 8", "copies 0.01", "copies 0.05", "noise1 0.01", "noise5 0.05", "smote 0.01", "isolated 5")


def run(rows: int, tables: int, leaks: tuple[str, ...]) -> dict[str, Any]:
    """Detection rates of planted leaks."""
    found: Counter[str] = Counter()
    stated: list[Any] = []
    for seed in range(tables):
        rng = np.random.default_rng([rows, seed])
        frame = population(3 * rows, rng)
        train, held, fresh = (frame[i * rows : (i + 1) * rows].reset_index(drop=True) for i in range(3))
        for name in leaks:
            more = leaked_rows(name, train, rng)
            report = audit(train, pd.concat([more, fresh[: rows - len(more)]]), held, schema=SCHEMA, seed=seed)
            found[name] += report.verdict == "VIOLATION"
            found[f"{name} named"] += any(record["exact_copy"] for record in report.worst)
        report = audit(train, fresh, held, schema=SCHEMA, seed=seed)
        found["false accusations"] += report.verdict == "VIOLATION"
        stated.append({leak["name"]: leak["least"] for leak in report.details["power"]["planted"]})
    return {"rows": rows, "tables": tables, "found": dict(found), "stated": stated[0]}


def main() -> None:
    """Run and print one line for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="1,000 rows, 2 tables")
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS)
    parser.add_argument("--tables", type=int, default=10)
    parser.add_argument("--fresh", type=int, default=40, help="fresh splits without a leak")
    args = parser.parse_args()
    for rows in (1_000,) if args.short else args.rows:
        print(json.dumps(run(rows, 2 if args.short else args.tables, LEAKS)))
    if not args.short and args.fresh:
        print(json.dumps(run(1_000, args.fresh, ())))


if __name__ == "__main__":
    main()
