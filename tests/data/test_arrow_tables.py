"""Tables of pyarrow, polars and others with Arrow's interface are taken wherever a DataFrame is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.model_selection import GridSearchCV

import tabsynth as ts
from tabsynth.errors import DataError


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(60) % 7, "b": ["x", "y", "y"] * 20})


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> ts.MarginalSynthesizer:
    return ts.MarginalSynthesizer().fit(frame, seed=0)


def test_a_model_takes_rows_of_arrow(model: ts.MarginalSynthesizer, frame: pd.DataFrame) -> None:
    arrow: Any = pa.Table.from_pandas(frame)
    assert model.log_prob(arrow).tolist() == model.log_prob(frame).tolist()
    gaps: Any = pa.table({"b": ["x", None]})
    pd.testing.assert_frame_equal(model.impute(gaps, seed=0), model.impute(gaps.to_pandas(), seed=0))
    wanted: Any = pa.table({"b": ["y", "x"]})
    assert model.sample(given=wanted, seed=0)["b"].tolist() == ["y", "x"]


def test_files_schemas_and_private_fits_take_arrow(frame: pd.DataFrame, tmp_path: Path) -> None:
    arrow: Any = pa.Table.from_pandas(frame)
    ts.write(arrow, tmp_path / "t.csv")
    assert ts.read(tmp_path / "t.csv").frame["b"].tolist() == frame["b"].tolist()
    assert ts.Schema.infer(arrow) == ts.Schema.infer(frame)
    declared = {
        "columns": {"a": {"kind": "numeric", "low": 0, "high": 6}, "b": {"kind": "categorical", "values": ["x", "y"]}}
    }
    budget = ts.Privacy(epsilon=1.0, delta=1e-6)
    assert len(ts.MarginalSynthesizer().fit(arrow, schema=declared, privacy=budget).sample(3))


def test_other_objects_and_repeated_columns_are_refused(model: ts.MarginalSynthesizer) -> None:
    nothing: Any = [1, 2]
    for verb in (model.log_prob, model.impute):
        with pytest.raises(DataError, match="expected a DataFrame or a Table, not list"):
            verb(nothing)
        with pytest.raises(DataError, match="duplicate column names: 'b'"):
            verb(pd.DataFrame([["x", "y"]], columns=["b", "b"]))


def test_the_score_of_a_marginal_model_is_its_mean_log_probability(
    model: ts.MarginalSynthesizer, frame: pd.DataFrame
) -> None:
    assert model.score(frame) == pytest.approx(model.log_prob(frame).mean())
    assert GridSearchCV(ts.MarginalSynthesizer(), {"min_group": [2, 5]}, cv=2).fit(frame).best_score_ < 0
