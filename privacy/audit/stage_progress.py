"""Progress of an audit, by a callback or as a bar on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tqdm import tqdm


class StageProgress:
    """Progress reporter: calls a function, or shows a bar on a terminal."""

    def __init__(self, progress: Callable[[str, float], None] | None, stages: list[str]) -> None:
        self.progress, self.stages = progress, stages
        hidden = progress is not None or not sys.stderr.isatty()
        self.bar = tqdm(total=len(stages), desc="audit", unit="stage", disable=hidden, delay=2.0, leave=False)
        self.begun = 0

    def __enter__(self) -> StageProgress:
        return self

    def stage(self, name: str) -> None:
        """Begin a stage."""
        self.bar.set_description(f"audit: {name}", refresh=False)
        self.bar.update(min(self.begun, 1))
        if self.progress is not None:
            self.progress(name, self.begun / len(self.stages))
        self.begun += 1

    def __exit__(self, *error: object) -> None:
        self.bar.close()
        if self.progress is not None and error[0] is None:
            self.progress("done", 1.0)
