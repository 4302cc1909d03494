"""One short pass of every benchmark, several at once, each forked from a process that has the packages imported.

python benchmarks/_short.py [--workers 2] [NAME ...]
"""

from __future__ import annotations

import argparse
import importlib
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

FOLDER = Path(__file__).resolve().parent
FIRST = (
    "canaries",
    "intervals",
    "audit",
    "audit_power",
    "faults",
    "mixing",
    "quality",
    "series",
    "relational",
    "small",
)
"""The longest, in no particular order; the others follow."""
MODULES = (
    "sdmetrics.reports.single_table",
    "tabsynth.evaluation.evaluate",
    "tabsynth.pipeline",
    "tabsynth.synthesizers.marginal.synthesizer",
    "tabsynth.synthesizers.masked",
    "tabsynth.synthesizers.relational.synthesizer",
)


def start(path: Path, shown: IO[str]) -> int:
    """Start the short pass of a benchmark and return its process."""
    if sys.platform != "linux":
        return subprocess.Popen([sys.executable, str(path), "--short"], stdout=shown, stderr=shown).pid
    process = os.fork()
    if process:
        return process
    for stream in (1, 2):
        os.dup2(shown.fileno(), stream)
    sys.argv = [str(path), "--short"]
    runpy.run_path(str(path), run_name="__main__")
    sys.exit()


def main() -> None:
    """Run all, print what each of them says when it ends, and fail if one of them does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("names", nargs="*", help="some benchmarks, such as fuzz; default: all")
    args = parser.parse_args()
    every = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
    waiting = args.names or sorted(every, key=lambda name: (name not in FIRST, name))
    for module in MODULES:
        importlib.import_module(module)
    running: dict[int, tuple[str, IO[str]]] = {}
    failed = []
    while waiting or running:
        while waiting and len(running) < args.workers:
            name, shown = waiting.pop(0), tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
            running[start(FOLDER / f"{name}.py", shown)] = name, shown
        process, status, used = os.wait4(-1, 0)
        if process in running:
            name, output = running.pop(process)
            output.seek(0)
            seconds = used.ru_utime + used.ru_stime
            print(f"== benchmarks/{name}.py, {seconds:.0f} CPU s\n{output.read()}", end="", flush=True)
            if status:
                failed.append(name)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
