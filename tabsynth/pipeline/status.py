"""Lock of an output folder, and the JSON file with the state of a run."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from tabsynth.common.atomic_files import write_text
from tabsynth.common.text import readable_json
from tabsynth.errors import BusyError, SourceError, TabsynthError

STATE_FOLDER = ".pipeline"
"""Subfolder of the output folder for records of steps, staged outputs, lock and status; readable by its owner only."""

STATUS = "status.json"
State = Literal["pending", "skipped", "running", "done", "failed"]


@contextmanager
def locked(output: Path) -> Iterator[Path]:
    """Hold the lock of an output folder; yields the folder of the state.

    Raises:
        BusyError: Another run holds it.
        SourceError: The folder cannot be written.
    """
    folder = output / STATE_FOLDER
    try:
        output.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SourceError(f"cannot write {str(folder)!r}: {error.strerror or error}") from error
    try:
        if not _lock(handle):
            raise BusyError(f"another run is writing {str(output)!r}; try again when it has ended")
        yield folder
    finally:
        os.close(handle)


class RunStatus:
    """The state of a run, written to ``status.json`` at every change."""

    def __init__(self, folder: Path, steps: list[str]) -> None:
        self._path = folder / STATUS
        self._data: dict[str, Any] = {
            "format": "tabsynth-pipeline-status",
            "version": 1,
            "state": "running",
            "started": _now(),
            "finished": None,
            "process": os.getpid(),
            "steps": [{"step": step, "state": "pending"} for step in steps],
            "unmet": [],
            "error": "",
        }
        self._began = 0.0
        self._write()

    def step(self, step: str, state: State, reason: str = "") -> None:
        """Set the state of a step."""
        entry = next(entry for entry in self._data["steps"] if entry["step"] == step)
        entry["state"] = state
        if reason:
            entry["reason"] = reason
        if state == "running":
            self._began = time.monotonic()
        elif state in ("done", "failed"):
            entry["seconds"] = round(time.monotonic() - self._began, 3)
        self._write()

    def end(
        self,
        state: Literal["done", "unmet", "failed"],
        *,
        unmet: tuple[str, ...] = (),
        error: BaseException | None = None,
    ) -> None:
        """Set the state of the run."""
        for entry in self._data["steps"]:
            if entry["state"] == "running":
                entry["state"] = "failed"
        text = "" if error is None else f"{type(error).__name__}: {error}"
        self._data |= {"state": state, "finished": _now(), "unmet": list(unmet), "error": text}
        self._write()

    def _write(self) -> None:
        write_text(self._path, readable_json(self._data))


def record_refusal(output: Path, steps: list[str], error: TabsynthError) -> None:
    """Record a run that was refused before its first step, where an earlier run has a record.

    Otherwise the file would still report the earlier run as the last one.
    """
    if not (output / STATE_FOLDER / STATUS).is_file():
        return
    with suppress(BusyError, SourceError, OSError), locked(output) as folder:
        RunStatus(folder, steps).end("failed", error=error)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _lock(handle: int) -> bool:
    """Lock an open file until it is closed; True where the platform has no locks."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
