"""Exact values of single persons in model files and samples: of training rows, and of rows that no model has seen.

    python benchmarks/exact_values.py            three tables, every model of tabsynth
    python benchmarks/exact_values.py --short    one table, one model
    python benchmarks/exact_values.py --file shoppers.csv

A cell counts if its number is in one row of the table only. The share of training rows with such a cell that is stored
in the model file, or drawn in its column, should be no larger than that of as many strangers: numbers with few digits
also agree by chance. Training is cut to two epochs, which changes the weights and none of the stored values.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes

from tabsynth.common import model_file
from tabsynth.data.read_write import read
from tabsynth.synthesizers.registry import create

MODELS = ("masked", "marginal", "vae", "gan")
DIGITS = 9
"""Significant digits to which two numbers agree."""


def made() -> pd.DataFrame:
    """Return 2,000 persons with ten continuous columns."""
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(size=(2_000, 10)) @ rng.normal(size=(10, 10)) / 3)
    return pd.DataFrame(values).rename(columns="x{}".format)


def significant(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return numbers rounded to ``DIGITS`` significant digits."""
    data = np.asarray(values, dtype=np.float64)
    data = data[np.isfinite(data)]
    with np.errstate(divide="ignore", over="ignore"):
        scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.abs(data))))
    scale[~np.isfinite(scale)] = 1.0
    return np.asarray(np.round(data * scale) / scale)


def numbers(value: Any) -> Iterator[float]:
    """Yield every number in plain data."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield float(value)


def stored_numbers(path: Path) -> npt.NDArray[np.float64]:
    """Return all numbers of a model file."""
    content = model_file.load(path)
    arrays = [array.ravel().astype(np.float64) for array in content.arrays.values()]
    return np.unique(significant(np.concatenate([list(numbers(content.config)), *arrays])))


def share_of_rows(rows: pd.DataFrame, single: pd.DataFrame, known: dict[str, npt.NDArray[np.float64]]) -> float:
    """Return the percentage of rows with a single person's cell among the known numbers of its column."""
    hit = np.zeros(len(rows), bool)
    for name, values in known.items():
        cells = rows[name].to_numpy(np.float64)
        exact = np.zeros(len(rows), bool)
        present = np.isfinite(cells)
        exact[present] = np.isin(significant(cells[present]), values)
        hit |= exact & single[name].to_numpy()
    return round(100 * float(hit.mean()), 2)


def measure(frame: pd.DataFrame, kind: str, epochs: int) -> dict[str, float]:
    """Fit a model to half of the rows, and compare them with the other half."""
    frame = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    names = list(frame.select_dtypes("number"))
    single = frame[names].apply(lambda column: ~column.duplicated(keep=False) & column.notna())
    half = len(frame) // 2
    parts = {"members": slice(None, half), "strangers": slice(half, 2 * half)}
    options = {} if kind == "marginal" else {"epochs": epochs}
    model = create(kind, **options).fit(frame.iloc[parts["members"]], seed=0, progress=False)
    drawn = model.sample(half, seed=1, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.tabsynth"
        model.save(path)
        stored = stored_numbers(path)
    known = {
        "file": dict.fromkeys(names, stored),
        "sample": {name: np.unique(significant(drawn[name].astype(float))) for name in names},
    }
    return {
        f"{place} {who}": share_of_rows(frame.iloc[rows], single.iloc[rows], values)
        for place, values in known.items()
        for who, rows in parts.items()
    }


def main() -> None:
    """Print a line of JSON for each table and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, action="append", default=[], help="a table; default: three of its own")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--short", action="store_true", help="the made table and the marginal model")
    args = parser.parse_args()
    tables = {path.name: read(path).frame for path in args.file} or {
        "made": made(),
        "breast_cancer": load_breast_cancer(as_frame=True).frame,
        "diabetes": load_diabetes(as_frame=True, scaled=False).frame,
    }
    for name, frame in list(tables.items())[: 1 if args.short else None]:
        for kind in ["marginal"] if args.short else args.models.split(","):
            print(json.dumps({"table": name, "model": kind, **measure(frame, kind, args.epochs)}), flush=True)


if __name__ == "__main__":
    main()
