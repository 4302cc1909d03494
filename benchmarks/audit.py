"""What the audit finds and what it costs: synthesizers side by side on Adult.

    python benchmarks/audit.py --train adult.train.csv --holdout adult.test.csv
    python benchmarks/audit.py --train adult.train.csv --holdout adult.test.csv --models masked --epochs masked=5
    python benchmarks/audit.py --short              a table of scikit-learn's, without the models of SDV

Besides the synthesizers there are two references: ``fresh`` (real rows that nobody learned) and ``copies`` (the same
with 5 % of the training rows). The training rows are halved, so that fresh ones remain; all models learn one half.
The private model learns with the public schema in ``schemas/`` where there is one.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from _common import print_result
from sklearn.datasets import load_breast_cancer

from tabsynth.privacy.audit import audit
from tabsynth.privacy.budget import Privacy
from tabsynth.schema import Schema
from tabsynth.synthesizers.registry import create

SCHEMAS = Path(__file__).resolve().parent / "schemas"
SHOWN: tuple[str, ...] = ("density_ratio_random_tpr", "neighbourhood_isolated_tpr", "neighbourhood_exposed_tpr")
SHOWN += ("exposed_members", "linkability_random")
SHOWN += ("inference_random", "singling_out_multivariate", "copies_exact", "copies_near", "smoke_dcr_share")


def main() -> None:
    """Print a line of JSON for each table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--holdout", type=Path)
    parser.add_argument("--models", help="default: fresh,copies,ctgan,tvae,masked,marginal")
    parser.add_argument("--epochs", default="", help="MODEL=N,...: other epochs than the default")
    parser.add_argument("--epsilon", type=float, default=1.0, help="of the marginal model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="append the lines to a file as well")
    parser.add_argument("--short", action="store_true", help="a small table, few epochs")
    args = parser.parse_args()
    if args.short:
        frame = load_breast_cancer(as_frame=True).frame.sample(frac=1, random_state=0, ignore_index=True)
        rows, holdout = frame.iloc[:380, -8:], frame.iloc[380:, -8:]
    elif args.train and args.holdout:
        rows, holdout = pd.read_csv(args.train), pd.read_csv(args.holdout)
    else:
        parser.error("give --train and --holdout, or --short")
    epochs = {name: int(count) for name, count in (pair.split("=") for pair in args.epochs.split(",") if pair)}
    shuffled = rows.sample(frac=1, random_state=args.seed, ignore_index=True)
    train, fresh = shuffled[: len(rows) // 2], shuffled[len(rows) // 2 :]
    schema = Schema.infer(rows)
    table = "breast_cancer" if args.short else args.train.name.split(".")[0]
    models = "fresh,copies,masked,marginal" if args.short else "fresh,copies,ctgan,tvae,masked,marginal"
    for name in (args.models or models).split(","):
        count = epochs.get(name, 2 if args.short else None)
        began = time.process_time()
        made, privacy = _made(name, table, train, fresh, schema, count, args.epsilon, args.seed)
        fitted = time.process_time()
        report = audit(train, made, holdout, schema=schema, privacy=privacy, seed=args.seed)
        line: dict[str, Any] = {
            "table": table,
            "model": name,
            "epochs": count,
            "verdict": report.verdict,
            "text": report.text,
        }
        line |= {"significant": len(report.significant), "tests": len(report.tests), "claim": report.claim}
        line |= {key: _figures(report.scores[key]) for key in SHOWN if key in report.scores}
        if name == "copies":
            copied = [record["row"] < len(train) // 20 for record in report.worst]
            line["named_records_that_were_copied"] = f"{sum(copied)} of {len(copied)}"
        line |= {"fit_cpu_s": round(fitted - began, 1), "audit_cpu_s": round(time.process_time() - fitted, 1)}
        _say(line, args.output)


def _made(
    name: str,
    table: str,
    train: pd.DataFrame,
    fresh: pd.DataFrame,
    schema: Schema,
    epochs: int | None,
    epsilon: float,
    seed: int,
) -> tuple[pd.DataFrame, Privacy | None]:
    """A synthetic table of the training table's size, and what is claimed for it."""
    if name == "fresh":
        return fresh, None
    if name == "copies":
        count = len(train) // 20
        return pd.concat([train[:count], fresh[: len(train) - count]], ignore_index=True), None
    if name == "marginal":
        privacy = Privacy(epsilon=epsilon, delta=1e-6)
        model = create(name).fit(train, schema=_public(table, schema, train), privacy=privacy, progress=False)
    else:
        privacy = None
        options = {} if epochs is None else {"epochs": epochs}
        model = create(name, **options).fit(train, schema=schema, seed=seed, progress=False)
    return model.sample(len(train), seed=seed + 1, progress=False), privacy


def _public(table: str, schema: Schema, train: pd.DataFrame) -> Schema:
    """The table's public schema; without one, bounds and values as if declared (here: read off the table)."""
    known = SCHEMAS / f"{table}.json"
    if known.is_file():
        return Schema.from_json(known)
    for name, column in schema.items():
        if column.kind == "numeric":
            low, high = float(train[name].min()), float(train[name].max())
            schema = schema.replace(name, low=low, high=high, decimals=column.to_dict().get("decimals", 2))
        elif column.kind == "categorical":
            schema = schema.replace(name, values=sorted(train[name].dropna().unique().tolist(), key=str))
        else:
            schema = schema.replace(name)
    return schema


def _figures(score: Any) -> list[float]:
    """Value and interval."""
    return [round(float(number), 4) for number in (score.value, *score.interval)]


def _say(line: dict[str, Any], output: Path | None) -> None:
    print_result(line | {"threads": torch.get_num_threads(), "machine": platform.machine()}, output)


if __name__ == "__main__":
    main()
