"""What a report says of fresh real rows: it should miss no default gate and find no fault.

Real tables of one population are taken for training, synthetic and held-out table. Populations and sizes take turns.

    python benchmarks/null_reports.py              200 reports on six tables
    python benchmarks/null_reports.py --tables adult,shoppers
    python benchmarks/null_reports.py --short      a small one of a table made here
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from _populations import DATA, TABLES, Population, population

from tabsynth.evaluation.evaluate import evaluate
from tabsynth.evaluation.gates import apply_gates, failed_gates, read_gates

SIZES = (600, 1000, 600, 2000, 600, 1000, 600, 5000)
"""Rows a table, in turn: small ones, of which chance says most, come more often."""


def reports(populations: list[Population], sizes: tuple[int, ...], repeats: int, seed: int) -> dict[str, Any]:
    """What so many reports say; population and size change from one to the next.

    Returns:
        For each size: reports, those that miss a gate, those that find a fault; and every gate and fault in words.
    """
    rng = np.random.default_rng(seed)
    gates = read_gates("default")
    counts = {size: {"reports": 0, "missing_a_gate": 0, "finding_a_fault": 0} for size in sorted(set(sizes))}
    said: list[str] = []
    for number in range(repeats):
        source = populations[number % len(populations)]
        size = sizes[number // len(populations) % len(sizes)]
        train, made, holdout = source.draw([size, size, size], rng)
        report = evaluate(train, made, holdout, schema=source.schema, sdmetrics=False, seed=number)
        wrong = failed_gates(apply_gates(report, gates))
        found = [finding["text"] for finding in report.findings]
        counts[size]["reports"] += 1
        counts[size]["missing_a_gate"] += bool(wrong)
        counts[size]["finding_a_fault"] += bool(found)
        said += [f"{source.name}, {size} rows, gate: {text}" for text in wrong]
        said += [f"{source.name}, {size} rows, fault: {text}" for text in found]
    return {"sizes": counts, "said": said}


def main() -> None:
    """Print what was found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tables", default=",".join([*TABLES, "made"]))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--short", action="store_true", help="1 report on 600 rows of a table made here")
    args = parser.parse_args()
    began = time.process_time()
    names = ["made"] if args.short or not DATA.is_dir() else args.tables.split(",")
    sizes = (600,) if args.short else tuple(int(size) for size in args.sizes.split(","))
    found = reports([population(name) for name in names], sizes, 1 if args.short else args.repeats, args.seed)
    found |= {"tables": names, "seed": args.seed, "cpu_s": round(time.process_time() - began, 1)}
    print(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
