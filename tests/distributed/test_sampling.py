"""Sharded samples: equal bytes from every executor, and runs that resume after a kill."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from tabsynth.cli import BAD_INPUT, DONE, main
from tabsynth.common.model_file import load as load_file
from tabsynth.common.model_file import model_hash
from tabsynth.distributed import sample_to
from tabsynth.distributed.executors import EXECUTORS
from tabsynth.distributed.manifest import MANIFEST
from tabsynth.errors import InputError, SourceError
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer

ROWS, SHARD_ROWS = 950, 200
RUN = {"seed": 3, "shard_rows": SHARD_ROWS}


@pytest.fixture(scope="module")
def model() -> Synthesizer:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": [f"P-{number:05d}" for number in rng.permutation(90_000)[:300]],
            "age": rng.integers(18, 90, 300),
            "town": pd.Categorical(rng.choice(["Bern", "Basel", "Oslo"], 300)),
            "ill": rng.random(300) < 0.3,
            "income": np.where(rng.random(300) < 0.2, np.nan, rng.normal(0, 1, 300).round(2)),
        }
    )
    return MarginalSynthesizer(components=4).fit(frame, seed=0)


@pytest.fixture(scope="module")
def model_path(model: Synthesizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.tabsynth"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def whole(model: Synthesizer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an uninterrupted run in one process."""
    folder = tmp_path_factory.mktemp("whole")
    sample_to(folder, model, ROWS, **RUN)
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("executor", "workers"),
    [("processes", 2), pytest.param("ray", 2, marks=pytest.mark.slow)],
)
def test_every_executor_writes_the_same_bytes(
    executor: str, workers: int, model_path: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    manifest = sample_to(tmp_path / "out", model_path, ROWS, executor=executor, workers=workers, **RUN)
    assert manifest.complete
    assert content(tmp_path / "out") == whole


def test_every_executor_is_in_the_contract() -> None:
    assert set(EXECUTORS) == {"serial", "processes", "ray"}


def test_shards_are_the_chunks_of_a_sample(model: Synthesizer, tmp_path: Path) -> None:
    manifest = sample_to(tmp_path / "out", model, ROWS, **RUN)
    expected = pd.concat(model.sample_chunks(ROWS, chunk=SHARD_ROWS, seed=3), ignore_index=True)
    read = pd.read_parquet(tmp_path / "out")
    pd.testing.assert_frame_equal(read, expected, check_dtype=False, check_categorical=False)
    assert read["id"].is_unique
    assert [shard.rows for shard in manifest.shards] == [200, 200, 200, 200, 150]
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["rows"] == ROWS


def test_a_column_that_is_all_missing_in_one_shard_keeps_its_type(tmp_path: Path) -> None:
    frame = pd.DataFrame({"rare": [None] * 97 + ["x"] * 3, "b": range(100)})
    rare = MarginalSynthesizer(components=2, min_group=1).fit(frame, seed=0)
    sample_to(tmp_path / "out", rare, 200, seed=0, shard_rows=10)
    parts = sorted((tmp_path / "out").glob("*.parquet"))
    assert any(pd.read_parquet(part)["rare"].isna().all() for part in parts)
    assert len({str(pyarrow.parquet.read_schema(part).remove_metadata()) for part in parts}) == 1


def test_a_model_has_one_hash(model: Synthesizer, model_path: Path) -> None:
    assert model_hash(model.to_file()) == model_hash(load_file(model_path))
    other = MarginalSynthesizer(components=4).fit(pd.DataFrame({"a": range(40)}), seed=0)
    assert model_hash(other.to_file()) != model_hash(model.to_file())


def test_only_missing_and_damaged_shards_are_drawn_again(
    model: Synthesizer, whole: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    sample_to(folder, model, ROWS, **RUN)
    (folder / "part-000001.parquet").unlink()
    (folder / "part-000003.parquet").write_bytes(whole["part-000003.parquet"][:-100])
    edited = pd.read_parquet(folder / "part-000004.parquet").assign(age=1)
    edited.to_parquet(folder / "part-000004.parquet")
    kept = folder / "part-000000.parquet"
    before = kept.stat().st_mtime_ns
    sample_to(folder, model, ROWS, **RUN)
    assert content(folder) == whole
    assert kept.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_killed_worker_is_replaced(model: Synthesizer, tmp_path: Path) -> None:
    """The run ends with the bytes of an undisturbed one."""
    many = {"seed": 3, "shard_rows": 50}
    killed = []

    def kill_one() -> None:
        while len(list((tmp_path / "out").glob("*.parquet"))) < 2:
            time.sleep(0.01)
        victim = multiprocessing.active_children()[0]
        os.kill(victim.pid or 0, signal.SIGKILL)
        killed.append(victim)

    thread = threading.Thread(target=kill_one)
    thread.start()
    sample_to(tmp_path / "out", model, 4_000, executor="processes", workers=1, **many)
    thread.join()
    assert killed
    sample_to(tmp_path / "undisturbed", model, 4_000, **many)
    assert content(tmp_path / "out") == content(tmp_path / "undisturbed")


RUN_FOREVER = """
import sys
from tabsynth.distributed import sample_to
if __name__ == "__main__":
    sample_to(sys.argv[1], sys.argv[2], 5_000, seed=3, shard_rows=50, executor="processes", workers=1)
"""


@pytest.mark.slow
def test_a_killed_head_resumes(model: Synthesizer, model_path: Path, tmp_path: Path) -> None:
    """The head is killed without a chance to clean up; its worker ends with it."""
    program, folder = tmp_path / "head.py", tmp_path / "out"
    program.write_text(RUN_FOREVER)
    head = subprocess.Popen([sys.executable, program, folder, model_path], stderr=subprocess.DEVNULL)
    while len(list(folder.glob("*.parquet"))) < 2 and head.poll() is None:
        time.sleep(0.01)
    head.kill()
    head.wait()
    found = len(list(folder.glob("*.parquet")))
    assert 2 <= found < 100
    manifest = sample_to(folder, model, 5_000, seed=3, shard_rows=50)
    assert manifest.complete
    sample_to(tmp_path / "undisturbed", model, 5_000, seed=3, shard_rows=50)
    visible = {name: data for name, data in content(folder).items() if not name.startswith(".")}
    assert visible == content(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    ("facts", "says"),
    [({"seed": 4}, "seed differ"), ({"shard_rows": 100}, "shard_rows differ"), ({"n": 900}, "rows differ")],
)
def test_a_folder_of_another_run_is_refused(
    facts: dict[str, int], says: str, model: Synthesizer, tmp_path: Path
) -> None:
    run = {"n": ROWS, **RUN}
    sample_to(tmp_path, model, **run)
    before = content(tmp_path)
    with pytest.raises(SourceError, match=says):
        sample_to(tmp_path, model, **(run | facts))
    assert content(tmp_path) == before


def test_a_folder_with_other_files_is_refused(model: Synthesizer, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SourceError, match="is not empty"):
        sample_to(tmp_path, model, ROWS, **RUN)


@pytest.mark.parametrize("facts", [{"n": 0}, {"workers": 0}, {"shard_rows": True}, {"executor": "slurm"}])
def test_arguments_are_checked(facts: dict[str, object], model: Synthesizer, tmp_path: Path) -> None:
    run: dict[str, object] = {"n": ROWS, **RUN}
    with pytest.raises(InputError):
        sample_to(tmp_path / "out", model, **(run | facts))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_the_command(
    model_path: Path, whole: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["sample", str(model_path), "-n", str(ROWS), "--seed", "3", "--shards", "--shard-rows", "200", "-o"]
    assert main([*line, str(tmp_path / "out")]) == DONE
    assert json.loads(capsys.readouterr().out)["shards"] == 5
    assert content(tmp_path / "out") == whole
    assert main([*line, str(tmp_path / "out"), "--given", "ill=true"]) == BAD_INPUT
