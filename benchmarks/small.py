"""Small tables: the default model beside sequential CART, a Gaussian copula, a bootstrap and ARF, by the same scorer.

The tables, the CART and the copula are those of the yardstick beside the project (``../shared/yardstick/small``), which
imports nothing of tabsynth. ARF runs if ``arfpy`` is installed. The test part only scores.

    python benchmarks/small.py                                  five tables, three seeds
    python benchmarks/small.py --tables breast --methods ours   some of them
    python benchmarks/small.py --short                          one table, one seed, without ARF
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from _common import YARDSTICK, yardstick_scores

from tabsynth.synthesizers.registry import create

TABLES = "diab,breast,wine,german,heart"
METHODS = "ours,cart,copula,bootstrap,arf"
SCORES = ("shape_err", "trend_err", "c2st_auc", "c2st_strong", "mle", "mle_real", "dcr_share")

Method = Callable[[pd.DataFrame, list[str], int], pd.DataFrame]


def main() -> None:
    """Print a line of JSON for each table and method: means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=TABLES)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--short", action="store_true", help="one table, one seed")
    args = parser.parse_args()
    if not YARDSTICK.is_dir():
        raise SystemExit(f"the yardstick is not at {YARDSTICK}")
    tables, seeds, names = (
        args.tables.split(","),
        [int(seed) for seed in args.seeds.split(",")],
        args.methods.split(","),
    )
    if args.short:
        tables, seeds, names = ["wine"], [0], ["ours", "cart", "copula", "bootstrap"]
    if "arf" in names and importlib.util.find_spec("arfpy") is None:
        print("arfpy is not installed: ARF is left out", file=sys.stderr)
        names.remove("arf")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, YARDSTICK / "small" / "prep.py"], cwd=folder, check=True, capture_output=True)
        for table in tables:
            for name in names:
                print(json.dumps(run(Path(folder), table, name, seeds)), flush=True)


def run(folder: Path, table: str, name: str, seeds: list[int]) -> dict[str, Any]:
    """Fit and score one method with each seed; the means."""
    files = [folder / f"{table}.train.csv", folder / f"{table}.test.csv", folder / f"{table}.json"]
    train, categorical = pd.read_csv(files[0]), json.loads(files[2].read_text())["categorical"]
    rows, cpu = [], 0.0
    for seed in seeds:
        began = time.process_time()
        synthetic = method(name)(train.copy(), categorical, seed)
        cpu += time.process_time() - began
        synthetic.to_csv(folder / "synthetic.csv", index=False)
        scored = yardstick_scores(folder, table, folder / "synthetic.csv")
        rows.append([scored[score] for score in SCORES])
    means = dict(zip(SCORES, np.mean(rows, axis=0).round(3).tolist(), strict=True))
    return {"table": table, "method": name, "seeds": len(seeds), "cpu_s": round(cpu / len(seeds), 1), **means}


def method(name: str) -> Method:
    """The method of a name."""
    methods: dict[str, Callable[[], Method]] = {
        "ours": lambda: ours,
        "cart": lambda: module("cart").synth,
        "copula": lambda: module("gc").synth,
        "bootstrap": lambda: bootstrap,
        "arf": lambda: arf,
    }
    return methods[name]()


def module(name: str) -> ModuleType:
    """A script of the yardstick."""
    spec = importlib.util.spec_from_file_location(f"small_{name}", YARDSTICK / "small" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    out = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(out)
    return out


def ours(train: pd.DataFrame, categorical: list[str], seed: int) -> pd.DataFrame:
    """The default synthesizer; it infers the schema itself."""
    return create("masked").fit(train, seed=seed, progress=False).sample(seed=seed + 1, progress=False)


def bootstrap(train: pd.DataFrame, categorical: list[str], seed: int) -> pd.DataFrame:
    """Real rows drawn with replacement: what copying costs and brings."""
    return train.sample(len(train), replace=True, random_state=seed).reset_index(drop=True)


def arf(train: pd.DataFrame, categorical: list[str], seed: int) -> pd.DataFrame:
    """Adversarial random forests (Watson et al. 2023)."""
    from arfpy import arf as package

    if not hasattr(np, "in1d"):  # numpy 2.4 removed it, arfpy 0.1.1 calls it, and isin does the same
        setattr(np, "in1d", np.isin)  # noqa: B010
    np.random.seed(seed)  # noqa: NPY002  the package draws from the global generator
    for column in categorical:
        train[column] = train[column].astype("object")
    model = package.arf(x=train, verbose=False)
    model.forde()
    drawn: pd.DataFrame = model.forge(n=len(train))
    return drawn


if __name__ == "__main__":
    main()
