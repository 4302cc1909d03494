"""Schema inference: kinds, facts and formats of columns."""

import datetime
import json
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as st_pandas

from tabsynth.data import Table, read
from tabsynth.errors import DataError
from tabsynth.schema import Schema
from tabsynth.schema.column_names import is_code, is_key, is_person, split_words
from tabsynth.schema.description import describe
from tabsynth.schema.inference import count_decimals, infer_schema
from tabsynth.schema.kinds.datetime_detection import candidate_formats, is_date_like
from tabsynth.schema.validation import check_against_schema

from .one_column import infer_one

KINDS = {
    "adult": {
        "age": "numeric", "workclass": "categorical", "fnlwgt": "numeric", "education-num": "numeric",
        "capital-gain": "numeric", "native-country": "categorical", "income": "categorical",
    },
    "default": {
        "ID": "identifier", "LIMIT_BAL": "numeric", "SEX": "categorical", "EDUCATION": "numeric", "PAY_0": "numeric",
        "BILL_AMT1": "numeric", "default.payment.next.month": "categorical",
    },
    "shoppers": {"Administrative": "numeric", "BounceRates": "numeric", "Month": "categorical", "Region": "categorical",
                 "Weekend": "boolean", "Revenue": "boolean", "TrafficType": "categorical"},
    "beijing": {"No": "identifier", "year": "numeric", "hour": "numeric", "pm2.5": "numeric", "cbwd": "categorical"},
    "diabetes130": {
        "encounter_id": "identifier", "patient_nbr": "identifier", "age": "categorical", "weight": "categorical",
        "admission_type_id": "categorical", "time_in_hospital": "numeric", "diag_1": "categorical",
        "num_medications": "numeric", "examide": "categorical", "readmitted": "categorical",
    },
    "german_credit": {"duration": "numeric", "purpose": "categorical", "class": "categorical"},
    "heart_cleveland": {"age": "numeric", "sex": "categorical", "oldpeak": "numeric", "num": "numeric"},
    "febrl1": {"rec_id": "identifier", "surname": "text", "postcode": "categorical", "soc_sec_id": "identifier"},
    "febrl4a": {"rec_id": "identifier", "state": "categorical", "date_of_birth": "datetime"},
    "synthea_patients": {
        "Id": "identifier", "BIRTHDATE": "datetime", "DEATHDATE": "datetime", "FIRST": "text", "ADDRESS": "text",
        "ZIP": "categorical", "LAT": "numeric", "GENDER": "categorical", "MARITAL": "categorical",
    },
    "synthea_encounters": {
        "Id": "identifier", "START": "datetime", "PATIENT": "identifier", "PAYER": "categorical", "CODE": "categorical",
        "DESCRIPTION": "categorical", "TOTAL_CLAIM_COST": "numeric", "REASONCODE": "categorical",
    },
    "synthea_procedures": {"START": "datetime", "PATIENT": "identifier", "ENCOUNTER": "identifier"},
    "synthea_payers": {"Id": "identifier", "ZIP": "categorical", "NAME": "text"},
    "synthea_organizations": {"Id": "identifier", "ZIP": "categorical"},
}  # fmt: skip


DATE_FORMATS = [
    "%d/%m/%Y",
    "%m.%d.%y %H:%M",
    "%d%b%Y",
    "%B %d, %Y",
    "%H:%M",
    "%Y%m%d",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dZ",
]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_well_known_columns(schema_of, name):
    schema = schema_of(name)
    assert {column: schema[column].kind for column in KINDS[name]} == KINDS[name]
    assert all(column.origin == "inferred" and column.why for column in schema.values())


def test_every_shared_table_is_read_and_carries_no_value_of_its_own(shared_data, schema_of):
    for path in sorted(shared_data.glob("*.csv.gz")):
        schema = schema_of(path.name.removesuffix(".csv.gz"))
        for column in schema.values():
            facts = column.to_dict()
            assert not {"low", "high", "values"} & set(facts), (path.name, column)
        assert Schema.from_dict(schema.to_dict()) == schema


