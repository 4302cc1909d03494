"""How a fit and a sample are to be run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tabsynth.common.validation import validate_seed
from tabsynth.synthesizers.row_weights import RowWeights

if TYPE_CHECKING:
    from tabsynth.common.progress import Progress

Given = Mapping[str, Any] | pd.DataFrame


@dataclass(frozen=True)
class FitOptions:
    """How a fit is to be run: its seed, where it reports and where it keeps its checkpoint.

    Attributes:
        seed: Seed of everything random in the fit.
        progress: Whether to show a bar; None shows one on a terminal.
        checkpoint: File to write the state to as the fit goes on, and to resume from.
        callbacks: Called with a ``Progress`` after every leg of training.
        weighing: How much each row counts, and which cells it has at all.
    """

    seed: int
    progress: bool | None = None
    checkpoint: Path | None = None
    callbacks: tuple[Callable[[Progress], None], ...] = field(default=())
    row_weights: RowWeights = field(default_factory=RowWeights)


@dataclass(frozen=True)
class SampleContext:
    """How rows are to be drawn.

    Attributes:
        rng: Where random numbers come from.
        progress: Whether to show a bar; None shows one on a terminal.
        keys: Seed of the identifiers, shared by the chunks of one sample.
        start: Rows drawn before with the same ``keys``.
    """

    rng: np.random.Generator
    progress: bool | None
    keys: int
    start: int = 0

    @classmethod
    def of(cls, seed: int | None, progress: bool | None) -> SampleContext:
        """A draw of its own."""
        rng = np.random.default_rng(None if seed is None else validate_seed(seed))
        return cls(rng, progress, int(rng.integers(2**63)))
