"""A fit of several stages, each with a training loop of its own, that resumes at the stage where it broke off."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from tabsynth.common.model_file import ModelFile, load, save
from tabsynth.errors import ModelFileError


@dataclass
class Stages:
    """Keeps what each finished stage learned beside the checkpoint of the stage that runs.

    Attributes:
        checkpoint: The file of the running stage's state; None keeps nothing.
        fingerprint: Names the fit.
        kept: Files of finished stages.
    """

    checkpoint: Path | None
    fingerprint: str
    kept: list[Path] = field(default_factory=list)

    def run(self, name: str, module: nn.Module, fit: Callable[[Path | None, str], float | None]) -> float | None:
        """Run a stage that trains a module in place, or take its weights from an earlier try.

        Args:
            name: The stage's name, unique within the fit.
            module: What it trains.
            fit: Trains it, given the checkpoint and the fingerprint of the stage, and returns its score.

        Raises:
            ModelFileError: What is kept belongs to another fit.
        """
        fingerprint = f"{self.fingerprint}.{name}"
        if self.checkpoint is None:
            return fit(None, fingerprint)
        path = self.checkpoint.with_name(f"{self.checkpoint.name}.{name}")
        if path.exists():
            file = load(path)
            if file.kind != "stage" or file.config.get("fingerprint") != fingerprint:
                raise ModelFileError(
                    f"{str(path)!r} belongs to another fit (other data, options or seed); "
                    "remove it, or name another checkpoint"
                )
            module.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in file.arrays.items()})
            module.eval()
            score: float | None = file.config["score"]
        else:
            score = fit(self.checkpoint, fingerprint)
            arrays = {key: value.cpu().numpy() for key, value in module.state_dict().items()}
            save(path, ModelFile("stage", {"fingerprint": fingerprint, "score": score}, arrays))
        self.kept.append(path)
        return score

    def clear(self) -> None:
        """Remove what was kept, at the end of the fit."""
        for path in self.kept:
            with suppress(FileNotFoundError):
                path.unlink()
