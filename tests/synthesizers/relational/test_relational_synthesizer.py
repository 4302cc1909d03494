"""Contracts of the relational synthesizer on a small clinic: keys, counts, order of time, files, seeds and refusals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.errors import ConditionError, DataError, InputError, ModelFileError, NotFittedError, PrivacyError
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.relational.synthesizer import RelationalSynthesizer
from tabsynth.synthesizers.relational.tables import sort_tables

Tables = dict[str, pd.DataFrame]


def clinic(persons: int = 120, seed: int = 0) -> Tables:
    """Patients with visits in time order, procedures of visits, a public list of wards, a manager of each doctor."""
    rng = np.random.default_rng(seed)
    birth = pd.Timestamp("1940-01-01") + pd.to_timedelta(rng.integers(0, 20_000, persons), unit="D")
    patients = pd.DataFrame(
        {"id": [f"P{i:05d}" for i in rng.permutation(persons)], "birth": birth, "sex": rng.choice(["f", "m"], persons)}
    )
    counts = 1 + rng.poisson(np.where(patients.sex == "f", 4, 2))
    owner = np.repeat(np.arange(persons), counts)
    start = birth.to_numpy()[owner] + rng.integers(365 * 86_400, 20_000 * 86_400, len(owner)).astype("timedelta64[s]")
    wards = pd.DataFrame({"ward": [10, 20, 30], "name": ["surgery", "eye", "heart"]})
    visits = pd.DataFrame(
        {
            "visit": np.arange(len(owner)) + 500,
            "patient": patients.id.to_numpy()[owner],
            "start": start,
            "stop": start + rng.choice([900, 1800, 86_400], len(owner)).astype("timedelta64[s]"),
            "ward": rng.choice(wards.ward, len(owner), p=[0.6, 0.3, 0.1]),
            "doctor": rng.choice([1, 2, 3, 4], len(owner)),
        }
    )
    doctors = pd.DataFrame({"doctor": [1, 2, 3, 4, 5], "boss": [None, 1, 1, 2, 2], "grade": list("aabbb")})
    doctors["boss"] = doctors.boss.astype("Int64")
    many = rng.integers(0, 3, len(visits))
    which = np.repeat(np.arange(len(visits)), many)
    procedures = pd.DataFrame(
        {"visit": visits.visit.to_numpy()[which], "code": rng.choice(["x", "y", "z"], len(which)), "cost": 5.0}
    )
    procedures["cost"] = np.round(rng.gamma(2, 50, len(which)), 2)
    procedures["patient"] = visits.set_index("visit").patient.loc[procedures.visit].to_numpy()
    return {"procedures": procedures, "visits": visits, "patients": patients, "wards": wards, "doctors": doctors}


def declared(tables: Tables) -> DatabaseSchema:
    return DatabaseSchema(
        {name: Schema.infer(frame) for name, frame in tables.items()},
        {"patients": "id", "visits": "visit", "wards": "ward", "doctors": "doctor"},
        (
            ForeignKey("visits", "patient", "patients"),
            ForeignKey("visits", "ward", "wards"),
            ForeignKey("visits", "doctor", "doctors"),
            ForeignKey("procedures", "visit", "visits"),
            ForeignKey("procedures", "patient", "patients"),
            ForeignKey("doctors", "boss", "doctors"),
        ),
        {"visits": "start"},
        ("wards",),
    )


@pytest.fixture(scope="module")
def real() -> Tables:
    return clinic()


@pytest.fixture(scope="module")
def model(real: Tables) -> RelationalSynthesizer:
    return RelationalSynthesizer(epochs=8, min_group=2).fit(real, schema=declared(real), seed=0)


@pytest.fixture(scope="module")
def synthetic(model: RelationalSynthesizer) -> Tables:
    return model.sample(seed=1)


def test_tables_have_the_training_columns_and_dtypes(real: Tables, synthetic: Tables) -> None:
    assert list(synthetic) == list(real)
    for name, frame in real.items():
        assert synthetic[name].columns.tolist() == frame.columns.tolist()
        assert synthetic[name].dtypes.astype(str).to_dict() == frame.dtypes.astype(str).to_dict()


def test_every_foreign_key_has_a_parent_and_no_primary_key_repeats(real: Tables, synthetic: Tables) -> None:
    schema = declared(real)
    for name, key in schema.primary_keys.items():
        assert synthetic[name][key].is_unique
        assert synthetic[name][key].notna().all()
    for link in schema.foreign_keys:
        values = synthetic[link.table][link.column].dropna()
        assert values.isin(synthetic[link.parent][schema.primary_keys[link.parent]]).all()


def test_a_key_that_follows_from_the_parent_is_copied(synthetic: Tables) -> None:
    owner = synthetic["visits"].set_index("visit").patient
    assert (owner.loc[synthetic["procedures"].visit].to_numpy() == synthetic["procedures"].patient.to_numpy()).all()


def test_no_row_is_its_own_ancestor(synthetic: Tables) -> None:
    boss = synthetic["doctors"].set_index("doctor").boss
    for doctor in boss.index:
        seen = set()
        while pd.notna(boss[doctor]):
            assert doctor not in seen
            seen.add(doctor)
            doctor = int(boss[doctor])


def test_visits_come_after_birth_and_end_after_they_start(synthetic: Tables) -> None:
    visits = synthetic["visits"].merge(synthetic["patients"], left_on="patient", right_on="id")
    assert (visits.start >= visits.birth).all()
    assert (visits.stop >= visits.start).all()


def test_children_per_parent_and_their_dependence_on_it_are_kept(model: RelationalSynthesizer, real: Tables) -> None:
    """Mean visits per woman and per man of 600 patients: standard error below .1, real difference 2."""
    drawn = model.sample({"patients": 600}, seed=3)
    for tables in (real, drawn):
        tables["patients"]["visits"] = tables["patients"].id.map(tables["visits"].patient.value_counts()).fillna(0)
    wanted, found = (t["patients"].groupby("sex").visits.mean() for t in (real, drawn))
    assert abs(found - wanted).max() < 0.7
    del real["patients"]["visits"]


def test_reference_tables_are_copied_and_their_keys_learned(real: Tables, synthetic: Tables) -> None:
    pd.testing.assert_frame_equal(synthetic["wards"], real["wards"])
    shares = (tables["visits"].ward.value_counts(normalize=True) for tables in (real, synthetic))
    assert next(shares).sub(next(shares)).abs().max() < 0.1


def test_no_real_key_is_released(real: Tables, synthetic: Tables) -> None:
    assert not set(map(tuple, real["visits"][["visit", "start"]].to_numpy())) & set(
        map(tuple, synthetic["visits"][["visit", "start"]].to_numpy())
    )


def test_equal_seeds_give_equal_fits_and_samples() -> None:
    few = clinic(40)
    models = [RelationalSynthesizer(epochs=2, min_group=2).fit(few, schema=declared(few), seed=0) for _ in range(2)]
    one, again = (model.sample(seed=1) for model in models)
    for name in few:
        pd.testing.assert_frame_equal(again[name], one[name])
    assert not models[0].sample(seed=2)["visits"].equals(one["visits"])


def test_a_saved_model_samples_the_same(model: RelationalSynthesizer, synthetic: Tables, tmp_path: Path) -> None:
    model.save(tmp_path / "clinic.tabsynth")
    loaded = RelationalSynthesizer.load(tmp_path / "clinic.tabsynth").sample(seed=1)
    for name in synthetic:
        pd.testing.assert_frame_equal(loaded[name], synthetic[name])


def test_conditions_on_the_root_and_scaling(model: RelationalSynthesizer, real: Tables) -> None:
    women = model.sample({"patients": 30}, given={"patients": {"sex": "f"}}, seed=4)
    assert len(women["patients"]) == 30
    assert (women["patients"].sex == "f").all()
    half = model.sample(scale=0.5, seed=5)
    assert len(half["patients"]) == len(real["patients"]) // 2
    assert 0.3 < len(half["visits"]) / len(real["visits"]) < 0.7


def test_conditions_on_child_tables(model: RelationalSynthesizer) -> None:
    some = model.sample(given={"visits": {"ward": [10, 30]}, "procedures": {"code": "x", "cost": (50, 120)}}, seed=6)
    assert set(some["visits"].ward) == {10, 30}
    assert set(some["procedures"].code) == {"x"}
    assert some["procedures"].cost.between(50, 120).all()
    assert set(some["procedures"].visit) <= set(some["visits"].visit)
    free = model.sample(seed=6)
    pd.testing.assert_frame_equal(some["patients"][["birth", "sex"]], free["patients"][["birth", "sex"]])


def test_no_parent_no_children(model: RelationalSynthesizer) -> None:
    nothing = model.sample({"patients": 0, "doctors": 0}, seed=0)
    assert [len(nothing[name]) for name in ("patients", "visits", "procedures")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("sample", "error", "message"),
    [
        ({"n": 5}, InputError, "several root tables"),
        ({"n": {"visits": 5}}, InputError, "root tables are"),
        ({"n": {"patients": -1}}, InputError, "whole number"),
        ({"scale": 0}, InputError, "scale must be"),
        ({"scale": 1, "n": {"patients": 3}}, InputError, "instead of n"),
        ({"given": {"visits": {"start": "2001-01-01"}}}, ConditionError, "child table 'visits'.*not on 'start'"),
        ({"given": {"procedures": {"visit": 3}}}, ConditionError, "not on 'visit'"),
        ({"given": {"wards": {"ward": 10}}}, ConditionError, "the table 'wards'"),
        ({"given": {"procedures": {"code": "q"}}}, ConditionError, "code"),
        ({"given": {"patients": {"sex": "q"}}}, ConditionError, "sex"),
        ({"given": {"sex": "f"}}, ConditionError, "mapping by table"),
    ],
)
def test_faulty_requests_are_refused(
    model: RelationalSynthesizer, sample: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model.sample(**sample)  # type: ignore[arg-type]


def test_dates_written_as_text_are_ordered_in_time() -> None:
    """As text, 09/01/2020 comes after 08/01/2021; as a date it comes before."""
    people = pd.DataFrame({"person": [f"P{i:03d}" for i in range(40)], "sex": ["f", "m"] * 20})
    days = pd.date_range("2019-06-01", periods=120, freq="29D")
    visits = pd.DataFrame({"person": people.person.tolist() * 3, "day": days.strftime("%m/%d/%Y"), "ward": "a"})
    tables = {"people": people, "visits": visits.sample(frac=1, random_state=0)}
    schema = DatabaseSchema(
        {name: Schema.infer(frame) for name, frame in tables.items()},
        {"people": "person"},
        (ForeignKey("visits", "person", "people"),),
        {"visits": "day"},
    )
    days = pd.to_datetime(sort_tables(tables, schema)["visits"].day, format="%m/%d/%Y")
    assert all((days.iloc[i : i + 3].diff().dropna() > pd.Timedelta(0)).all() for i in range(0, 120, 3))
    missing = tables["visits"].assign(day=tables["visits"].day.where(tables["visits"].ward.index % 40 > 0))
    with pytest.raises(DataError, match=r"visits\.day, which orders the rows of visits, is missing in 3 rows"):
        RelationalSynthesizer().fit({"people": people, "visits": missing}, schema=schema)


def test_values_of_one_root_are_not_released_in_any_table() -> None:
    """One patient's note is in many visits and in many more procedures, and rests on one root all the same."""
    tables = clinic(40)
    tables = {name: tables[name] for name in ("patients", "visits", "procedures")}
    owner = tables["visits"].patient.value_counts().index[0]
    for name in ("visits", "procedures"):
        tables[name]["note"] = np.where(tables[name].patient == owner, "secret", "plain")
        assert (tables[name].note == "secret").sum() > 5
    schema = DatabaseSchema(
        {name: Schema.infer(frame) for name, frame in tables.items()},
        {"patients": "id", "visits": "visit"},
        (ForeignKey("visits", "patient", "patients"), ForeignKey("procedures", "visit", "visits")),
        {"visits": "start"},
    )
    model = RelationalSynthesizer(epochs=1, min_group=2)
    with pytest.warns(UserWarning, match="'note': .* shared by fewer than 2 persons"):
        model.fit(tables, schema=schema, seed=0)
    drawn = model.sample(scale=3, seed=1)
    assert "secret" not in {*drawn["visits"].note, *drawn["procedures"].note}


