"""How near a sample under a condition is to the real rows that meet it, beside what as many fresh real rows would be.

For each value of some columns as many rows are drawn as the table has of it. The error is the mean over the other
columns of the distance of their distributions (Kolmogorov-Smirnov or total variation, in percent); the floor is that of
halves of the real rows from each other, over the square root of two.

python benchmarks/conditions.py            Adult by sex, race and income, and a few of two columns at once
python benchmarks/conditions.py --short    a small table of scikit-learn's, by its classes
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _common import adult, print_result

from tabsynth.evaluation.stats.distances import shape_errors
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.schema import Schema
from tabsynth.synthesizers.registry import create

SPLITS = 5
"""Pairs of halves whose mean a floor is."""

Given = dict[str, Any]


def main() -> None:
    """Print a line of JSON a condition."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="masked")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--short", action="store_true", help="a small table, one pass")
    parser.add_argument("--output", type=Path, help="append the lines to a file as well")
    args = parser.parse_args()
    table = adult(short=args.short)
    columns, pairs = (["target"], list[Given]()) if args.short else (["sex", "race", "income"], rarer(table.frame))
    conditions = [{name: value} for name in columns for value in table.frame[name].dropna().unique()] + pairs
    for name in args.models.split(","):
        for seed in map(int, args.seeds.split(",")):
            model = create(name, **({"epochs": 1} if args.short else {})).fit(table, seed=seed, progress=False)
            for given in conditions:
                real = meeting(table.frame, given)
                began = time.perf_counter()
                drawn = model.sample(len(real), given=given, seed=seed + 1, progress=False)
                seconds = time.perf_counter() - began
                line = {
                    "table": "breast_cancer" if args.short else "adult",
                    "model": name,
                    "seed": seed,
                    "given": {key: str(value) for key, value in given.items()},
                    "rows": len(real),
                    "met": len(meeting(drawn, given)) / len(real),
                    "error": round(error(real, drawn, given, table.schema), 3),
                    "floor": round(floor(real, given, table.schema), 3),
                    "sample_s": round(seconds, 2),
                    "threads": torch.get_num_threads(),
                }
                print_result(line, args.output)


def rarer(frame: pd.DataFrame) -> list[Given]:
    """Each sex with each income, and each race with high incomes: down to a few dozen rows."""
    high = sorted(frame["income"].unique())[-1]
    by_sex = [{"sex": sex, "income": income} for sex in frame["sex"].unique() for income in frame["income"].unique()]
    return by_sex + [{"race": race, "income": high} for race in frame["race"].unique()]


def meeting(frame: pd.DataFrame, given: Given) -> pd.DataFrame:
    """The rows that meet a condition."""
    here = np.ones(len(frame), np.bool_)
    for name, value in given.items():
        here &= (frame[name] == value).to_numpy()
    return frame[here].reset_index(drop=True)


def error(real: pd.DataFrame, other: pd.DataFrame, given: Given, schema: Schema) -> float:
    """Mean distance of the columns that the condition leaves free, in percent."""
    coded = encode_tables([real, other], schema)
    free = [at for at, name in enumerate(coded[0].encoding.names) if name not in given]
    return 100 * float(shape_errors(coded[0], coded[1])[free].mean())


def floor(real: pd.DataFrame, given: Given, schema: Schema) -> float:
    """What as many fresh real rows would have, by halves."""
    found = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(real))
        halves = np.array_split(order, 2)
        found.append(error(*(real.iloc[half].reset_index(drop=True) for half in halves), given, schema))
    return float(np.mean(found)) / math.sqrt(2)


if __name__ == "__main__":
    main()
