"""A fitted model that all tests of the commands share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tabsynth.cli import DONE
from tabsynth.schema import Schema

from .commands import SCHEMA, command, content, patients, process


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, a schema, a holdout, a model of one epoch and rows drawn from it."""
    folder = tmp_path_factory.mktemp("fitted")
    patients().to_csv(folder / "train.csv", index=False)
    patients(60, seed=1).to_csv(folder / "test.csv", index=False)
    Schema.from_dict(SCHEMA).to_json(folder / "schema.json")
    done = process(
        *("fit", "train.csv", "--schema", "schema.json", "--epochs", 1, "--seed", 3, "--output", "m.tabsynth"),
        cwd=folder,
    )
    assert done.returncode == DONE, done.stderr
    assert json.loads(done.stdout) == {"model": "m.tabsynth", "kind": "masked", "rows": 120, "seed": 3}
    assert "fitting masked to 120 rows of 4 columns" in done.stderr
    assert sorted(content(folder)) == ["m.tabsynth", "schema.json", "test.csv", "train.csv"]  # no checkpoint is left
    done = command(*("sample", "m.tabsynth", "-n", 80, "--seed", 1, "--output", "synthetic.csv"), cwd=folder)
    assert done.returncode == DONE, done.stderr
    assert json.loads(done.stdout) == {"output": "synthetic.csv", "rows": 80, "seed": 1}
    return folder
