"""From a real table to a synthetic one and its report.

Without arguments it uses two tables of real patients that ship with scikit-learn, with ``--data`` your own::

    python examples/demo.py
    python examples/demo.py --data patients.csv --target outcome

For each table it infers the schema, holds rows out, fits, samples and evaluates. Model, synthetic table and report are
written to ``output/``. ``pipeline.yaml`` is the same job for ``tabsynth run``; ``quickstart.ipynb`` goes step by step.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from tabsynth.errors import TabsynthError
from tabsynth.pipeline import Result, run

SHIPPED = [("diabetes", "sklearn:diabetes", "progression"), ("breast_cancer", "sklearn:breast_cancer", "diagnosis")]

HEADLINES = ("shape_error", "trend_error", "detection_auc", "utility", "dcr_share", "copies")


def main(argv: list[str] | None = None) -> int:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FILE", help="your own table (CSV, Parquet or Excel)")
    parser.add_argument("--target", metavar="COLUMN", help="the column that the table is used to predict")
    parser.add_argument("--output", metavar="FOLDER", default="output", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, help="passes over each table (default: the model decides)")
    args = parser.parse_args(argv)
    if args.target and not args.data:
        parser.error("--target belongs to --data; the tables of the demonstration have theirs")
    tables = [(Path(args.data).name.split(".")[0], args.data, args.target)] if args.data else SHIPPED
    results = []
    try:
        for name, source, target in tables:
            began = time.monotonic()
            print(f"\n{name}")
            result = run(
                job(source, target, Path(args.output) / name, args.epochs), say=lambda line: print(f"  {line}")
            )
            results.append((name, result))
            print(f"  done in {time.monotonic() - began:.0f} s\n\n{headline(result)}")
    except TabsynthError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 2
    print("\nOpen the reports in a browser:")
    for name, result in results:
        print(f"  {name}: {result.report.resolve().as_uri() if result.report else 'none'}")
    return 0


def job(source: str, target: str | None, output: Path, epochs: int | None) -> dict[str, Any]:
    """The pipeline of one table; other keys have the defaults of ``tabsynth run --example``."""
    return {
        "version": 1,
        "input": source,
        "output": str(output),
        "target": target,
        "holdout": 0.2,
        "seed": 0,
        "model": {"kind": "masked"} | ({} if epochs is None else {"epochs": epochs}),
    }


def headline(result: Result) -> str:
    """The verdict and the main scores."""
    shown = [result.scores[name] for name in HEADLINES if name in result.scores]
    return "\n".join(f"  {line}" for line in [result.summary.partition("\n")[0], *shown])


if __name__ == "__main__":
    sys.exit(main())
