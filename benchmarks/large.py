"""Parquet files that are larger than memory: time, and the most memory that the process held.

Two files are compared, or with ``--fit`` models are fitted to random samples of one file's rows, or with
``--out-of-core`` to all of them, and compared with it.

The files are made here, in chunks: dependent numbers and categories, the synthetic ones a little off.

    python benchmarks/large.py                    10 million rows of 20 columns against as many
    python benchmarks/large.py --short            200,000 rows
    python benchmarks/large.py --rows 50_000_000
    python benchmarks/large.py --fit --rows 1_000_000 --max-rows 50_000,200_000,1_000_000
    python benchmarks/large.py --out-of-core --rows 3_000_000 --visits 200_000   all rows, with the masked model
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tabsynth.data.read_write import write_chunks
from tabsynth.distributed import fit_out_of_core, fit_sampled
from tabsynth.distributed.out_of_core import fit as fitting
from tabsynth.distributed.out_of_core import source
from tabsynth.evaluation.out_of_core import file_fidelity
from tabsynth.schema import Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer
from tabsynth.synthesizers.registry import create
from tabsynth.training import model_size

CHUNK = 500_000
NUMBERS, LABELS = 10, 10
SCHEMA = Schema.from_dict(
    {
        "columns": {f"x{i}": {"kind": "numeric"} for i in range(NUMBERS)}
        | {f"k{i}": {"kind": "categorical", "nullable": True} for i in range(LABELS)}
    }
)


def make(path: Path, rows: int, shift: float, seed: int) -> None:
    """Write a file in chunks."""
    rng = np.random.default_rng(seed)
    writer = None
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        common = rng.normal(size=n)
        columns = {f"x{i}": common * (i / 10) + rng.normal(shift if i == 0 else 0, 1, n) for i in range(NUMBERS)}
        for i in range(LABELS):
            codes = np.clip((common * 2 + rng.normal(0, 2, n) + 5).astype(np.int64), 0, 4 + i)
            words = pa.array([f"label {k}" for k in range(5 + i)])
            missing = rng.random(n) < 0.02
            columns[f"k{i}"] = pa.DictionaryArray.from_arrays(pa.array(codes, mask=missing), words).cast(pa.string())
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def score(paths: list[Path], memory: str) -> None:
    """Compare and print; runs in a process of its own, so that its peak of memory is its own."""
    began = time.perf_counter(), time.process_time()
    scores = file_fidelity(paths[0], paths[1], schema=SCHEMA, memory=memory)
    found = {
        "wall_s": round(time.perf_counter() - began[0], 1),
        "cpu_s": round(time.process_time() - began[1], 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "scores": {s.name: [round(s.value, 4), [round(x, 4) for x in s.interval or ()], s.floor] for s in scores},
        "worst": scores[0].detail[int(np.argmax([part.value for part in scores[0].detail]))].name,
    }
    print(json.dumps(found), flush=True)


def fit(path: Path, synthetic: Path, max_rows: int, kind: str, memory: str) -> None:
    """Fit a model to a sample of a file's rows and draw as many rows, compare the two files, and print."""
    began = time.perf_counter(), time.process_time()
    model = fit_sampled(create(kind), path, max_rows=max_rows, seed=0, progress=False)
    fitted = {
        "max_rows": max_rows,
        "fit_wall_s": round(time.perf_counter() - began[0], 1),
        "fit_cpu_s": round(time.process_time() - began[1], 1),
        "fit_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    began = time.perf_counter(), time.process_time()
    with write_chunks(synthetic, model.schema_) as append:
        for chunk in model.sample_chunks(model.source_rows_ or model.rows_, seed=1):
            append(chunk)
    fitted["sample_cpu_s"] = round(time.process_time() - began[1], 1)
    scores = file_fidelity(path, synthetic, schema=SCHEMA, memory=memory)
    print(json.dumps(fitted | {"scores": {s.name: round(s.value, 5) for s in scores}}), flush=True)


def fit_all(path: Path, synthetic: Path, memory_rows: int, visits: int, sample: int, memory: str) -> None:
    """Fit the masked model to all rows of a file and print; draw some, compare the two files, and print."""
    model_size.MAX_ROW_VISITS = visits  # the cost of reading shows where that of training is constant
    phases = time_phases()
    began = time.perf_counter(), time.process_time()
    model = fit_out_of_core(MaskedSynthesizer(), path, memory_rows=memory_rows, schema=SCHEMA, seed=0, progress=False)
    fitted: dict[str, Any] = {
        "rows": model.rows_,
        "training_rows": model.card().get("training_rows"),
        "fit_wall_s": round(time.perf_counter() - began[0], 1),
        "fit_cpu_s": round(time.process_time() - began[1], 1),
        "fit_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "phases": phases,
    }
    print(json.dumps(fitted), flush=True)
    if sample:
        began = time.perf_counter(), time.process_time()
        with write_chunks(synthetic, model.schema_) as append:
            for chunk in model.sample_chunks(sample, seed=1):
                append(chunk)
        drawn = time.process_time() - began[1]
        scores = file_fidelity(path, synthetic, schema=SCHEMA, memory=memory)
        compared = {
            "sampled_rows": sample,
            "sample_cpu_s": round(drawn, 1),
            "compare_cpu_s": round(time.process_time() - began[1] - drawn, 1),
            "scores": {s.name: round(s.value, 5) for s in scores},
        }
        print(json.dumps(compared), flush=True)


def time_phases() -> dict[str, dict[str, float]]:
    """Return a dictionary that receives wall and CPU seconds, and the peak of memory so far, of each phase of a fit."""
    phases: dict[str, dict[str, float]] = {}

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter(), time.process_time()
            result = work(*args, **kwargs)
            phases[name] = {
                "wall_s": round(time.perf_counter() - began[0], 1),
                "cpu_s": round(time.process_time() - began[1], 1),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            }
            return result

        return run

    for name, owner, work in (
        ("sample", source, "sample_rows"),
        ("codec", fitting, "measure_codec"),
        ("tokens", fitting, "write_tokens"),
        ("relations", fitting, "search_again"),
        ("train", MaskedSynthesizer, "_learn"),
    ):
        setattr(owner, work, timed(name, getattr(owner, work)))
    return phases


def main() -> None:
    """Make the files, score them, print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--memory", default="1GB", help="DuckDB's limit")
    parser.add_argument("--short", action="store_true", help="200,000 rows, or with --out-of-core 300,000")
    parser.add_argument("--fit", action="store_true", help="fit models to samples of one file")
    parser.add_argument("--out-of-core", action="store_true", help="fit the masked model to all rows of one file")
    parser.add_argument("--memory-rows", type=int, default=1 << 18, help="rows in memory of --out-of-core")
    parser.add_argument("--visits", type=int, default=model_size.MAX_ROW_VISITS, help="rows that its network sees")
    parser.add_argument("--sample", type=int, default=200_000, help="rows that it draws; 0 for none")
    parser.add_argument("--model", default="marginal")
    parser.add_argument("--max-rows", default="20_000,100_000", help="rows of each sample")
    parser.add_argument("--file", type=Path, help="the real rows, instead of making them")
    args = parser.parse_args()
    rows = (300_000 if args.out_of_core else 200_000) if args.short else args.rows
    with tempfile.TemporaryDirectory() as folder:
        paths = [args.file or Path(folder) / "real.parquet", Path(folder) / "synthetic.parquet"]
        if args.file is None:
            make(paths[0], rows, 0.0, 0)
        if args.fit:
            for count in map(int, args.max_rows.split(",")):
                run(fit, (paths[0], paths[1], count, args.model, args.memory))
            return
        if args.out_of_core:
            some = (1 << 16, 200_000) if args.short else (args.memory_rows, args.visits)
            run(fit_all, (*paths, *some, args.sample, args.memory))
            return
        make(paths[1], rows, 0.1, 1)
        sizes = [round(path.stat().st_size / 1e6) for path in paths]
        print(json.dumps({"rows": rows, "columns": NUMBERS + LABELS, "file_mb": sizes}), flush=True)
        run(score, (paths, args.memory))


def run(target: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """Run a function in a process of its own, so that its peak of memory is its own."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
