"""SQLite, DuckDB and SQLAlchemy as sources and targets."""

from __future__ import annotations

import sqlite3
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import tabsynth as ts
from tabsynth.data.sql import read_schema
from tabsynth.data.sql.definitions import DECIMAL_FIELD
from tabsynth.data.sql.read_write import frame_of
from tabsynth.errors import DataError, SourceError
from tabsynth.schema.columns import Categorical, Numeric
from tabsynth.schema.schema import Schema


@pytest.fixture(params=["sqlite", "duckdb", "sqlite+pysqlite"])
def url(request, tmp_path) -> str:
    return f"{request.param}:///{tmp_path}/file.db"


def example() -> pd.DataFrame:
    return pd.DataFrame({
        "id": [1, 2, 3],
        "n": pd.array([1, None, 3], "Int64"),
        "x": [0.5, None, -2.25],
        "flag": [True, False, True],
        "day": pd.to_datetime(["2024-01-02", "2024-02-03", "2024-03-04"]),
        'odd "name': ["x'); DROP TABLE t; --", None, "é"],
    })  # fmt: skip


def test_a_round_trip(url):
    frame = example()
    ts.write(frame, url, table="t")
    back = ts.read(url, table="t").frame
    assert list(back) == list(frame)
    for name in ("id", "n", "x", 'odd "name'):
        assert [None if pd.isna(v) else v for v in back[name]] == [None if pd.isna(v) else v for v in frame[name]]
    assert back["flag"].astype(bool).tolist() == [True, False, True]
    assert pd.to_datetime(back["day"]).tolist() == frame["day"].tolist()


def test_moments_on_the_day_of_a_bound_are_stored(url):
    # SQLite compares text, in which a day is before its midnight.
    frame = pd.DataFrame({"at": pd.to_datetime(["2022-01-01 00:00:00", "2022-12-30 10:00:00", "2022-12-31 00:00:00"])})
    facts = {"kind": "datetime", "low": "2022-01-01", "high": "2022-12-31", "resolution": "s"}
    schema = Schema.from_dict({"columns": {"at": facts}})
    ts.write(frame, url, schema, table="t")
    assert pd.to_datetime(ts.read(url, table="t").frame["at"]).tolist() == frame["at"].tolist()
    with pytest.raises((DataError, SourceError), match="CHECK|constraint"):
        ts.write(frame + pd.Timedelta("1s"), url, schema, table="t", mode="append")
    low, high = (getattr(read_schema(url, "t")["at"], end) for end in ("low", "high"))
    assert (pd.Timestamp(low), pd.Timestamp(high)) == (pd.Timestamp("2022-01-01"), pd.Timestamp("2022-12-31"))


def test_create_append_and_replace(url):
    frame = example()
    with pytest.raises(SourceError, match=r"no table 't' to append|no such file"):
        ts.write(frame, url, table="t", mode="append")
    ts.write(frame, url, table="t")
    with pytest.raises(SourceError, match="already"):
        ts.write(frame, url, table="t")
    ts.write(frame, url, table="t", mode="append")
    assert len(ts.read(url, table="t")) == 6
    ts.write(frame[::-1], url, table="t", mode="replace")
    assert ts.read(url, table="t").frame["id"].tolist() == [3, 2, 1]


def test_columns_of_batches_are_those_of_the_whole_table():
    parts = [
        {"text": ["a", None], "number": [1, None], "late": [None, None], "price": ["1.50", None]},
        {"text": [None, None], "number": [2, 3], "late": ["b", None], "price": ["2.25", "-3"]},
    ]
    decimal = [pa.field("price", pa.string(), metadata=DECIMAL_FIELD)]
    batches = [pa.RecordBatch.from_pydict(part) for part in parts]
    schemas = [pa.schema([*list(batch.schema)[:3], *decimal]) for batch in batches]
    batches = [pa.RecordBatch.from_arrays(own.columns, schema=kind) for own, kind in zip(batches, schemas, strict=True)]
    frame = frame_of(batches)
    assert frame.dtypes.astype(str).to_dict() == {
        "text": "object", "number": "Int64", "late": "object", "price": "float64",
    }  # fmt: skip
    assert frame.astype(object).where(frame.notna(), None).to_numpy().tolist() == [
        ["a", 1, None, 1.5], [None, None, None, None], [None, 2, "b", 2.25], [None, 3, None, -3.0],
    ]  # fmt: skip
    assert frame_of([batches[0].slice(0, 0)]).shape == (0, 4)
    assert frame_of([]).empty


def test_a_failed_write_changes_nothing(url):
    schema = Schema({"a": Numeric(name="a", low=0), "s": Categorical(name="s", values=("x", "it's"))})
    ts.write(pd.DataFrame({"a": [1.5], "s": ["x"]}), url, schema, table="t")
    rows = pd.DataFrame({"a": [2.0, -1.0], "s": ["it's", "x"]})
    for mode in ("append", "replace"):
        with pytest.raises(SourceError, match="(?i)check"):
            ts.write(rows, url, schema, table="t", mode=mode)
    with pytest.raises(SourceError, match="(?i)check"):
        ts.write(rows, url, schema, table="new")
    assert ts.read(url, table="t").frame["a"].tolist() == [1.5]
    with pytest.raises(SourceError, match="no table 'new'"):
        ts.read(url, table="new")


