"""Schemas that a database declares: kinds, keys, checks, enums and links."""

from __future__ import annotations

import pytest

import tabsynth as ts
from tabsynth.data.sql import database_schema, read_schema
from tabsynth.data.sql.check_expressions import Bound, Membership, parse_check
from tabsynth.errors import SourceError
from tabsynth.schema.database.database_schema import ForeignKey

CLINIC = """
CREATE TYPE ward AS ENUM ('a', 'b');
CREATE TABLE persons (id bigint PRIMARY KEY, email text UNIQUE, born date CHECK (born >= '1900-01-01'),
  ward ward NOT NULL, height real CHECK (height > 0 AND height < 300), parent bigint REFERENCES persons);
CREATE TABLE visits (id uuid PRIMARY KEY, person bigint NOT NULL REFERENCES persons (id), start timestamptz,
  stop timestamptz, cost numeric(8,2) CHECK (cost BETWEEN 0 AND 1000),
  stars smallint CHECK (stars IN (1, 2, 3)), CHECK (stop > start));
CREATE TABLE tags (visit uuid REFERENCES visits, tag text, PRIMARY KEY (visit, tag));
"""


def test_the_schema_of_a_table_reads_no_row(database):
    server, name, url = database
    server.psql(CLINIC, name)
    persons, visits = read_schema(url, "persons"), read_schema(f"{url}#visits")
    assert [c.kind for c in persons.values()] == [
        "identifier", "identifier", "datetime", "categorical", "numeric", "identifier",
    ]  # fmt: skip
    assert persons["born"].low == "1900-01-01"
    assert persons["ward"].values == ("a", "b")
    assert 0 < persons["height"].low < 1e-300
    assert 299.9 < persons["height"].high < 300
    assert persons.sdv["primary_key"] == "id"
    assert (visits["cost"].low, visits["cost"].high, visits["cost"].decimals) == (0, 1000, 2)
    assert visits["stars"].values == (1, 2, 3)
    assert visits["id"].pattern
    assert [c.to_dict() for c in visits.constraints] == [
        {"kind": "inequality", "low": "start", "high": "stop", "strict": True}
    ]


def test_what_the_database_does_not_say_is_a_question_and_not_declared(database):
    server, name, url = database
    server.psql("CREATE TABLE t (a text, b integer)", name)
    schema = read_schema(url, "t")
    assert schema["a"].origin == "inferred"
    assert "a" in schema.questions
    assert schema["b"].origin == "declared"
    assert "b" not in schema.questions


def test_a_table_that_is_read_has_the_declared_facts(database):
    server, name, url = database
    server.psql(CLINIC + "INSERT INTO persons VALUES (1, 'x', '1950-01-01', 'a', 170), (2, 'y', NULL, 'b', 180)", name)
    schema = ts.read(url, table="persons").schema
    assert schema["ward"].values == ("a", "b")
    assert schema["ward"].origin == "declared"
    assert schema["id"].kind == "identifier"
    assert schema["id"].sql_type == "bigint"
    assert schema["height"].high < 300
    assert schema["height"].nullable
    assert not schema["ward"].nullable


def test_the_schema_of_a_database_has_keys_and_links(database):
    server, name, url = database
    server.psql(CLINIC, name)
    found = database_schema(url)
    assert set(found.tables) == {"persons", "visits", "tags"}
    assert found.primary_keys == {"persons": "id", "visits": "id"}
    assert found.composite_keys == {"tags": ("visit", "tag")}
    assert set(found.foreign_keys) == {
        ForeignKey("persons", "parent", "persons"), ForeignKey("visits", "person", "persons"),
        ForeignKey("tags", "visit", "visits"),
    }  # fmt: skip
    assert set(database_schema(url, ["persons"]).tables) == {"persons"}
    with pytest.raises(SourceError, match="no table 'x'"):
        database_schema(url, ["x"])


@pytest.mark.parametrize(
    ("expression", "facts"),
    [
        ("(a >= 0)", [Bound("a", ">=", 0)]),
        ("0 < a", [Bound("a", ">", 0)]),
        ("((n2 >= (0)::numeric) AND (n2 <= 99.5))", [Bound("n2", ">=", 0), Bound("n2", "<=", 99.5)]),
        ("a BETWEEN -1 AND 1e3", [Bound("a", ">=", -1), Bound("a", "<=", 1000.0)]),
        ("(a >= '-5'::integer)", [Bound("a", ">=", "-5")]),
        ("((vc)::text = ANY ((ARRAY['a'::character varying, 'it''s'::character varying])::text[]))",
         [Membership("vc", ("a", "it's"))]),
        ("s IN ('a', 'b')", [Membership("s", ("a", "b"))]),
        ("s = 'a'", [Membership("s", ("a",))]),
        ('("odd ""name" > 1)', [Bound('odd "name', ">", 1)]),
        ("(d >= '2020-01-01'::date)", [Bound("d", ">=", "2020-01-01")]),
        ("(start <= stop)", [Bound("start", "<=", other="stop")]),
        ("a > 0 OR b > 0", []), ("length(s) > 3", []), ("NOT (a > 0)", []), ("a <> 1", []), ("a + 1 > 0", []),
        ("s ~ 'x'", []), ("", []), ("(" * 5000, []), ("a IS NULL", []), ("1 > 0", []), ("'a", []),
    ],
)  # fmt: skip
def test_check_expressions(expression, facts):
    assert parse_check(expression) == facts
