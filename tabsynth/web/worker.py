"""The worker process of a job: learn, draw rows, evaluate and audit, or plan, step by step through the public API."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabsynth.errors import TabsynthError
from tabsynth.web.jobs import CANCELLED, PROGRESS
from tabsynth.web.project import Project, read_state, write_state

if TYPE_CHECKING:
    from tabsynth.common.progress import Progress

MIN_SECONDS = 0.3
"""Minimum time between two writes of the progress."""

PHASES = {
    "measure": ("Measure", "ranges and lists, with noise"),
    "learn": ("Learn", "the patterns of the table"),
    "sample": ("Draw", "new rows"),
    "evaluate": ("Compare", "new rows with rows it never saw"),
    "audit": ("Attack", "the new rows, as an intruder would"),
}
"""Phases of a training job, in order: a word, and what it does."""

MAX_POINTS = 200
"""Points kept of the curve of validation scores."""


class Reporter:
    """Writes the progress of a job into its project."""

    def __init__(self, project: Project) -> None:
        self._path = project.path(PROGRESS)
        self._data: dict[str, Any] = {"started": time.time(), **read_state(self._path), "state": "running"}
        self._written = 0.0

    def phase(self, name: str) -> None:
        """Begin a phase."""
        self.show(force=True, phase=name, share=0.0, detail="")

    def show(self, *, force: bool = False, **facts: Any) -> None:
        """Change the progress; it is written at most every ``MIN_SECONDS``."""
        self._data |= facts
        now = time.monotonic()
        if force or now - self._written > MIN_SECONDS:
            write_state(self._path, self._data)
            self._written = now

    def on_fit(self, progress: Progress) -> None:
        """Take the progress of a fit."""
        curve = [*self._data.get("curve", [])]
        if progress.validation is not None:
            curve = [*curve, [progress.step, progress.validation]]
        if len(curve) > MAX_POINTS:
            curve = curve[::2]
        self.show(share=progress.step / max(progress.steps, 1), curve=curve)

    def on_stage(self, stage: str, share: float) -> None:
        """Take the progress of an evaluation or audit."""
        self.show(share=share, detail=stage)


def main(folder: str, action: str) -> int:
    """Run one job; its end is written into the progress, also if it fails or is interrupted."""
    project = Project(Path(folder))
    # A server that ignores interrupts, as a shell's background job does, would hand that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    reporter = Reporter(project)
    try:
        ACTIONS[action](project, reporter)
    except KeyboardInterrupt:
        reporter.show(force=True, state="cancelled", message=CANCELLED)
        return 130
    except TabsynthError as error:
        reporter.show(force=True, state="failed", message=str(error))
        return 2
    except Exception as error:
        reporter.show(force=True, state="failed", message=f"Unexpected {type(error).__name__}; see job.log.")
        raise
    reporter.show(force=True, state="done", share=1.0)
    return 0


def _train(project: Project, reporter: Reporter) -> None:
    from tabsynth.web.steps import training

    training.train(project, reporter)


def _plan(project: Project, reporter: Reporter) -> None:
    from tabsynth.web.steps.protection import simulate_plan

    reporter.phase("plan")
    simulate_plan(project)


ACTIONS: Mapping[str, Callable[[Project, Reporter], None]] = {"train": _train, "plan": _plan}

if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main(*sys.argv[1:3]))
