"""A write that is killed at any step leaves the old output or the new one, and the next write removes the rest.

The file is its own program, ``test_killed_writes.py NAME FOLDER``: it forks itself for each kill, which must not happen
in a process of tests, where other libraries may have started threads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tabsynth as ts
from tabsynth.data.database.folders import write_folder
from tabsynth.privacy.accounting.ledger import PrivacyLedger

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "shutil.rmtree")
FRAME = pd.DataFrame({"a": np.arange(20), "s": list("xyzuv") * 4})


def charge(path: Path) -> None:
    PrivacyLedger(9.0, 1e-6, path=path).charge(
        {"type": "LaplaceDpEvent", "noise_multiplier": 50.0}, purpose="a count", columns=["a"], sensitivity=1.0
    )


WRITES: dict[str, Callable[[Path], None]] = {
    "t.csv": lambda path: ts.write(FRAME, path),
    "t.xlsx": lambda path: ts.write(FRAME, path),
    "tables": lambda path: write_folder({"a": FRAME}, path, format="csv"),
    "t.ledger": charge,
}


def killed_at(step: int, write: Callable[[], None]) -> bool:
    """Run a write in a process of its own, which kills itself before one of its steps; return whether it came to it."""
    process = os.fork()
    if process:
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert code in (0, -signal.SIGKILL)
        return code != 0
    done = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        opened = event == "open" and arguments[0] != os.devnull and int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR)
        if opened or event in STEPS:
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(count)
        write()
        os._exit(0)
    finally:
        os._exit(1)


def kill_at_every_step(name: str, folder: Path) -> None:
    """Kill a write before its first step, its second, and so on, and look at what it left after each."""
    tempfile.tempdir = str(folder)
    target, write = folder / name, WRITES[name]
    write(target)
    before = sorted(path.name for path in folder.iterdir())
    step, charges = 1, 0
    while killed_at(step, lambda: write(target)):
        if target.is_file() and name != "t.ledger":
            assert ts.read(target).frame["a"].tolist() == FRAME["a"].tolist()
        if name == "t.ledger":
            ledger = PrivacyLedger.open(target)
            ledger.verify()
            assert len(ledger) in (charges, charges + 1) or step == 1
            charges = len(ledger)
        for path in folder.rglob("*"):
            os.utime(path, (0, 0))
        step += 1
    assert step > 5
    write(target)
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are forked")
@pytest.mark.parametrize("name", WRITES)
def test_a_killed_write(name: str, tmp_path: Path) -> None:
    program = [sys.executable, __file__, name, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    kill_at_every_step(sys.argv[1], Path(sys.argv[2]))
