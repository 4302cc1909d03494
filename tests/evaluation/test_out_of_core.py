"""Fidelity from counts of Parquet files is that of the frames, however the rows are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import DataError, MissingDependencyError, SchemaError, SourceError
from tabsynth.evaluation import out_of_core
from tabsynth.evaluation.stats.distances import shape_errors, trend_errors
from tabsynth.evaluation.stats.encoded_table import encode_tables
from tabsynth.schema import Schema

pytest.importorskip("duckdb")


def written(folder: Path, **frames: pd.DataFrame) -> list[Path]:
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    return [folder / f"{name}.parquet" for name in frames]


def test_counts_give_what_frames_give(
    every_kind: tuple[pd.DataFrame, Schema], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, schema = every_kind
    frame = frame.assign(**{'it\'s "odd"': np.random.default_rng(0).normal(size=len(frame))})
    columns = {**schema.to_dict()["columns"], 'it\'s "odd"': {"kind": "numeric"}}
    schema = Schema.from_dict({"columns": columns})
    real, synthetic = frame[:200].reset_index(drop=True), frame[200:].reset_index(drop=True)
    synthetic = synthetic.assign(
        level=synthetic["level"].replace(3, 1), group=synthetic["group"].replace("low & slow", "it's new")
    )
    monkeypatch.setattr(out_of_core, "BATCH_ROWS", 64)
    shape, trend = out_of_core.file_fidelity(
        *written(tmp_path, real=real, synthetic=synthetic), schema=schema, threads=1
    )
    a, b = encode_tables([real, synthetic], schema)
    ours, names = dict(zip(a.encoding.names, shape_errors(a, b), strict=True)), list(a.encoding.names)
    for part in shape.detail:  # only the real rows are points of the grid
        assert part.value / 100 == pytest.approx(ours[part.columns[0]], abs=3 / 200)
    errors = trend_errors(a, b)
    for part in trend.detail:
        i, j = (names.index(name) for name in part.columns)
        assert part.value / 100 == pytest.approx(errors[i, j], abs=1e-9), part.columns
    assert trend.interval is not None
    assert trend.interval[0] <= trend.value <= trend.interval[1]


def test_a_schema_is_inferred_and_a_shift_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=4000), "k": rng.choice(["a", "b"], 4000)})
    paths = written(tmp_path, real=frame, same=frame[::-1], moved=frame.assign(x=frame["x"] + 1))
    same = out_of_core.file_fidelity(paths[0], paths[1])
    assert all(score.value < 1e-9 for score in same)
    moved = out_of_core.file_fidelity(paths[0], paths[2])
    assert {part.name: round(part.value) for part in moved[0].detail} == {"x": 38, "k": 0}
    assert moved[0].floor is not None
    assert moved[0].floor < 5


def test_what_cannot_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "k": ["a", "b"]})
    real, other, empty = written(tmp_path, real=frame, other=frame.rename(columns={"k": "q"}), empty=frame[:0])
    with pytest.raises(SchemaError, match="'k', 'q' are in one only"):
        out_of_core.file_fidelity(real, other)
    with pytest.raises(DataError, match=r"empty\.parquet has no rows"):
        out_of_core.file_fidelity(real, empty)
    with pytest.raises(SourceError, match="is not a Parquet file"):
        out_of_core.file_fidelity(real, tmp_path / "none.parquet")
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(SourceError, match="cannot be compared"):
        out_of_core.file_fidelity(real, tmp_path / "broken.parquet")
    with pytest.raises(SourceError, match="cannot be compared"):
        text = written(tmp_path, text=frame.assign(x=["one", "two"]))[0]
        out_of_core.file_fidelity(real, text, schema=Schema.infer(frame))
    monkeypatch.setattr(out_of_core.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"duckdb: run pip install \'\.\[mixing\]\'"):
        out_of_core.file_fidelity(real, real)
