"""Tables read in batches equal tables read at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabsynth.data import batch_reader, csv_files, read, write
from tabsynth.data.batch_reader import Batches
from tabsynth.errors import DataError, SourceError
from tabsynth.mixing.out_of_core.staging import StagedSource

CELLS = {
    "number": st.one_of(st.integers(-99, 99).map(str), st.just("")),
    "mixed number": st.one_of(st.integers(0, 9).map(str), st.sampled_from(["1.5", "-2e3", "", "NA"])),
    "code": st.sampled_from(["007", "7", "12", ""]),
    "flag": st.sampled_from(["True", "false", "", "null"]),
    "date": st.sampled_from(["2020-01-05", "1999-12-31", ""]),
    "times": st.sampled_from(["2020-01-05", "1999-12-31 10:00", ""]),
    "word": st.sampled_from(["yes", "no", "1", "2.0", "NA", '"NA"', ""]),
    "nothing": st.sampled_from(["", "NA"]),
}


def alike(found: pd.DataFrame, whole: pd.DataFrame) -> None:
    """Equal but for gaps: a column of batches is nullable although it may have none."""
    for name in whole:
        one, other = (frame[name].astype(object).where(frame[name].notna(), None).tolist() for frame in (found, whole))
        assert one == other, name
        kinds = {pd.api.types.infer_dtype(frame[name].dropna()) for frame in (found, whole)}
        assert len(kinds) == 1, name


@given(st.lists(st.tuples(*CELLS.values()), min_size=1, max_size=30), st.integers(20, 200))
@settings(deadline=None, max_examples=40)
def test_csv_in_blocks_is_the_csv(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str]], block: int) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    lines = [",".join(["row", *CELLS]), *(",".join(["r", *row]) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    whole = read(path).frame
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "BLOCK_BYTES", max(block, max(map(len, lines)) + 1))
        found = Batches(path)
        assert found.names == list(whole)
        alike(pd.concat(list(found.frames(rows=7)), ignore_index=True), whole)


@pytest.mark.parametrize("name", ["t.parquet", "t.xlsx", "t.tsv.gz"])
def test_every_kind_of_file_comes_in_batches(name: str, toy: pd.DataFrame, tmp_path: Path) -> None:
    toy["gaps"] = pd.array([None, *range(len(toy) - 1)], "Int64")
    write(toy, tmp_path / name)
    parts = list(Batches(tmp_path / name).frames(rows=150))
    assert len(parts) >= 3
    alike(pd.concat(parts, ignore_index=True), read(tmp_path / name).frame)
    some = next(Batches(tmp_path / name).frames(["age", "mrn"]))
    assert list(some) == ["age", "mrn"]


def test_a_frame_comes_in_batches() -> None:
    frame = pd.DataFrame({"x": np.arange(10)}, index=np.arange(10) + 5)
    assert [part["x"].tolist() for part in Batches(frame).frames(rows=4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_no_batch_holds_what_was_read_before(tmp_path: Path) -> None:
    table = pa.table({name: np.random.default_rng(0).random(600_000) for name in "abc"})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=20_000, use_dictionary=False)
    del table
    readers = (
        lambda: Batches(tmp_path / "a.parquet").frames(rows=10_000),
        lambda: StagedSource(tmp_path / "a.parquet", 0).batches(list("abc")),
    )
    for read_all in readers:
        before = pa.total_allocated_bytes()
        held = [pa.total_allocated_bytes() - before for _ in read_all()]
        assert len(held) >= 10
        assert max(held) < (tmp_path / "a.parquet").stat().st_size / 3


def test_what_is_no_table_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n1,2,3\n")
    with pytest.raises(DataError, match="line 3: 3 fields"):
        list(Batches(tmp_path / "a.csv").frames())
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(SourceError, match="is not Parquet"):
        list(Batches(tmp_path / "a.parquet").frames())
    assert batch_reader.BATCH_ROWS > 0
