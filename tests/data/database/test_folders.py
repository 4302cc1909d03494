"""Folders of tables: accepted and refused content, and atomic replacement."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tabsynth.data.database.folders import (
    check_folder_output,
    holds_linked_tables,
    read_folder,
    replace_folder,
    table_files,
    write_folder,
)
from tabsynth.errors import DataError, SchemaError, SourceError


def tables() -> dict[str, pd.DataFrame]:
    people = pd.DataFrame({"person_id": [f"P{i:04d}" for i in range(40)], "sex": ["f", "m"] * 20})
    visits = pd.DataFrame({"visit_id": range(1, 121), "person_id": [f"P{i % 40:04d}" for i in range(120)]})
    visits["day"] = pd.date_range("2020-01-01", periods=120, freq="D")
    return {"people": people, "visits": visits}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_folder_keeps_tables_and_types(tmp_path: Path, kind: str) -> None:
    write_folder(tables(), tmp_path / "clinic", format=kind)
    frames, schema = read_folder(tmp_path / "clinic")
    assert schema.primary_keys == {"people": "person_id", "visits": "visit_id"}
    assert schema.order == {"visits": "day"}
    again, _ = read_folder(tmp_path / "clinic", schema)
    for name, frame in tables().items():
        pd.testing.assert_frame_equal(frames[name], frame, check_dtype=False)
        pd.testing.assert_frame_equal(again[name], frame, check_dtype=False)


def test_other_files_and_hidden_ones_are_no_tables(tmp_path: Path) -> None:
    write_folder(tables(), tmp_path / "clinic")
    for name in ("notes.txt", ".people.csv", "~$people.xlsx"):
        (tmp_path / "clinic" / name).write_text("x")
    assert list(table_files(tmp_path / "clinic")) == ["people", "visits"]


@pytest.mark.parametrize("name", ["9" * 400, "a\0b"])
def test_a_name_that_no_file_can_have_is_no_folder(name: str, tmp_path: Path) -> None:
    assert not holds_linked_tables(tmp_path / name)
    with pytest.raises(SourceError, match="is not a folder of tables"):
        table_files(tmp_path / name)


def test_two_files_of_one_table_are_refused(tmp_path: Path) -> None:
    write_folder(tables(), tmp_path / "clinic")
    (tmp_path / "clinic" / "people.csv").write_text("a\n1\n")
    with pytest.raises(SourceError, match="both the table 'people'"):
        table_files(tmp_path / "clinic")


def test_a_table_of_the_schema_must_be_there(tmp_path: Path) -> None:
    write_folder(tables(), tmp_path / "clinic")
    _, schema = read_folder(tmp_path / "clinic")
    (tmp_path / "clinic" / "visits.parquet").unlink()
    with pytest.raises(SourceError, match="has no tables 'visits'"):
        read_folder(tmp_path / "clinic", schema)


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no tables"):
        read_folder(tmp_path)


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    write_folder(tables(), tmp_path / "out")
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(SourceError, match=r"thesis.txt"):
        write_folder(tables(), tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_an_earlier_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_folder(tables(), tmp_path / "out", format="csv")
    write_folder({"people": tables()["people"].head(3), "visits": tables()["visits"]}, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["people.parquet", "visits.parquet"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_the_earlier_folder(tmp_path: Path) -> None:
    write_folder(tables(), tmp_path / "out", format="csv")
    with pytest.raises(KeyboardInterrupt), replace_folder(tmp_path / "out") as aside:
        (aside / "people.csv").write_text("half a ta")
        raise KeyboardInterrupt
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["people.csv", "visits.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(SourceError, match="a file of this name exists"):
        check_folder_output(tmp_path / "out", ("people",), "csv")


def test_a_table_that_does_not_fit_the_schema_is_named(tmp_path: Path) -> None:
    write_folder(tables(), tmp_path / "clinic")
    _, schema = read_folder(tmp_path / "clinic")
    write_folder(
        {"people": tables()["people"].rename(columns={"sex": "gender"}), "visits": tables()["visits"]}, tmp_path / "b"
    )
    with pytest.raises(SchemaError, match="sex"):
        read_folder(tmp_path / "b", schema)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_without_rows_is_read_by_its_schema(tmp_path: Path, kind: str) -> None:
    write_folder(tables(), tmp_path / "clinic")
    _, schema = read_folder(tmp_path / "clinic")
    write_folder({"people": tables()["people"], "visits": tables()["visits"].head(0)}, tmp_path / "b", format=kind)
    frames, _ = read_folder(tmp_path / "b", schema)
    assert len(frames["visits"]) == 0
    assert list(frames["visits"]) == list(tables()["visits"])
    assert frames["visits"].day.dtype.kind == "M"
    with pytest.raises(DataError, match="no rows"):
        read_folder(tmp_path / "b")


def test_a_table_in_parts_is_no_database(tmp_path: Path) -> None:
    write_folder({"part-0": tables()["people"], "part-1": tables()["people"]}, tmp_path / "parts")
    write_folder(tables(), tmp_path / "linked")
    write_folder(tables(), tmp_path / "csv", format="csv")
    (tmp_path / "hive" / "year=2020").mkdir(parents=True)
    assert not holds_linked_tables(tmp_path / "parts")
    assert not holds_linked_tables(tmp_path / "hive")
    assert not holds_linked_tables(tmp_path / "linked" / "people.parquet")
    assert holds_linked_tables(tmp_path / "linked")
    assert holds_linked_tables(tmp_path / "csv")


def test_tables_of_formats_that_are_not_read_are_named(tmp_path: Path) -> None:
    write_folder(tables(), tmp_path / "clinic")
    for name in ("labs.xls", "old.csv.zip"):
        (tmp_path / "clinic" / name).write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"'labs\.xls', 'old\.csv\.zip' in .* are not read; save them as CSV"):
        frames, _ = read_folder(tmp_path / "clinic")
    assert list(frames) == ["people", "visits"]


@pytest.mark.parametrize("name", ["", ".", "..", ".people", "~people", "a/b", "a\0b"])
def test_names_of_tables_that_would_not_be_read_again_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="no file can be named after"):
        write_folder({name: tables()["people"]}, tmp_path / "clinic")
    assert not (tmp_path / "clinic").exists()
