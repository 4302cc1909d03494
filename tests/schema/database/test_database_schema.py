"""The schema of a database: checks, order of tables, proposals, SDV metadata and plain data."""

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
    with pytest.raises(SchemaError, match="circle"):
        DatabaseSchema(schemas, {"a": "id", "b": "id"}, links)
