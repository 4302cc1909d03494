"""The schema of a database: checks, order of tables, proposals, SDV metadata and plain data."""

from pathlib import Path

import pandas as pd
import pytest

from tabsynth.errors import SchemaError
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema


def tables() -> dict[str, pd.DataFrame]:
    people = pd.DataFrame({"person_id": [f"P{i:04d}" for i in range(60)], "sex": ["f", "m"] * 30})
    days = pd.date_range("2020-01-01", periods=180, freq="D")
    visits = pd.DataFrame(
        {"visit_id": range(1000, 1180), "person_id": [f"P{i % 60:04d}" for i in range(180)], "day": days, "ward": "a"}
    )
    drugs = pd.DataFrame({"visit_id": [1000 + i % 90 for i in range(270)], "dose": [0.5, 1.0, 2.0] * 90})
    return {"drugs": drugs, "visits": visits, "people": people}


def test_keys_links_and_order_are_proposed() -> None:
    schema = DatabaseSchema.infer(tables())
    assert schema.primary_keys == {"visits": "visit_id", "people": "person_id"}
    assert [(k.table, k.column, k.parent) for k in schema.foreign_keys] == [
        ("drugs", "visit_id", "visits"),
        ("visits", "person_id", "people"),
    ]
    assert schema.order == {"visits": "day"}
    assert schema.sorted_tables == ("people", "visits", "drugs")
    assert schema.roots == ("people",)
    assert schema.children("people") == ("visits",)


def test_a_proposed_foreign_key_has_no_question_of_its_own() -> None:
    frames = tables()
    alone = Schema.infer(frames["visits"])["person_id"]
    linked = DatabaseSchema.infer(frames).tables["visits"]["person_id"]
    assert "does it identify persons" in alone.question
    assert linked.question == ""
    assert linked.kind == alone.kind


def test_numbers_that_happen_to_lie_among_keys_are_no_foreign_key() -> None:
    people = pd.DataFrame({"id": range(100), "children": [0, 1, 2, 3] * 25})
    visits = pd.DataFrame(
        {"id": range(300), "people_id": [i % 100 for i in range(300)], "pain": [i % 11 for i in range(300)]}
    )
    schema = DatabaseSchema.infer({"people": people, "visits": visits})
    assert [(k.table, k.column, k.parent) for k in schema.foreign_keys] == [("visits", "people_id", "people")]


def test_plain_data_and_back() -> None:
    schema = DatabaseSchema.infer(tables())
    assert DatabaseSchema.from_dict(schema.to_dict()) == schema


def test_sdv_metadata_of_several_tables() -> None:
    metadata = {
        "METADATA_SPEC_VERSION": "V1",
        "tables": {
            "people": {"primary_key": "id", "columns": {"id": {"sdtype": "id"}, "sex": {"sdtype": "categorical"}}},
            "visits": {
                "columns": {"person": {"sdtype": "id"}, "day": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"}},
                "sequence_index": "day",
            },
        },
        "relationships": [
            {
                "parent_table_name": "people",
                "parent_primary_key": "id",
                "child_table_name": "visits",
                "child_foreign_key": "person",
            }
        ],
    }
    schema = DatabaseSchema.from_sdv(metadata)
    assert schema.primary_keys == {"people": "id"}
    assert schema.foreign_keys == (ForeignKey("visits", "person", "people"),)
    assert schema.order == {"visits": "day"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"primary_keys": {"people": "nope"}}, "has no column 'nope'"),
        ({"primary_keys": {"nobody": "id"}}, "no table 'nobody'"),
        ({"primary_keys": {}}, "which has no primary key"),
        ({"foreign_keys": [{"table": "visits", "column": "x", "parent": "people"}]}, "has no column 'x'"),
        ({"foreign_keys": [{"table": "visits", "column": ["a", "b"], "parent": "people"}]}, "must be one column"),
        ({"order": {"visits": "ward"}}, "cannot order rows"),
        ({"reference": ["nobody"]}, "no table 'nobody'"),
        ({"version": 99}, "upgrade tabsynth"),
        ({"keys": {}}, "unknown keys"),
    ],
)
def test_a_faulty_schema_is_refused(change: dict[str, object], message: str) -> None:
    data = DatabaseSchema.infer(tables()).to_dict()
    with pytest.raises(SchemaError, match=message):
        DatabaseSchema.from_dict({**data, **change})


def test_a_circle_of_tables_is_refused() -> None:
    frame = pd.DataFrame({"id": [f"K{i:05d}" for i in range(60)], "other": [f"K{i:05d}" for i in range(60)]})
    schemas = {"a": Schema.infer(frame), "b": Schema.infer(frame)}
    links = (ForeignKey("a", "other", "b"), ForeignKey("b", "other", "a"))
    with pytest.raises(SchemaError, match="cycle"):
        DatabaseSchema(schemas, {"a": "id", "b": "id"}, links)


