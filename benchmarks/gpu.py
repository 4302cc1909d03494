"""Seconds a fit and rows a second on a GPU: the code that runs on a CPU, given another device.

python benchmarks/gpu.py                   Adult on the first CUDA GPU, each of our models
python benchmarks/gpu.py --device cpu      the same on the CPU
python benchmarks/gpu.py --short           a small table on whatever there is
"""

from __future__ import annotations

import argparse
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch
from _common import DATA, adult, print_result

from tabsynth.data import Table, read
from tabsynth.synthesizers.registry import create


def main() -> None:
    """Print a line of JSON a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="by default the first CUDA GPU")
    parser.add_argument("--models", default="masked,vae,gan")
    parser.add_argument("--data", type=Path, default=DATA / "adult.csv.gz", help="the table to fit")
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows to draw")
    parser.add_argument("--short", action="store_true", help="a small table, few rows, one pass")
    parser.add_argument("--output", type=Path, help="append the lines to a file as well")
    args = parser.parse_args()
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu" and not args.short and args.device is None:
        raise SystemExit("there is no CUDA GPU here; use --short, or --device cpu to time the CPU")
    table = adult(short=True) if args.short else read(args.data)
    for name in args.models.split(","):
        line = timed(name, table, device, 20_000 if args.short else args.rows, 1 if args.short else None)
        print_result(line, args.output)


def timed(name: str, table: Table, device: str, rows: int, epochs: int | None) -> dict[str, Any]:
    """One model's seconds a fit, rows a second and peak memory of the device."""
    model = create(name, device=device, **({} if epochs is None else {"epochs": epochs}))
    began = time.perf_counter()
    model.fit(table, seed=0, progress=False)
    fitted = time.perf_counter() - began
    model.sample(10_000, seed=0, progress=False)
    began = time.perf_counter()
    drawn = sum(len(part) for part in model.sample_chunks(rows, chunk=min(rows, 1 << 18), seed=1))
    sampled = time.perf_counter() - began
    cuda = device.startswith("cuda")
    return {
        "model": name,
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "date": date.today().isoformat(),
        "rows": len(table),
        "fit_s": round(fitted, 2),
        "rows_per_s": round(drawn / sampled),
        "peak_device_mib": torch.cuda.max_memory_allocated(device) >> 20 if cuda else None,
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    main()
