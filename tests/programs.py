"""Runs Python programs in processes that start with tabsynth and its packages imported, which takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 900
"""Seconds after which a program is stopped."""

SERVER = f"""
import json, os, runpy, signal, sys
import sdmetrics.reports.single_table
import tabsynth.cli.main, tabsynth.evaluation.evaluate, tabsynth.pipeline, tabsynth.synthesizers.marginal.synthesizer
import tabsynth.synthesizers.masked, tabsynth.synthesizers.relational.synthesizer

for line in sys.stdin:
    program, arguments, folder, shown = json.loads(line)
    child = os.fork()
    if not child:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
signal.alarm({TIMEOUT})
for stream, end in ((1, ".out"), (2, ".err")):
    os.dup2(os.open(shown + end, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
os.chdir(folder)
sys.argv = [program, *arguments]
sys.path[0] = os.path.dirname(program)
runpy.run_path(program, run_name="__main__")
"""


class Programs:
    """A process that forks itself for each program; elsewhere than on Linux, each program has a process of its own."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        self.environment, self.folder, self.count = environment, folder, 0
        self.server: subprocess.Popen[str] | None = None

    def run(self, program: Path, arguments: Sequence[object], cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a program with its arguments in a folder."""
        words = [str(argument) for argument in arguments]
        if sys.platform != "linux":
            line = [sys.executable, str(program), *words]
            return subprocess.run(
                line, cwd=cwd, env=self.environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        if self.server is None:
            line = [sys.executable, "-c", SERVER]
            self.server = subprocess.Popen(
                line, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.count += 1
        shown = self.folder / str(self.count)
        self.server.stdin.write(json.dumps([str(program), words, str(cwd), str(shown)]) + "\n")
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        out, err = (shown.with_suffix(end).read_text("utf-8") for end in (".out", ".err"))
        return subprocess.CompletedProcess([str(program), *words], code, out, err)

    def close(self) -> None:
        """End the process."""
        if self.server is not None:
            self.server.communicate(timeout=TIMEOUT)
