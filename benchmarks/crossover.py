"""From how many rows on DP-SGD says more of a table than the mixture of noisy marginals.

Two made tables of columns of four values each. In ``pairs`` all columns follow one factor: pairs are sufficient. In
``triples`` every third column is, in seven rows of ten, the sum of the two before it modulo four: no pair reveals
anything. The scores are total variation distances of pairs and triples of columns, and the mean negative log-likelihood
of fresh rows in nats a row; lower is better.

    python benchmarks/crossover.py
    python benchmarks/crossover.py --tables triples --rows 30000,100000 --epsilons 1,10 --columns 9
    python benchmarks/crossover.py --short            400 rows of one table, nothing is kept
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import print_result
from private import distances

from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.registry import create

RESULTS = Path(__file__).resolve().parent / "results" / "crossover.jsonl"
VALUES, SUMS, FACTOR, FRESH = 4, 0.7, 0.6, 5000


def main() -> None:
    """Print and keep a line of JSON for each table, size, epsilon and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default="pairs,triples")
    parser.add_argument("--rows", default="30000,100000")
    parser.add_argument("--columns", default="9")
    parser.add_argument("--epsilons", default="1,3,10")
    parser.add_argument("--models", default="marginal,masked")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--short", action="store_true", help="400 rows of one table; nothing is kept")
    args = parser.parse_args()
    grid = itertools.product(
        ["pairs"] if args.short else args.tables.split(","),
        [400] if args.short else map(int, args.rows.split(",")),
        map(int, args.columns.split(",")),
        [3.0] if args.short else map(float, args.epsilons.split(",")),
        args.models.split(","),
    )
    for table, rows, columns, epsilon, model in grid:
        fresh_rows = 400 if args.short else FRESH
        line = run(table, rows, columns, epsilon, model, fresh_rows) | {"date": datetime.date.today().isoformat()}
        print_result(line, None if args.short else args.output)


def run(table: str, rows: int, columns: int, epsilon: float, model: str, fresh_rows: int = FRESH) -> dict[str, Any]:
    """Fit one model and score fresh rows."""
    every, schema = made(table, rows + fresh_rows, columns)
    frame, fresh = every[:rows].reset_index(drop=True), every[rows:].reset_index(drop=True)
    began = time.process_time()
    fitted: Any = create(model).fit(frame, schema=schema, privacy=Privacy(epsilon, 1e-6), progress=False)
    drawn = fitted.sample(rows, seed=0, progress=False)
    cpu = time.process_time() - began
    nats = -float(fitted.log_prob(fresh).mean())
    facts = {"table": table, "rows": rows, "columns": columns, "epsilon": epsilon, "model": model}
    return facts | distances(frame, drawn, schema) | {"nats": round(nats, 4), "cpu_seconds": round(cpu, 1)}


def made(table: str, rows: int, columns: int) -> tuple[pd.DataFrame, Schema]:
    """A table by rule, and its schema."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(rows, 1))
    follows = FACTOR * factor + np.sqrt(1 - FACTOR**2) * rng.normal(size=(rows, columns))
    cells = np.searchsorted([-0.7, 0.0, 0.7], follows)
    for column in range(2, columns, 3) if table == "triples" else ():
        summed = rng.random(rows) < SUMS
        cells[summed, column] = (cells[summed, column - 1] + cells[summed, column - 2]) % VALUES
    names = [f"c{column + 1}" for column in range(columns)]
    values = list(range(VALUES))
    schema = Schema.from_dict({"columns": {name: {"kind": "categorical", "values": values} for name in names}})
    return pd.DataFrame(cells, columns=names), schema


if __name__ == "__main__":
    main()
