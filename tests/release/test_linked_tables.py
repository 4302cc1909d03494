"""A release of linked tables: files, contracts and keys of each table, gates, verification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.data.database.folders import write_folder
from tabsynth.errors import InputError
from tabsynth.evaluation.relational.database_report import DatabaseReport
from tabsynth.evaluation.relational.evaluate_database import evaluate_database
from tabsynth.release import GateError, build, verify
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey
from tabsynth.schema.schema import Schema

from .conftest import ABOUT, WAIVED, Evidence

Tables = dict[str, pd.DataFrame]
SCHEMA = DatabaseSchema(
    {
        "people": Schema.from_dict(
            {"columns": {"id": {"kind": "identifier"}, "sex": {"kind": "categorical", "values": ["f", "m"]}}}
        ),
        "visits": Schema.from_dict(
            {
                "columns": {
                    "visit": {"kind": "identifier"},
                    "person": {"kind": "identifier"},
                    "cost": {"kind": "numeric", "low": 0, "high": 500, "decimals": 1},
                }
            }
        ),
    },
    {"people": "id", "visits": "visit"},
    (ForeignKey("visits", "person", "people"),),
)
GATES = {"gates": {"visits.person.dangling_keys": {"max": 0}}}


def hospital(seed: int, rows: int = 60) -> Tables:
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(1, rows + 1), 1 + rng.poisson(2, rows))
    people = pd.DataFrame({"id": range(1, rows + 1), "sex": rng.choice(["f", "m"], rows)})
    visits = pd.DataFrame({"visit": range(1, len(owner) + 1), "person": owner})
    return {"people": people, "visits": visits.assign(cost=rng.gamma(2, 40, len(owner)).round(1).clip(0, 500))}


@pytest.fixture(scope="module")
def report() -> DatabaseReport:
    return evaluate_database(hospital(1), hospital(2), hospital(3), schema=SCHEMA, quick=True)


def released(path: Path, report: DatabaseReport, keys: Path, **more: Any) -> Path:
    facts: dict[str, Any] = {"schema": SCHEMA, "evaluation": report, "waivers": WAIVED, "gates": GATES, **more}
    build(path, facts.pop("data", hospital(2)), about=ABOUT, key=keys / "private.pem", **facts)
    return path


def test_each_table_has_its_files_and_the_release_verifies(tmp_path: Path, report: DatabaseReport, keys: Path) -> None:
    path = released(tmp_path / "release", report, keys)
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    for table in ("people", "visits"):
        assert {f"data/{table}.csv", f"data/{table}.parquet"} <= files
        assert {f"contracts/{table}.yaml", f"table-schemas/{table}.json"} <= files
    assert "contract.yaml" not in files
    pd.testing.assert_frame_equal(pd.read_parquet(path / "data/visits.parquet"), hospital(2)["visits"])
    found = verify(path, keys / "public.pem")
    assert found.ok, found.failures
    compared = [check.text for check in found.checks if "the 3 columns of contracts/visits.yaml" in check.text]
    assert len(compared) == 1
    assert "Level" in (path / "report.html").read_text()
    assert "visits (" in (path / "data-card.md").read_text()
    # Equal inputs give equal bytes, also from a folder and into a zip.
    write_folder(hospital(2), tmp_path / "synthetic")
    other = released(tmp_path / "again", report, keys, data=tmp_path / "synthetic")
    assert {name: (path / name).read_bytes() for name in files} == {name: (other / name).read_bytes() for name in files}
    assert verify(released(tmp_path / "release.zip", report, keys), keys / "public.pem").ok
    (path / "contracts/visits.yaml").write_text("x")
    assert [check.file for check in verify(path, keys / "public.pem").checks if check.status == "failed"] == [
        "contracts/visits.yaml"
    ]


def test_keys_and_links_are_described(tmp_path: Path, report: DatabaseReport, keys: Path) -> None:
    path = released(tmp_path / "release", report, keys)
    package = json.loads((path / "datapackage.json").read_text())
    schemas = {resource["name"]: resource["schema"] for resource in package["resources"] if "schema" in resource}
    assert schemas["people"]["primaryKey"] == ["id"]
    assert schemas["visits"]["foreignKeys"] == [
        {"fields": ["person"], "reference": {"resource": "people", "fields": ["id"]}}
    ]
    sets = {item["name"]: item for item in json.loads((path / "croissant.json").read_text())["recordSet"]}
    assert sets["visits"]["key"] == [{"@id": "visits/0"}]
    assert sets["visits"]["field"][1]["references"] == {"field": {"@id": "people/0"}}


def test_gates_hold_for_linked_tables(tmp_path: Path, report: DatabaseReport, keys: Path) -> None:
    path = tmp_path / "release"
    with pytest.raises(GateError, match="audit: there is no audit"):
        released(path, report, keys, waivers=[])
    with pytest.raises(GateError, match=r"evaluation.visits.shape_error: .* is more than"):
        released(path, report, keys, gates={"gates": {"visits.shape_error": {"max": -1}}})
    with pytest.raises(InputError, match="gates name unknown scores 'shape_error'"):
        released(path, report, keys, gates={"gates": {"shape_error": {"max": 1}}})
    other = hospital(2)
    other["people"]["sex"] = "f"
    with pytest.raises(GateError, match="evidence: the evaluation is of another table"):
        released(path, report, keys, data=other)
    dangling = {**hospital(2), "visits": hospital(2)["visits"].assign(person=lambda f: f["person"] + 40)}
    faulty = evaluate_database(hospital(1), dangling, schema=SCHEMA, quick=True)
    with pytest.raises(GateError, match="evaluation.visits.person.dangling_keys: the score is poor"):
        released(path, faulty, keys, data=dangling, gates="default")
    assert not path.exists()


def test_data_and_evidence_of_different_kinds_are_refused(
    tmp_path: Path, report: DatabaseReport, evidence: Evidence, keys: Path
) -> None:
    with pytest.raises(InputError, match="the evaluation and the data differ"):
        released(tmp_path / "r", report, keys, data=evidence.rows, schema=None)
    with pytest.raises(InputError, match="the schema is of one table"):
        released(tmp_path / "r", report, keys, schema=SCHEMA.tables["people"])
    named = DatabaseSchema({"a/b": SCHEMA.tables["people"]})
    with pytest.raises(InputError, match="'a/b' cannot be released"):
        build(tmp_path / "r", {"a/b": hospital(2)["people"]}, about=ABOUT, key=keys / "private.pem", schema=named,
              waivers=[{**WAIVED[0], "gate": gate} for gate in ("audit", "evaluation")])  # fmt: skip
