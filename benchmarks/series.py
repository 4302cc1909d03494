"""Made databases that were held back while the model was written: a chain of shops and a bank.

The chain has a row for each shop, department and week; the bank has transactions with amounts in two directions. One
half of the shops and of the accounts is learned, the other half is the floor.

    python benchmarks/series.py                 both, of 120 roots
    python benchmarks/series.py --short         48 roots, one pass
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import pandas as pd

from tabsynth.data.database.root_rows import take_roots
from tabsynth.evaluation.relational.evaluate_database import evaluate_database
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

Tables = dict[str, pd.DataFrame]
SHOWN = ("shape_error", "parent_trend_error", "aggregate_shape_error", "gap_error", "repeated_keys", "kin_auc")


def main() -> None:
    """Print a line of JSON for each database."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roots", type=int, default=120)
    parser.add_argument("--short", action="store_true")
    args = parser.parse_args()
    for title, make in (("chain", chain), ("bank", bank)):
        tables, schema = make(48 if args.short else args.roots)
        learned = np.arange(len(tables[schema.roots[0]])) % 2 == 0
        train, other = (take_roots(tables, schema, chosen) for chosen in (learned, ~learned))
        start = time.process_time()
        model = RelationalSynthesizer(epochs=1 if args.short else None).fit(train, schema=schema, seed=0)
        line = {"database": title, "rows": {n: len(f) for n, f in train.items()}}
        line["fit_cpu_s"] = round(time.process_time() - start, 1)
        for side, drawn in (("synthetic", model.sample(seed=1)), ("floor", other)):
            scores = evaluate_database(train, drawn, schema=schema, seed=0, quick=args.short).scores
            line[side] = {key: round(one.value, 3) for key, one in scores.items() if key.endswith(SHOWN)}
        print(json.dumps(line), flush=True)


def chain(shops: int) -> tuple[Tables, DatabaseSchema]:
    """Weekly sales of the departments of shops of three sizes: seasons, levels of shops and departments."""
    rng = np.random.default_rng(0)
    shop = pd.DataFrame({"shop": np.arange(shops), "size": rng.choice(["A", "B", "C"], shops, p=[0.5, 0.3, 0.2])})
    shop["region"] = rng.choice(["north", "south", "west"], shops)
    level = shop["size"].map({"A": 2.0, "B": 1.0, "C": 0.4}).to_numpy() * rng.lognormal(0, 0.3, shops)
    parts = []
    for number in range(shops):
        for code in np.flatnonzero(rng.random(12) < (0.9 if level[number] > 0.6 else 0.5)) * 3 + 1:
            weeks = np.arange(0 if rng.random() < 0.9 else rng.integers(1, 9), 26)
            season = 1 + 0.3 * np.sin(weeks / 26 * 2 * np.pi + code)
            sales = (
                level[number] * (20 + 9 * code) * rng.lognormal(0, 0.4) * season * rng.lognormal(0, 0.15, len(weeks))
            )
            days = pd.Timestamp("2010-02-05") + pd.to_timedelta(7 * weeks, unit="D")
            parts.append(pd.DataFrame({"shop": number, "department": code, "week": days, "sales": sales.round(2)}))
    sales = pd.concat(parts, ignore_index=True)
    sales["holiday"] = sales.week.dt.day < 7
    return _database({"shops": shop, "sales": sales}, "week", {"sales": ("shop", "department", "week")})


def bank(accounts: int) -> tuple[Tables, DatabaseSchema]:
    """Transactions of accounts: a salary each month, payments of habit, and the balance after each."""
    rng = np.random.default_rng(1)
    account = pd.DataFrame({"account": np.arange(accounts), "branch": rng.choice(list("abcd"), accounts)})
    account["opened"] = pd.Timestamp("2018-01-01") + pd.to_timedelta(rng.integers(0, 700, accounts), unit="D")
    parts = []
    for number, opened in enumerate(account.opened):
        months, salary = int(rng.integers(3, 16)), 900 * rng.lognormal(0, 0.4)
        days, kinds, amounts = [], [], []
        for month in range(months):
            spent = rng.poisson(2.5)
            days += [30 * month, *sorted((30 * month + 1 + rng.integers(0, 28, spent)).tolist())]
            kinds += ["salary", *rng.choice(["card", "cash", "rent"], spent, p=[0.6, 0.25, 0.15]).tolist()]
            amounts += [round(salary), *np.maximum(salary * rng.dirichlet([2.0] * 3, spent)[:, 0], 5).round().tolist()]
        signed = np.where(np.array(kinds) == "salary", 1, -1) * np.array(amounts)
        parts.append(
            pd.DataFrame(
                {
                    "account": number,
                    "day": opened + pd.to_timedelta(days, unit="D"),
                    "kind": kinds,
                    "amount": amounts,
                    "balance": 500 + signed.cumsum(),
                }
            )
        )
    return _database({"accounts": account, "transactions": pd.concat(parts, ignore_index=True)}, "day", {})


def _database(tables: Tables, order: str, composite_keys: dict[str, tuple[str, ...]]) -> tuple[Tables, DatabaseSchema]:
    """Tables of roots and of their children, and their schema."""
    root, child = tables
    key = tables[root].columns[0]
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    link = (ForeignKey(child, key, root),)
    return tables, DatabaseSchema(schemas, {root: key}, link, {child: order}, composite_keys=composite_keys)


if __name__ == "__main__":
    main()
