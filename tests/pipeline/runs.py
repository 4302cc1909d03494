"""A pipeline file, its table, and helpers that run and change it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

STEPS = ["read", "fit", "sample", "evaluate", "audit", "release"]


SCHEMA: dict[str, Any] = {
    "columns": {
        "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
        "sex": {"kind": "categorical", "values": ["f", "m"]},
        "ill": {"kind": "boolean"},
    }
}


def table(rows: int) -> pd.DataFrame:
    """The first rows of an endless table."""
    rng = np.random.default_rng(0)
    draws = rng.random((2000, 3))[:rows]
    age = 10 * (2 + 7 * draws[:, 0]).astype(int)  # few values: small tables are not learned by heart
    return pd.DataFrame({"age": age, "sex": np.where(draws[:, 1] < 0.5, "f", "m"), "ill": draws[:, 2] < age / 120})


def results(output: Path) -> dict[str, bytes]:
    """What a run publishes: every file but records and results of failed runs."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in output.rglob("*")
        if path.is_file() and path.relative_to(output).parts[0] not in (".pipeline", "failed")
    }


def write(path: Path, job: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(job))


def changed(path: Path, **keys: Any) -> None:
    """Change top-level keys of a pipeline file; a step's keys are merged."""
    job = yaml.safe_load(path.read_text())
    for key, value in keys.items():
        job[key] = {**job[key], **value} if isinstance(value, dict) and isinstance(job.get(key), dict) else value
    write(path, job)


def status(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((path.parent / "out/.pipeline/status.json").read_text())
    return data


_KILLED = """
import os, signal, sys
from tabsynth.cli import main
from tabsynth.pipeline.status import RunStatus

path, killed_step = sys.argv[1:]
set_state = RunStatus.step

def step(self, name, state, reason=""):
    set_state(self, name, state, reason)
    if (name, state) == (killed_step, "running"):
        os.kill(os.getpid(), signal.SIGKILL)

RunStatus.step = step
main(["run", path, "--quiet"])
"""


def killed_at(path: Path, step: str) -> None:
    """Run the pipeline in a process that is killed as soon as a step is running."""
    line = [sys.executable, "-c", _KILLED, str(path), step]
    done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    assert done.returncode == -signal.SIGKILL, "the run ended before it could be killed"
