"""Made databases that were held back while the model was written: a chain of shops and a bank.

The chain has a row for each shop, department and week; the bank has transactions with amounts in two directions and
the balance after each. One half of the shops and of the clients is learned, the other half is the floor. Beside our
report stand the figures of the yardstick's scorer, where it is.

    python benchmarks/series.py                 both, of 120 roots
    python benchmarks/series.py --short         48 roots, one pass
    python benchmarks/series.py --databases chain --roots 90 --departments 5 --weeks 60
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import YARDSTICK

from tabsynth.data.database.folders import write_folder
from tabsynth.data.database.root_rows import take_roots
from tabsynth.evaluation.relational.evaluate_database import evaluate_database
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer

SCORER = YARDSTICK / "score_relational.py"
JUDGED = (
    "shape",
    "trend",
    "cardinality",
    "hop1",
    "hop2",
    "agg_shape",
    "agg_trend",
    "gap",
    "step",
    "autocorr",
    "persist",
)
Tables = dict[str, pd.DataFrame]
SHOWN = ("shape_error", "parent_trend_error", "aggregate_shape_error", "gap_error", "repeated_keys", "kin_auc")


def main() -> None:
    """Print a line of JSON for each database."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roots", type=int, default=120)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--departments", type=int, default=12, help="of the chain")
    parser.add_argument("--weeks", type=int, default=26, help="of the chain")
    parser.add_argument("--databases", default="chain,bank")
    parser.add_argument("--short", action="store_true")
    args = parser.parse_args()
    for title in args.databases.split(","):
        roots = 40 if args.short else args.roots
        tables, schema = bank(roots) if title == "bank" else chain(roots, args.departments, args.weeks)
        learned = np.arange(len(tables[schema.roots[0]])) % 2 == 0
        train, other = (take_roots(tables, schema, chosen) for chosen in (learned, ~learned))
        start = time.process_time()
        model = RelationalSynthesizer(epochs=1 if args.short else args.epochs).fit(train, schema=schema, seed=0)
        line = {"database": title, "rows": {n: len(f) for n, f in train.items()}}
        line["fit_cpu_s"] = round(time.process_time() - start, 1)
        for side, drawn in (("synthetic", model.sample(seed=1)), ("floor", other)):
            scores = evaluate_database(train, drawn, schema=schema, seed=0, quick=True).scores
            line[side] = {key: round(one.value, 3) for key, one in scores.items() if key.endswith(SHOWN)}
            if SCORER.exists() and not args.short:
                line[f"{side}, judge"] = judged(train, drawn, schema)
        print(json.dumps(line), flush=True)


