"""PostgreSQL as a source and a target: types, definitions, modes of writing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.data.sql import read_schema
from tabsynth.errors import DataError, SourceError
from tabsynth.synthesizers.registry import create

EVERY_TYPE = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TABLE parent (id bigint PRIMARY KEY);
INSERT INTO parent VALUES (1), (2);
CREATE TABLE t (
  id integer PRIMARY KEY, b boolean NOT NULL, i2 smallint, i8 bigint, n numeric, n2 numeric(10,2) CHECK (n2 >= 0),
  long numeric(30,10), m money, f4 real, f8 double precision, s text NOT NULL CHECK (s IN ('x', 'y''s')),
  vc varchar(10), ch char(3), "by" bytea, d date CHECK (d >= '2000-01-01'), ts timestamp, tz timestamptz, ti time,
  iv interval, u uuid, j json, jb jsonb, e mood, a integer[], texts text[], ip inet, parent bigint REFERENCES parent,
  po positive, "Odd ""name" text, CHECK (f4 <= f8)
);
INSERT INTO t VALUES (1, true, 1, 9007199254740993, 1.50, 2.25, 12345678901234567890.0123456789, '$12.34', 1.5, 2.5,
  'x', 'vv', 'ab', '\\x01ff', '2024-01-02', '2024-01-02 03:04:05.678901', '2024-01-02 03:04:05+02', '01:02:03.5',
  '1 mon 2 days 3.5 seconds', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a":1}', '{"b": [1, null]}', 'it''s',
  '{1,NULL,3}', '{a,"b,c",NULL}', '1.2.3.4', 1, 5, 'odd');
INSERT INTO t (id, b, s) VALUES (2, false, 'y''s');
"""

