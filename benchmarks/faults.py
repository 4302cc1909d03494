"""Faults injected into a pipeline: kills at random times, a full disk, folders that cannot be written.

A pipeline over a table is killed (SIGKILL) at times drawn over the length of one run, or runs on a full disk, or into a
read-only folder. After each fault every output must be absent, or whole and readable; the inputs unchanged; and a last
run without a fault must complete.

A full disk is a limit of the size of files (EFBIG goes the way of ENOSPC), or with ``--disk FOLDER``, where a small
file system is mounted, a file that leaves little room on it.

    python benchmarks/faults.py            200 faults
    python benchmarks/faults.py --short    6 faults
    python benchmarks/faults.py --rows 300_000 --faults 50 --no-evaluation
    mount -t tmpfs -o size=64m tmpfs /mnt/small && python benchmarks/faults.py --disk /mnt/small --kinds "full disk"
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

import tabsynth as ts
from tabsynth.cli.main import main as tabsynth_main
from tabsynth.common import model_file
from tabsynth.common.input_files import read_json
from tabsynth.data.sql.read_write import read_frame

OUTPUTS = (
    "model.tabsynth",
    "synthetic.parquet",
    "real-train.parquet",
    "real-holdout.parquet",
    "report.html",
    "report.json",
)

KINDS = {"kill": 8, "full disk": 2, "read-only": 1}
"""How often each fault is drawn."""

MAX_DISK_BYTES = 1 << 30
"""A file system with more room is not filled."""

PIPELINE = """\
version: 1
input: input.csv
output: out
seed: {seed}
target: s
holdout: 0.2
model: {{kind: marginal}}
sample: {{rows: 2000, database: "sqlite:///sink.db#synthetic"}}
{evaluate}"""


def start(folder: Path, limit: int | None = None) -> int:
    """Start the pipeline in a process of its own, forked from this one, which has imported everything."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        code = tabsynth_main(["run", str(folder / "pipeline.yaml"), "--quiet"])
    finally:
        os._exit(code)


def wait(process: int) -> int:
    """The exit code of a process."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def faults_found(folder: Path, inputs: str) -> list[str]:
    """Outputs that are there and not whole, and inputs that changed."""
    out = [] if digest(folder / "input.csv") == inputs else ["input.csv has changed"]
    for part in ("out", "out/failed"):
        for name in OUTPUTS:
            path = folder / part / name
            if not path.exists():
                continue
            try:
                check(path)
            except Exception as error:  # whatever a damaged file raises is what is counted
                out.append(f"{part}/{name}: {type(error).__name__}: {error}")
    sink = f"sqlite:///{folder}/sink.db"
    if (folder / "sink.db").exists() and (folder / "sink.db").stat().st_size:
        try:
            rows = len(read_frame(sink, table="synthetic")[0])
            out += [] if rows == 2000 else [f"the database has {rows} rows"]
        except ts.errors.SourceError as error:
            out += [] if "no table" in str(error) else [f"the database: {error}"]
    return out


def check(path: Path) -> None:
    """Read a file whole."""
    if path.suffix == ".tabsynth":
        model_file.load(path)
        ts.load(path).sample(5, seed=0)
    elif path.suffix == ".parquet":
        ts.read(path)
    elif path.suffix == ".json":
        read_json(path, "report")
    elif not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("the page has no end")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def full_disk(folder: Path, room: int) -> Iterator[None]:
    """Leave so many bytes on the file system of a folder, which must be a small one."""
    ballast, free = folder / "ballast", shutil.disk_usage(folder).free
    if free > MAX_DISK_BYTES:
        raise SystemExit(f"{folder} has {free / 1e9:.1f} GB free; mount a small file system, as --help shows")
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - room, 1))
    try:
        yield
    finally:
        ballast.unlink()


def describe(folder: Path, evaluate: str, seed: int) -> None:
    """Write the pipeline's file: another seed, so that nothing can be taken from an earlier run."""
    (folder / "pipeline.yaml").write_text(PIPELINE.format(evaluate=evaluate, seed=seed))


def run(folder: Path, evaluate: str, seed: int) -> int:
    """Run the pipeline to its end."""
    describe(folder, evaluate, seed)
    return wait(start(folder))


def main() -> None:
    """Inject the faults and print what they left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="6 faults")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-evaluation", action="store_true", help="leave the evaluation out, as --short does")
    parser.add_argument("--rows", type=int, default=1_000, help="rows of the table")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--minutes", type=float, default=float("inf"), help="inject no further fault after so many")
    parser.add_argument("--disk", type=Path, help="a folder on a small file system, which is filled")
    args = parser.parse_args()
    count, chance = (6 if args.short else args.faults), random.Random(args.seed)
    with tempfile.TemporaryDirectory(dir=args.disk) as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"a": rng.normal(size=args.rows).round(3), "s": rng.choice(list("xyz"), args.rows)})
        ts.write(frame, folder / "input.csv")
        # The evaluation takes most of a run, and writes its reports as everything else is written.
        evaluate = "evaluate: false\n" if args.short or args.no_evaluation else ""
        inputs = digest(folder / "input.csv")
        assert run(folder, evaluate, 0) == 0
        began = time.perf_counter()
        assert run(folder, evaluate, 1) == 0
        length = time.perf_counter() - began
        kinds: Counter[str] = Counter()
        wrong: list[str] = []
        end = time.monotonic() + 60 * args.minutes
        for number in range(count):
            if time.monotonic() > end:
                break
            kind = chance.choices(args.kinds, [KINDS[kind] for kind in args.kinds])[0]
            describe(folder, evaluate, number + 2)
            if kind == "kill":
                process = start(folder)
                time.sleep(length * chance.random())
                os.kill(process, signal.SIGKILL)
                wait(process)
            elif kind == "full disk":
                room = chance.choice([1, 100, 4_000, 8_000, 20_000, 60_000])
                if args.disk is None:
                    wait(start(folder, room))
                else:
                    with full_disk(folder, room):
                        wait(start(folder))
            else:
                is_root = os.getuid() == 0  # whom permissions do not stop
                (folder / "out").rename(folder / "kept")
                (folder / "out").write_text("no folder") if is_root else (folder / "out").mkdir(0o555)
                wait(start(folder))
                (folder / "out").unlink() if is_root else (folder / "out").rmdir()
                (folder / "kept").rename(folder / "out")
            kinds[kind] += 1
            wrong += [f"after {kind}: {fault}" for fault in faults_found(folder, inputs)]
        assert wait(start(folder)) == 0, "the run after the faults did not complete"
        wrong += faults_found(folder, inputs)
        left = sorted(path.name for path in (folder / "out").iterdir())
        by_kind = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
        print(
            f"{kinds.total()} faults ({by_kind}) over runs of {length:.1f} s: "
            f"{len(wrong)} damaged artefacts or lost inputs; the run after them completed"
        )
        print("in the output folder:", ", ".join(left))
        print(*wrong, sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
