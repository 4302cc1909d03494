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
from tabsynth.data.write_tables import write_chunks
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


MOMENTS = pd.Series(pd.Timestamp("2020-01-06 09:30") + pd.to_timedelta(np.arange(80) * 37, unit="h"))
IN_KOLKATA = MOMENTS.dt.tz_localize("Asia/Kolkata").astype(pd.ArrowDtype(pa.timestamp("us", "Asia/Kolkata")))
DAYS = pd.Series(pd.array(MOMENTS.dt.date, dtype=pd.ArrowDtype(pa.date32())))


@pytest.mark.parametrize("values", [IN_KOLKATA, MOMENTS.astype(pd.ArrowDtype(pa.timestamp("s"))), DAYS], ids=str)
def test_missing_arrow_dates_are_imputed_and_present_ones_stay(values: pd.Series) -> None:
    frame = pd.DataFrame({"t": values.mask(values.index % 5 == 0), "g": ["a", "b"] * 40})
    filled = ts.MarginalSynthesizer(components=2).fit(frame, seed=0).impute(frame, seed=1)["t"]
    assert filled.dtype == values.dtype
    assert filled.notna().all()
    assert (filled[values.index % 5 != 0] == values[values.index % 5 != 0]).all()


def test_arrow_columns_are_evaluated() -> None:
    flags = pd.Series(pd.array([True, False] * 40, dtype=pd.ArrowDtype(pa.bool_())))
    frame = pd.DataFrame({"t": DAYS, "b": flags, "z": IN_KOLKATA})
    report = ts.evaluate(frame, frame.iloc[::-1].reset_index(drop=True), quick=True, seed=0)
    assert not [finding for finding in report.findings if "values are" in finding["text"]]
    assert ts.compare(frame, {"a": frame.iloc[::-1].reset_index(drop=True)}, seed=0)


def test_arrow_timestamps_keep_their_zone_in_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": IN_KOLKATA})
    ts.write(frame, tmp_path / "a.csv", ts.Schema.infer(frame))
    with write_chunks(tmp_path / "b.csv") as append:
        append(frame)
    for name in ("a.csv", "b.csv"):
        read = pd.to_datetime(pd.read_csv(tmp_path / name)["t"])
        assert read.tolist() == MOMENTS.dt.tz_localize("Asia/Kolkata").tolist()


def test_categories_of_zoned_moments_keep_their_zone_in_arrow_files(tmp_path: Path) -> None:
    days = MOMENTS.dt.normalize().dt.tz_localize("Asia/Tokyo")
    frame = pd.DataFrame({"t": days.iloc[np.arange(80) % 3].reset_index(drop=True).astype("category")})
    ts.write(frame, tmp_path / "a.feather")
    assert ts.read(tmp_path / "a.feather").frame["t"].tolist() == frame["t"].tolist()


@pytest.mark.parametrize("suffix", [".feather", ".parquet", ".jsonl"])
def test_categories_that_a_file_would_damage_are_refused_by_name(suffix: str, tmp_path: Path) -> None:
    for values in (pd.cut(np.arange(20), 4), pd.Categorical(pd.period_range("2020", periods=4, freq="M"))):
        with pytest.raises(DataError, match="categories of column 'x', which are of type"):
            ts.write(pd.DataFrame({"x": values}), tmp_path / f"a{suffix}")


def test_half_precision_numbers_are_written_to_excel(tmp_path: Path) -> None:
    values = pd.Series(pd.array([np.float16(1.5), np.float16(2)], dtype=pd.ArrowDtype(pa.float16())))
    ts.write(pd.DataFrame({"x": values}), tmp_path / "a.xlsx")
    assert ts.read(tmp_path / "a.xlsx").frame["x"].tolist() == [1.5, 2.0]