DEFINITION = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute a
WHERE a.attrelid = '{0}'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '{0}'::regclass AND contype IN ('p', 'c')
ORDER BY 1;
"""


def test_rows_of_every_type_survive_a_round_trip(database):
    server, name, url = database
    server.psql(EVERY_TYPE, name)
    table = ts.read(url, table="t")
    ts.write(table, url, table="copy")
    assert server.psql("SELECT * FROM copy ORDER BY id", name) == server.psql(
        # An interval is read as seconds, with which it is equal for PostgreSQL.
        "SELECT id,b,i2,i8,trim_scale(n),n2,long,m,f4,f8,s,vc,ch,by,d,ts,tz,ti,"
        "make_interval(secs => extract(epoch FROM iv)),"
        'u,j,jb,e,a,texts,ip,parent,po,"Odd ""name" FROM t ORDER BY id',
        name,
    )
    assert server.psql("SELECT count(*) FROM t JOIN copy USING (id) WHERE t.iv = copy.iv", name) == "1"


def test_a_written_table_has_the_types_not_null_keys_and_checks_of_the_one_that_was_read(database):
    server, name, url = database
    server.psql(EVERY_TYPE + "ALTER TABLE t DROP COLUMN po", name)
    ts.write(ts.read(url, table="t"), url, table="copy")
    copied, original = (server.psql(DEFINITION.format(table), name).splitlines() for table in ("copy", "t"))
    columns = [line for line in original if "|" in line]
    assert copied[: len(columns)] == columns
    said = "\n".join(copied[len(columns) :])
    for part in ("PRIMARY KEY (id)", "n2 >=", "s = ANY", "d >= '2000-01-01'", "f4 <= f8"):
        assert part in said


def test_the_definition_goes_through_a_model_to_the_synthetic_table(database):
    server, name, url = database
    rng = np.random.default_rng(0)
    rows = ",".join(f"({i}, {x:.2f}, '{'xy'[i % 2]}')" for i, x in enumerate(rng.uniform(0, 9, 80)))
    server.psql(
        "CREATE TABLE p (id bigint PRIMARY KEY, price numeric(8,2) NOT NULL CHECK (price >= 0 AND price <= 9),"
        f"code varchar(1) NOT NULL CHECK (code IN ('x','y'))); INSERT INTO p VALUES {rows}",
        name,
    )
    model = create("marginal").fit(ts.read(url, table="p"), seed=0)
    ts.write(model.sample(50, seed=0), url, model.schema_, table="synthetic")
    assert server.psql(DEFINITION.format("synthetic"), name).startswith(
        "id|bigint|t\nprice|numeric(8,2)|t\ncode|character varying(1)|t"
    )
    assert server.psql("SELECT count(*), count(DISTINCT id) FROM synthetic", name) == "50|50"


def test_a_query_is_a_source_and_changes_nothing(database):
    server, name, url = database
    server.psql("CREATE TABLE t (a integer, s text); INSERT INTO t VALUES (1, 'x'), (2, NULL)", name)
    table = ts.read(url, query="SELECT a * 2 AS double, s FROM t ORDER BY a -- a comment")
    assert table.frame["double"].tolist() == [2, 4]
    server.psql("CREATE SEQUENCE s", name)
    with pytest.raises(SourceError, match="read-only"):
        ts.read(url, query="SELECT nextval('s')")
    with pytest.raises(SourceError):
        ts.read(url, query="SELECT 1) AS q; DROP TABLE t; --")
    with pytest.raises(DataError, match="duplicate column names: 'a'"):
        ts.read(url, query="SELECT a, a FROM t")
    assert server.psql("SELECT count(*) FROM t", name) == "2"


def test_a_type_without_a_rule_is_refused_by_name(database):
    server, name, url = database
    server.psql("CREATE TABLE t (a integer, place point); INSERT INTO t VALUES (1, '(1,2)')", name)
    with pytest.raises(DataError, match=r"column 'place' is of the type point.*::text"):
        ts.read(url, table="t")
    assert ts.read(url, query='SELECT a, "place"::text FROM t').frame["place"].tolist() == ["(1,2)"]


@pytest.mark.parametrize("odd", ['x"; DROP TABLE t; --', "a b", "select", "ä.b", "%s", "$1"])
def test_names_are_quoted(database, odd):
    server, name, url = database
    quoted = '"' + odd.replace('"', '""') + '"'
    frame = pd.DataFrame({odd: [1, 2], "t": ["x'); DROP TABLE t; --", "y"]})
    ts.write(frame, url, table=quoted)
    assert (
        server.psql("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace", name)
        == odd
    )
    pd.testing.assert_frame_equal(ts.read(url, table=quoted).frame, frame, check_dtype=False)


def test_a_table_may_be_in_a_named_schema_and_named_by_the_url(database):
    server, name, url = database
    server.psql("CREATE SCHEMA clinic", name)
    ts.write(pd.DataFrame({"a": [1, 2]}), f"{url}#clinic.t")
    assert len(ts.read(url, table="clinic.t")) == 2
    with pytest.raises(SourceError, match="no table 't'"):
        ts.read(url, table="t")


def test_create_append_and_replace(database):
    server, name, url = database
    frame = pd.DataFrame({"a": [1, 2], "s": ["x", None]})
    with pytest.raises(SourceError, match="no table 't' to append to"):
        ts.write(frame, url, table="t", mode="append")
    ts.write(frame, url, table="t")
    with pytest.raises(SourceError, match="already"):
        ts.write(frame, url, table="t")
    ts.write(frame, url, table="t", mode="append")
    assert server.psql("SELECT count(*) FROM t", name) == "4"
    ts.write(frame, url, table="t", mode="replace")
    ts.write(frame.rename(columns={"s": "z"}), url, table="t", mode="replace")
    assert server.psql("SELECT count(*), max(z) FROM t", name) == "2|x"


def test_replacing_keeps_definition_sequence_owner_privileges_and_foreign_keys(database):
    server, name, url = database
    server.psql(
        "CREATE TABLE parent (id bigint PRIMARY KEY); INSERT INTO parent VALUES (1);"
        "DROP ROLE IF EXISTS reader; CREATE ROLE reader; DROP ROLE IF EXISTS owner; CREATE ROLE owner;"
        "CREATE TABLE t (id serial PRIMARY KEY, always integer GENERATED ALWAYS AS IDENTITY, n numeric(6,1) NOT NULL "
        "DEFAULT 5 CHECK (n > 0), twice numeric GENERATED ALWAYS AS (n * 2) STORED, p bigint REFERENCES parent);"
        "CREATE INDEX ON t (n); GRANT SELECT ON t TO reader; GRANT ALL ON SCHEMA public TO owner;"
        "ALTER TABLE t OWNER TO owner; INSERT INTO t (n, p) VALUES (1, 1)",
        name,
    )
    before = server.psql(DEFINITION.format("t"), name)
    frame = pd.DataFrame({"id": [7, 8], "always": [1, 2], "n": [1.5, 2.5], "p": [1, 1]})
    ts.write(frame, url, table="t", mode="replace")
    assert server.psql(DEFINITION.format("t"), name) == before
    assert server.psql("SELECT id, n, twice, p FROM t ORDER BY id", name) == "7|1.5|3.0|1\n8|2.5|5.0|1"
    assert server.psql("INSERT INTO t (p) VALUES (1) RETURNING id, n", name) == "2|5.0"
    kept = "SELECT has_table_privilege('reader', 't', 'SELECT'), pg_get_userbyid(relowner), (SELECT count(*) FROM "
    kept += "pg_constraint WHERE conrelid = 't'::regclass AND contype = 'f') FROM pg_class WHERE relname = 't'"
    assert server.psql(kept, name) == "t|owner|1"
    server.psql("DROP TABLE t; DROP OWNED BY owner, reader; DROP ROLE owner, reader", name)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("CREATE TABLE child (t integer REFERENCES t)", "other tables refer to it"),
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "policies"),
        ("CREATE VIEW v AS SELECT * FROM t", "depend"),
    ],
)
def test_a_table_that_would_lose_something_is_not_replaced(database, more, said):
    server, name, url = database
    server.psql(f"CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1); {more}", name)
    with pytest.raises(SourceError, match=said):
        ts.write(pd.DataFrame({"id": [2]}), url, table="t", mode="replace")
    assert server.psql("SELECT id FROM t", name) == "1"


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("a integer", [1.0, 2.5], "not whole"),
        ("a smallint", [1, 40_000], "out of range"),
        ("a varchar(2)", ["ab", "abc"], "too long"),
        ("a integer NOT NULL", [1, None], "not-null"),
        ("a integer CHECK (a > 1)", [2, 1], "check constraint"),
        ("a date", ["2024-02-30", "x"], "date"),
    ],
)
def test_what_a_column_cannot_hold_is_an_error_and_leaves_the_table_as_it_was(database, column, values, said):
    server, name, url = database
    server.psql(f"CREATE TABLE t ({column})", name)
    with pytest.raises((SourceError, DataError), match=said):
        ts.write(pd.DataFrame({"a": values}), url, table="t", mode="append")
    assert server.psql("SELECT count(*) FROM t", name) == "0"


def test_many_rows_are_read_and_written_in_parts(database):
    server, name, url = database
    frame = pd.DataFrame({"a": np.arange(150_000), "s": np.where(np.arange(150_000) % 3, "x", None)})
    ts.write(frame, url, table="t")
    table = ts.read(url, table="t")
    assert server.psql("SELECT count(*), sum(a), count(s) FROM t", name) == f"150000|{frame['a'].sum()}|100000"
    assert table.frame["a"].sum() == frame["a"].sum()
    assert table.frame["s"].notna().sum() == 100_000


def test_an_empty_table_is_refused(database):
    server, name, url = database
    server.psql("CREATE TABLE t (a integer)", name)
    with pytest.raises(DataError, match="no rows"):
        ts.read(url, table="t")
    assert read_schema(url, "t")["a"].kind == "numeric"
