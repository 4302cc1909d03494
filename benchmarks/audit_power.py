"""Which leaks the audit finds, by the number of rows, and how often it accuses fresh rows.

    python benchmarks/audit_power.py            1,000, 3,000 and 8,000 rows of Adult and of a made table, 6 tables each
    python benchmarks/audit_power.py --short    500 rows of the made table, 1 split, 2 leaks

Every leak is put into the synthetic table itself, which holds fresh real rows otherwise, and the whole audit is run on
it. ``missed`` names the leaks that the audit of the same fresh rows said it would have found, and that it did not find;
40 further splits of 1,000 rows hold no leak.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import print_result

from tabsynth.privacy.audit import audit
from tabsynth.schema import Schema

ROWS = (1_000, 3_000, 8_000)
MADE = Schema.from_dict(
    {
        "columns": {name: {"kind": "numeric"} for name in ("age", "income", "dose")}
        | {name: {"kind": "categorical"} for name in ("sex", "town", "ill")}
    }
)
LEAKS = {
    "8 copies": ("verbatim copies", 8),
    "1 % copies": ("verbatim copies", 0.01),
    "5 % copies": ("verbatim copies", 0.05),
    "1 % copies with 1 % noise": ("copies with 1 % noise", 0.01),
    "5 % copies with 5 % noise": ("copies with 5 % noise", 0.05),
    "1 % interpolated": ("interpolated rows", 0.01),
    "1 % recombined": ("recombined rows", 0.01),
    "5 most isolated copied": ("copies of isolated records", 5),
}
"""Name: the leak as the verdict calls it, and its strength in rows or as a share of the training rows."""


def population(count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of mixed kinds that depend on each other."""
    age = rng.normal(50, 15, count)
    data = {"age": age, "income": np.exp(rng.normal(9 + age / 100, 0.6)), "dose": rng.normal(age / 10, 1.0)}
    data |= {"sex": rng.choice(["f", "m"], count), "town": rng.choice([f"t{i}" for i in range(12)], count)}
    return pd.DataFrame(data | {"ill": np.where(rng.random(count) < 1 / (1 + np.exp((60 - age) / 10)), "yes", "no")})


def leaked_rows(leak: str, count: int, train: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The rows that a leak puts into the synthetic table."""
    numbers = list(train.select_dtypes("number"))
    whole = [name for name in numbers if (train[name] == train[name].round()).all()]
    spread = (train[numbers].quantile(0.9) - train[numbers].quantile(0.1)).where(lambda s: s > 0, train[numbers].std())
    if leak == "copies of isolated records":
        scaled = np.arcsinh((train[numbers] - train[numbers].median()) / spread)
        return train.loc[(scaled**2).sum(axis=1).nlargest(count).index]
    at = rng.permutation(len(train))
    rows, other = (train.iloc[part].reset_index(drop=True) for part in (at[:count], at[count : 2 * count]))
    if leak == "recombined rows":
        first = rng.random(rows.shape).argsort(axis=1) < (rows.shape[1] + 1) // 2
        return rows.where(first, other)
    made = rows.astype(dict.fromkeys(numbers, "float64"))
    if leak == "interpolated rows":
        made[numbers] += rng.random((count, 1)) / 2 * (other[numbers] - rows[numbers]).to_numpy()
    elif "noise" in leak:
        made[numbers] += float(leak.split()[2]) / 100 * spread.to_numpy() * rng.normal(size=(count, len(numbers)))
    made[whole] = made[whole].round()
    return made.astype(train.dtypes.to_dict())


def split(table: pd.DataFrame | None, rows: int, seed: int) -> list[pd.DataFrame]:
    """Training, held-out and fresh rows."""
    rng = np.random.default_rng([rows, seed])
    frame = population(3 * rows, rng) if table is None else table.iloc[rng.permutation(len(table))[: 3 * rows]]
    return [frame[i * rows : (i + 1) * rows].reset_index(drop=True) for i in range(3)]


def run(table: pd.DataFrame | None, schema: Schema, rows: int, tables: int, leaks: dict[str, Any]) -> dict[str, Any]:
    """Detection rates of planted leaks, and the leaks that were promised and missed."""
    found, least, missed = Counter[str](), dict[str, list[Any]](), list[str]()
    for seed in range(tables):
        train, held, fresh = split(table, rows, seed)
        report = audit(train, fresh, held, schema=schema, seed=seed)
        found["false accusations"] += report.verdict == "VIOLATION"
        promised = {leak["name"]: leak["least"] for leak in report.details["power"]["planted"]}
        for name, share in promised.items():
            least.setdefault(name, []).append(share)
        for name, (leak, strength) in leaks.items():
            count = strength if strength >= 1 else round(strength * rows)
            more = leaked_rows(leak, count, train, np.random.default_rng([rows, seed, len(name)]))
            made = pd.concat([more, fresh[: rows - count]], ignore_index=True)
            report = audit(train, made, held, schema=schema, seed=seed)
            hit = report.verdict == "VIOLATION"
            found[name] += hit
            if promised[leak] is not None and count >= promised[leak] * rows and not hit:
                missed.append(f"{name}, table {seed}")
    return {"rows": rows, "tables": tables, "found": dict(found), "promised_from": least, "missed": missed}


def main() -> None:
    """Run and print one line for each table and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="500 rows of the made table, 1 split, 2 leaks")
    parser.add_argument("--adult", type=Path, help="Adult as a CSV file; default: the made table only")
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS)
    parser.add_argument("--tables", type=int, default=6)
    parser.add_argument("--fresh", type=int, default=40, help="fresh splits of 1,000 rows without a leak")
    parser.add_argument("--output", type=Path, help="append the lines to a file as well")
    args = parser.parse_args()
    sources: dict[str, tuple[pd.DataFrame | None, Schema]] = {"made": (None, MADE)}
    if args.adult:
        adult = pd.read_csv(args.adult).drop_duplicates()
        kinds = {name: {"kind": "numeric" if adult[name].dtype.kind in "if" else "categorical"} for name in adult}
        sources["adult"] = adult, Schema.from_dict({"columns": {n: k | {"nullable": True} for n, k in kinds.items()}})
    for name, (table, schema) in sources.items():
        jobs = [(rows, args.tables, LEAKS) for rows in args.rows] + [(1_000, args.fresh, {})] * bool(args.fresh)
        few = {leak: LEAKS[leak] for leak in ("5 % copies", "5 most isolated copied")}
        for rows, tables, leaks in [(500, 1, few)] if args.short else jobs:
            began = time.process_time()
            line = {"table": name, **run(table, schema, rows, tables, leaks)}
            cpu = {"cpu_s": round(time.process_time() - began, 1), "machine": platform.machine()}
            print_result(line | cpu, args.output)


if __name__ == "__main__":
    main()
