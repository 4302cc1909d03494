"""How much the codec alone costs: encode and decode the training rows, then let a strong classifier find the copies.

Rows and their copies are split by pair, so that the classifier, fitted on one half and scored on the other, never meets
a row whose twin it has seen. An AUC of 0.5 means that the round trip cannot be detected; the goal is at most 0.51 plus
the standard error that is printed with it (Hanley and McNeil 1982).

    python benchmarks/codec.py              every table in ../shared/data
    python benchmarks/codec.py --short      two tables that ship with scikit-learn
    python benchmarks/codec.py FILE...      your own
    python benchmarks/codec.py --rounded    the share of round numbers that twelve columns lose, and two without any
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _common import DATA
from _rounded_columns import lost_roundness
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from tabsynth.codec import Codec
from tabsynth.data import Table, read
from tabsynth.relations.enforcement import Relations
from tabsynth.schema import Identifier, Text

FEWEST = 100
"""A classifier is not trained on fewer rows than this."""


def main() -> None:
    """Print a line of JSON for each table and floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--short", action="store_true", help="only two small tables")
    parser.add_argument("--rounded", action="store_true", help="rounding units of made columns of 300 to 2,000 rows")
    parser.add_argument("--output", type=Path, help="write the lines to a file as well")
    args = parser.parse_args()
    lines = []
    for rows in (300, 1000, 2000) if args.rounded else ():
        for name, figures in lost_roundness(rows, 10).items():
            lines.append(json.dumps({"column": name, "rows": rows, **figures}))
            print(lines[-1], flush=True)
    for name, table in [] if args.rounded else tables(args.files, args.short):
        for floor in (5, 1):
            lines.append(json.dumps({"table": name, "min_group": floor, **round_trip(table, floor)}))
            print(lines[-1], flush=True)
    if args.output:
        args.output.write_text("\n".join(lines) + "\n")


def tables(files: list[Path], short: bool) -> list[tuple[str, Table]]:
    """The tables to try."""
    if short:
        return [
            ("diabetes", Table.of(load_diabetes(scaled=False, as_frame=True).frame)),
            ("breast_cancer", Table.of(load_breast_cancer(as_frame=True).frame)),
        ]
    found = files or sorted(DATA.glob("*.csv.gz"))
    if not found:
        raise SystemExit(f"no tables: {DATA} is not there; name files, or use --short")
    return [(path.name.split(".")[0], read(path)) for path in found]


def round_trip(table: Table, min_group: int, seed: int = 0) -> dict[str, float | int]:
    """AUC of a classifier that distinguishes rows from their round trip, over the columns that are learned."""
    began = time.perf_counter()
    codec = Codec.measure(table, min_group=min_group)
    relations = Relations.discover(table, codec)
    measured = time.perf_counter()
    tokens = codec.encode(table.frame)
    encoded = time.perf_counter()
    back = relations.decode(codec, tokens, np.random.default_rng(seed))
    decoded = time.perf_counter()
    learned = [name for name, column in table.schema.items() if not isinstance(column, (Identifier, Text))]
    if not learned or len(table) < FEWEST:
        return {"rows": len(table), "columns": len(learned)}
    real, copy = features(table.frame[learned], back[learned])
    order = np.random.default_rng(seed).permutation(len(real))
    half = len(order) // 2
    fit, score = order[:half], order[half:]
    model = HistGradientBoostingClassifier(max_iter=200, early_stopping=False, random_state=seed)
    model.fit(np.vstack([real[fit], copy[fit]]), np.repeat([0, 1], len(fit)))
    auc = roc_auc_score(np.repeat([0, 1], len(score)), model.predict_proba(np.vstack([real[score], copy[score]]))[:, 1])
    return {
        "rows": len(table),
        "columns": len(learned),
        "auc": round(float(auc), 4),
        "standard_error": round(float(np.sqrt((2 * len(score) + 1) / 12 / len(score) ** 2)), 4),
        "measure_s": round(measured - began, 2),
        "encode_s": round(encoded - measured, 2),
        "decode_s": round(decoded - encoded, 2),
    }


def features(real: pd.DataFrame, copy: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Both frames as numbers: categories by frequency over both, dates as nanoseconds, missing as NaN."""
    both = pd.concat([real, copy], ignore_index=True)
    out = np.empty(both.shape)
    for i, name in enumerate(both):
        values = both[name]
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            out[:, i] = np.where(values.isna(), np.nan, values.astype("int64").to_numpy(float))
        elif pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
            out[:, i] = values.to_numpy(float, na_value=np.nan)
        else:
            ranks = {value: rank for rank, value in enumerate(values.value_counts().index)}
            out[:, i] = values.map(ranks).to_numpy(float, na_value=np.nan)
    return out[: len(real)], out[len(real) :]


if __name__ == "__main__":
    main()
