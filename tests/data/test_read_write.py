"""Reading and writing tables: round trips of types and values in every format, schemas, chunks and refused files."""

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from tabsynth.data import Table, read, write
from tabsynth.data.read_write import write_chunks
from tabsynth.errors import DataError, SchemaError, SourceError
from tabsynth.schema import Schema

from .csv_text import write_text

TABLES = ("t.csv", "t.csv.gz", "t.tsv", "t.parquet", "t.xlsx")


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "z_first": [3, -1, 2**53 - 1],
            "gap": pd.array([1, None, 2], dtype="Int64"),
            "real": [0.1, np.nan, 1e-300],
            "whole_real": [1.0, 2.0, -0.0],
            "yes": [True, False, True],
            "maybe": pd.array([True, None, False], dtype="boolean"),
            "day": pd.to_datetime(["2020-02-29", None, "1931-12-01"]),
            "moment": pd.to_datetime(["2020-02-29T01:02:03", "2020-02-29T00:00:00", None]),
            "utc": pd.to_datetime(["2020-02-29T01:02:03Z", None, "1969-01-01T00:00:00Z"]),
            "zip": ["02114", None, "94110"],
            "word": ["None", 'a, "b"', "=1+1"],
            "lines": ["x\ny", "é 😀", " spaced "],
        }
    )


@pytest.mark.parametrize("name", TABLES)
def test_types_gaps_values_and_order_survive(tmp_path, frame, name):
    write(frame, tmp_path / name)
    table = read(tmp_path / name)
    assert_frame_equal(table.frame, frame)
    assert list(table.schema) == list(frame.columns)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_microseconds_survive(tmp_path, name):
    frame = pd.DataFrame(
        {"t": pd.to_datetime(["2020-01-01T00:00:00.000001", "1920-01-01T00:00:00.5"], format="ISO8601")}
    )
    write(frame, tmp_path / name)
    assert_frame_equal(read(tmp_path / name).frame, frame)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), min_size=1), st.data())
def test_floats_survive_to_the_bit(tmp_path_factory, values, data):
    frame = pd.DataFrame({"x": pd.Series(values, dtype=float), "i": range(len(values))})
    if frame["x"].isna().all():
        return
    path = tmp_path_factory.mktemp("bits") / "t.csv"
    write(frame, path)
    assert read(path).frame["x"].to_numpy().tobytes() == frame["x"].to_numpy().tobytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1), min_size=1, max_size=8))
def test_any_text_survives(tmp_path_factory, values):
    frame = pd.DataFrame({"t": ["letters", *values], "u": ["word", *reversed(values)]})
    path = tmp_path_factory.mktemp("text") / "t.csv"
    write(frame, path)
    back = read(path).frame
    assert back["t"].tolist() == frame["t"].tolist()
    assert back["u"].tolist() == frame["u"].tolist()


def test_a_schema_decides(tmp_path):
    path = write_text(
        tmp_path, "zip,sex,seen,score,flag,id,day\n2114,1,03/04/2020,007,1,12,20200131\n" + "94110,2,,3,0,13,20200201\n"
    )
    schema = Schema.from_dict(
        {
            "columns": {
                "zip": {"kind": "categorical", "values": ["2114", "94110"]},
                "sex": {"kind": "categorical", "values": [1, 2]},
                "seen": {"kind": "datetime", "format": "%d/%m/%Y", "nullable": True},
                "score": {"kind": "numeric", "decimals": 0},
                "flag": {"kind": "boolean"},
                "id": {"kind": "identifier"},
                "day": {"kind": "datetime", "format": "%Y%m%d"},
            }
        }
    )
    table = read(path, schema=schema)
    assert table.schema is schema
    assert table.frame["zip"].tolist() == ["2114", "94110"]
    assert table.frame["sex"].dtype == np.int64
    assert table.frame["seen"].iloc[0] == pd.Timestamp(2020, 4, 3)
    assert table.frame["score"].tolist() == [7, 3]
    assert table.frame["flag"].dtype == bool
    assert table.frame["id"].dtype == np.int64
    write(table, tmp_path / "again.csv")
    assert "03/04/2020" in (tmp_path / "again.csv").read_text()
    assert_frame_equal(read(tmp_path / "again.csv", schema=schema).frame, table.frame)
    write(table, tmp_path / "t.parquet")
    assert_frame_equal(read(tmp_path / "t.parquet", schema=schema).frame, table.frame)


def test_values_that_do_not_fit_the_schema_are_named(tmp_path):
    path = write_text(tmp_path, "a\n1\nx\n")
    with pytest.raises(DataError, match=r"t\.csv.*column 'a'.*'x'"):
        read(path, schema=Schema.from_dict({"columns": {"a": {"kind": "numeric"}}}))
    with pytest.raises(SchemaError, match="'b'"):
        read(path, schema=Schema.from_dict({"columns": {"b": {"kind": "numeric"}}}))


