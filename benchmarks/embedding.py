"""What row embeddings are worth where labels are few: a classifier on ``embed`` against one on the raw columns.

The masked model learns from all training rows without their labels; then 100 labels train a logistic regression.

python benchmarks/embedding.py             Adult, ten draws of 100 labels
python benchmarks/embedding.py --short     a small table of scikit-learn's
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from _common import adult, print_result
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tabsynth.data import Table, split
from tabsynth.synthesizers.masked import MaskedSynthesizer

LABELS = 100


def main() -> None:
    """Print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a small table")
    parser.add_argument("--output", type=Path, help="append the line to a file as well")
    args = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # of scikit-learn, on every LogisticRegressionCV
    whole = adult(short=args.short)
    target = "target" if args.short else "income"
    train, test = split(whole, 0.2, seed=0)
    known = [name for name in whole.frame if name != target]
    # The target is not a column of this table: the embedding has never seen a label.
    model = MaskedSynthesizer(epochs=1 if args.short else None).fit(train.frame[known], seed=0, progress=False)
    sides = [table.frame[known] for table in (train, test)]
    deep = [model.embed(side) for side in sides]
    y, wanted = labels(train, target), labels(test, target)
    found: dict[str, list[float]] = {"embedding": [], "raw_logistic": [], "raw_boosted": []}
    for draw in range(3 if args.short else 10):
        rng = np.random.default_rng(draw)
        chosen = np.concatenate([rng.choice(np.flatnonzero(y == c), LABELS // 2, replace=False) for c in (0, 1)])
        ways = {
            "embedding": (make_pipeline(StandardScaler(), logistic()), deep),
            "raw_logistic": (make_pipeline(columns(sparse=False), logistic()), sides),
            "raw_boosted": (
                make_pipeline(columns(sparse=False), HistGradientBoostingClassifier(random_state=0)),
                sides,
            ),
        }
        for name, (way, (x, new)) in ways.items():
            part = x.iloc[chosen] if isinstance(x, pd.DataFrame) else x[chosen]
            way.fit(part, y[chosen])
            found[name].append(float(roc_auc_score(wanted, way.predict_proba(new)[:, 1])))
    line = {
        "table": "breast_cancer" if args.short else "adult",
        "labels": LABELS,
        **{name: round(float(np.mean(values)), 4) for name, values in found.items()},
        "spread": round(float(np.std(found["embedding"])), 4),
        "threads": torch.get_num_threads(),
    }
    print_result(line, args.output)


def labels(table: Table, target: str) -> npt.NDArray[np.int64]:
    """The classes as 0 and 1."""
    return pd.factorize(table.frame[target].astype(str), sort=True)[0].astype(np.int64)


def logistic() -> LogisticRegressionCV:
    """A logistic regression that chooses its own strength of regularisation."""
    return LogisticRegressionCV(Cs=np.logspace(-5, 1, 7), cv=5, max_iter=2000, scoring="roc_auc")


def columns(*, sparse: bool) -> object:
    """Scaled numbers and one-hot categories."""
    return make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=sparse),
            make_column_selector(dtype_exclude="number"),
        ),
    )


if __name__ == "__main__":
    main()