def test_faulty_tables_are_refused(real: Tables) -> None:
    schema = declared(real)
    visits = real["visits"].copy()
    visits.loc[3, "patient"] = "nobody"
    with pytest.raises(DataError, match="1 rows of visits.patient refer to no row of patients"):
        RelationalSynthesizer().fit({**real, "visits": visits}, schema=schema)
    repeated = pd.concat([real["patients"], real["patients"].head(2)])
    with pytest.raises(DataError, match="primary key patients.id repeats in 2 rows"):
        RelationalSynthesizer().fit({**real, "patients": repeated}, schema=schema)
    with pytest.raises(InputError, match="missing 'wards'"):
        RelationalSynthesizer().fit({name: real[name] for name in real if name != "wards"}, schema=schema)
    with pytest.raises(PrivacyError, match="privacy must be a tabsynth.Privacy"):
        RelationalSynthesizer().fit(real, schema=schema, privacy=object())
    with pytest.raises(NotFittedError):
        RelationalSynthesizer().sample()


def test_observation_begins_at_one_date_for_parents_of_all_ages() -> None:
    rng = np.random.default_rng(0)
    birth = pd.Timestamp("1930-01-01") + pd.to_timedelta(rng.integers(0, 29_000, 200), unit="D")
    first = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 60, 200), unit="D")
    owner = np.repeat(np.arange(200), 4)
    later = np.tile([0, 100, 200, 300], 200) + rng.integers(0, 90, 800) * np.tile([0, 1, 1, 1], 200)
    visits = pd.DataFrame({"person_id": owner, "day": first[owner] + pd.to_timedelta(later, unit="D")})
    tables = {"person": pd.DataFrame({"id": np.arange(200), "birth": birth}), "visits": visits}
    drawn = RelationalSynthesizer(epochs=1).fit(tables, seed=0).sample(seed=1)
    begun = drawn["visits"].groupby("person_id").day.min()
    assert begun.between("2015-01-01", "2015-03-01").all()
    assert (begun.to_numpy() >= drawn["person"].set_index("id").birth.loc[begun.index].to_numpy()).all()


