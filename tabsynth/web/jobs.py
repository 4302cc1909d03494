"""Jobs in worker processes, one at a time. A job continues if the browser or the server is closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tabsynth.errors import InputError
from tabsynth.web.project import Project, read_state, write_state

LOCK = ".job.lock"
PROGRESS = "progress.json"
LOG = "job.log"
CANCEL = "cancel.json"
"""File of cancel requests, separate from the worker's progress file so that neither overwrites the other."""

CANCELLED = "Cancelled. Finished steps are kept."
STOPPED = {"state": "stopped", "message": "The work ended unexpectedly. Finished steps are kept."}

MIN_SECONDS_TO_KILL = 10
"""Seconds after which a second request to cancel kills a worker that ignored the first one."""


def start(root: Path, project: Project, action: str) -> None:
    """Start a job in a separate process.

    Args:
        root: The folder of all projects, which has one lock.
        project: The project.
        action: An action of ``tabsynth.web.worker``.

    Raises:
        InputError: Another job is running.
    """
    import fcntl

    handle = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError("another table is being learned; wait for it or cancel it") from None
        project.path(CANCEL).unlink(missing_ok=True)
        write_state(project.path(PROGRESS), {"action": action, "state": "running", "phase": "", "started": time.time()})
        with project.path(LOG).open("wb") as log:
            # The worker inherits the lock: it is free when the worker has ended, however it ends.
            worker = subprocess.Popen(
                [sys.executable, "-m", "tabsynth.web.worker", str(project.folder), action],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(handle,),
                start_new_session=True,
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{worker.pid} {project.slug}".encode(), 0)
        _CHILDREN.append(worker)
    finally:
        os.close(handle)


_CHILDREN: list[subprocess.Popen[bytes]] = []
"""Child processes of this server, which it must reap; workers of an earlier server are not its children."""


def running(root: Path) -> tuple[int, str] | None:
    """Process and project of the running job; None if none runs."""
    import fcntl

    for child in list(_CHILDREN):
        if child.poll() is not None:
            _CHILDREN.remove(child)
    try:
        handle = os.open(root / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None
    except OSError:
        pid, _, slug = os.pread(handle, 200, 0).decode().partition(" ")
        return (int(pid), slug) if pid.isdigit() else (0, "")
    finally:
        os.close(handle)


def cancel(root: Path, project: Project) -> None:
    """Interrupt the job of a project; a worker that does not react is killed by the next call."""
    job = running(root)
    if job is None or job[1] != project.slug or job[0] <= 0:
        return
    requested = read_state(project.path(CANCEL)).get("asked")
    if requested is None:
        write_state(project.path(CANCEL), {"asked": time.time()})
    late = requested is not None and time.time() - requested > MIN_SECONDS_TO_KILL
    with suppress(ProcessLookupError):
        os.kill(job[0], signal.SIGKILL if late else signal.SIGINT)


def wait(root: Path, seconds: float) -> bool:
    """Wait until no job runs; False if one still does."""
    end = time.monotonic() + seconds
    while running(root) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def status(root: Path, project: Project) -> dict[str, Any]:
    """Return the progress of a project's last job; one without an end is ``stopped``, or ``cancelled`` on request."""
    progress = read_state(project.path(PROGRESS))
    if progress.get("state") == "running":
        job = running(root)
        if job is None or job[1] not in ("", project.slug):
            # It may have ended between the two checks.
            progress = read_state(project.path(PROGRESS))
            if progress.get("state") == "running":
                cancelled = project.path(CANCEL).exists()
                progress |= {"state": "cancelled", "message": CANCELLED} if cancelled else STOPPED
    return progress
