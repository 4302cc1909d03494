"""Databases that are sampled in chunks: identifiers that never repeat, and refusals."""

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import InputError
from tabsynth.schema.columns import Numeric
from tabsynth.schema.constraints import Unique
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer


def test_identifiers_beside_the_keys_do_not_repeat_between_chunks() -> None:
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"id": range(60), "card": [f"C{i:07d}" for i in rng.permutation(9_999_999)[:60]]})
    people["sex"] = rng.choice(["f", "m"], 60)
    visits = pd.DataFrame({"person": np.repeat(people.id, 2), "slip": rng.permutation(10**6)[:120]})
    visits["ward"] = rng.choice(["a", "b"], 120)
    kinds = {"card": "identifier", "slip": "identifier"}
    schemas = {
        name: replace_kinds(Schema.infer(frame), {k: v for k, v in kinds.items() if k in frame})
        for name, frame in {"people": people, "visits": visits}.items()
    }
    schema = DatabaseSchema(schemas, {"people": "id"}, (ForeignKey("visits", "person", "people"),))
    model = RelationalSynthesizer(epochs=1).fit({"people": people, "visits": visits}, schema=schema, seed=0)
    chunks = list(model.sample_chunks(300, chunk=100, seed=1))
    assert len(chunks) == 3
    for table, column, pattern in (("people", "card", r"C\d{7}"), ("visits", "slip", r"\d+")):
        values = pd.concat([chunk[table][column] for chunk in chunks])
        assert values.is_unique
        assert values.astype(str).str.fullmatch(pattern).all()
        assert not values.isin({"people": people, "visits": visits}[table][column]).any() or column == "slip"


def replace_kinds(schema: Schema, kinds: dict[str, str]) -> Schema:
    for name, kind in kinds.items():
        schema = schema.replace(name, kind=kind)
    return schema


def test_a_key_that_could_repeat_between_chunks_is_refused() -> None:
    people = pd.DataFrame({"id": range(40), "room": range(40), "sex": ["f", "m"] * 20})
    visits = pd.DataFrame({"person": np.repeat(people.id, 2), "ward": ["a", "b"] * 40})
    room = Numeric(name="room", decimals=0)
    schemas = {
        "people": Schema({**Schema.infer(people).columns, "room": room}, [Unique(of=("room",))]),
        "visits": Schema.infer(visits),
    }
    schema = DatabaseSchema(schemas, {"people": "id"}, (ForeignKey("visits", "person", "people"),))
    model = RelationalSynthesizer(epochs=1).fit({"people": people, "visits": visits}, schema=schema, seed=0)
    with pytest.raises(InputError, match=r"the key \(room\) of 'people' could occur in two chunks"):
        next(model.sample_chunks(30, chunk=10))
    assert len(next(model.sample_chunks(30, chunk=30))["people"]) == 30
