"""Columns that are constant in all rows of a person are constant in the synthetic rows of each person."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import ConditionError
from tabsynth.relations.linked.linked_relations import LinkedRelations
from tabsynth.schema.constraints import Inequality
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer
from tabsynth.synthesizers.relational.transforms.table_transforms import TableTransforms

Tables = dict[str, pd.DataFrame]
CONSTANT = ["region", "salary", "born", "member", "note"]


def visits(persons: int = 80, most: int = 6) -> tuple[Tables, DatabaseSchema]:
    """Persons, some without visits; each visit repeats what is known of the person, a part of it missing."""
    rng = np.random.default_rng(0)
    person = pd.DataFrame({"person": np.arange(persons), "age": rng.integers(18, 80, persons)})
    owner = np.repeat(np.arange(persons), rng.integers(0, most + 1, persons))
    about = pd.DataFrame({"region": rng.choice(["north", "south", "east"], persons)})
    about["salary"] = 2000 + 30 * person.age + rng.integers(-300, 300, persons)
    about["born"] = pd.Timestamp("2020-01-01") - pd.to_timedelta(365 * person.age + rng.integers(0, 365), unit="D")
    about["member"] = rng.random(persons) < 0.5
    about["note"] = pd.Series(rng.choice(["x", "y", ""], persons)).replace({"": None})
    visit = about.iloc[owner].reset_index(drop=True)
    visit.insert(0, "person", owner)
    visit["day"] = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 900, len(owner)), unit="D")
    visit["cost"] = rng.lognormal(4, 0.5, len(owner)).round(2)
    visit["share"] = (visit.salary * rng.beta(2, 0.5, len(owner))).round(2)
    visit["fee"] = (visit.salary / 2 + 3 * visit.cost).round(2)
    return {"persons": person, "visits": visit}, schema_of({"persons": person, "visits": visit})


def schema_of(tables: Tables) -> DatabaseSchema:
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    return DatabaseSchema(
        schemas, {"persons": "person"}, (ForeignKey("visits", "person", "persons"),), {"visits": "day"}
    )


def constants(tables: Tables, schema: DatabaseSchema) -> set[str]:
    return {str(one) for one in LinkedRelations.discover(tables, schema, min_group=2)[0].constants}


@pytest.fixture(scope="module")
def real() -> tuple[Tables, DatabaseSchema]:
    return visits()


@pytest.fixture(scope="module")
def model(real: tuple[Tables, DatabaseSchema]) -> RelationalSynthesizer:
    return RelationalSynthesizer(epochs=1, min_group=2).fit(real[0], schema=real[1], seed=0)


def test_constant_columns_are_found_where_there_is_evidence(real: tuple[Tables, DatabaseSchema]) -> None:
    tables, schema = real
    assert constants(tables, schema) == {f"visits.{name} is constant within persons" for name in CONSTANT}
    single = {**tables, "visits": tables["visits"].drop_duplicates("person")}
    assert constants(single, schema) == set()
    changed = tables["visits"].copy()
    twice = changed.index[changed.person.duplicated()][0]
    changed.loc[twice, "note"] = "z"
    assert "visits.note is constant within persons" not in constants({**tables, "visits": changed}, schema)


def test_columns_of_declared_constraints_stay_where_they_are(real: tuple[Tables, DatabaseSchema]) -> None:
    tables, schema = real
    rule = Inequality(low="share", high="salary")
    ruled = Schema(schema.tables["visits"].columns, (rule,))
    declared = DatabaseSchema(
        {**schema.tables, "visits": ruled}, schema.primary_keys, schema.foreign_keys, schema.order
    )
    _, learned = TableTransforms.prepare(tables, declared, min_group=2)
    assert "salary" in learned.tables["visits"]
    assert "region" not in learned.tables["visits"]


def test_each_person_has_one_value(real: tuple[Tables, DatabaseSchema], model: RelationalSynthesizer) -> None:
    tables, drawn = real[0], model.sample(150, seed=1)
    visit = drawn["visits"]
    for name, frame in tables.items():
        pd.testing.assert_series_equal(drawn[name].dtypes, frame.dtypes)
    groups = visit.groupby("person")
    assert all((groups[name].nunique(dropna=False) == 1).all() for name in CONSTANT)
    assert groups.size().max() > 2
    assert visit[["region", "salary", "born", "member"]].notna().all(axis=None)
    assert 0.1 < visit.note.isna().mean() < 0.6
    assert visit.region.nunique() == 3
    assert (visit.share <= visit.salary).all()
    assert ((visit.salary / 2 + 3 * visit.cost).round(2) == visit.fee).all()
    assert (visit.born <= visit.day).all()


def test_persons_and_their_constant_columns_are_learned_together(model: RelationalSynthesizer) -> None:
    drawn = model.sample(300, seed=2)
    joined = drawn["visits"].drop_duplicates("person").merge(drawn["persons"], on="person")
    assert joined.age.corr(joined.salary) > 0.4


def test_models_are_saved_and_repeat(model: RelationalSynthesizer, tmp_path: Path) -> None:
    model.save(tmp_path / "visits.model")
    again, once = RelationalSynthesizer.load(tmp_path / "visits.model").sample(40, seed=1), model.sample(40, seed=1)
    for name, frame in once.items():
        pd.testing.assert_frame_equal(again[name], frame)


def test_conditions_on_constant_columns(model: RelationalSynthesizer) -> None:
    drawn = model.sample(30, given={"visits": {"region": "east"}, "persons": {"age": (20, 60)}}, seed=3)
    assert drawn["visits"].region.unique().tolist() == ["east"]
    assert drawn["persons"].age.between(20, 60).all()
    assert drawn["visits"].salary.nunique() > 1
    with pytest.raises(ConditionError, match=r"visits\.fee, which is computed"):
        model.sample(5, given={"visits": {"fee": 1.0}}, seed=3)


def test_columns_that_are_constant_further_up_move_there() -> None:
    """Steps of stays: the district is that of the person, the ward that of the stay, and the age a person's column."""
    tables, schema = visits(60)
    visit = tables["visits"].drop(columns=["fee", "share", "member", "note", "born"])
    visit.insert(0, "visit", np.arange(len(visit)))
    visit["ward"] = np.random.default_rng(1).choice(["eye", "heart", "skin"], len(visit))
    step = visit[["visit", "ward", "region"]].loc[visit.index.repeat(2)].reset_index(drop=True)
    step = step.rename(columns={"ward": "place", "region": "district"})
    step["years"] = tables["persons"].age.to_numpy()[visit.person.to_numpy().repeat(2)]
    step["minutes"] = np.random.default_rng(2).integers(1, 60, len(step))
    tables = {"persons": tables["persons"], "visits": visit.drop(columns=["region", "ward"]), "steps": step}
    links = (*schema.foreign_keys, ForeignKey("steps", "visit", "visits"))
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    schema = DatabaseSchema(schemas, {"persons": "person", "visits": "visit"}, links, {"visits": "day"})
    assert constants(tables, schema) == {
        "visits.salary is constant within persons",
        "steps.place is constant within visits",
        "steps.district is constant within persons",
        "steps.years = persons.age",
    }
    model = RelationalSynthesizer(epochs=1, min_group=2).fit(tables, schema=schema, seed=0)
    drawn = model.sample(80, seed=1)
    joined = drawn["steps"].merge(drawn["visits"], on="visit").merge(drawn["persons"], on="person")
    assert list(drawn["steps"]) == list(step)
    assert (joined.groupby("visit").place.nunique() == 1).all()
    assert (joined.groupby("person").district.nunique() == 1).all()
    assert joined.groupby("person").place.nunique().max() > 1
    assert (joined.years == joined.age).all()
    with pytest.raises(ConditionError, match=r"steps\.years, which is computed"):
        model.sample(5, given={"steps": {"years": 30}}, seed=1)


