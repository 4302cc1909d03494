"""Progress of a fit, and the bar that shows it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from tabsynth.errors import MAX_VALUE, escape_controls, shorten

DEFAULT_SIZE = {"ncols": 80, "nrows": 24}


@dataclass(frozen=True)
class Progress:
    """The state of a fit between two validation passes.

    Attributes:
        step: Optimiser steps done.
        steps: Optimiser steps in all.
        loss: Mean training loss since the last validation.
        validation: Score on held-out rows (lower is better; nats a row for models with a likelihood), if measured.
        seconds: Time since the fit began or was resumed.
    """

    step: int
    steps: int
    loss: float
    validation: float | None
    seconds: float


def progress_bar(total: int, what: str, unit: str, shown: bool | None, initial: int = 0) -> tqdm[Any]:
    """Return a progress bar on stderr, silent when stderr is not a terminal and for work of under two seconds.

    Args:
        total: Units of work in all.
        what: Label of the bar.
        unit: Name of one unit.
        shown: True and False force the bar on and off.
        initial: Units already done.
    """
    hidden = not sys.stderr.isatty() if shown is None else not shown
    delay = 2.0 if shown is None else 0.0
    size = {} if hidden else _substitute_size()
    return tqdm(
        total=total,
        desc=escape_controls(shorten(what, MAX_VALUE)),
        unit=unit,
        disable=hidden,
        delay=delay,
        initial=initial,
        leave=False,
        **size,
    )


def _substitute_size() -> dict[str, int]:
    """Return the size of a bar on a terminal that reports none, as in containers; tqdm would show nothing there."""
    try:
        return {} if all(os.get_terminal_size(sys.stderr.fileno())) else DEFAULT_SIZE
    except (OSError, ValueError):
        return {}