def test_a_root_table_of_nothing_but_its_key_is_refused(real: Tables) -> None:
    """With a table below it, it has the plan of the rows below; without, it has nothing to learn."""
    tables = {"doctors": real["doctors"][["doctor"]], "patients": real["patients"], "visits": real["visits"]}
    links = (ForeignKey("visits", "patient", "patients"), ForeignKey("visits", "doctor", "doctors"))
    schemas = {name: Schema.infer(frame) for name, frame in tables.items()}
    keys = {"patients": "id", "visits": "visit", "doctors": "doctor"}
    schema = DatabaseSchema(schemas, keys, links)
    with pytest.raises(DataError, match=r"'doctors' has no column but its keys, .*declare it in `reference`"):
        RelationalSynthesizer(epochs=1).fit(tables, schema=schema, seed=0)
    own = Schema.from_dict({"columns": {"doctor": {"kind": "identifier"}}})
    alone = DatabaseSchema({"doctors": own}, {"doctors": "doctor"}, ())
    with pytest.raises(DataError, match="'doctors' has no column but its keys"):
        privacy = Privacy(1.0, 1e-6, unit="doctor", rows_per_person=1, n_public=5)
        RelationalSynthesizer().fit({"doctors": tables["doctors"]}, schema=alone, privacy=privacy)


def test_a_model_of_one_table_is_not_read(tmp_path: Path) -> None:
    from tabsynth.synthesizers.masked import MaskedSynthesizer

    frame = pd.DataFrame({"a": ["x", "y"] * 20})
    MaskedSynthesizer(epochs=1).fit(frame, seed=0).save(tmp_path / "one")
    with pytest.raises(ModelFileError, match="read it with tabsynth.load"):
        RelationalSynthesizer.load(tmp_path / "one")
