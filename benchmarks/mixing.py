"""Mixing tables that are larger than memory should be: time, and the most memory that the process held.

Two Parquet files are made here: the same kinds of columns under other names, in other units, codes and dates. They are
put below each other, and joined by their key. Each case runs in a process of its own, so that its peak is its own.

    python benchmarks/mixing.py                   5 million rows of 10 columns, in two files
    python benchmarks/mixing.py --short           20,000 rows
    python benchmarks/mixing.py --memory          the same in memory, to compare
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tabsynth as ts
from tabsynth.data.provenance import file_hash
from tabsynth.mixing.plan.plan import Plan

CHUNK = 250_000
KINDS = {
    "pid": "identifier", "age": "numeric", "weight": "numeric", "glucose": "numeric", "sex": "categorical",
    "smoker": "categorical", "ward": "categorical", "seen": "datetime", "cost": "numeric", "note": "categorical",
}  # fmt: skip


def make(path: Path, rows: int, second: bool, seed: int) -> None:
    """Write a file in chunks; the second writes pounds, mmol/L, words for codes, and 999 for an unknown age."""
    rng = np.random.default_rng(seed)
    days = np.datetime64("2015-01-01") + np.arange(3000)
    writer = None
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        sex = rng.integers(0, 2, n)
        age = rng.integers(18, 95, n)
        columns = {
            "pid": pa.array(np.char.add("P", np.char.zfill((np.arange(start, start + n) * 3).astype(str), 9))),
            "age": np.where(rng.random(n) < 0.02, 999, age) if second else age,
            "weight": np.round((62 + 13 * sex + rng.normal(0, 9, n)) / (0.45359237 if second else 1), 1),
            "glucose": np.round((90 + 0.3 * age + rng.normal(0, 15, n)) / (18.016 if second else 1), 1 + second),
            "sex": np.array(["F", "M"] if second else ["f", "m"])[sex],
            "smoker": np.array(["yes", "no"])[rng.integers(0, 2, n)],
            "ward": rng.integers(1, 12, n),
            "seen": days[rng.integers(0, 3000, n)].astype(str),
            "cost": np.round(np.exp(rng.normal(6, 1, n)), 2),
            "note": np.array(["none", "follow-up", "transfer", "moved away"])[rng.integers(0, 4, n)],
        }
        table = pa.table({f"{name}_2" if second else name: values for name, values in columns.items()})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def plan_of(folder: Path, op: str) -> Plan:
    """The reviewed plan."""
    inputs = {name: {"uri": f"{name}.parquet", "sha256": file_hash(folder / f"{name}.parquet")} for name in "ab"}
    entries = [
        {"to": name, "kind": kind, "from": {"a": name, "b": f"{name}_2"}, "status": "accepted"}
        for name, kind in KINDS.items()
    ]
    harmonise = [
        {"column": "age", "na": {"b": [999]}},
        {"column": "weight", "unit": "kg", "from": {"b": "lb"}},
        {"column": "glucose", "unit": "mg/dL", "from": {"b": "mmol/L"}, "analyte": "glucose"},
        {"column": "sex", "values": {"b": {"F": "f", "M": "m"}}},
    ]
    link = {"engine": "exact", "fields": ["pid"]}
    parts = {"harmonise": harmonise, "link": link, "combine": {"op": op}}
    return Plan.from_dict({"version": 1, "inputs": inputs, "map": entries, **parts}, folder=folder)


def measured(folder: Path, op: str, in_memory: bool, said: multiprocessing.Queue) -> None:
    """Mix once, in a process that does nothing else."""
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.perf_counter(), time.process_time()
    if in_memory:
        mixed = ts.mix(plan_of(folder, op))
        mixed.save(folder / "mixed.parquet")
        rows = len(mixed.frame)
    else:
        rows = ts.mix(plan_of(folder, op), output=folder / "mixed.parquet").rows
    unit = 1e9 if sys.platform == "darwin" else 1e6
    said.put(
        {
            "op": op,
            "how": "in memory" if in_memory else "batch by batch",
            "rows_out": rows,
            "seconds": round(time.perf_counter() - began, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 2),
            "imports_gb": round(base / unit, 2),
        }
    )


def main() -> None:
    """Print a line of JSON for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of both files together")
    parser.add_argument("--memory", action="store_true", help="also in memory")
    parser.add_argument("--short", action="store_true", help="20,000 rows")
    parser.add_argument("--most-gb", type=float, default=1.5, help="fail when a batch-by-batch run holds more")
    parser.add_argument("--output", type=Path, help="write the lines to a file as well")
    args = parser.parse_args()
    rows = 20_000 if args.short else args.rows
    lines = []
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed, source in enumerate("ab"):
            # This process stays small: a child's peak begins with what its parent holds.
            maker = context.Process(target=make, args=(folder / f"{source}.parquet", rows // 2, bool(seed), seed))
            maker.start()
            maker.join()
        size = sum(path.stat().st_size for path in folder.iterdir())
        for op in ("union", "join"):
            for in_memory in (False, True) if args.memory else (False,):
                said = context.Queue()
                process = context.Process(target=measured, args=(folder, op, in_memory, said))
                process.start()
                found = said.get()
                process.join()
                facts = {"rows_in": rows, "file_mb": round(size / 1e6)}
                lines.append(json.dumps({**facts, **found}))
                print(lines[-1], flush=True)
    if args.output:
        args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    peaks = [found["peak_gb"] for found in map(json.loads, lines) if found["how"] == "batch by batch"]
    if max(peaks) > args.most_gb:
        sys.exit(f"a run held {max(peaks)} GB, more than {args.most_gb} GB")


if __name__ == "__main__":
    main()
