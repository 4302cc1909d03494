"""Folders, partitions and globs of Parquet, and files of Arrow and JSON lines."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import tabsynth as ts
from tabsynth.data.batch_reader import Batches
from tabsynth.data.read_write import write_chunks
from tabsynth.errors import DataError, SourceError


def example(n: int = 60) -> pd.DataFrame:
    return pd.DataFrame({
        "a": np.arange(n), "x": np.arange(n) / 7, "s": [None if i % 5 == 0 else f"ä{i % 3}" for i in range(n)],
        "day": pd.date_range("2024-01-01", periods=n).astype("datetime64[us]"),
        "year": [2020 + i % 2 for i in range(n)],
        "flag": [i % 2 == 0 for i in range(n)],
    })  # fmt: skip


def test_a_folder_a_glob_and_hive_partitions_are_one_table(tmp_path):
    frame = example()
    for i in range(3):
        ts.write(frame[i * 20 : (i + 1) * 20], tmp_path / f"part-{i}.parquet")
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".hidden.parquet").write_text("no Parquet")
    for path in (tmp_path, tmp_path / "part-*.parquet", str(tmp_path / "**" / "*.parquet")):
        pd.testing.assert_frame_equal(ts.read(path).frame, frame, check_dtype=False)
    assert len(ts.read(tmp_path / "part-[01].parquet")) == 40
    hive = tmp_path / "hive"
    table = pa.Table.from_pandas(frame)
    partitioning = pyarrow.dataset.partitioning(pa.schema([("year", pa.int64())]), flavor="hive")
    pyarrow.dataset.write_dataset(table, hive, format="parquet", partitioning=partitioning)
    back = ts.read(hive).frame
    expected = frame.sort_values(["year", "a"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(back[list(frame)].astype({"year": "int64"}), expected, check_dtype=False)
    batches = list(Batches(hive).frames(rows=7))
    pd.testing.assert_frame_equal(pd.concat(batches, ignore_index=True), back, check_dtype=False)
    assert max(map(len, batches)) <= 7


def test_files_of_different_tables_are_refused(tmp_path):
    ts.write(example()[["a", "x"]], tmp_path / "1.parquet")
    ts.write(example()[["a", "s"]], tmp_path / "2.parquet")
    with pytest.raises(DataError, match="different columns: 's', 'x'"):
        ts.read(tmp_path)
    ts.write(pd.DataFrame({"a": ["text"], "x": [1.0]}), tmp_path / "2.parquet")
    with pytest.raises(SourceError, match="not of one table"):
        ts.read(tmp_path)
    ts.write(pd.DataFrame({"a": [0.5], "x": [1]}), tmp_path / "2.parquet")
    assert ts.read(tmp_path).frame["a"].iloc[-1] == 0.5


def test_damaged_empty_and_nested_files_are_refused(tmp_path):
    with pytest.raises(SourceError, match="matches no file"):
        ts.read(tmp_path)
    with pytest.raises(SourceError, match="matches no file"):
        ts.read(tmp_path / "*.parquet")
    (tmp_path / "1.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(SourceError, match="damaged"):
        ts.read(tmp_path)
    pq.write_table(pa.table({"a": [[1], [2]]}), tmp_path / "1.parquet")
    with pytest.raises(DataError, match="nested"):
        ts.read(tmp_path)
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "1.parquet")
    with pytest.raises(DataError, match="no rows"):
        ts.read(tmp_path)


@pytest.mark.parametrize("suffix", ["arrow", "feather", "jsonl", "ndjson"])
def test_files_of_arrow_and_json_lines_survive_a_round_trip(tmp_path, suffix):
    frame, path = example(), tmp_path / f"t.{suffix}"
    ts.write(frame, path)
    back = ts.read(path).frame
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)
    assert sum(len(part) for part in Batches(path).frames(rows=7)) == len(frame)
    path.write_bytes(path.read_bytes()[:-50] if "j" not in suffix else b'{"a": 1}\n{"a": "x"}\n')
    with pytest.raises((SourceError, DataError)):
        ts.read(path)


def test_json_lines_keep_numbers_and_are_written_in_chunks(tmp_path):
    path = tmp_path / "t.jsonl"
    numbers = [0.1 + 0.2, 1e300, -5e-324, None]
    with write_chunks(path) as append:
        append(pd.DataFrame({"x": numbers, "n": pd.array([1, None, 2**53 + 1, 0], "Int64")}))
        append(pd.DataFrame({"x": [1.0], "n": pd.array([7], "Int64")}))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["x"] for line in lines] == [*numbers, 1.0]
    assert [line["n"] for line in lines] == [1, None, 2**53 + 1, 0, 7]
    path.write_text('{"a": {"b": 1}}\n')
    with pytest.raises(DataError, match="nested"):
        ts.read(path)