def test_a_query(url):
    ts.write(example(), url, table="t")
    assert ts.read(url, query="SELECT id * 2 AS twice FROM t ORDER BY id;").frame["twice"].tolist() == [2, 4, 6]
    with pytest.raises(DataError, match="duplicate column names"):
        ts.read(url, query="SELECT id, id FROM t")
    with pytest.raises(SourceError):
        ts.read(url, query="SELECT nothing FROM t")


def test_the_declared_schema(url):
    ts.write(example(), url, table="parent")
    statement = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n DECIMAL(8,2) NOT NULL CHECK (n >= 0 AND n < 10), "
        "s VARCHAR(3) CHECK (s IN ('a', 'b''c')), b BOOLEAN, d DATE)"
    )
    path = url.partition("///")[2]
    if url.startswith("duckdb"):
        with duckdb.connect(path) as connection:
            connection.execute(statement)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute(statement)
        connection.close()
    schema = read_schema(url, "t")
    assert [column.kind for column in schema.values()] == [
        "identifier",
        "numeric",
        "categorical",
        "boolean",
        "datetime",
    ]
    assert (schema["n"].low, schema["n"].high, schema["n"].nullable) == (0, 9.99, False)
    assert schema["s"].values == ("a", "b'c")
    assert schema.sdv["primary_key"] == "id"


def test_sqlite_types_that_are_mixed_are_refused(tmp_path):
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [(1,), ("x",)])
    connection.close()
    with pytest.raises(DataError, match="column 'a' mixes int and str"):
        ts.read(f"sqlite:///{tmp_path}/x.db", table="t")


def test_duckdb_reads_no_other_file_and_loads_no_extension(tmp_path):
    url = f"duckdb:///{tmp_path}/x.duckdb"
    (tmp_path / "secret.csv").write_text("a\n1\n")
    ts.write(pd.DataFrame({"a": [1]}), url, table="t")
    for query in (f"SELECT * FROM '{tmp_path}/secret.csv'", f"SELECT * FROM read_csv('{tmp_path}/secret.csv')"):
        with pytest.raises(SourceError):
            ts.read(url, query=query)


def test_duckdb_types(tmp_path):
    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE t (e ENUM ('a', 'it''s'), n DECIMAL(30,10), i INTERVAL, u UUID, l INTEGER[], b BLOB, "
            "tz TIMESTAMP WITH TIME ZONE, time TIME); INSERT INTO t VALUES ('it''s', 12345678901234567890.0123456789, "
            "INTERVAL 90 MINUTE, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', [1, NULL], '\\x01'::BLOB, "
            "'2024-01-02 03:04:05+00', '01:02:03')"
        )
    url = f"duckdb:///{tmp_path}/x.duckdb"
    table = ts.read(url, table="t")
    assert table.frame.iloc[0, :4].tolist() == [
        "it's", Decimal("12345678901234567890.0123456789"), 5400.0, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ]  # fmt: skip
    ts.write(table, url, table="copy")
    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        assert connection.execute("SELECT count(*) FROM (FROM t INTERSECT FROM copy)").fetchall() == [(1,)]
        types = "SELECT data_type FROM duckdb_columns() WHERE table_name = ?"
        assert connection.execute(types, ["t"]).fetchall() == connection.execute(types, ["copy"]).fetchall()


def test_a_file_is_not_made_by_reading(url, tmp_path):
    if url.startswith("sqlite+"):
        pytest.skip("SQLAlchemy's driver makes the file itself")
    with pytest.raises(SourceError, match="no such file"):
        ts.read(url, table="t")
    assert not list(tmp_path.iterdir())


def test_options_of_files_and_databases_do_not_mix(url, tmp_path):
    ts.write(example(), url, table="t")
    with pytest.raises(SourceError, match="'separator' is for files"):
        ts.read(url, table="t", separator=";")
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(SourceError, match="is a file"):
        ts.read(tmp_path / "t.csv", table="t")
    with pytest.raises(SourceError, match="is a file"):
        ts.write(example(), tmp_path / "t.csv", mode="append")
    with pytest.raises(SourceError, match="mode must be one of"):
        ts.write(example(), url, table="t", mode="upsert")
    with pytest.raises(SourceError, match="both name a table"):
        ts.read(f"{url}#t", table="t")


def test_many_rows(url):
    frame = pd.DataFrame({"a": np.arange(80_000), "s": np.where(np.arange(80_000) % 3, "x", None)})
    ts.write(frame, url, table="t")
    back = ts.read(url, table="t").frame
    assert back["a"].sum() == frame["a"].sum()
    assert back["s"].isna().sum() == frame["s"].isna().sum()
