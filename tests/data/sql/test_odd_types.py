"""Values and types of databases that need care: zones, computed columns, and text that only one type accepts."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tabsynth as ts
from tabsynth.errors import DataError

TYPES = {
    "timetz": "timetz '10:00+02' + i * interval '1 minute'",
    "inet": "('10.0.0.' || i)::inet",
    "cidr": "('10.0.' || i || '.0/24')::cidr",
    "macaddr": "('08:00:2b:01:02:' || i + 10)::macaddr",
    "int[]": "ARRAY[i, i + 1]",
    "jsonb": "jsonb_build_object('a', i)",
}


def sqlite_file(path: Path, type: str, expression: str) -> str:
    """Create a table ``t`` with a column ``x`` of 60 values, and return the URL."""
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE t (n INTEGER, x {type})")
        numbers = "WITH RECURSIVE r(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM r WHERE i < 59)"
        connection.execute(f"INSERT INTO t {numbers} SELECT i % 7, {expression} FROM r")
    connection.close()
    return f"sqlite:///{path}"


def synthesize(url: str) -> tuple[ts.MarginalSynthesizer, pd.DataFrame]:
    model = ts.MarginalSynthesizer(components=2).fit(ts.read(url, table="t"), seed=0)
    return model, model.sample(50, seed=1)


def test_text_of_a_zone_keeps_its_offset_in_a_database(tmp_path):
    expression = "'2020-01-01 10:' || printf('%02d', i % 60) || ':00+02:00'"
    url = sqlite_file(tmp_path / "a.db", "TIMESTAMP WITH TIME ZONE", expression)
    model, rows = synthesize(url)
    ts.write(rows, url, model.schema_, table="t2")
    assert ts.read(url, table="t2").frame["x"].tolist() == rows["x"].tolist()


def test_text_of_a_zone_is_the_same_moment_in_postgresql(database):
    moments = pd.Series([f"2020-01-01T10:{i:02d}:00+02:00" for i in range(60)])
    frame = pd.DataFrame({"x": moments, "z": moments.str.replace("+02:00", "Z")})
    server, name, url = database
    server.psql(f"ALTER DATABASE {name} SET timezone TO 'America/New_York'")
    ts.write(frame, url, ts.Schema.infer(frame), table="t")
    read = ts.read(url, table="t").frame
    for name in frame:
        assert (read[name] == pd.to_datetime(frame[name])).all()


def test_values_that_are_no_booleans_or_other_uuids_keep_their_kind_and_form(tmp_path):
    flags = ts.read(sqlite_file(tmp_path / "a.db", "BOOLEAN", "i % 3"), table="t")
    assert flags.schema["x"].kind == "numeric"
    _, rows = synthesize(sqlite_file(tmp_path / "b.db", "UUID", "lower(hex(randomblob(16)))"))
    assert rows["x"].str.fullmatch("[0-9a-f]{32}").all()


def test_computed_columns_are_left_out_and_stay(tmp_path):
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (n INTEGER CHECK (n >= 0), x INTEGER GENERATED ALWAYS AS (n * 2) STORED)")
        connection.executemany("INSERT INTO t (n) VALUES (?)", [(i % 7,) for i in range(60)])
    connection.close()
    url = f"sqlite:///{path}"
    model, rows = synthesize(url)
    ts.write(rows, url, model.schema_, table="t", mode="append")
    assert len(ts.read(url, table="t")) == 110
    ts.write(rows, url, model.schema_, table="t", mode="replace")
    with sqlite3.connect(path) as connection:
        assert "GENERATED" in connection.execute("SELECT sql FROM sqlite_schema WHERE name = 't'").fetchone()[0]
        assert connection.execute("SELECT count(*) FROM t WHERE x = 2 * n").fetchone() == (50,)
    connection.close()


@pytest.mark.parametrize("type", TYPES)
def test_what_takes_the_place_of_unlearned_text_fits_its_type(database, type):
    server, name, url = database
    server.psql(f"CREATE TABLE t (n int, x {type})", name)
    server.psql(f"INSERT INTO t SELECT i % 7, {TYPES[type]} FROM generate_series(0, 59) i", name)
    model, rows = synthesize(url)
    ts.write(rows, url, model.schema_, table="t2")
    assert ts.read(url, table="t2").frame["x"].tolist() == rows["x"].tolist()


@pytest.mark.parametrize(
    ("type", "empty"), [("FLOAT[3]", (None,) * 3), ("INTEGER[2][]", []), ("INTEGER[][2]", (None,) * 2)]
)
def test_arrays_of_fixed_length_keep_their_type_in_duckdb(tmp_path, type, empty):
    value = {"FLOAT[3]": "[i, 1, 2]", "INTEGER[2][]": "[[i, 1]]", "INTEGER[][2]": "[[i], [1]]"}[type]
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE TABLE t (n INTEGER, x {type})")
        connection.execute(f"INSERT INTO t SELECT i % 7, {value} FROM range(60) AS r(i)")
    model, rows = synthesize(f"duckdb:///{path}")
    ts.write(rows, f"duckdb:///{path}", model.schema_, table="t2")
    with duckdb.connect(str(path)) as connection:
        assert [row[1] for row in connection.execute("DESCRIBE t2").fetchall()] == ["INTEGER", type]
        assert connection.execute("SELECT DISTINCT x FROM t2").fetchall() == [(empty,)]


def test_lists_and_json_of_duckdb_are_written_again(tmp_path):
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT i AS n, [i, i + 1] AS x, ('{\"a\":' || i || '}')::JSON AS y FROM range(60) r(i)"
        )
    model, rows = synthesize(f"duckdb:///{path}")
    ts.write(rows, f"duckdb:///{path}", model.schema_, table="t2")
    read = ts.read(f"duckdb:///{path}", table="t2").frame
    assert read[["x", "y"]].to_numpy().tolist() == rows[["x", "y"]].to_numpy().tolist()


def test_types_that_are_not_read_are_named(database, tmp_path):
    server, name, url = database
    server.psql("CREATE TABLE t AS SELECT int4range(1, 5) AS x", name)
    with pytest.raises(DataError, match="'x' is of the type int4range, which"):
        ts.read(url, table="t")
    with duckdb.connect(str(tmp_path / "a.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT 5::BIGNUM AS x")
    with pytest.raises(DataError, match="'x' is of the type BIGNUM, which"):
        ts.read(f"duckdb:///{tmp_path / 'a.duckdb'}", table="t")


def test_dates_that_python_cannot_represent_are_named(database, tmp_path):
    said = "'x' have dates outside the years 1 to 9999, such as 'infinity'"
    server, name, url = database
    server.psql("CREATE TABLE t AS SELECT date 'infinity' AS x", name)
    table = pa.table({"x": pa.array([-800_000], pa.date32())})
    pq.write_table(table, tmp_path / "a.parquet")
    for read in (
        lambda: ts.read(url, table="t"),
        lambda: ts.read(tmp_path / "a.parquet"),
        lambda: ts.Schema.infer(table),
    ):
        with pytest.raises(DataError, match=said):
            read()
