"""How much faster than SDMetrics' Quality report the same question is answered, and that the answers agree.

Both score every column's distribution and every pair's relation of the same two tables, one after the other in one
run. Ours is timed twice: the errors alone, which is what SDMetrics computes, and with intervals and the floor of real
rows, which it has not. Time is CPU seconds of one thread (set OMP_NUM_THREADS=1).

    python benchmarks/sdmetrics_speed.py             Adult and Diabetes-130 from ../shared/data
    python benchmarks/sdmetrics_speed.py --short     a small table made here
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from _common import DATA

from tabsynth.evaluation.metrics.fidelity import fidelity_scores
from tabsynth.evaluation.sdmetrics_adapter import TABLE_NAME, sdmetrics_metadata
from tabsynth.evaluation.stats.distances import shape_errors, trend_errors
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.schema import Numeric, Schema

KEYS = {"adult": [], "diabetes130": ["encounter_id", "patient_nbr"]}


def small() -> pd.DataFrame:
    """A table of 4,000 rows with numbers and categories."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(4000, 6)), columns=[f"x{i}" for i in range(6)])
    for i in range(6):
        frame[f"k{i}"] = rng.choice(list("abcdef"), 4000)
    return frame


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds and the result."""
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def quality_details(real: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema) -> dict[str, float]:
    """The similarity of each column's distribution by SDMetrics' full Quality report, on all rows."""
    from sdmetrics.reports import QualityReport

    report = QualityReport()
    with np.errstate(all="ignore"):
        report.generate({TABLE_NAME: real}, {TABLE_NAME: synthetic}, sdmetrics_metadata(schema), verbose=False)
        report.get_details("Column Pair Trends", TABLE_NAME)
        detail = report.get_details("Column Shapes", TABLE_NAME)
    return {str(row["Column"]): float(row["Score"]) for row in detail.to_dict("records")}


def run(name: str, frame: pd.DataFrame) -> dict[str, Any]:
    """Halves of a table against each other: by SDMetrics, then by us."""
    frame = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    schema = Schema.infer(frame)
    half = len(frame) // 2
    real, made = frame[:half].reset_index(drop=True), frame[half : 2 * half].reset_index(drop=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, shapes = timed(lambda: quality_details(real, made, schema))

    def plain() -> tuple[Any, Any, Any]:
        a, b = encode_tables([real, made], schema)
        return a, shape_errors(a, b), trend_errors(a, b)

    errors, (coded, ours, _) = timed(plain)
    whole, _ = timed(lambda: fidelity_scores(*encode_tables([real, made], schema), None, np.random.default_rng(0)))
    # SDMetrics leaves missing values out; we count them: the definition is shared where there are none
    complete = [name for name in coded.encoding.names if frame[name].notna().all() and name in shapes]
    gaps = [abs(1 - ours[coded.encoding.names.index(name)] - shapes[name]) for name in complete]
    return {
        "table": name,
        "rows_a_side": half,
        "columns": len(coded.encoding.names),
        "numeric": sum(isinstance(schema[name], Numeric) for name in coded.encoding.names),
        "sdmetrics_s": round(theirs, 2),
        "errors_s": round(errors, 2),
        "errors_intervals_floor_s": round(whole, 2),
        "times_faster": round(theirs / errors, 1),
        "times_faster_with_intervals": round(theirs / whole, 1),
        "largest_gap_of_complete_columns": float(f"{max(gaps, default=0.0):.1e}"),
        "complete_columns": len(complete),
    }


def main() -> None:
    """Print a line of JSON for each table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a small table made here")
    args = parser.parse_args()
    if args.short or not DATA.is_dir():
        print(json.dumps(run("made here", small())))
        return
    for name, keys in KEYS.items():
        print(
            json.dumps(run(name, pd.read_csv(DATA / f"{name}.csv.gz", low_memory=False).drop(columns=keys))), flush=True
        )


if __name__ == "__main__":
    main()
