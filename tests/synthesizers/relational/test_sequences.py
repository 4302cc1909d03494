"""One long table of a person's events: constant columns, order, refusals."""

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import DataError, InputError
from tabsynth.schema.constraints import Inequality
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.sequences import join_histories, split_histories
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer


def panel(persons: int = 60) -> pd.DataFrame:
    """Weekly weights of persons, twelve weeks or six, and their sex."""
    rng = np.random.default_rng(0)
    weeks = np.where(np.arange(persons) % 2, 12, 6)
    owner = np.repeat(np.arange(persons), weeks)
    frame = pd.DataFrame({"person": [f"P{i:03d}" for i in owner], "sex": np.where(owner % 2, "f", "m")})
    frame["week"] = np.concatenate([np.arange(n) + 1 for n in weeks])
    return frame.assign(weight=(70 + rng.normal(size=persons)[owner] * 9 + rng.normal(size=len(owner))).round(1))


def test_a_long_table_is_sampled_in_order_with_constant_columns_kept() -> None:
    real = panel()
    tables, schema = split_histories(real, person="person", order="week")
    assert tables["persons"].columns.tolist() == ["person", "sex"]
    model = RelationalSynthesizer(epochs=3, min_group=2).fit(tables, schema=schema, seed=0)
    drawn = join_histories(model.sample({"persons": 40}, seed=1), list(real))
    assert drawn.dtypes.astype(str).to_dict() == real.dtypes.astype(str).to_dict()
    assert (drawn.groupby("person").sex.nunique() == 1).all()
    assert not drawn.duplicated(["person", "week"]).any()
    assert (drawn.groupby("person").week.diff().dropna() == 1).all()
    assert drawn.person.nunique() == 40


def test_faulty_long_tables_are_refused() -> None:
    real = panel(4)
    with pytest.raises(InputError, match="no column 'day'"):
        split_histories(real, person="person", order="day")
    with pytest.raises(DataError, match="'person' is missing in 1 rows"):
        split_histories(real.assign(person=real.person.where(real.index > 0)), person="person", order="week")


def test_declared_constraints_of_events_hold() -> None:
    """The part that is paid is drawn independently of the price, so that one row in three would violate the rule."""
    real = panel(80)
    rng = np.random.default_rng(1)
    real = real.assign(price=rng.uniform(10, 90, len(real)).round(2))
    real["paid"] = (real.price * rng.uniform(0, 1, len(real))).round(2)
    inferred = Schema.infer(real)
    rule = Inequality(low="paid", high="price")
    tables, schema = split_histories(real, person="person", order="week", schema=Schema(inferred.columns, (rule,)))
    assert schema.tables["events"].constraints == (rule,)
    model = RelationalSynthesizer(epochs=1, min_group=2).fit(tables, schema=schema, seed=0)
    events = model.sample(seed=1)["events"]
    assert (events.paid <= events.price).all()
    assert events.paid.std() > 5


def test_constraints_of_constant_columns_are_kept_with_the_persons() -> None:
    real = panel(20)
    owner = real.person.factorize()[0]
    real = real.assign(height=150.0 + owner, reach=140.0 + owner, least=40.0 + owner % 3)
    rules = (Inequality(low="reach", high="height"), Inequality(low="least", high="weight"))
    schema = Schema(Schema.infer(real).columns, rules)
    tables, database = split_histories(real, person="person", order="week", schema=schema)
    assert tables["persons"].columns.tolist() == ["person", "sex", "height", "reach"]
    assert database.tables["persons"].constraints == rules[:1]
    assert database.tables["events"].constraints == rules[1:]