def judged(train: Tables, drawn: Tables, schema: DatabaseSchema) -> dict[str, Any]:
    """Return the yardstick's figures of a drawn database, without those that train classifiers."""
    spec: dict[str, Any] = {"tables": {}, "unique": {n: list(key) for n, key in schema.composite_keys.items()}}
    for name, own in schema.tables.items():
        link, table = schema.main_key(name), {"key": schema.primary_keys.get(name), "order": schema.order.get(name)}
        if link is not None:
            series = schema.composite_keys.get(name, (link.column,))
            table |= {"parent": link.parent, "fk": link.column}
            table["sequence"] = [column for column in series if column != schema.order.get(name)]
        keys = {schema.primary_keys.get(name), *(key.column for key in schema.foreign_keys if key.table == name)}
        codes = {*table.get("sequence", ())} - keys
        kinds = {c: "categorical" if c in codes or k.kind == "boolean" else k.kind for c, k in own.items()}
        for kind in ("categorical", "numeric", "datetime"):
            table[kind] = [column for column in own if kinds[column] == kind and column not in keys]
        spec["tables"][name] = {key: value for key, value in table.items() if value}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        for side, tables in (("train", train), ("drawn", drawn)):
            write_folder(tables, path / side, schema, "csv")
        command = [sys.executable, SCORER, path / "spec.json", path / "train", path / "drawn", "--fast"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    out = json.loads(done.stdout)
    return {**{name: out["summary"][name] for name in JUDGED}, "repeated": out.get("repeated", {})}


def chain(shops: int, departments: int, weeks: int) -> tuple[Tables, DatabaseSchema]:
    """Weekly sales of the departments of shops of three sizes: seasons, levels of shops and departments."""
    rng = np.random.default_rng(0)
    shop = pd.DataFrame({"shop": np.arange(shops), "size": rng.choice(["A", "B", "C"], shops, p=[0.5, 0.3, 0.2])})
    shop["region"] = rng.choice(["north", "south", "west"], shops)
    level = shop["size"].map({"A": 2.0, "B": 1.0, "C": 0.4}).to_numpy() * rng.lognormal(0, 0.3, shops)
    parts = []
    for number in range(shops):
        for code in np.flatnonzero(rng.random(departments) < (0.9 if level[number] > 0.6 else 0.5)) * 3 + 1:
            week = np.arange(0 if rng.random() < 0.9 else rng.integers(1, 9), weeks)
            season = 1 + 0.3 * np.sin(week / 26 * 2 * np.pi + code)
            sales = level[number] * (20 + 9 * code) * rng.lognormal(0, 0.4) * season * rng.lognormal(0, 0.15, len(week))
            days = pd.Timestamp("2010-02-05") + pd.to_timedelta(7 * week, unit="D")
            parts.append(pd.DataFrame({"shop": number, "department": code, "week": days, "sales": sales.round(2)}))
    sales = pd.concat(parts, ignore_index=True)
    sales["holiday"] = sales.week.dt.day < 7
    return _database({"shops": shop, "sales": sales}, "week", {"sales": ("shop", "department", "week")})


def bank(clients: int) -> tuple[Tables, DatabaseSchema]:
    """Clients, their accounts, and transactions: a salary each month, payments of habit, and the balance after each.

    Amounts are positive and have cents; the type says whether one is paid in or out. Several fall on one day, and the
    account holds the number of its transactions and its last balance.
    """
    rng = np.random.default_rng(1)
    client = pd.DataFrame({"client": np.arange(clients), "region": rng.choice(["north", "south", "west"], clients)})
    client["born"] = pd.Timestamp("1940-01-01") + pd.to_timedelta(rng.integers(0, 22_000, clients), unit="D")
    owner = np.repeat(np.arange(clients), rng.choice([1, 2, 3], clients, p=[0.7, 0.25, 0.05]))
    account = pd.DataFrame({"account": np.arange(len(owner)) + 1000, "client": owner})
    account["frequency"] = rng.choice(["monthly", "weekly"], len(owner), p=[0.8, 0.2])
    account["opened"] = pd.Timestamp("2018-01-01") + pd.to_timedelta(rng.integers(0, 700, len(owner)), unit="D")
    wealth = rng.lognormal(0, 0.4, clients)
    parts = []
    for number, person, opened in zip(account.account, owner, account.opened, strict=True):
        months, salary = int(rng.integers(3, 16)), 900 * wealth[person] * rng.lognormal(0, 0.2)
        rows = [(0, "credit", "opening", round(salary * rng.uniform(0.2, 1.5), 2))]
        for month in range(months):
            rows.append((30 * month + 1, "credit", "salary", round(salary, 2)))
            for share in rng.dirichlet([2.0] * 5)[: 1 + min(rng.poisson(2.0), 3)]:
                use = str(rng.choice(["card", "cash", "rent"], p=[0.6, 0.25, 0.15]))
                rows.append((30 * month + int(rng.integers(1, 28)), "debit", use, round(max(salary * share, 5), 2)))
        frame = pd.DataFrame(rows, columns=["days", "type", "use", "amount"]).sort_values("days", kind="stable")
        signed = np.where(frame.type == "credit", 1, -1) * frame.amount
        days = opened + pd.to_timedelta(frame.days, unit="D")
        parts.append(frame.assign(account=number, day=days, balance=signed.cumsum().round(2)))
    moves = pd.concat(parts, ignore_index=True)[["account", "day", "type", "use", "amount", "balance"]]
    moves.insert(0, "transaction", np.arange(len(moves)))
    held = moves.groupby("account").balance
    account["transactions"], account["balance"] = held.size().to_numpy(), held.last().to_numpy()
    tables = {"clients": client, "accounts": account, "transactions": moves}
    links = (ForeignKey("accounts", "client", "clients"), ForeignKey("transactions", "account", "accounts"))
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    keys = {"clients": "client", "accounts": "account", "transactions": "transaction"}
    return tables, DatabaseSchema(schemas, keys, links, {"transactions": "day"})


def _database(tables: Tables, order: str, composite_keys: dict[str, tuple[str, ...]]) -> tuple[Tables, DatabaseSchema]:
    """Tables of roots and of their children, and their schema."""
    root, child = tables
    key = tables[root].columns[0]
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    link = (ForeignKey(child, key, root),)
    return tables, DatabaseSchema(schemas, {root: key}, link, {child: order}, composite_keys=composite_keys)


if __name__ == "__main__":
    main()
