"""How a fit runs: seed, progress, checkpoint and callbacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tabsynth.common.progress import Progress


@dataclass(frozen=True)
class TrainingRun:
    """How a fit runs, the same in all of its stages.

    Attributes:
        seed: Random seed of the fit.
        progress: Whether to show a progress bar; None shows one on a terminal.
        checkpoint: State file, from which an interrupted fit resumes; removed at the end.
        callbacks: Called with a ``Progress`` after every evaluation interval.
        fingerprint: Identifies the fit, so that checkpoints of other fits are refused.
    """

    seed: int
    progress: bool | None = None
    checkpoint: Path | None = None
    callbacks: tuple[Callable[[Progress], None], ...] = ()
    fingerprint: str = ""