@pytest.mark.parametrize(
    ("values", "kind", "facts"),
    [
        ([True, False], "boolean", {}),
        (pd.array([True, None], dtype="boolean"), "boolean", {"nullable": True}),
        (np.array([True, None, False], dtype=object), "boolean", {"nullable": True}),
        ([1.5, 2.25, None], "numeric", {"decimals": 2, "nullable": True}),
        ([1.0, 2.0, 4.0], "numeric", {"decimals": 0}),
        ([0.1 + 0.2, 1 / 3], "numeric", {"decimals": None}),
        ([Decimal("1.10"), Decimal("2.35")], "numeric", {"decimals": 2}),
        (pd.to_datetime(["2020-01-01", "2021-01-01"]), "datetime", {"resolution": "D", "format": None}),
        (pd.to_datetime(["2020-01-01T00:15", "2021-01-01"], format="ISO8601"), "datetime", {"resolution": "min"}),
        ([datetime.date(2020, 1, 1), None], "datetime", {"resolution": "D", "nullable": True}),
        (["2020-01-01", "2020-12-31"], "datetime", {"format": "%Y-%m-%d", "resolution": "D"}),
        (["31.12.2020", "01.02.2021"], "datetime", {"format": "%d.%m.%Y", "question": ""}),
        (["12/31/2020 4:05 PM", "01/02/2021 4:05 AM"], "datetime", {"format": "%m/%d/%Y %-I:%M %p"}),
        (["02JAN2011", "17DEC1999"], "datetime", {"format": "%d%^b%Y"}),
        (["09:30", "23:59"], "datetime", {"format": "%H:%M"}),
        ([20200131, 19991231, 20200201], "datetime", {"format": "%Y%m%d"}),
        (["low", "high", "low"], "categorical", {"ordered": False}),
        (pd.Categorical(["low", "high"], ["low", "high"], ordered=True), "categorical", {"ordered": True}),
        (["02114", "02115", "02114"], "categorical", {}),
        ([0, 1, 1], "categorical", {}),
        ([None, None], "categorical", {"nullable": True}),
        ([np.nan, np.nan], "numeric", {"nullable": True}),
        (range(1, 51), "identifier", {}),
        ([str(uuid.UUID(int=i**20)) for i in range(3, 40)], "identifier", {}),
        ([f"P-{i:05d}" for i in range(100)], "identifier", {}),
        ([f"user{i}@example.org" for i in range(50)], "text", {"pii": "email"}),
        ([f"the patient came in on day {i} and was seen at once" for i in range(50)], "text", {"question": ""}),
        ([7], "numeric", {"decimals": 0}),
        (["one"], "categorical", {}),
        ([2**63 * 1.0, 1.0], "numeric", {"decimals": 0}),
        ([str(2**70 + i) for i in range(40)], "identifier", {}),
    ],
)  # fmt: skip
def test_kinds_and_facts(values, kind, facts):
    column = infer_one(values)
    assert column.kind == kind
    assert {fact: getattr(column, fact) for fact in facts} == facts


def test_many_categories_that_repeat_stay_categories():
    names = [f"item {chr(97 + i % 26)}{i}" for i in range(20_000)] * 3
    assert infer_one(names).kind == "categorical"


def test_a_rare_value_never_stands_in_the_schema():
    frame = pd.DataFrame(
        {
            "diagnosis": ["1.5"] * 500 + ["2.5"] * 499 + ["SECRET-SYNDROME"],
            "income": [*range(998), 98765432, 87654321],
            "seen": ["2020-01-01"] * 999 + ["1912-06-23"],
        }
    )
    said = json.dumps(infer_schema(frame).to_dict())
    for value in ("SECRET", "98765432", "87654321", "1912"):
        assert value not in said


@settings(max_examples=200, deadline=None)
@given(
    st.datetimes(datetime.datetime(1700, 1, 1)), st.sampled_from(DATE_FORMATS), st.text("0123456789/-.: A", max_size=3)
)
def test_a_text_may_be_a_date_where_some_format_has_its_outline(moment, format, rest):
    for text in (moment.strftime(format), moment.strftime(format) + rest, rest + moment.strftime(format), rest):
        assert is_date_like(text) == bool(candidate_formats([text])), text


EARLY_LATE = datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)


valid_columns = st.one_of(
    st.lists(st.floats(allow_infinity=False) | st.none(), min_size=4, max_size=4),
    st.lists(st.integers(-(2**63), 2**64 - 1), min_size=4, max_size=4),
    st.lists(st.text(max_size=8) | st.none(), min_size=4, max_size=4),
    st.lists(st.booleans() | st.none(), min_size=4, max_size=4),
    st.lists(st.datetimes(*EARLY_LATE) | st.none(), min_size=4, max_size=4),
    st.lists(st.dates() | st.none(), min_size=4, max_size=4),
    st.lists(st.sampled_from(["1", "007", "2020-01-02", "?", "", "1e5", "١", "²"]), min_size=4, max_size=4),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(valid_columns, min_size=1, max_size=4), st.sampled_from(["x", "patient_id", "zip", "", "Straße 1"]))
