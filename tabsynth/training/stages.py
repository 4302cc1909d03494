"""Fits of several training stages that resume at the interrupted stage."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from tabsynth.common.data_parallel import process_rank
from tabsynth.common.model_file import ModelFile, load, save
from tabsynth.errors import ModelFileError


@dataclass
class Stages:
    """Stores the weights of each finished stage beside the checkpoint of the current one.

    Attributes:
        checkpoint: Checkpoint file of the current stage; None stores nothing.
        fingerprint: Identifies the fit.
        kept: Files of finished stages.
    """

    checkpoint: Path | None
    fingerprint: str
    kept: list[Path] = field(default_factory=list)

    def run(self, name: str, module: nn.Module, fit: Callable[[Path | None, str], float | None]) -> float | None:
        """Run a stage that trains a module in place, or load its stored weights.

        Args:
            name: The stage's name, unique within the fit.
            module: The module.
            fit: Trains the module, given checkpoint and fingerprint of the stage, and returns its score.

        Raises:
            ModelFileError: The stored weights belong to another fit.
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
            if process_rank() == 0:
                save(path, ModelFile("stage", {"fingerprint": fingerprint, "score": score}, arrays))
        self.kept.append(path)
        return score

    def clear(self) -> None:
        """Remove the stored files at the end of the fit."""
        for path in self.kept:
            with suppress(FileNotFoundError):
                path.unlink()
