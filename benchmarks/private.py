"""How good and how fast a private fit is: distances of 1-, 2- and 3-way marginals, usefulness and detection.

Tables, splits and the classifiers' scores are those of the neutral yardstick beside the project
(``../shared/yardstick``). The schemas in ``schemas/`` are written from the data sets' public documentation; the fit
reads nothing else uncharged.

    python benchmarks/private.py                                     Adult at epsilon 1, seed 0
    python benchmarks/private.py --tables adult,default --epsilons 0.1,1,10 --seeds 0,1,2,3,4
    python benchmarks/private.py --models marginal,independent,independent:private
                                     beside independent columns, without noise and with the whole budget
    python benchmarks/private.py --short                             a table made by rule, scored here alone

Total variation distances (TVD) are over columns binned at 20 quantiles of the real rows, which only score; they are
means over all columns, all pairs and 300 random triples of columns.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from _common import prepare_yardstick, print_result, yardstick_module

from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.marginal import one_way_marginals
from tabsynth.synthesizers.registry import create

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "private.jsonl"
DELTA = 1e-6
MODELS = "of marginal, mst, aim, masked, vae, vae:dp-sgd, gan, gan:dp-sgd, independent, independent:private, real"
BINS = 20
TRIPLES = 300

Codes = npt.NDArray[np.int64]


def main() -> None:
    """Print and keep a line of JSON for each table, model, epsilon and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default="adult")
    parser.add_argument("--models", default="marginal", help=MODELS)
    parser.add_argument("--epochs", type=int, help="passes of the deep models; by default their own")
    parser.add_argument("--epsilons", default="1")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--machine", default="2 CPU cores")
    parser.add_argument("--fast", action="store_true", help="distances only, no classifiers")
    parser.add_argument("--short", action="store_true", help="a small table made by rule; nothing is kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not args.short:
            prepare_yardstick(folder)
        grid = itertools.product(
            ["short"] if args.short else args.tables.split(","),
            args.models.split(","),
            map(float, args.epsilons.split(",")),
            map(int, args.seeds.split(",")),
        )
        for table, model, epsilon, seed in grid:
            figures = run(table, model, epsilon, seed, folder, fast=args.fast or args.short, epochs=args.epochs)
            figures |= {"date": datetime.date.today().isoformat(), "machine": args.machine}
            print_result(figures, None if args.short else args.output)


def run(
    table: str, model: str, epsilon: float, seed: int, folder: Path, *, fast: bool, epochs: int | None = None
) -> dict[str, Any]:
    """Fit, draw and score one model."""
    train, schema = by_rule() if table == "short" else (pd.read_csv(folder / f"{table}.train.csv"), schema_of(table))
    began, spent = time.perf_counter(), time.process_time()
    synthetic, paid = drawn(train, schema, model, epsilon, seed, epochs)
    seconds, cpu = time.perf_counter() - began, time.process_time() - spent
    out: dict[str, Any] = {"table": table, "model": model, "epsilon": epsilon, "spent": paid, "seed": seed}
    out |= {"epochs": epochs} if epochs else {}
    out |= {"rows": len(synthetic), "seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2)}
    out |= distances(train, synthetic, schema)
    return out if fast else out | scored(table, synthetic, folder)


def drawn(
    train: pd.DataFrame, schema: Schema, model: str, epsilon: float, seed: int, epochs: int | None = None
) -> tuple[pd.DataFrame, float | None]:
    """Synthetic rows, as many as the model itself thinks there are, and what was spent."""
    rng = np.random.default_rng(seed)
    if model == "real":  # a bootstrap of the real rows: what sampling alone costs
        return train.iloc[rng.integers(len(train), size=len(train))].reset_index(drop=True), None
    if model == "independent":
        return pd.DataFrame({name: rng.permutation(train[name]) for name in train}), None
    if model == "independent:private":
        return _private_independent(train, schema, epsilon, seed)
    kind, _, training = model.partition(":")
    options: dict[str, Any] = {"epochs": epochs} if epochs and kind in ("masked", "vae", "gan") else {}
    options |= {"private_training": training} if training else {}
    if model in ("mst", "aim"):
        kind, options = "marginal", {"method": model}
    fitted = create(kind, **options).fit(train, schema=schema, privacy=Privacy(epsilon, DELTA), progress=False)
    return fitted.sample(seed=seed, progress=False), round(fitted.ledger_.epsilon(), 6)


def _private_independent(
    train: pd.DataFrame, schema: Schema, epsilon: float, seed: int
) -> tuple[pd.DataFrame, float | None]:
    """Rows of columns that get the whole budget, whatever their dependence; strong products of signs are kept."""
    own = one_way_marginals.independent, one_way_marginals.dependence_share
    one_way_marginals.independent, one_way_marginals.dependence_share = (lambda *facts: True), (lambda *facts: 0.0)
    try:
        return drawn(train, schema, "marginal", epsilon, seed)
    finally:
        one_way_marginals.independent, one_way_marginals.dependence_share = own


def schema_of(table: str) -> Schema:
    """The public schema of a table."""
    return Schema.from_dict(json.loads((HERE / "schemas" / f"{table}.json").read_text()))


def distances(real: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema) -> dict[str, float]:
    """Mean total variation distance of binned 1-, 2- and 3-way marginals."""
    pairs = [_codes(real[name], synthetic[name], column.kind == "numeric") for name, column in schema.items()]
    out = {}
    for ways in (1, 2, 3):
        every = list(itertools.combinations(range(len(pairs)), ways))
        if ways == 3 and len(every) > TRIPLES:
            chosen = np.random.default_rng(0).choice(len(every), TRIPLES, replace=False)
            every = [every[i] for i in chosen]
        out[f"tvd{ways}"] = round(float(np.mean([_tvd([pairs[i] for i in columns]) for columns in every])), 4)
    return out


def _codes(real: pd.Series, synthetic: pd.Series, numeric: bool) -> tuple[Codes, Codes, int]:
    """A column's bins in both tables, and how many there are."""
    if numeric:
        edges = np.unique(real.quantile(np.linspace(0, 1, BINS + 1)[1:-1]).to_numpy(float))
        found = []
        for values in (real, synthetic):
            data = values.to_numpy(dtype=float, na_value=np.nan)
            found.append(np.where(np.isnan(data), len(edges) + 1, np.searchsorted(edges, data, side="right")))
        return found[0], found[1], len(edges) + 2
    both = pd.concat([real.astype(object), synthetic.astype(object)])
    codes = pd.factorize(both.map(str).where(both.notna(), ""))[0].astype(np.int64)
    return codes[: len(real)], codes[len(real) :], int(codes.max()) + 1


def _tvd(columns: list[tuple[Codes, Codes, int]]) -> float:
    """Total variation distance of a joint distribution."""
    real, synthetic = np.zeros(len(columns[0][0]), np.int64), np.zeros(len(columns[0][1]), np.int64)
    for own, other, size in columns:
        real, synthetic = real * size + own, synthetic * size + other
    cells = np.unique(np.concatenate([real, synthetic]), return_inverse=True)[1]
    size = int(cells.max()) + 1
    one, two = (np.bincount(part, minlength=size) / len(part) for part in np.split(cells, [len(real)]))
    return float(np.abs(one - two).sum() / 2)


def scored(table: str, synthetic: pd.DataFrame, folder: Path) -> dict[str, float]:
    """Usefulness (train on synthetic, test on real) and detection by the yardstick's own functions."""
    judge, meta = yardstick_module(), json.loads((folder / f"{table}.json").read_text())
    categorical = set(meta["categorical"])
    synthetic.to_csv(folder / "synthetic.csv", index=False)
    train = judge.load(folder / f"{table}.train.csv", categorical)
    test, own = (
        judge.load(folder / name, categorical, train.columns) for name in (f"{table}.test.csv", "synthetic.csv")
    )
    shape, trend = judge.shape(train, own, categorical), judge.trend(train, own, categorical)
    figures = {
        "shape_err": 100 * float(np.mean(list(shape.values()))),
        "trend_err": 100 * float(np.mean(list(trend.values()))),
        "c2st_auc": judge.c2st(train, own, categorical, 0),
        "mle": judge.utility(own, test, meta, categorical, 0),
    }
    return {key: round(float(value), 4) for key, value in figures.items()}


def by_rule(rows: int = 5000) -> tuple[pd.DataFrame, Schema]:
    """A small table with a known dependence, and its schema."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 90, rows)
    ill = rng.random(rows) < 1 / (1 + np.exp(-(age - 60) / 8))
    bill = np.where(rng.random(rows) < 0.3, 0, 500 * np.ceil(rng.exponential(2 + 4 * ill)))
    frame = pd.DataFrame({"age": age, "bill": bill, "town": rng.choice(["A", "B", "C"], rows), "ill": ill})
    columns: dict[str, dict[str, Any]] = {
        "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
        "bill": {"kind": "numeric", "low": 0, "high": 100_000, "decimals": 0},
        "town": {"kind": "categorical", "values": ["A", "B", "C"]},
        "ill": {"kind": "boolean", "role": "target"},
    }
    return frame, Schema.from_dict({"columns": columns})


if __name__ == "__main__":
    main()
