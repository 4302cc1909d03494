"""Repeated runs: rows appended to a database, and a mix that replaces one of its inputs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tabsynth.data.read_write import read
from tabsynth.errors import DataError, InputError
from tabsynth.evaluation.evaluate import evaluate
from tabsynth.mixing.matching.suggest import suggest
from tabsynth.pipeline import plan, run
from tabsynth.pipeline.config import job_from_dict

from .runs import changed, table, write


def test_rows_are_appended_once_although_the_record_is_lost(tmp_path: Path) -> None:
    table(100).to_csv(tmp_path / "in.csv", index=False)
    sink = f"sqlite:///{tmp_path}/sink.db"
    job: dict[str, Any] = {"version": 1, "input": str(tmp_path / "in.csv"), "output": str(tmp_path / "out")}
    job |= {"model": {"kind": "marginal", "components": 2}, "evaluate": False}
    create, append = (
        {**job, "sample": {"rows": 50, "seed": seed, "database": f"{sink}#rows", "mode": mode}}
        for seed, mode in enumerate(("create", "append"))
    )
    record = tmp_path / "out/.pipeline/steps/export.json"
    for step, count in ((create, 50), (append, 100)):
        for _ in range(2):
            assert run(step).steps["export"] == "done"
            assert len(read(sink, table="rows")) == count
            record.unlink()  # as after a kill between the write and its record
    # Another append of the same rows, which is asked for, is made.
    run(create | {"sample": {**create["sample"], "mode": "append"}})
    assert len(read(sink, table="rows")) == 150


def test_an_evaluation_runs_again_with_the_scores_of_sdmetrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool | None] = []

    def quick(*tables: Any, sdmetrics: bool | None, **options: Any) -> Any:
        asked.append(sdmetrics)
        return evaluate(*tables, **options, quick=True)

    monkeypatch.setattr(sys.modules["tabsynth.evaluation.evaluate"], "evaluate", quick)
    table(60).to_csv(tmp_path / "in.csv", index=False)
    job: dict[str, Any] = {"version": 1, "input": str(tmp_path / "in.csv"), "output": str(tmp_path / "out")}
    job |= {"model": {"kind": "marginal", "components": 2}, "sample": {"rows": 20}}
    for settings in ({}, {}, {"sdmetrics": True}, {"sdmetrics": False}):
        run(job | {"evaluate": settings})
    assert asked == [None, True, False]
    with pytest.raises(InputError, match="sdmetrics must be true or false, not 1"):
        run(job | {"evaluate": {"sdmetrics": 1}})


def test_mix_in_place_of_an_input(tmp_path: Path) -> None:
    for name, rows in (("a", 150), ("b", 300)):
        table(rows)[-150:].to_csv(tmp_path / f"{name}.csv", index=False)
    proposed = suggest({name: tmp_path / f"{name}.csv" for name in "ab"})
    proposed.accept().save(tmp_path / "plan.yaml")
    job = {"version": 1, "mix": {"plan": "plan.yaml"}, "output": "out", "evaluate": False, "holdout": 0.2}
    write(tmp_path / "p.yaml", {**job, "model": {"kind": "marginal", "components": 4}})
    assert run(tmp_path / "p.yaml").rows == {"train": 240, "holdout": 60, "synthetic": 240}
    assert set(run(tmp_path / "p.yaml").steps.values()) == {"skipped"}
    table(200)[-150:].to_csv(tmp_path / "a.csv", index=False)
    assert next(item.reason for item in plan(tmp_path / "p.yaml")) == "changed: input"
    with pytest.raises(DataError, match="input 'a' has changed since the plan was created"):
        run(tmp_path / "p.yaml")
    changed(tmp_path / "p.yaml", mix={"accept_changes": True})
    assert run(tmp_path / "p.yaml").steps["fit"] == "done"
    with pytest.raises(InputError, match="give either input or mix"):
        job_from_dict({**job, "input": "a.csv"}, folder=tmp_path)
