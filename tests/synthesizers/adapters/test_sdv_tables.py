"""Adapters of HMA and PAR: keys, seeds, columns and refused arguments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import ConditionError, InputError, NotFittedError, PrivacyError, SchemaError
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.adapters.sdv_histories import PARSynthesizer
from tabsynth.synthesizers.adapters.sdv_tables import HMASynthesizer

Tables = dict[str, pd.DataFrame]


def clinic(patients: int = 24) -> tuple[Tables, DatabaseSchema]:
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"id": [f"P{i:03d}" for i in range(patients)], "sex": rng.choice(["f", "m"], patients)})
    owner = np.repeat(np.arange(patients), 1 + rng.poisson(2, patients))
    visits = pd.DataFrame({"visit": range(len(owner)), "patient": people.id.to_numpy()[owner]})
    visits["day"] = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3000, len(owner)), unit="D")
    visits["ward"] = rng.choice(["W1", "W2", "W3"], len(owner))
    wards = pd.DataFrame({"code": ["W1", "W2", "W3"], "beds": [10, 20, 30]})
    tables = {"patients": people, "visits": visits, "wards": wards}
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    links = (ForeignKey("visits", "patient", "patients"), ForeignKey("visits", "ward", "wards"))
    keys = {"patients": "id", "visits": "visit", "wards": "code"}
    return tables, DatabaseSchema(schemas, keys, links, {"visits": "day"}, ("wards",))


@pytest.mark.slow
@pytest.mark.parametrize("model", [HMASynthesizer(), PARSynthesizer(epochs=1, device="cpu")], ids=["hma", "par"])
def test_a_database_comes_back_with_its_keys(model: HMASynthesizer | PARSynthesizer) -> None:
    pytest.importorskip("sdv")
    tables, schema = clinic()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    model.fit(tables, schema=schema, seed=0)
    first, again, other = model.sample(10, seed=1), model.sample(10, seed=1), model.sample(10, seed=2)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert list(first) == ["patients", "visits", "wards"]
    assert {name: list(frame) for name, frame in first.items()} == {n: list(frame) for n, frame in tables.items()}
    assert len(first["patients"]) == 10
    assert first["patients"].id.is_unique
    assert first["visits"].visit.is_unique
    assert set(first["visits"].patient) <= set(first["patients"].id)
    assert set(first["visits"].ward) <= {"W1", "W2", "W3"}
    pd.testing.assert_frame_equal(first["wards"], tables["wards"])
    pd.testing.assert_frame_equal(first["visits"], again["visits"])
    assert not first["visits"].equals(other["visits"])
    assert model.card()["rows"] == {name: len(frame) for name, frame in tables.items()}
    with pytest.raises(ConditionError, match="leave given"):
        model.sample(5, given={"patients": {"sex": "f"}})
    with pytest.raises(InputError, match="pickles"):
        model.save("model.tabsynth")
    with pytest.raises(InputError, match="exclude each other"):
        model.sample(5, scale=2)


def test_what_they_cannot_hold_is_refused_before_the_fit() -> None:
    tables, schema = clinic()
    drugs = pd.DataFrame({"visit": range(10), "drug": ["a", "b"] * 5})
    deep = DatabaseSchema(
        {**schema.tables, "drugs": Schema.infer(drugs)},
        schema.primary_keys,
        (*schema.foreign_keys, ForeignKey("drugs", "visit", "visits")),
        schema.order,
        schema.reference,
    )
    with pytest.raises(SchemaError, match="'drugs' has a grandparent"):
        HMASynthesizer().fit({**tables, "drugs": drugs}, schema=deep)
    with pytest.raises(SchemaError, match="one root table and one child table"):
        PARSynthesizer().fit({**tables, "drugs": drugs}, schema=deep)
    unordered = DatabaseSchema(schema.tables, schema.primary_keys, schema.foreign_keys, {}, schema.reference)
    with pytest.raises(SchemaError, match="with an order column"):
        PARSynthesizer().fit(tables, schema=unordered)
    looped = pd.DataFrame({"id": range(30), "boss": [np.nan, *range(29)]})
    own = DatabaseSchema({"staff": Schema.infer(looped)}, {"staff": "id"}, (ForeignKey("staff", "boss", "staff"),))
    with pytest.raises(SchemaError, match="no self-references"):
        HMASynthesizer().fit({"staff": looped}, schema=own)
    with pytest.raises(PrivacyError, match="leave privacy"):
        HMASynthesizer().fit(tables, schema=schema, privacy=1.0)
    with pytest.raises(InputError, match="epochs"):
        PARSynthesizer(epochs=0).fit(tables, schema=schema)
    with pytest.raises(NotFittedError, match="call fit first"):
        HMASynthesizer().sample(5)
