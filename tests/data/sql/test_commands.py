"""Databases on the command line and in a pipeline file."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.cli.main import main
from tabsynth.errors import InputError, SourceError
from tabsynth.pipeline.config import job_from_dict
from tabsynth.pipeline.run import run


@pytest.fixture
def clinic(tmp_path, people) -> str:
    """A file of SQLite with the tables people and held."""
    url = f"sqlite:///{tmp_path}/clinic.db"
    ts.write(people.frame[:150], url, table="people")
    ts.write(people.frame[150:], url, table="held")
    return url


@pytest.fixture
def people() -> ts.Table:
    names = ["x", "y", "z"]
    return ts.Table.of(
        pd.DataFrame({"age": [20 + i % 50 for i in range(200)], "code": [names[i % 3] for i in range(200)]})
    )


def test_commands_read_and_write_tables(clinic, tmp_path, capsys):
    model, report = str(tmp_path / "m.tabsynth"), str(tmp_path / "r.json")
    assert main(["inspect", clinic, "--table", "people"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 150
    query = "SELECT age, code FROM people WHERE age < 60"
    assert main(["fit", clinic, "--query", query, "--model", "marginal", "-o", model]) == 0
    assert main(["sample", model, "-n", "40", "--seed", "0", "-o", clinic, "--table", "out"]) == 0
    assert main(["sample", model, "-n", "40", "--seed", "0", "-o", f"{clinic}#out"]) == 2
    assert main(["sample", model, "-n", "30", "--seed", "0", "-o", f"{clinic}#out", "--mode", "append"]) == 0
    assert len(ts.read(clinic, table="out")) == 70
    train = ["evaluate", clinic, f"{clinic}#out", "--holdout", f"{clinic}#held", "--table", "people"]
    assert main([*train, "--quick", "-o", report]) == 0
    split = ["split", f"{clinic}#people", "--train", f"{clinic}#train", "--holdout", f"{clinic}#rest"]
    assert main(split) == 0
    assert len(ts.read(f"{clinic}#train")) + len(ts.read(f"{clinic}#rest")) == 150


def test_a_pipeline_reads_and_writes_a_database(clinic, tmp_path):
    job = {
        "version": 1, "input": "sqlite:///clinic.db", "read": {"table": "people"}, "output": "out",
        "holdout": "sqlite:///clinic.db#held", "model": {"kind": "marginal"},
        "sample": {"rows": 50, "database": "sqlite:///clinic.db#synthetic"}, "evaluate": False,
    }  # fmt: skip
    for _ in range(2):  # the second replaces the table
        result = run(job_from_dict(job, folder=tmp_path))
        written = ts.read(clinic, table="synthetic").frame
        pd.testing.assert_frame_equal(written, ts.read(result.synthetic).frame, check_dtype=False)


def test_a_requirement_that_is_not_met_leaves_the_database_as_it_was(clinic, tmp_path):
    job = {
        "version": 1, "input": f"{clinic}#people", "output": "out", "model": {"kind": "marginal"}, "holdout": 0.2,
        "sample": {"rows": 50, "database": f"{clinic}#synthetic"}, "evaluate": {"require": {"shape_error": 0.0}},
    }  # fmt: skip
    assert run(job_from_dict(job, folder=tmp_path)).unmet
    with pytest.raises(SourceError, match="no table 'synthetic'"):
        ts.read(clinic, table="synthetic")


@pytest.mark.parametrize("key", ["input", "holdout", "database"])
def test_a_pipeline_file_with_a_password_is_refused(key, tmp_path):
    url = "postgresql://ann:hunter2secret@h/db#t"
    job = {"version": 1, "input": "x.csv", "output": "out"}
    job |= {"sample": {"database": url}} if key == "database" else {key: url}
    with pytest.raises(SourceError, match="PGPASSWORD") as caught:
        job_from_dict(job, folder=tmp_path)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InputError, match="names a table"):
        job_from_dict({"version": 1, "input": "x.csv", "output": "out", "sample": {"database": "sqlite:///x.db"}})
