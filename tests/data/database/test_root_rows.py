"""Splits of a database by its root rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.data.database.root_rows import parent_rows, root_rows, root_table, split_by_root, take_roots
from tabsynth.errors import DataError, InputError
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema


def database() -> tuple[dict[str, pd.DataFrame], DatabaseSchema]:
    """Patients with visits, their drugs, doctors of the visits, and visits that follow on another patient's visit."""
    patients = pd.DataFrame({"id": range(30), "sex": ["f", "m"] * 15})
    visits = pd.DataFrame(
        {"id": range(90), "patient": [i % 30 for i in range(90)], "doctor": [i % 4 for i in range(90)]}
    )
    visits["after"] = [np.nan, *range(89)]
    drugs = pd.DataFrame({"visit": [float(i % 90) for i in range(180)], "dose": [1, 2, 3] * 60})
    doctors = pd.DataFrame({"id": ["0", "1", "2", "3"], "grade": ["a", "b", "a", "b"]})
    tables = {"doctors": doctors, "drugs": drugs, "visits": visits, "patients": patients}
    links = (
        ForeignKey("visits", "patient", "patients"),
        ForeignKey("visits", "doctor", "doctors"),
        ForeignKey("visits", "after", "visits"),
        ForeignKey("drugs", "visit", "visits"),
    )
    keys = {"patients": "id", "visits": "id", "doctors": "id"}
    return tables, DatabaseSchema({name: Schema.infer(frame) for name, frame in tables.items()}, keys, links)


def test_keys_agree_across_types() -> None:
    tables, schema = database()
    assert parent_rows(tables, schema, schema.foreign_keys[1])[:5].tolist() == [0, 1, 2, 3, 0]
    assert parent_rows(tables, schema, schema.foreign_keys[3])[:3].tolist() == [0, 1, 2]
    assert parent_rows(tables, schema, schema.foreign_keys[2])[:3].tolist() == [-1, 0, 1]


def test_dangling_keys_have_no_parent_and_no_root() -> None:
    tables, schema = database()
    tables["visits"].loc[3, "patient"] = 99
    assert parent_rows(tables, schema, schema.foreign_keys[0])[3] == -1
    roots = root_rows(tables, schema)
    assert root_table(schema) == "patients"
    assert roots["visits"][3] == -1
    assert roots["drugs"][[2, 3, 93]].tolist() == [2, -1, -1]


def test_a_split_keeps_histories_whole() -> None:
    tables, schema = database()
    train, held = split_by_root(tables, schema, 0.3, seed=0)
    assert len(held["patients"]) == 9
    assert set(train["patients"].id) | set(held["patients"].id) == set(range(30))
    for side in (train, held):
        assert set(side["visits"].patient) == set(side["patients"].id)
        assert set(side["drugs"].visit) == set(side["visits"].id)
        assert len(side["doctors"]) == 4
        assert set(side["visits"].after.dropna()) <= set(side["visits"].id)
    assert len(train["visits"]) + len(held["visits"]) == 90


def test_the_seed_fixes_the_split() -> None:
    tables, schema = database()
    first, again = (split_by_root(tables, schema, 0.3, seed=3)[0]["patients"] for _ in range(2))
    pd.testing.assert_frame_equal(first, again)


def test_a_split_refuses_keys_that_lose_or_repeat_rows() -> None:
    tables, schema = database()
    lost = {**tables, "visits": tables["visits"].assign(patient=[99, *tables["visits"].patient[1:]])}
    with pytest.raises(DataError, match=r"1 rows of visits.patient refer to no row of patients, such as 99;"):
        split_by_root(lost, schema, 0.3, seed=0)
    twice = {**tables, "patients": pd.concat([tables["patients"], tables["patients"][4:5]], ignore_index=True)}
    with pytest.raises(DataError, match=r"primary key patients.id repeats in 1 rows, such as 4;"):
        split_by_root(twice, schema, 0.3, seed=0)
    assert split_by_root(lost, schema, 0.3, seed=0, independent=True)  # a private split reports no row


def test_rows_without_a_parent_are_training_rows() -> None:
    tables, schema = database()
    tables["visits"] = tables["visits"].assign(patient=tables["visits"].patient.where(tables["visits"].id > 2))
    train, held = split_by_root(tables, schema, 0.3, seed=0)
    assert {0, 1, 2} <= set(train["visits"].id)
    assert len(train["visits"]) + len(held["visits"]) == 90
    assert len(train["drugs"]) + len(held["drugs"]) == 180


def test_an_empty_side_is_refused() -> None:
    tables, schema = database()
    with pytest.raises(InputError, match="one side empty"):
        split_by_root(tables, schema, 0.001, seed=0)


def test_no_root_gives_empty_tables() -> None:
    tables, schema = database()
    assert {n: len(frame) for n, frame in take_roots(tables, schema, np.zeros(30, bool)).items()} == {
        "doctors": 4,
        "drugs": 0,
        "visits": 0,
        "patients": 0,
    }
