"""How good and how fast each synthesizer is, all of them on the same splits by the same scorer.

The scorer is the neutral yardstick beside the project (``../shared/yardstick``), which imports nothing of tabsynth; its
test part only scores. Models run with their defaults on what ``tabsynth.read`` makes of the training file.

    python benchmarks/quality.py                                    Masked on Adult, Default and Shoppers
    python benchmarks/quality.py --tables adult --models masked,vae,gan,tvae --seeds 0,1,2
    python benchmarks/quality.py --models masked,ctgan --epochs ctgan=3    a few epochs, to compare time
    python benchmarks/quality.py --models floor,masked              what fresh real rows would score, then the model
    python benchmarks/quality.py --short                            a table of scikit-learn's, scored by tabsynth itself
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import adult, prepare_yardstick, print_result, yardstick_module, yardstick_scores

from tabsynth.data import read, split, write
from tabsynth.evaluation.evaluate import evaluate
from tabsynth.synthesizers.registry import create

SPLITS = 5
"""Pairs of halves whose mean a floor is."""


def main() -> None:
    """Print a line of JSON for each table, model and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default="adult,default,shoppers")
    parser.add_argument("--models", default="masked")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--epochs", default="", help="MODEL=N,...: fewer epochs than the default")
    parser.add_argument("--output", type=Path, help="append the lines to a file as well")
    parser.add_argument("--short", action="store_true", help="one small table, scored by tabsynth")
    args = parser.parse_args()
    epochs = {name: int(count) for name, count in (pair.split("=") for pair in args.epochs.split(",") if pair)}
    if args.short:
        epochs.setdefault("masked", 1)
    if args.short and "floor" in args.models.split(","):
        raise SystemExit("the floor is the yardstick's; leave out --short")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not args.short:
            prepare_yardstick(folder)
        for table in ["breast_cancer"] if args.short else args.tables.split(","):
            for model in args.models.split(","):
                for seed in map(int, args.seeds.split(",")):
                    scored_columns = floor(table, seed, folder) if model == "floor" else None
                    line = scored_columns or run(table, model, seed, epochs.get(model), folder, args.short)
                    print_result(line, args.output)


def run(name: str, model: str, seed: int, epochs: int | None, folder: Path, short: bool) -> dict[str, Any]:
    """Fit, sample as many rows as there were, score."""
    if short:
        train, holdout = split(adult(short=True), 0.2, seed=0, target="target")
    else:
        train = read(folder / f"{name}.train.csv")
    options = {} if epochs is None else {"epochs": epochs}
    began = time.perf_counter()
    fitted = create(model, **options).fit(train, seed=seed, progress=False)
    done = time.perf_counter()
    synthetic = fitted.sample(seed=seed + 1, progress=False)
    drawn = time.perf_counter()
    if short:
        report = evaluate(train, synthetic, holdout, target="target", sdmetrics=False)
        scores = {key: round(score.value, 4) for key, score in report.scores.items()}
    else:
        write(synthetic, folder / "synthetic.csv", fitted.schema_)
        scores = yardstick_scores(folder, name, folder / "synthetic.csv")
    return {
        "table": name,
        "model": model,
        "seed": seed,
        "epochs": epochs,
        "fit_s": round(done - began, 1),
        "sample_s": round(drawn - done, 2),
        "rows_per_s": round(len(synthetic) / (drawn - done)),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        **scores,
    }


def floor(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """What a fresh real sample of as many rows would score, estimated from halves of the training rows.

    One random half is scored as the synthetic table of the other. Sampling error falls with the square root of the
    rows, so that n/2 rows against n/2 have sqrt(2) times the error of n against n: ``shape_err`` and ``trend_err`` are
    the halves' errors over sqrt(2), means of ``SPLITS`` splits. Pairs of columns with more combinations than rows fall
    more slowly; for these the floor is too low, and ``*_err_fourths`` over ``*_err_halves`` is below sqrt(2).
    """
    yardstick = yardstick_module()
    categorical = set(json.loads((folder / f"{name}.json").read_text())["categorical"])
    train = yardstick.load(folder / f"{name}.train.csv", categorical)
    found: dict[str, list[float]] = {}
    for split_seed in range(SPLITS):
        order = np.random.default_rng([seed, split_seed]).permutation(len(train))
        for part, rows in (("halves", len(train) // 2), ("fourths", len(train) // 4)):
            one, other = (train.iloc[order[at : at + rows]].reset_index(drop=True) for at in (0, rows))
            for score in ("shape", "trend"):
                errors = getattr(yardstick, score)(one, other, categorical)
                found.setdefault(f"{score}_err_{part}", []).append(100 * float(np.mean(list(errors.values()))))
    means = {key: float(np.mean(values)) for key, values in found.items()}
    scaled = {f"{score}_err": means[f"{score}_err_halves"] / math.sqrt(2) for score in ("shape", "trend")}
    rounded = {key: round(value, 4) for key, value in {**scaled, **means}.items()}
    return {"table": name, "model": "floor", "seed": seed, "splits": SPLITS, "rows": len(train), **rounded}


if __name__ == "__main__":
    main()
