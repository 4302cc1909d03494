"""How fast the masked model draws rows, what share of that is decoding, and whether memory stays flat.

python benchmarks/sampling.py                Adult: rows per second, then a million rows to Parquet in chunks
python benchmarks/sampling.py --selected     Shoppers: rows per CPU second by the number of candidates of a selected row
python benchmarks/sampling.py --shards       Adult: rows per CPU second of folders of Parquet files, by rows and workers
python benchmarks/sampling.py --short        Adult's part on a small table of scikit-learn's, 20,000 rows
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from _common import DATA, adult

from tabsynth.data import read
from tabsynth.distributed import sample_to
from tabsynth.pipeline.outputs import write_sample
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.registry import create


def main() -> None:
    """Print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a small table and 20,000 rows")
    parser.add_argument("--selected", action="store_true", help="Shoppers, whose rows are selected")
    parser.add_argument("--shards", action="store_true", help="Adult, in folders of Parquet files")
    parser.add_argument("--model", default="masked", help="of --shards: the kind of synthesizer")
    parser.add_argument(
        "--rows", default="1_000_000,10_000_000", help="of --shards: rows; the first by two workers too"
    )
    args = parser.parse_args()
    if args.selected:
        selected()
        return
    if args.shards:
        in_shards(args.model, [int(rows) for rows in args.rows.split(",")], short=args.short)
        return
    table = adult(short=args.short)
    model = MaskedSynthesizer(epochs=2).fit(table, seed=0, progress=False)
    rows, many = (5_000, 20_000) if args.short else (len(table), 1_000_000)
    model.sample(2_000, seed=0)
    began = time.perf_counter()
    synthetic = model.sample(rows, seed=1, progress=False)
    drawn = time.perf_counter() - began
    tokens = model.codec_.encode(synthetic)
    began = time.perf_counter()
    model.relations_.decode(model.codec_, tokens, np.random.default_rng(0))
    decoded = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic.parquet"
        write_sample(model, path, many // 5, seed=2)
        first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        write_sample(model, path, many, seed=2)
        streamed = time.perf_counter() - began
        size = path.stat().st_size
    print(
        json.dumps(
            {
                "rows_per_s": round(rows / drawn),
                "decoding_share": round(decoded / drawn, 3),
                "streamed_rows": many,
                "streamed_rows_per_s": round(many / streamed),
                "parquet_mb": round(size / 2**20, 1),
                "peak_mb_after_a_fifth": round(first / 2**10),
                "peak_mb_after_all": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10),
                "threads": torch.get_num_threads(),
            }
        )
    )


def selected() -> None:
    """Print a line of JSON for each number of candidates; 1 is without selection."""
    table = read(DATA / "shoppers.csv.gz")
    model = MaskedSynthesizer(epochs=2).fit(table, seed=0, progress=False)
    trees = model.trees_
    if trees is None:
        raise SystemExit("this model selects no rows")
    plain_s = 0.0
    for candidates in (1, 2, 3, 6):
        model.trees_ = dataclasses.replace(trees, candidates=candidates) if candidates > 1 else None
        model.sample(1_000, seed=0, progress=False)
        began = time.process_time()
        model.sample(len(table), seed=1, progress=False)
        cpu_s = time.process_time() - began
        plain_s = plain_s or cpu_s
        line = {
            "table": "shoppers",
            "precision": model.precision_,
            "candidates": candidates,
            "rows_per_cpu_s": round(len(table) / cpu_s),
            "times_plain": round(cpu_s / plain_s, 2),
        }
        print(json.dumps(line), flush=True)


def in_shards(kind: str, counts: list[int], *, short: bool) -> None:
    """Print a line of JSON for each number of rows in one process, and for the first number in two processes."""
    options = {"epochs": 2} if kind == "masked" else {}
    model = create(kind, **options).fit(adult(short=short), seed=0, progress=False)
    hashes = {}
    for rows, workers in [(counts[0], 1), (counts[0], 2), *((rows, 1) for rows in counts[1:])]:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter(), _cpu_seconds()
            executor = "serial" if workers == 1 else "processes"
            options = {"executor": executor, "workers": workers}
            made = sample_to(Path(folder) / "out", model, rows, seed=1, progress=False, **options)
            wall_s, cpu_s = time.perf_counter() - began[0], _cpu_seconds() - began[1]
        own = [shard.sha256 for shard in made.shards]
        line = {
            "model": kind,
            "rows": rows,
            "workers": workers,
            "rows_per_cpu_s": round(rows / cpu_s),
            "cpu_s": round(cpu_s, 1),
            "wall_s": round(wall_s, 1),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10),
            "equal_to_one_worker": own == hashes.setdefault(rows, own),
        }
        print(json.dumps(line), flush=True)


def _cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