def test_columns_that_are_constant_within_a_shop_move_out_of_its_series() -> None:
    rng = np.random.default_rng(0)
    shop = pd.DataFrame({"shop": np.arange(30), "size": rng.choice(["large", "small"], 30)})
    rows = pd.MultiIndex.from_product([range(30), range(3), range(6)], names=["shop", "code", "week"]).to_frame(False)
    rows["town"] = rng.choice(["A", "B", "C", "D"], 30)[rows.shop]
    rows["sales"] = rng.lognormal(3, 1, len(rows)).round(2)
    tables = {"shops": shop, "sales": rows}
    schema = DatabaseSchema(
        {name: Schema.infer(frame) for name, frame in tables.items()},
        {"shops": "shop"},
        (ForeignKey("sales", "shop", "shops"),),
        {"sales": "week"},
        composite_keys={"sales": ("shop", "code", "week")},
    )
    model = RelationalSynthesizer(epochs=1, min_group=2).fit(tables, schema=schema, seed=0)
    drawn = model.sample(20, given={"sales": {"town": ["A", "B"]}}, seed=1)["sales"]
    assert list(drawn) == list(rows)
    assert (drawn.groupby("shop").town.nunique() == 1).all()
    assert set(drawn.town) == {"A", "B"}
    assert not drawn.duplicated(["shop", "code", "week"]).any()


def test_categories_that_determine_a_constant_column_agree_with_it(real: tuple[Tables, DatabaseSchema]) -> None:
    """Each region has wards of its own; a ward of another region becomes one of the region's wards, by their shares."""
    rng, visit = np.random.default_rng(3), real[0]["visits"]
    ward = visit.region + " " + pd.Series(rng.choice(["a", "a", "a", "b"], len(visit)))
    tables = {**real[0], "visits": visit.assign(ward=ward, free=rng.choice(["x", "y"], len(visit)))}
    forms, learned = TableTransforms.prepare(tables, schema_of(tables), min_group=2)
    assert "visits.region is a function of ward" in forms.describe()
    assert [one.column for one in forms.determinants] == ["ward"]
    assert "region" not in learned.tables["visits"]
    rows = pd.DataFrame({"region": ["north", "south"] * 200, "ward": ["north b"] * 400})
    kept = TableTransforms.from_dict(forms.to_dict()).determinants[0].apply(rows)
    assert (kept.ward[::2] == "north b").all()
    assert set(kept.ward[1::2]) == {"south a", "south b"}
    assert 0.65 < (kept.ward[1::2] == "south a").mean() < 0.85
