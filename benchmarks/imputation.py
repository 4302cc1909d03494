"""How well gaps are filled: cells taken out at random from held-out rows, ours against scikit-learn's imputers.

python benchmarks/imputation.py            Adult, one cell in five taken out
python benchmarks/imputation.py --short    a small table of scikit-learn's
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from _common import adult, print_result
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from tabsynth.data import split
from tabsynth.schema import Numeric, Schema
from tabsynth.synthesizers.masked import MaskedSynthesizer

SHARE = 0.2
"""Of the cells that are taken out."""
NEAREST = 30
"""Columns from which IterativeImputer predicts one: with all of them, one-hot columns of one gap feed on each other."""

Hidden = dict[str, npt.NDArray[np.bool_]]


def main() -> None:
    """Print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a small table")
    parser.add_argument("--output", type=Path, help="append the line to a file as well")
    args = parser.parse_args()
    whole = adult(short=args.short)
    train, test = split(whole, 0.2, seed=0)
    rng = np.random.default_rng(0)
    hidden: Hidden = {name: rng.random(len(test)) < SHARE for name in map(str, test.frame)}
    holed = test.frame.copy()
    for name, here in hidden.items():
        holed[name] = holed[name].astype(object).where(~here, None)
    began = time.process_time()
    model = MaskedSynthesizer(epochs=1 if args.short else None).fit(train, seed=0, progress=False)
    fitted = time.process_time()
    filled = model.impute(holed, seed=0)
    ours = time.process_time() - fitted
    iterative, theirs = by_regression(train.frame, holed, train.schema)
    line = {
        "table": "breast_cancer" if args.short else "adult",
        "removed": SHARE,
        "masked": scores(test.frame, filled, hidden, train.schema),
        "iterative": scores(test.frame, iterative, hidden, train.schema),
        "median_mode": scores(test.frame, by_middle(train.frame, holed, train.schema), hidden, train.schema),
        "fit_cpu_s": round(fitted - began, 1),
        "impute_cpu_s": round(ours, 1),
        "iterative_cpu_s": round(theirs, 1),
        "threads": torch.get_num_threads(),
    }
    print_result(line, args.output)


def by_middle(train: pd.DataFrame, holed: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Gaps filled with the median of a numeric column and the mode of others."""
    out = holed.copy()
    for name in map(str, holed):
        numeric = isinstance(schema[name], Numeric)
        middle = train[name].median() if numeric else train[name].mode()[0]
        out[name] = holed[name].where(holed[name].notna(), middle)
    return out


def by_regression(train: pd.DataFrame, holed: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, float]:
    """Gaps filled by IterativeImputer, categories as one-hot columns of which the largest wins; CPU seconds."""
    began = time.process_time()
    both = pd.concat([train, holed], keys=["train", "holed"])
    parts: list[pd.DataFrame] = []
    back: dict[str, list[str]] = {}
    for name in map(str, both):
        if isinstance(schema[name], Numeric):
            parts.append(both[[name]].astype(float))
            back[name] = [name]
        else:
            hot = pd.get_dummies(both[name].astype(str).where(both[name].notna()), prefix=name).astype(float)
            parts.append(hot.where(both[name].notna(), axis=0))
            back[name] = list(map(str, hot.columns))
    wide = pd.concat(parts, axis=1)
    known = wide.loc["train"]
    low, high = known.min().to_numpy(), known.max().to_numpy() + 1e-9  # bounds must differ; without them it may diverge
    imputer = IterativeImputer(random_state=0, n_nearest_features=NEAREST, min_value=low, max_value=high).fit(known)
    full = pd.DataFrame(imputer.transform(wide.loc["holed"]), columns=wide.columns)
    out = holed.copy()
    for name, columns in back.items():
        if isinstance(schema[name], Numeric):
            out[name] = full[name].to_numpy()
        else:
            best = full[columns].to_numpy().argmax(1)
            values = [column.removeprefix(f"{name}_") for column in columns]
            out[name] = [values[at] for at in best]
    return out, time.process_time() - began


def scores(truth: pd.DataFrame, filled: pd.DataFrame, hidden: Hidden, schema: Schema) -> dict[str, float]:
    """Mean accuracy over categorical columns, mean RMSE over numeric ones in standard deviations, at hidden cells."""
    right, wrong = [], []
    for name, here in hidden.items():
        known = here & truth[name].notna().to_numpy()
        a, b = truth[name][known], filled[name][known]
        if isinstance(schema[name], Numeric):
            error = (a.astype(float) - b.astype(float)) / truth[name].astype(float).std()
            wrong.append(float(np.sqrt((error**2).mean())))
        else:
            right.append(float((a.astype(str).to_numpy() == b.astype(str).to_numpy()).mean()))
    return {"accuracy": round(float(np.mean(right)), 4), "rmse": round(float(np.mean(wrong)), 4)}


if __name__ == "__main__":
    main()
