"""A table, a schema, and helpers that run the commands."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabsynth.cli import BAD_INPUT, main

SCHEMA = {
    "columns": {
        "age": {"kind": "numeric", "low": 0, "high": 120, "decimals": 0},
        "bmi": {"kind": "numeric", "decimals": 1, "nullable": True},
        "sex": {"kind": "categorical", "values": ["f", "m"]},
        "outcome": {"kind": "categorical", "values": ["ill", "well"], "role": "target"},
    }
}


def patients(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(20, 90, rows)
    return pd.DataFrame(
        {
            "age": age,
            "bmi": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(26, 4, rows).round(1)),
            "sex": rng.choice(["f", "m"], rows),
            "outcome": np.where(rng.random(rows) < age / 100, "ill", "well"),
        }
    )


def process(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The installed command in a process of its own, which takes seconds to start."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "tabsynth", *map(str, args)]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900, check=False)


def command(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in this process, with its output apart."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(arg) for arg in args])
    return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def results(folder: Path) -> dict[str, bytes]:
    """The files of a pipeline's output folder without the pipeline's own records."""
    return {name: data for name, data in content(folder).items() if not name.startswith(".pipeline/")}


def check_refused(
    line: list[str],
    folder: Path,
    message: str,
    capsys: pytest.CaptureFixture[str],
    code: int = BAD_INPUT,
) -> None:
    """One line on stderr, nothing on stdout, the exit code, and no file changed."""
    import re

    before = content(folder)
    assert main(line) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.search(message, shown.err.strip().splitlines()[-1]), shown.err
    assert shown.err.startswith("tabsynth: ")
    assert "Traceback" not in shown.err
    assert content(folder) == before