@pytest.mark.parametrize("name", ["t.parquet", "t.xlsx", "t.csv.gz"])
def test_damaged_and_foreign_files_are_refused(tmp_path, frame, name):
    write(frame, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for content in (whole[: len(whole) // 2], b"no such format at all"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=name.replace(".", r"\.")):
            read(tmp_path / name)


def test_paths_that_cannot_be_read(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        read(tmp_path / "absent.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SourceError, match="folder"):
        read(tmp_path / "folder.csv")
    with pytest.raises(SourceError, match=r"unknown kind.*\.parquet"):
        read(tmp_path / "t.sas7bdat")
    with pytest.raises(SourceError, match="does not exist"):
        write(pd.DataFrame({"a": [1]}), tmp_path / "no" / "t.csv")


def test_sheets(tmp_path):
    path = tmp_path / "t.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"a": [1]}).to_excel(book, sheet_name="one", index=False)
        pd.DataFrame({"b": [1.5, 2]}).to_excel(book, sheet_name="two", index=False)
    with pytest.warns(UserWarning, match="sheet 'one' is read, not 'two'"):
        assert list(read(path).frame) == ["a"]
    assert list(read(path, sheet="two").frame) == ["b"]
    with pytest.raises(SourceError, match="no sheet 'three'; there are 'one', 'two'"):
        read(path, sheet="three")
    with pytest.raises(SourceError, match="no sheets"):
        read(tmp_path / "t.csv", sheet="one") if (tmp_path / "t.csv").write_text("a\n1\n") else None


def test_excel_refuses_what_it_would_change(tmp_path):
    with pytest.raises(DataError, match="integers of 'a'"):
        write(pd.DataFrame({"a": [2**53 + 1]}), tmp_path / "t.xlsx")
    with pytest.raises(DataError, match="control characters"):
        write(pd.DataFrame({"a": ["\x01"]}), tmp_path / "t.xlsx")
    assert not list(tmp_path.iterdir())


def test_parquet_of_others(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table(
        {
            "big": pa.array([2**60 + 1, None], pa.int64()),
            "flag": pa.array([True, None]),
            "price": pa.array([None, 1], pa.decimal128(10, 2)),
            "code": pa.array(["a", None]).dictionary_encode(),
        }
    )
    pq.write_table(table, path)
    frame = read(path).frame
    assert frame["big"].iloc[0] == 2**60 + 1
    assert [str(kind) for kind in frame.dtypes] == ["Int64", "boolean", "float64", "category"]
    pq.write_table(pa.table({"a": [[1, 2]]}), path)
    with pytest.raises(DataError, match="nested columns: 'a'"):
        read(path)
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), path)
    with pytest.raises(DataError, match="duplicate"):
        read(path)


def test_a_named_index_of_parquet_is_a_column(tmp_path):
    pd.DataFrame({"x": [1.5, 2.5]}, index=pd.Index(["p1", "p2"], name="patient")).to_parquet(tmp_path / "t.parquet")
    assert sorted(read(tmp_path / "t.parquet").frame) == ["patient", "x"]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_chunks_make_the_same_file_content(tmp_path, frame, name):
    with write_chunks(tmp_path / name) as append:
        for _ in range(3):
            append(frame)
            assert not (tmp_path / name).exists()
    back = read(tmp_path / name).frame
    assert len(back) == 9
    pd.testing.assert_series_equal(back["moment"][:3], frame["moment"])


def test_chunks_that_differ_or_fail_leave_nothing_behind(tmp_path):
    with pytest.raises(DataError, match="columns 'b'"), write_chunks(tmp_path / "t.csv") as append:
        append(pd.DataFrame({"a": [1]}))
        append(pd.DataFrame({"b": [1]}))
    with pytest.raises(DataError, match="differs in its types"), write_chunks(tmp_path / "t.parquet") as append:
        append(pd.DataFrame({"a": [1]}))
        append(pd.DataFrame({"a": ["x"]}))
    with pytest.raises(DataError, match="no chunk"), write_chunks(tmp_path / "t.csv"):
        pass
    assert not list(tmp_path.iterdir())


def test_equal_tables_are_equal_files(tmp_path, frame):
    for name in ("a.csv.gz", "b.csv.gz"):
        write(frame, tmp_path / name)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()).startswith(b"z_first,gap")


def test_the_door_opens_paths(tmp_path, frame):
    write(frame, tmp_path / "t.csv")
    assert_frame_equal(Table.of(tmp_path / "t.csv").frame, frame)


@pytest.mark.parametrize("spelled", ["inf", "-Infinity", "INF"])
def test_infinities_among_numbers_are_refused(tmp_path, spelled):
    path = tmp_path / "t.csv"
    path.write_text(f"x,y\n1.5,a\n{spelled},b\n2,c\n")
    with pytest.raises(DataError, match="'x': 1 infinite values, the first at row 1"):
        read(path)
