"""Commands on a folder of linked tables: inspect, fit and sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.cli import BAD_INPUT, DONE, UNMET, main
from tabsynth.data.database.folders import read_folder, write_folder
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.synthesizers.relational import links


def clinic(patients: int = 40) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"patient_id": range(1, patients + 1), "sex": rng.choice(["f", "m"], patients)})
    owner = np.repeat(np.arange(patients), 1 + rng.poisson(2, patients))
    visits = pd.DataFrame({"visit_id": range(1, len(owner) + 1), "patient_id": people.patient_id.to_numpy()[owner]})
    visits["day"] = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3000, len(owner)), unit="D")
    visits["ward"] = rng.choice(["eye", "heart", "surgery"], len(owner))
    return {"patients": people, "visits": visits}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tables, its schema and a model of them."""
    path = tmp_path_factory.mktemp("linked")
    write_folder(clinic(), path / "real", format="csv")
    assert main(["inspect", str(path / "real"), "--schema", str(path / "clinic.yaml"), "--quiet"]) == DONE
    line = ["fit", str(path / "real"), "--schema", str(path / "clinic.yaml"), "--epochs", "1"]
    assert main([*line, "--output", str(path / "m.tabsynth"), "--quiet"]) == DONE
    return path


def test_inspect_proposes_keys_and_asks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder / "real"), "--json"]) == DONE
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == {"patients": 40, "visits": len(clinic()["visits"])}
    assert found["schema"]["foreign_keys"] == [{"table": "visits", "column": "patient_id", "parent": "patients"}]
    assert "visits.patient_id" not in found["questions"]  # the proposed foreign key answers it
    schema = DatabaseSchema.from_json(folder / "clinic.yaml")
    assert schema.primary_keys == {"patients": "patient_id", "visits": "visit_id"}
    assert schema.order == {"visits": "day"}


@pytest.mark.parametrize(("kind", "options"), [("parquet", []), ("csv", ["--format", "csv"])])
def test_sample_writes_a_folder(folder: Path, tmp_path: Path, kind: str, options: list[str]) -> None:
    line = ["sample", str(folder / "m.tabsynth"), "-n", "12", "--given", "patients.sex=f", "--seed", "1", *options]
    assert main([*line, "--output", str(tmp_path / "out")]) == DONE
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"patients.{kind}", f"visits.{kind}"]
    tables, _ = read_folder(tmp_path / "out")
    assert len(tables["patients"]) == 12
    assert set(tables["patients"].sex) == {"f"}
    assert set(tables["visits"].patient_id) <= set(tables["patients"].patient_id)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_large_sample_is_written_in_chunks(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(links, "CHUNK_ROWS", 60)
    line = ["sample", str(folder / "m.tabsynth"), "-n", "40", "--seed", "1", "--format", kind]
    assert main([*line, "--output", str(tmp_path / "out")]) == DONE
    tables, _ = read_folder(tmp_path / "out")
    assert len(tables["patients"]) == tables["patients"].patient_id.nunique() == 40
    assert tables["visits"].visit_id.is_unique
    assert tables["visits"].patient_id.isin(tables["patients"].patient_id).all()
    assert tables["visits"].day.dtype.kind == "M"


def test_sample_by_scale(folder: Path, tmp_path: Path) -> None:
    assert main(["sample", str(folder / "m.tabsynth"), "--scale", "0.5", "-o", str(tmp_path / "out")]) == DONE
    assert len(read_folder(tmp_path / "out")[0]["patients"]) == 20


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["fit", "{real}", "--model", "ctgan", "-o", "{out}"], "folder of tables"),
        (["fit", "{real}", "--option", "layers=2", "-o", "{out}"], "no option 'layers'"),
        (["fit", "{real}", "--checkpoint", "c", "-o", "{out}"], "no checkpoint"),
        (["sample", "{model}", "--given", "sex=f", "-o", "{out}"], "TABLE.COLUMN=VALUE"),
        (["sample", "{model}", "-n", "5", "--scale", "2", "-o", "{out}"], "exclude each other"),
        (["sample", "{model}", "-n", "5", "-o", "{model}"], "the input"),
    ],
)
def test_bad_lines_write_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: list[str], message: str
) -> None:
    places = {"real": folder / "real", "out": tmp_path / "out", "model": folder / "m.tabsynth"}
    assert main([part.format(**places) for part in line]) == BAD_INPUT
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_evaluate_writes_a_report_and_checks_limits(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", str(folder / "m.tabsynth"), "--seed", "1", "-o", str(tmp_path / "out")]) == DONE
    line = ["evaluate", str(folder / "real"), str(tmp_path / "out"), "--schema", str(folder / "clinic.yaml"), "--quick"]
    report = tmp_path / "report.html"
    capsys.readouterr()
    assert main([*line, "--output", str(report), "--require", "visits.patient_id.dangling_keys=0"]) == DONE
    summary = json.loads(capsys.readouterr().out)
    assert summary["scores"]["visits.patient_id.dangling_keys"] == 0
    assert "<svg class=" in report.read_text(encoding="utf-8")
    assert main([*line, "--require", "visits.shape_error=0"]) == UNMET
    assert main([*line, "--require", "visits.shape=0"]) == BAD_INPUT
    assert main([*line, "--target", "ward"]) == BAD_INPUT


def test_split_and_audit_by_person(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, others, made = (str(tmp_path / name) for name in ("train", "others", "made"))
    line = ["split", str(folder / "real"), "--share", "0.5", "--train", train, "--holdout", others]
    assert main([*line, "--schema", str(folder / "clinic.yaml")]) == DONE
    assert json.loads(capsys.readouterr().out)["rows"]["holdout"]["patients"] == 20
    assert sorted(path.name for path in Path(train).iterdir()) == ["patients.csv", "visits.csv"]
    assert set(read_folder(train)[0]["visits"].patient_id).isdisjoint(read_folder(others)[0]["visits"].patient_id)
    write_folder(read_folder(train)[0], made, format="csv")  # a synthetic database that copies everybody
    line = ["audit", train, made, "--holdout", others, "--schema", str(folder / "clinic.yaml")]
    assert (
        main(
            [
                *line,
                "--epsilon",
                "1",
                "--unit",
                "patient_id",
                "--rows-per-person",
                "4",
                "--output",
                str(tmp_path / "audit.json"),
            ]
        )
        == UNMET
    )
    report = json.loads((tmp_path / "audit.json").read_text())
    assert report["verdict"] == "VIOLATION"
    assert report["claim"]["unit"] == "patient_id"
    assert main(["audit", train, made, "--unit", "patient_id"]) == BAD_INPUT
    assert main(["split", train, "--target", "sex", "--train", made, "--holdout", others]) == BAD_INPUT
