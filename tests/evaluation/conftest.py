"""Real tables from scikit-learn, and one with every kind of column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from tabsynth.schema import Schema


def _shuffled(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


def _schema(frame: pd.DataFrame, categorical: tuple[str, ...], target: str) -> Schema:
    kinds = {name: "categorical" if name in categorical else "numeric" for name in frame}
    columns = {name: {"kind": kind, **({"role": "target"} if name == target else {})} for name, kind in kinds.items()}
    return Schema.from_dict({"columns": columns})


@pytest.fixture(scope="session")
def cancer() -> tuple[pd.DataFrame, Schema]:
    """569 rows, 30 numbers and a class."""
    frame = load_breast_cancer(as_frame=True).frame
    frame["target"] = frame["target"].map({0: "malignant", 1: "benign"})
    return _shuffled(frame), _schema(frame, ("target",), "target")


@pytest.fixture(scope="session")
def diabetes() -> tuple[pd.DataFrame, Schema]:
    """442 rows, 10 numbers in their own units (sex as a category) and a number to predict."""
    frame = load_diabetes(as_frame=True, scaled=False).frame
    frame["sex"] = frame["sex"].map({1.0: "f", 2.0: "m"})
    return _shuffled(frame), _schema(frame, ("sex",), "target")


@pytest.fixture(scope="session")
def wine() -> tuple[pd.DataFrame, Schema]:
    """178 rows, 13 numbers and three classes."""
    frame = load_wine(as_frame=True).frame
    return _shuffled(frame), _schema(frame, ("target",), "target")


@pytest.fixture(scope="session")
def every_kind() -> tuple[pd.DataFrame, Schema]:
    """400 rows with every kind of column and missing values; names and values that HTML must escape."""
    rng = np.random.default_rng(0)
    n = 400
    number = rng.normal(50, 10, n)
    number[rng.random(n) < 0.1] = np.nan
    group = np.where(number > 50, "<b>high</b>", "low & slow").astype(object)
    group[rng.random(n) < 0.05] = None
    frame = pd.DataFrame(
        {
            "id": [f"p{i:04d}" for i in range(n)],
            "number <script>": number,
            "group": group,
            "flag": rng.random(n) < 0.3,
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, n), unit="D"),
            "level": rng.choice([1, 2, 3], n, p=[0.6, 0.3, 0.1]),
            "note": "free text",
            "constant": 7.5,
        }
    )
    kinds = ["identifier", "numeric", "categorical", "boolean", "datetime", "categorical", "text", "numeric"]
    columns = {name: {"kind": kind, "nullable": True} for name, kind in zip(frame, kinds, strict=True)}
    return frame, Schema.from_dict({"columns": columns})
