"""A pipeline whose input is a folder of linked tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabsynth.data.database.folders import read_folder, write_folder
from tabsynth.errors import InputError, SourceError
from tabsynth.pipeline import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"patient_id": range(1, 41), "sex": rng.choice(["f", "m"], 40)})
    owner = np.repeat(np.arange(40), 1 + rng.poisson(2, 40))
    visits = pd.DataFrame({"visit_id": range(1, len(owner) + 1), "patient_id": people.patient_id.to_numpy()[owner]})
    visits["day"] = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3000, len(owner)), unit="D")
    visits["ward"] = rng.choice(["eye", "heart", "surgery"], len(owner))
    write_folder({"patients": people, "visits": visits}, tmp_path / "real", format="csv")
    return tmp_path


def job(folder: Path, **more: Any) -> dict[str, Any]:
    return {"version": 1, "input": str(folder / "real"), "output": str(folder / "out"), "model": {"epochs": 1}, **more}


def test_all_steps_write_folders_and_reports(folder: Path) -> None:
    steps = {"holdout": 0.3, "sample": {"rows": 25, "given": {"patients": {"sex": "f"}}}}
    result = run(job(folder, **steps, evaluate={"require": {"visits.patient_id.dangling_keys": 0}}))
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        ".pipeline",
        "model.tabsynth",
        "real-holdout",
        "real-train",
        "report.html",
        "report.json",
        "synthetic",
    ]
    drawn, _ = read_folder(folder / "out" / "synthetic")
    held, _ = read_folder(folder / "out" / "real-holdout")
    train, _ = read_folder(folder / "out" / "real-train")
    assert set(drawn["patients"].sex) == {"f"}
    assert len(drawn["patients"]) == result.rows["synthetic patients"] == 25
    assert len(held["patients"]) == 12
    assert set(held["visits"].patient_id).isdisjoint(train["visits"].patient_id)
    assert result.scores["visits.patient_id.dangling_keys"].value == 0
    assert result.synthetic == folder / "out" / "synthetic"
    assert result.to_dict()["verdict"].startswith("The synthetic database")
    assert result.unmet == ()
    again = run(job(folder, holdout=0.3, sample=False, evaluate=False))
    assert again.synthetic is None
    assert again.steps == {"read": "skipped", "fit": "skipped"}
    assert (folder / "out" / "synthetic" / "visits.parquet").exists()


@pytest.mark.slow
def test_a_missed_requirement_keeps_earlier_results(folder: Path) -> None:
    write_folder({"patients": pd.DataFrame({"x": [1]})}, folder / "old")
    (folder / "out").mkdir()
    (folder / "old").rename(folder / "out" / "synthetic")
    result = run(job(folder, evaluate={"require": {"visits.shape_error": -1}}))
    assert len(result.unmet) == 1
    assert list(read_folder(folder / "out" / "synthetic")[0]) == ["patients"]
    assert sorted(read_folder(folder / "out" / "failed" / "synthetic")[0]) == ["patients", "visits"]
    assert not (folder / "out" / "model.tabsynth").exists()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": {"kind": "masked"}}, InputError, "is relational, not 'masked'"),
        ({"model": {"layers": 3}}, InputError, "no option 'layers'"),
        ({"audit": True}, InputError, "audit needs the step sample, and a holdout"),
        ({"target": "sex"}, InputError, "target is for one table"),
        ({"sample": {"rws": 3}}, InputError, "did you mean 'rows'"),
        ({"sample": False}, InputError, "evaluate needs the step sample"),
        ({"sample": {"output": "../elsewhere"}}, SourceError, "outside the folder"),
        ({"sample": {"format": "xlsx"}}, InputError, "parquet or csv"),
        ({"holdout": 1.5}, InputError, "between 0 and 1"),
        ({"smaple": True}, InputError, "unknown key"),
    ],
)
def test_faulty_pipelines_write_nothing(
    folder: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(job(folder, **change))
    assert [path.name for path in (folder).iterdir()] == ["real"]


def test_results_never_go_into_the_input(folder: Path) -> None:
    with pytest.raises(SourceError, match="inside the input"):
        run({**job(folder), "output": str(folder / "real")})
    assert sorted(path.name for path in (folder / "real").iterdir()) == ["patients.csv", "visits.csv"]