def test_composite_keys_are_kept_and_refused_as_parents() -> None:
    lines = pd.DataFrame({"order": [1, 1, 2], "line": [1, 2, 1], "price": [0.5, 1.5, 2.5]})
    schema = Schema.infer(lines)
    database = DatabaseSchema({"lines": schema}, composite_keys={"lines": ("order", "line")})
    assert DatabaseSchema.from_dict(database.to_dict()) == database
    data = {**database.to_dict(), "primary_keys": {"lines": ["order", "line"]}, "composite_keys": {}}
    assert DatabaseSchema.from_dict(data) == database
    with pytest.raises(SchemaError, match="no column 'row'"):
        DatabaseSchema({"lines": schema}, composite_keys={"lines": ("order", "row")})
    with pytest.raises(SchemaError, match="needs several columns"):
        DatabaseSchema({"lines": schema}, composite_keys={"lines": ("order", "order")})
    with pytest.raises(SchemaError, match="remove one of them"):
        DatabaseSchema({"lines": schema}, {"lines": "order"}, composite_keys={"lines": ("order", "line")})
    with pytest.raises(SchemaError, match="add a key of one column to both tables"):
        DatabaseSchema(
            {"lines": schema, "returns": schema},
            foreign_keys=(ForeignKey("returns", "order", "lines"),),
            composite_keys={"lines": ("order", "line")},
        )


def test_a_polymorphic_reference_is_refused() -> None:
    schemas = {name: Schema.infer(frame) for name, frame in tables().items()}
    links = (ForeignKey("drugs", "visit_id", "visits"), ForeignKey("drugs", "visit_id", "people"))
    with pytest.raises(SchemaError, match="polymorphic"):
        DatabaseSchema(schemas, {"visits": "visit_id", "people": "person_id"}, links)


def test_questions_name_what_a_person_should_decide() -> None:
    frames = tables()
    frames["wards"] = pd.DataFrame({"ward_id": range(101, 107), "beds": [4, 8, 4, 8, 4, 8]})
    frames["visits"]["ward_id"] = [101 + i % 6 for i in range(180)]
    frames["devices"] = pd.DataFrame({"device_id": [f"D{i:04d}" for i in range(60)]})
    frames["visits"]["end"] = frames["visits"].day + pd.Timedelta(days=1)
    frames["drugs"]["dose_no"] = [i // 90 + 1 for i in range(270)]
    frames["notes"] = pd.DataFrame(
        {
            "subject_id": [f"P{i % 15:04d}" for i in range(30)] + [f"D{i % 15:04d}" for i in range(30)],
            "text": ["x", "y", "z"] * 20,
        }
    )
    questions = DatabaseSchema.infer(frames).questions
    assert "'visit_id', 'dose_no' together do" in questions["drugs"]
    assert "or by 'end'?" in questions["visits"]
    assert "history of 'people'" in questions["visits"]
    assert "declare it in reference" in questions["wards"]
    assert "'people', 'devices'" in questions["notes.subject_id"]
    assert "no link to another table" in questions["notes"]


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_schema_file_and_back(tmp_path: Path, suffix: str) -> None:
    schema = DatabaseSchema.infer(tables())
    schema.to_json(tmp_path / f"db.{suffix}")
    again = DatabaseSchema.from_json(tmp_path / f"db.{suffix}")
    assert again.primary_keys == schema.primary_keys
    assert again.foreign_keys == schema.foreign_keys
    assert again.order == schema.order
    assert {name: list(table) for name, table in again.tables.items()} == {
        name: list(table) for name, table in schema.tables.items()
    }
    again.to_json(tmp_path / f"again.{suffix}")
    assert DatabaseSchema.from_json(tmp_path / f"again.{suffix}") == again


def test_a_schema_file_may_be_sdv_metadata(tmp_path: Path) -> None:
    (tmp_path / "sdv.json").write_text(
        '{"METADATA_SPEC_VERSION": "V1", "relationships": [], "tables": {"lines": {"primary_key": ["a", "b"], '
        '"columns": {"a": {"sdtype": "id"}, "b": {"sdtype": "id"}}}}}'
    )
    assert DatabaseSchema.from_json(tmp_path / "sdv.json").composite_keys == {"lines": ("a", "b")}


def test_a_faulty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "db.yaml").write_text("version: 1\ntables: {}\nkeys: {}\n")
    with pytest.raises(SchemaError, match=r"db.yaml.*unknown keys"):
        DatabaseSchema.from_json(tmp_path / "db.yaml")
