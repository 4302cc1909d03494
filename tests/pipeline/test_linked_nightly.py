"""A scheduled pipeline of linked tables: steps are skipped, resumed and planned; databases on both ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.data.database.folders import read_folder
from tabsynth.data.database.read_write import read_database, write_database
from tabsynth.data.sql.read_write import read_frame
from tabsynth.errors import BusyError, ConditionError, DataError, InputError, SchemaError, SourceError
from tabsynth.pipeline import plan, run
from tabsynth.pipeline.status import locked
from tabsynth.privacy.audit.report import AuditReport
from tabsynth.release import create_keys, verify
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey


def write_source(folder: Path, count: int) -> str:
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"patient_id": range(1, count + 1), "sex": rng.choice(["f", "m"], count)})
    owner = np.repeat(np.arange(count), 1 + rng.poisson(2, count))
    visits = pd.DataFrame({"visit_id": range(1, len(owner) + 1), "patient_id": people.patient_id.to_numpy()[owner]})
    visits["ward"] = rng.choice(["eye", "heart", "surgery"], len(owner))
    tables = {"patients": people, "visits": visits}
    schema = DatabaseSchema(
        DatabaseSchema.infer(tables).tables,
        {"patients": "patient_id", "visits": "visit_id"},
        (ForeignKey("visits", "patient_id", "patients"),),
    )
    url = f"sqlite:///{folder}/clinic.db"
    write_database(tables, url, schema, "replace")
    return url


def job(folder: Path, **more: Any) -> dict[str, Any]:
    source, sink = f"sqlite:///{folder}/clinic.db", f"sqlite:///{folder}/synthetic.db"
    job: dict[str, Any] = {"version": 1, "input": source, "output": str(folder / "out"), "model": {"epochs": 1}}
    return {**job, "sample": {"rows": 30, "database": sink}, "evaluate": False, **more}


def states(job: dict[str, Any]) -> str:
    """The first letter of done or skipped for each step."""
    return "".join(state[0] for state in run(job).steps.values())


def test_nights_from_a_database_to_a_database(tmp_path: Path) -> None:
    write_source(tmp_path, 40)
    assert next(str(step) for step in plan(job(tmp_path))) == "read: run (no earlier result)"
    assert states(job(tmp_path)) == "dddd"
    sink = f"sqlite:///{tmp_path}/synthetic.db"
    tables, schema = read_database(sink)
    assert len(tables["patients"]) == 30
    assert schema.foreign_keys == (ForeignKey("visits", "patient_id", "patients"),)
    pd.testing.assert_frame_equal(tables["visits"], read_folder(tmp_path / "out/synthetic")[0]["visits"])
    assert [step.reason for step in plan(job(tmp_path))] == ["", "", "", ""]
    assert states(job(tmp_path)) == "ssss"
    assert json.loads((tmp_path / "out/.pipeline/status.json").read_text())["state"] == "done"
    assert states(job(tmp_path, sample={"rows": 20, "database": sink})) == "ssdd"
    assert len(read_frame(sink, table="patients")[0]) == 20
    (tmp_path / "out/synthetic/visits.parquet").unlink()
    assert plan(job(tmp_path, sample={"rows": 20, "database": sink}))[2].reason == "an output is missing or was changed"
    with locked(tmp_path / "out"), pytest.raises(BusyError):
        run(job(tmp_path))
    write_source(tmp_path, 50)
    assert next(step.reason for step in plan(job(tmp_path))) == "changed: input"


def test_what_can_be_refused_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    write_source(tmp_path, 40)
    faulty: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"sample": {"given": {"visits": {"ward": "eye"}}}}, ConditionError, "on root tables"),
        ({"sample": {"given": {"patients": {"age": 3}}}}, ConditionError, "unknown columns of 'patients': 'age'"),
        ({"sample": {"given": {"patients": 3}}}, InputError, "must be a mapping from column to value"),
        ({"sample": {"database": "sqlite:///x.db#t"}}, InputError, "a URL without a table"),
        ({"sample": {"mode": "append"}}, InputError, "must be create or replace"),
        ({"sample": {"rows": 3, "scale": 2}}, InputError, "exclude each other"),
        ({"read": {"separator": ";"}}, InputError, "'separator' is for files"),
        ({"read": {"tables": ["patients", "wards"]}}, SourceError, "has no table 'wards'"),
        ({"model": {"checkpoint": True}}, InputError, "writes no checkpoint"),
        ({"target": "sex"}, InputError, "target is for one table"),
        ({"model": {"privacy": {"epsilon": 1.0}}}, InputError, "needs a declared schema"),
    ]
    for change, error, message in faulty:
        with pytest.raises(error, match=message):
            run(job(tmp_path, **change))
    assert [path.name for path in tmp_path.iterdir()] == ["clinic.db"]


@pytest.mark.slow
def test_a_release_of_linked_tables_is_refused_waived_and_kept(tmp_path: Path) -> None:
    write_source(tmp_path, 40)
    create_keys(tmp_path / "key.pem", tmp_path / "key.pub")
    gates = {"gates": {"visits.patient_id.dangling_keys": {"max": 0}}}
    release = {"name": "clinic", "key": str(tmp_path / "key.pem"), "output": "clinic.zip", "gates": gates}
    described = job(tmp_path, sample={}, evaluate=True, audit=True, holdout=0.3)
    with pytest.raises(InputError, match="release needs"):
        run({**described, "evaluate": False, "release": release})
    missed = run({**described, "release": release})
    assert [text.partition(":")[0] for text in missed.unmet] == ["audit"]
    assert missed.release is None
    waiver = {"gate": "audit", "who": "A. Analyst", "why": "a small table", "until": "2130-01-01"}
    done = run({**described, "release": {**release, "waivers": [waiver]}})
    assert done.steps == {
        "read": "skipped",
        "fit": "skipped",
        "sample": "skipped",
        "evaluate": "skipped",
        "audit": "skipped",
        "release": "done",
    }
    assert done.release is not None
    assert done.audit == tmp_path / "out/audit.html"
    report = AuditReport.from_dict(json.loads((tmp_path / "out/audit.json").read_text()))
    assert report.verdict == done.verdict == "INCONCLUSIVE"
    assert report.provenance["tables"]["train"]["rows"] == 28  # persons
    drawn = read_folder(tmp_path / "out/synthetic")[0]
    stated = report.provenance["linked_tables"]["synthetic"]
    assert {name: own["rows"] for name, own in stated.items()} == {name: len(frame) for name, frame in drawn.items()}
    assert verify(done.release, tmp_path / "key.pub").ok
    kept = done.release.read_bytes()
    strict = {"gates": {"visits.shape_error": {"max": -1}}}
    assert run({**described, "release": {**release, "waivers": [waiver], "gates": strict}}).release is None
    assert done.release.read_bytes() == kept
    assert run({**described, "audit": {"require": {"verdict": "consistent"}}}).unmet == (report.headline,)


def test_a_night_with_a_broken_input_is_recorded_and_publishes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "clinic"
    folder.mkdir()
    pd.DataFrame({"patient_id": range(1, 41), "sex": ["f", "m"] * 20}).to_csv(folder / "patients.csv", index=False)
    visits = pd.DataFrame({"visit_id": range(1, 81), "patient_id": [*range(1, 41)] * 2, "ward": ["eye", "hip"] * 40})
    visits.to_csv(folder / "visits.csv", index=False)
    schema, _ = tmp_path / "schema.yaml", read_folder(folder)[1].to_json(tmp_path / "schema.yaml")
    nightly = {"version": 1, "input": str(folder), "output": str(tmp_path / "out"), "schema": str(schema)}
    nightly |= {"holdout": 0.3, "sample": False, "evaluate": False, "model": {"epochs": 1}}
    assert states(nightly) == "dd"
    before = (tmp_path / "out/model.tabsynth").read_bytes()
    state = tmp_path / "out/.pipeline/status.json"
    for broken, error, message in [
        (visits.assign(patient_id=visits.patient_id.replace(7, 99)), DataError, "2 rows of visits.patient_id refer to"),
        (visits.drop(columns="ward"), SchemaError, r"visits.csv': the schema does not fit the table: 'ward'"),
    ]:
        broken.to_csv(folder / "visits.csv", index=False)
        with pytest.raises(error, match=message):
            run(nightly)
        record = json.loads(state.read_text())
        assert record["state"] == "failed"
        assert record["error"].startswith(error.__name__)
        assert {step["state"] for step in record["steps"]} == {"pending"}
    assert (tmp_path / "out/model.tabsynth").read_bytes() == before
    visits.to_csv(folder / "visits.csv", index=False)
    assert states(nightly) == "ss"
    assert json.loads(state.read_text())["state"] == "done"


def test_a_target_with_other_columns_is_refused_before_the_fit(tmp_path: Path) -> None:
    write_source(tmp_path, 40)
    other = pd.DataFrame({"patient_id": [1, 2], "region": ["n", "s"]})
    write_database({"patients": other}, f"sqlite:///{tmp_path}/synthetic.db", DatabaseSchema.infer({"patients": other}))
    with pytest.raises(DataError, match="'patients' .*only in the database: 'region'; only in the rows: 'sex'"):
        run(job(tmp_path))
    assert not (tmp_path / "out").exists()


def test_misspelt_requirements_of_linked_tables_are_refused_before_the_fit(tmp_path: Path) -> None:
    write_source(tmp_path, 40)
    for name, hint in [
        ("visits.patient_id.danglig_keys", "did you mean 'visits.patient_id.dangling_keys'"),
        ("shape_error", "."),
    ]:
        with pytest.raises(InputError, match=f"no score is called '{name}'.*{hint}"):
            run(job(tmp_path, evaluate={"require": {name: 1}}))
    assert not (tmp_path / "out").exists()
