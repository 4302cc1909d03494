import copy
import json
import warnings

import pytest

from tabsynth.errors import SchemaError
from tabsynth.schema import Schema
from tabsynth.schema.sdv_metadata import from_sdv, to_sdv

HOTEL = {
    "tables": {
        "guests": {
            "columns": {
                "email": {"sdtype": "email", "pii": True},
                "city": {"sdtype": "city", "pii": False},
                "has_rewards": {"sdtype": "boolean"},
                "room": {"sdtype": "categorical", "range_values": ["BASIC", "SUITE"], "range_is_nullable": False},
                "stars": {"sdtype": "ordinal", "range_values": [1, 2, 3]},
                "agent": {"sdtype": "categorical", "high_cardinality": True},
                "amenities": {"sdtype": "numerical", "range_min": 0, "range_max": 99.5, "decimal_places": 2},
                "precise": {"sdtype": "numerical", "decimal_places": 25},
                "checkin": {"sdtype": "datetime", "datetime_format": "%d %b %Y", "range_min": "01 Jan 2020"},
                "seen": {"sdtype": "datetime"},
                "ref": {"sdtype": "id", "regex_format": "[A-Z]{3}-\\d{4}"},
                "number": {"sdtype": "credit_card_number", "pii": True},
                "note": {"sdtype": "unknown", "pii": True},
                "odd": {"sdtype": "unknown", "pii": False},
                "lat": {"sdtype": "latitude", "pii": True},
                "lon": {"sdtype": "longitude", "pii": True},
            },
            "primary_key": "ref",
            "alternate_keys": ["number"],
            "sequence_key": "agent",
            "sequence_index": "checkin",
            "column_relationships": [{"type": "gps", "column_names": ["lat", "lon"]}],
        }
    },
    "relationships": [],
    "METADATA_SPEC_VERSION": "V2",
}

OLD = {
    "METADATA_SPEC_VERSION": "SINGLE_TABLE_V1",
    "columns": {
        "key": {"sdtype": "id"},
        "age": {"sdtype": "numerical", "computer_representation": "Int8"},
        "size": {"sdtype": "categorical", "order": ["s", "m", "l"]},
        "grade": {"sdtype": "categorical", "order_by": "alphabetical"},
        "day": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"},
        "ssn": {"sdtype": "ssn", "pii": True},
    },
    "primary_key": ["key", "ssn"],
}

OURS = {
    "columns": {
        "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
        "sex": {"kind": "categorical", "values": ["f", "m"], "nullable": True, "role": "sensitive"},
        "grade": {"kind": "categorical", "ordered": True},
        "alive": {"kind": "boolean"},
        "seen": {"kind": "datetime", "format": "%d/%m/%Y", "low": "2020-01-31"},
        "mrn": {"kind": "identifier", "pattern": "[0-9]{8}"},
        "note": {"kind": "text"},
        "mail": {"kind": "text", "pii": "email"},
    }
}


def test_metadata_comes_back_as_it_went_in():
    assert to_sdv(from_sdv(HOTEL)) == HOTEL
    again = Schema.from_dict(json.loads(json.dumps(from_sdv(HOTEL).to_dict())))
    assert again.to_sdv() == HOTEL


def test_old_single_tables_come_back_as_a_table_of_several():
    back = to_sdv(from_sdv(OLD))
    assert back["METADATA_SPEC_VERSION"] == "V1"
    assert back["tables"]["table"]["columns"] == OLD["columns"]
    assert back["tables"]["table"]["primary_key"] == ["key", "ssn"]


def test_every_sdtype_becomes_a_kind():
    schema = from_sdv(HOTEL)
    assert {name: column.kind for name, column in schema.items()} == {
        "email": "text", "city": "categorical", "has_rewards": "boolean", "room": "categorical", "stars": "categorical",
        "agent": "categorical", "amenities": "numeric", "precise": "numeric", "checkin": "datetime", "seen": "datetime",
        "ref": "identifier", "number": "identifier", "note": "text", "odd": "categorical", "lat": "text", "lon": "text",
    }  # fmt: skip
    assert schema["stars"].ordered
    assert schema["stars"].values == (1, 2, 3)
    assert (schema["amenities"].low, schema["amenities"].high, schema["amenities"].decimals) == (0, 99.5, 2)
    assert schema["checkin"].low == "2020-01-01T00:00:00"
    assert schema["ref"].pattern == "[A-Z]{3}-\\d{4}"
    assert schema["email"].pii == "email"
    assert not schema["room"].nullable
    assert schema["stars"].nullable
    old = from_sdv(OLD)
    assert old["age"].decimals == 0
    assert old["size"].values == ("s", "m", "l")
    assert old["ssn"].kind == "identifier"


def test_changed_facts_win_and_the_rest_rides_along():
    schema = (
        from_sdv(HOTEL).replace("amenities", high=10.0).replace("agent", nullable=False).replace("city", kind="text")
    )
    columns = to_sdv(schema)["tables"]["guests"]["columns"]
    assert columns["amenities"]["range_max"] == 10.0
    assert columns["agent"] == {"sdtype": "categorical", "high_cardinality": True, "range_is_nullable": False}
    assert columns["city"]["sdtype"] == "unknown"
    assert columns["email"] == HOTEL["tables"]["guests"]["columns"]["email"]


def test_our_facts_survive_sdv():
    schema = Schema.from_dict(OURS)
    back = from_sdv(to_sdv(schema))
    assert {n: c.kind for n, c in back.items()} == {n: c.kind for n, c in schema.items()}
    assert back["age"] == schema["age"]
    assert back["sex"].values == ("f", "m")
    assert back["sex"].nullable
    assert back["grade"].ordered
    assert back["seen"].format == "%d/%m/%Y"
    assert back["seen"].low == "2020-01-31T00:00:00"
    assert back["mail"].pii == "email"
    assert to_sdv(back) == to_sdv(schema)


def test_a_file_is_read_and_bad_ones_say_why(tmp_path):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps(HOTEL))
    assert from_sdv(path) == from_sdv(HOTEL) == Schema.from_sdv(str(path))
    path.write_text("{")
    with pytest.raises(SchemaError, match="not JSON"):
        from_sdv(path)
    with pytest.raises(SchemaError, match="cannot read"):
        from_sdv(tmp_path / "absent.json")
    two = copy.deepcopy(HOTEL)
    two["tables"]["hotels"] = two["tables"]["guests"]
    with pytest.raises(SchemaError, match="'guests', 'hotels'"):
        from_sdv(two)
    with pytest.raises(SchemaError, match="column 'a'"):
        from_sdv({"columns": {"a": {"type": "numerical"}}})
    with pytest.raises(SchemaError, match="column 'a'"):
        from_sdv({"columns": {"a": {"sdtype": "numerical", "range_min": "low"}}})
    with pytest.raises(SchemaError, match='no "columns"'):
        from_sdv({"fields": {}})
    with pytest.raises(SchemaError, match="not int"):
        from_sdv(3)


@pytest.mark.parametrize("data", [HOTEL, OLD, to_sdv(Schema.from_dict(OURS))])
def test_sdv_reads_what_we_write(data):
    metadata_class = pytest.importorskip("sdv.metadata").Metadata
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = metadata_class.load_from_dict(copy.deepcopy(data))
        schema = from_sdv(theirs)
        ours = metadata_class.load_from_dict(to_sdv(schema))
        assert ours.to_dict() == theirs.to_dict()
        direct = metadata_class.load_from_dict(to_sdv(from_sdv(data)))
        assert direct.to_dict() == theirs.to_dict()
        if data is not HOTEL:
            ours.validate()
