"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tabsynth.common import atomic_files
from tabsynth.common.atomic_files import (
    check_outputs,
    check_writable,
    put_in_place,
    replace_atomically,
    restore_previous,
    temporary_folder,
    write_bytes,
    write_text,
)
from tabsynth.errors import SourceError


def test_text_and_bytes(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "größer\n")
    write_bytes(tmp_path / "b.bin", b"\x00\xff")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "größer\n"
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.bin"]


def test_replaces_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old, and longer than the new")
    write_text(str(target), "new")
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), replace_atomically(target) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_reader_never_sees_half(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with replace_atomically(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.parent == target.parent
    assert target.read_text() == "half"


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_threads_that_write_leave_the_umask_as_it_was(tmp_path: Path) -> None:
    interval = sys.getswitchinterval()
    os.umask(before := os.umask(0o022))
    sys.setswitchinterval(1e-6)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: write_text(tmp_path / f"{k}.txt", "a"), range(400)))
    sys.setswitchinterval(interval)
    os.umask(after := os.umask(0o022))
    os.umask(before)
    assert after == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o666 & ~before}


def test_refusals_name_the_path(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="it is a folder; give a file name"):
        check_writable(tmp_path)
    with pytest.raises(SourceError, match=r"the folder '.*nowhere' does not exist"):
        write_text(tmp_path / "nowhere" / "a.txt", "a")
    check_writable(tmp_path / "fine.txt")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_nobody_may_write(tmp_path: Path) -> None:
    folder = Path("/proc")
    if not folder.is_dir():
        pytest.skip("needs a folder that even root cannot write")
    with pytest.raises(SourceError, match="cannot write '/proc/a.txt'"):
        check_writable(folder / "a.txt")


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    write_text(tmp_path / ("x" * 250), "a")
    assert (tmp_path / ("x" * 250)).read_text() == "a"
    with pytest.raises(SourceError, match="too long"):
        check_writable(tmp_path / ("x" * 300))


def test_the_file_behind_a_link_is_replaced_not_the_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_link_to_nowhere_is_refused_early(tmp_path: Path) -> None:
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "gone" / "a.txt")
    with pytest.raises(SourceError, match=r"link.txt.*the folder .*gone.* does not exist"):
        write_text(link, "a")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "full").symlink_to("/dev/full")
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    for name in ("fifo", "full", "one", "x" * 300, "/dev/null"):
        with pytest.raises(SourceError, match="cannot write"):
            write_text(tmp_path / name, "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "full", "one", "two"]
    assert (tmp_path / "fifo").is_fifo()


def test_an_output_is_no_input_under_any_name(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("a\n1\n")
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "hard").hardlink_to(source)
    for name in ("in.csv", "link", "hard", "folder/../in.csv"):
        with pytest.raises(SourceError, match="is the input"):
            check_outputs([tmp_path / name], [None, "sklearn:iris", source])
    with pytest.raises(SourceError, match="two outputs"):
        check_outputs([tmp_path / "a", f"{tmp_path}/./a"], [])
    check_outputs([tmp_path / "a", "-", None, "-"], [source, tmp_path / "absent"])


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_temporaries_of_killed_processes_are_removed(tmp_path: Path) -> None:
    import fcntl

    old, fresh, held, other = (
        tmp_path / name for name in (".a.txt.abcdefgh.tmp", ".a.txt.abcdefgi.tmp", ".a.txt.abcdefgj.tmp", ".a.txt.tmp")
    )
    for path in (old, fresh, held, other):
        path.write_text("half")
        if path != fresh:
            os.utime(path, (0, 0))
    with held.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_text(tmp_path / "a.txt", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([fresh.name, held.name, other.name, "a.txt"])


FULL_DISK = """
import resource, sys
import numpy as np
import pandas as pd
import tabsynth as ts
from tabsynth.common.atomic_files import write_text
from tabsynth.synthesizers.registry import create

folder = sys.argv[1]
frame = pd.DataFrame({"a": np.random.default_rng(0).random(60_000), "b": [f"row {i}" for i in range(60_000)]})
model = create("marginal").fit(frame[:3_000], seed=0)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, 1 << 14))
writes = {
    "t.csv": lambda path: ts.write(frame, path),
    "t.csv.gz": lambda path: ts.write(frame, path),
    "t.parquet": lambda path: ts.write(frame, path),
    "t.xlsx": lambda path: ts.write(frame[:3_000], path),
    "m.tabsynth": lambda path: model.save(path),
    "t.txt": lambda path: write_text(path, "x" * 100_000),
}
for name, write in writes.items():
    try:
        write(f"{folder}/{name}")
    except ts.errors.SourceError as error:
        assert "cannot write" in str(error), error
    else:
        raise AssertionError(name)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_disk_that_takes_no_more_leaves_every_old_file_and_nothing_else(tmp_path: Path) -> None:
    names = ["m.tabsynth", "t.csv", "t.csv.gz", "t.parquet", "t.txt", "t.xlsx"]
    for name in names:
        (tmp_path / name).write_text("old")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert {path.read_text() for path in tmp_path.iterdir()} == {"old"}


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of the system's calls, which decides what a power cut leaves."""
    calls: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def recorded_fsync(handle: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def recorded_rename(self: Path, target: Path) -> Path:
        calls.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_rename)
    write_text(tmp_path / "a.txt", "new")
    assert calls == ["file", "rename", "folder"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_folders_of_killed_processes_are_removed_and_no_others(tmp_path: Path) -> None:
    old = time.time() - 120
    for name in (".mix-abcdefgh.tmp", ".mix-abcdefgh", ".other-abcdefgh.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows").write_text("1")
        os.utime(tmp_path / name, (old, old))
    (tmp_path / ".mix-12345678.tmp").symlink_to(tmp_path / ".mix-abcdefgh")
    with temporary_folder(".mix-", tmp_path / "out") as first:
        os.utime(first, (old, old))
        with temporary_folder(".mix-", tmp_path / "out") as second:
            assert first.is_dir()
            assert stat.S_IMODE(second.stat().st_mode) == 0o700
        assert not second.exists()
    left = [".mix-12345678.tmp", ".mix-abcdefgh", ".other-abcdefgh.tmp"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    assert (tmp_path / ".mix-abcdefgh/rows").exists()


def test_a_folder_that_was_replaced_is_removed_after_a_kill(tmp_path: Path) -> None:
    for name in ("new", "out", ".out.previous"):
        (tmp_path / name).mkdir()
    restore_previous(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "out"]
    put_in_place(tmp_path / "new", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_errors_inside_a_temporary_folder_name_the_output(tmp_path: Path) -> None:
    for error in (OSError(28, "No space left on device"), SourceError("cannot write '{}/a.csv': No space left")):
        with (
            pytest.raises(SourceError, match=r"cannot write '.*/out(/a\.csv)?': No space left") as raised,
            temporary_folder(".out.", tmp_path / "out") as folder,
        ):
            raise SourceError(str(error).format(folder)) if isinstance(error, SourceError) else error
        assert ".tmp" not in str(raised.value)
    with pytest.raises(SourceError, match="does not exist|No such file"), temporary_folder(".", tmp_path / "no/out"):
        pass


def test_a_folder_that_vanishes_while_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish(*_: object) -> None:
        (tmp_path / "out").rmdir()

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(atomic_files, "_remove_stale", vanish)
    with pytest.raises(SourceError, match=r"cannot write '.*a\.txt': No such file"):
        write_text(tmp_path / "out/a.txt", "a")
