"""What benchmarks share: folders beside the repository, their tables, the yardstick's scorer, and lines of results."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.datasets import load_breast_cancer

from tabsynth.data import Table, read

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
DATA, YARDSTICK = SHARED / "data", SHARED / "yardstick"


def adult(*, short: bool) -> Table:
    """Adult, or a small table; the benchmark ends where Adult is not there."""
    if short:
        return Table.of(small_frame())
    path = DATA / "adult.csv.gz"
    if not path.exists():
        raise SystemExit(f"{path} is not there; use --short")
    return read(path)


def small_frame() -> pd.DataFrame:
    """Eight numbers of the breast cancer table and its target, 569 rows."""
    frame: pd.DataFrame = load_breast_cancer(as_frame=True).frame
    return frame.iloc[:, -9:]


def prepare_yardstick(folder: Path) -> None:
    """Write the yardstick's tables to a folder; the benchmark ends where the yardstick is not there."""
    if not YARDSTICK.is_dir():
        raise SystemExit(f"the yardstick is not at {YARDSTICK}; use --short")
    subprocess.run([sys.executable, YARDSTICK / "prepare.py", folder], check=True, stdout=subprocess.DEVNULL)


def yardstick_scores(folder: Path, table: str, synthetic: Path) -> dict[str, Any]:
    """Score a synthetic table by the yardstick's command."""
    files = [folder / f"{table}.train.csv", folder / f"{table}.test.csv", folder / f"{table}.json", synthetic]
    command = [sys.executable, YARDSTICK / "score.py", *files]
    scores: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return scores


def yardstick_module() -> Any:
    """The yardstick's scorer as a module."""
    spec = importlib.util.spec_from_file_location("yardstick_score", YARDSTICK / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def print_result(figures: Mapping[str, Any], output: Path | None) -> None:
    """Print a line of JSON, and append it to a file if there is one."""
    line = json.dumps(figures)
    print(line, flush=True)
    if output is not None:
        output.parent.mkdir(exist_ok=True)
        with output.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
