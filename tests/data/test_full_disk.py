"""On a full disk every kind of output raises our error and leaves earlier files unchanged."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.errors import SourceError

NAMES = ("t.csv", "t.csv.gz", "t.parquet", "t.arrow", "t.jsonl")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB; the test is skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.name != "posix" or os.getuid() or subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def frame(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.random(rows), "b": rng.integers(0, 10**9, rows), "s": rng.random(rows).astype(str)})


@pytest.mark.parametrize("name", NAMES)
def test_files(small_disk: Path, name: str) -> None:
    path = small_disk / name
    ts.write(frame(30), path)
    before = path.read_bytes()
    with pytest.raises(SourceError, match="cannot write"):
        ts.write(frame(120_000), path)
    assert path.read_bytes() == before
    assert list(small_disk.iterdir()) == [path]
    ts.write(frame(40), path)
    assert len(ts.read(path)) == 40


def test_a_workbook(small_disk: Path) -> None:
    """Nothing is left that fails again when it is collected, which Python would report on stderr."""
    path = small_disk / "t.xlsx"
    ts.write(frame(30), path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "filler").write_bytes(bytes(3 << 20))
    with pytest.raises(SourceError, match="cannot write"):
        ts.write(frame(300), path)
    gc.collect()
    assert path.read_bytes() == before


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
@pytest.mark.parametrize("mode", ["append", "replace"])
def test_databases(small_disk: Path, dialect: str, mode: str) -> None:
    url = f"{dialect}:///{small_disk}/file.db"
    ts.write(frame(30), url, table="t")
    with pytest.raises(SourceError, match="cannot"):
        ts.write(frame(120_000), url, table="t", mode=mode)
    pd.testing.assert_frame_equal(ts.read(url, table="t").frame, frame(30), check_dtype=False)
    ts.write(frame(40), url, table="t", mode=mode)
    assert len(ts.read(url, table="t")) == (70 if mode == "append" else 40)
