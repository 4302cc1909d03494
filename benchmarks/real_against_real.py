"""Random thirds of real tables against each other: no use is unsuitable, no finding, panels of components alike.

    python benchmarks/real_against_real.py [--data FOLDER] [--rows 3000] [--seeds 3] [--short]

One third is in the place of the synthetic table, one is held out. Tables: breast cancer (scikit-learn), and Adult and
the heart hospitals of FOLDER where they exist.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

from tabsynth.evaluation.evaluate import evaluate

FILES = {"adult": ("adult.csv.gz", "income"), "heart": ("heart_cleveland.csv.gz", None)}


def tables(folder: Path, rows: int) -> Iterator[tuple[str, pd.DataFrame, str | None]]:
    """Yield the name, rows and target of each table."""
    frame = load_breast_cancer(as_frame=True).frame
    yield "breast cancer", frame.assign(target=frame["target"].map({0: "malignant", 1: "benign"})), "target"
    for name, (file, target) in FILES.items():
        if (folder / file).is_file():
            found = pd.read_csv(folder / file)
            yield name, found.sample(min(rows, len(found)), random_state=0), target or str(found.columns[-1])


def compare_thirds(frame: pd.DataFrame, target: str | None, seed: int) -> dict[str, object]:
    """Return what the report of one third against another says."""
    order = np.random.default_rng(seed).permutation(len(frame))
    train, synthetic, holdout = (frame.iloc[part].reset_index(drop=True) for part in np.array_split(order, 3))
    start = time.process_time()
    report = evaluate(train, synthetic, holdout, target=target, sdmetrics=False, seed=seed)
    panels = report.drilldown.get("projection", {})
    correlations = report.drilldown.get("correlations", {})
    return {
        "rows": len(train),
        "not suitable": [use["use"] for use in report.to_dict()["uses"] if use["level"] == "poor"],
        "with caution": [use["use"] for use in report.to_dict()["uses"] if use["level"] == "fair"],
        "findings": [finding["text"] for finding in report.findings],
        "components": f"{panels.get('difference')} % (real {panels.get('floor')} %)",
        "correlations": f"{correlations.get('difference')} (real {correlations.get('floor')})",
        "rounding": round(report.scores["rounding_error"].value, 2) if "rounding_error" in report.scores else None,
        "cpu seconds": round(time.process_time() - start, 1),
    }


def main() -> None:
    """Print one line for each table and seed, and the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--short", action="store_true", help="one seed of the smallest tables only")
    options = parser.parse_args()
    reports = unsuitable = findings = 0
    for name, frame, target in tables(options.data, 300 if options.short else options.rows):
        if options.short and name == "adult":
            continue
        for seed in range(1 if options.short else options.seeds):
            row = compare_thirds(frame, target, seed)
            print(f"{name}, seed {seed}: {row}", flush=True)
            reports += 1
            unsuitable += bool(row["not suitable"])
            findings += bool(row["findings"])
    print(f"{reports} reports: {unsuitable} with a use that is not suitable, {findings} with a finding")


if __name__ == "__main__":
    main()
