"""Jobs survive a restart of the browser and the server, are cancelled and resumed, and report every failure."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from tabsynth.data.read_write import write
from tabsynth.errors import InputError, PrivacyError
from tabsynth.pipeline import run
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.synthesizers.registry import load
from tabsynth.web import jobs
from tabsynth.web.progress import live
from tabsynth.web.project import Project, read_state
from tabsynth.web.steps.pipeline_file import write_pipeline
from tabsynth.web.steps.protection import Protection
from tabsynth.web.steps.tables import take_source


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return take_source(tmp_path, "sklearn:iris")


def wait_for(project: Project, phase: str) -> None:
    end = time.monotonic() + 900
    while read_state(project.path(jobs.PROGRESS)).get("phase") != phase:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_job_is_cancelled_and_goes_on_where_it_was(project: Project, tmp_path: Path) -> None:
    Protection().save(project)
    jobs.start(tmp_path, project, "train")
    with pytest.raises(InputError, match="another table is being learned"):
        jobs.start(tmp_path, project, "plan")
    wait_for(project, "learn")
    jobs.cancel(tmp_path, project)
    assert jobs.wait(tmp_path, 900)
    assert jobs.status(tmp_path, project)["state"] == "cancelled"
    jobs.start(tmp_path, project, "train")
    wait_for(project, "evaluate")
    running = jobs.running(tmp_path)
    assert running is not None
    assert running[1] == "iris"
    os.kill(running[0], signal.SIGKILL)
    assert jobs.wait(tmp_path, 900)
    status = jobs.status(tmp_path, project)
    assert status["state"] == "stopped"
    assert live(status, private=False)["message"]
    model = project.output("model.tabsynth").stat()
    jobs.start(tmp_path, project, "train")
    assert jobs.wait(tmp_path, 900)
    assert jobs.status(tmp_path, project)["state"] == "done"
    assert project.output("model.tabsynth").stat().st_mtime_ns == model.st_mtime_ns  # it was not learned again
    project.update(confirmed=True)
    assert project.step == "results"
    # The pipeline file makes the same rows.
    synthetic = pd.read_parquet(project.output("synthetic.parquet"))
    write_pipeline(project)
    run(project.path("pipeline.yaml"), progress=False)
    assert pd.read_parquet(project.output("synthetic.parquet")).equals(synthetic)


@pytest.mark.slow
def test_a_job_cancelled_before_it_could_say_so_is_cancelled(project: Project, tmp_path: Path) -> None:
    Protection().save(project)
    jobs.start(tmp_path, project, "train")
    jobs.cancel(tmp_path, project)  # the worker is still being imported
    assert jobs.wait(tmp_path, 900)
    assert jobs.status(tmp_path, project)["state"] == "cancelled"


def test_a_failed_job_says_why(project: Project, tmp_path: Path) -> None:
    Protection().save(project)
    project.path("table.parquet").write_bytes(b"damaged")
    jobs.start(tmp_path, project, "train")
    assert jobs.wait(tmp_path, 900)
    status = jobs.status(tmp_path, project)
    assert status["state"] == "failed"
    assert status["message"]


def test_progress_adds_up_to_the_whole() -> None:
    phases = ("learn", "sample", "evaluate", "audit")
    shown = [live({"action": "train", "state": "running", "phase": name, "share": 0.5}, False) for name in phases]
    percents = [one["percent"] for one in shown]
    assert percents == sorted(percents)
    assert 0 < percents[0] < percents[-1] < 100
    assert live({"action": "train", "state": "done"}, False)["percent"] == 100
    assert live({"action": "train", "curve": [[1, 2.0], [2, 1.0]]}, False)["curve"].startswith("M0.0 ")


@pytest.mark.slow
def test_a_private_fit_protects_persons_and_goes_on_without_a_second_charge(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "person": [f"p{i // 2:04d}" for i in range(600)],
            "age": [20 + i * 7 % 60 for i in range(600)],
            "sex": [("f", "m")[i % 2] for i in range(600)],
            "pay": [10.0 * (i * 13 % 97) for i in range(599)] + [1e9],
            "site_code": [1 + i * 5 % 4 for i in range(600)],  # measured, so text in the synthetic table
        }
    )
    write(frame, tmp_path / "visits.csv")
    project = take_source(tmp_path, str(tmp_path / "visits.csv"))
    schema = project.schema.replace("person", kind="identifier", role="person", pattern=None)
    schema = schema.replace("site_code", kind="categorical")
    schema.replace("sex", kind="categorical", values=("f", "m")).to_json(project.path("schema.json"))
    Protection(epsilon=2.0, budget=2.0, rows_public=600, unit="person", rows_per_person=2).save(project)
    for _ in range(2):
        jobs.start(tmp_path, project, "train")
        assert jobs.wait(tmp_path, 900)
        assert jobs.status(tmp_path, project)["state"] == "done", jobs.status(tmp_path, project)
        ledger = PrivacyLedger.open(project.path("ledger.json"))
        assert ledger.unit == "person"
        assert 1.8 < ledger.epsilon() <= 2.0
        project.output("report.json").unlink()
    train, held = (pd.read_parquet(project.output(f"real-{part}.parquet")) for part in ("train", "holdout"))
    assert not set(train["person"]) & set(held["person"])
    model = load(project.output("model.tabsynth"))
    write_pipeline(project)
    with pytest.raises(PrivacyError, match="the budget is 2"):  # it would fit again, and is refused before it reads
        run(project.path("pipeline.yaml"), progress=False)
    assert ledger.tip == PrivacyLedger.open(project.path("ledger.json")).tip
    assert model.schema_["pay"].high < 1e9  # a single value widens no bound
    assert set(pd.read_parquet(project.output("synthetic.parquet"))["site_code"]) <= {"1", "2", "3", "4", "other"}
    assert not set(pd.read_csv(project.output("synthetic.csv"))["person"]) & set(frame["person"])
