"""Linked tables in databases: read with their keys, written in one transaction, replaced, refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.data.database.read_write import read_database, write_database
from tabsynth.data.sql.read_write import read_frame
from tabsynth.errors import DataError, InputError, SourceError
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey


def hospital() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(0)
    patients = pd.DataFrame({"patient_id": range(1, 41), "sex": rng.choice(["f", "m"], 40)})
    patients["guardian"] = pd.array([pd.NA, *range(1, 40)], "Int64")  # a row of its own table
    owner = np.repeat(np.arange(40), 1 + rng.poisson(2, 40))
    visits = pd.DataFrame({"visit_id": range(1, len(owner) + 1), "patient_id": patients.patient_id.to_numpy()[owner]})
    visits["patient_id"] = visits.patient_id.astype(float).mask(visits.visit_id == 3)  # numpy's way of a missing key
    visits["day"] = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3000, len(owner)), unit="D")
    visits["cost"] = rng.gamma(2, 50, len(owner)).round(2)
    return {"patients": patients, "visits": visits}


def links() -> tuple[ForeignKey, ...]:
    return ForeignKey("visits", "patient_id", "patients"), ForeignKey("patients", "guardian", "patients")


@pytest.fixture
def schema() -> DatabaseSchema:
    proposed = DatabaseSchema.infer(hospital())
    keys = {"patients": "patient_id", "visits": "visit_id"}
    return DatabaseSchema(proposed.tables, keys, links(), {"visits": "day"})


@pytest.fixture(params=["sqlite", "duckdb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    pytest.importorskip("duckdb")
    return f"{request.param}:///{tmp_path}/clinic.db"


def rows(url: str, name: str) -> pd.DataFrame:
    key = {"patients": "patient_id", "visits": "visit_id"}[name]
    return read_frame(url, table=name)[0].sort_values(key, ignore_index=True)


def test_a_round_trip_keeps_rows_keys_and_links(url: str, schema: DatabaseSchema) -> None:
    write_database(hospital(), url, schema)
    tables, found = read_database(url)
    assert found.primary_keys == schema.primary_keys
    assert set(found.foreign_keys) == set(schema.foreign_keys)
    assert found.main_key("visits") == links()[0]
    assert found.order == {"visits": "day"}
    tables["visits"]["day"] = pd.to_datetime(tables["visits"]["day"])  # SQLite has dates as text
    for name, frame in hospital().items():
        pd.testing.assert_frame_equal(tables[name], frame, check_dtype=False)
    again, same = read_database(url, found, ["patients", "visits"])
    assert same is found
    assert again["visits"]["patient_id"].isna().sum() == 1


def test_replacing_keeps_definitions_and_a_failure_keeps_the_rows(url: str, schema: DatabaseSchema) -> None:
    tables = hospital()
    write_database(tables, url, schema)
    fewer = {"patients": tables["patients"].head(10), "visits": tables["visits"].query("patient_id <= 10")}
    write_database(fewer, url, schema, "replace")
    assert len(rows(url, "patients")) == 10
    assert set(read_database(url)[1].foreign_keys) == set(links())
    repeated = {**tables, "visits": tables["visits"].assign(visit_id=1)}
    with pytest.raises(SourceError, match="cannot write the table 'visits'"):
        write_database(repeated, url, schema, "replace")
    assert len(rows(url, "patients")) == 10
    with pytest.raises(SourceError, match=r"has the tables 'patients', 'visits' already; write with mode='replace'"):
        write_database(tables, url, schema)
    with pytest.raises(DataError, match="only in the database: 'cost'; only in the rows: none"):
        write_database({**tables, "visits": tables["visits"].drop(columns="cost")}, url, schema, "replace")
    assert len(rows(url, "patients")) == 10


def test_a_write_with_a_token_is_made_once(url: str, schema: DatabaseSchema) -> None:
    tables = hospital()
    write_database(tables, url, schema, "replace", token="a")
    fewer = {name: frame.head(5) for name, frame in tables.items()}
    write_database(fewer, url, schema, "replace", token="a")
    assert len(rows(url, "patients")) == 40
    write_database({**tables, "patients": tables["patients"]}, url, schema, "replace", token="b")
    assert sorted(read_frame(url, table="tabsynth_writes")[0]["token"]) == ["a", "b"]
    assert sorted(read_database(url)[0]) == ["patients", "visits"]


def test_refusals(tmp_path: Path, schema: DatabaseSchema) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    with sqlite3.connect(tmp_path / "one.db") as connection:
        connection.execute("CREATE TABLE people (x INTEGER)")
        connection.execute("INSERT INTO people VALUES (1)")
    with pytest.raises(SourceError, match="has one table; name it: .*#people"):
        read_database(url)
    with sqlite3.connect(tmp_path / "one.db") as connection:
        connection.execute("CREATE TABLE visits (x INTEGER)")
    with pytest.raises(InputError, match="the tables 'visits' have no rows"):
        read_database(url)
    with pytest.raises(SourceError, match="has no table 'patients'"):
        read_database(url, schema)
    with pytest.raises(SourceError, match="names a table"):
        write_database(hospital(), f"{url}#people", schema)