def test_no_frame_that_the_door_lets_in_makes_it_fail(columns, name):
    frame = pd.DataFrame({f"{name}{i}": values for i, values in enumerate(columns)})
    try:
        schema = infer_schema(frame)
    except DataError:
        return
    assert list(schema) == list(frame.columns)
    check_against_schema(frame, schema)
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    for column, values in zip(schema.values(), frame.items(), strict=True):
        assert column.nullable == bool(values[1].isna().any())


@settings(max_examples=50, deadline=None)
@given(st_pandas.data_frames([st_pandas.column("a", dtype=float), st_pandas.column("b", dtype="datetime64[ns]")]))
def test_typed_frames(frame):
    if len(frame) and not np.isinf(frame["a"]).any():
        assert len(infer_schema(frame)) == 2


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(10**9), 10**9), min_size=1), st.integers(0, 6))
def test_decimals_are_the_fewest_that_hold_every_number(whole, places):
    data = np.array([float(Decimal(value).scaleb(-places)) for value in whole])
    found = count_decimals(data)
    assert found is not None
    assert found <= places
    assert all(float(f"{value:.{found}f}") == value for value in data)
    assert found == 0 or any(float(f"{value:.{found - 1}f}") != value for value in data)


def test_describe_shows_examples_only_with_the_table():
    frame = pd.DataFrame({"a": [*["x"] * 5, "rare", None, None], "b": [1.5, 2.5, 2.5, 2.5, 2.5, 2.5, 3.5, 9.5]})
    rows = describe(infer_schema(frame), frame)
    assert [row["column"] for row in rows] == ["a", "b"]
    assert rows[0]["examples"] == ["x"]
    assert rows[0]["missing"] == 0.25
    assert rows[1]["quantiles"] == ["1.5", "2.5", "2.5", "2.75", "9.5"]
    assert rows[0]["nullable"]
    assert "examples" not in describe(infer_schema(frame))[0]


@pytest.mark.parametrize("mark", ["?", " . ", "N/A"])
def test_numbers_beside_a_mark_for_missing_are_numbers(mark, tmp_path):
    ages = [str(20 + i % 60) for i in range(200)]
    frame = pd.DataFrame({"age": [mark if i % 9 == 0 else age for i, age in enumerate(ages)], "sex": ["f", "m"] * 100})
    table = Table.of(frame)
    assert table.schema["age"].kind == "numeric"
    assert table.schema["age"].nullable
    assert repr(mark) in table.schema["age"].question
    assert table.frame["age"].isna().sum() == 23
    assert table.frame["age"].dropna().tolist() == [float(age) for i, age in enumerate(ages) if i % 9]
    for text in (frame, frame.astype("string")):
        again = Table.of(text, table.schema)
        assert again.frame["age"].equals(table.frame["age"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert read(tmp_path / "t.csv").frame["age"].astype(float).equals(table.frame["age"])


def test_few_codes_beside_a_mark_stay_categories():
    frame = pd.DataFrame({"grade": ["1", "2", "3", "?"] * 30, "word": ["yes", "no", "?", "7"] * 30})
    table = Table.of(frame)
    assert [column.kind for column in table.schema.values()] == ["categorical"] * 2
    assert table.frame.equals(frame)


def test_names_are_taken_apart():
    assert split_words("patientId") == split_words("PATIENT_ID") == split_words("Patient-Id") == ["patient", "id"]
    assert is_key("patient_nbr")
    assert is_key("accountNumber")
    assert not is_key("number_of_visits")
    assert not is_key("paid")
    assert is_person("PATIENT")
    assert not is_person("patient_type")
    assert is_code("REASONCODE")
    assert not is_code("decoder")
    assert is_code("dx_cd")
    assert not any(map(is_code, ["cd4", "CD8_count", "cd420"]))


def test_many_names_in_many_rows_are_categories():
    rng, n = np.random.default_rng(0), 200_000
    frame = pd.DataFrame({"item": np.char.add("item ", rng.integers(0, 40_000, n).astype(str)).astype(object)})
    assert infer_schema(frame)["item"].kind == "categorical"


def test_long_texts_of_which_some_repeat_are_text():
    rng = np.random.default_rng(0)
    notes = [" ".join(rng.choice(["the", "patient", "was", "seen", "and", "sent", "home"], 30)) for _ in range(272)]
    values = [*notes, *rng.choice(notes[:40], 342)]
    column = infer_one(values)
    assert column.kind == "text"
    assert "categories" in column.question
    labels = [f"I agree with statement number {chr(97 + i)} of this long list of statements" for i in range(25)]
    assert infer_one(labels * 10).kind == "categorical"


def test_dates_in_the_text_type_of_numpy_are_dates():
    values = list(np.array([f"2020-01-{day:02d}" for day in range(1, 29)]))
    assert infer_one(pd.Series(values, dtype=object)).kind == "datetime"
