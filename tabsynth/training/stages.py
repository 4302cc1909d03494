"""Fits of several training stages that resume at the interrupted stage."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tabsynth.common.data_parallel import process_rank
from tabsynth.common.model_file import ModelFile, load, save
from tabsynth.errors import ModelFileError
from tabsynth.training.batches import TokenShards
from tabsynth.training.loop import Objective, train
from tabsynth.training.training_run import TrainingRun
from tabsynth.training.training_state import TrainingConfig


@dataclass
class Stages:
    """Stores the weights of each finished stage beside the checkpoint of the current one.

    Attributes:
        run: Options of the fit; without a checkpoint, nothing is stored.
        stored: Files of finished stages.
    """

    run: TrainingRun
    stored: list[Path] = field(default_factory=list)

    def train(
        self,
        name: str,
        module: nn.Module,
        objective: Objective,
        tokens: Tensor | TokenShards,
        config: TrainingConfig,
        *,
        seed: int | None = None,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> float | None:
        """Train a module in place, or load the weights of a finished stage; return its score.

        Args:
            name: The stage's name, unique within the fit.
            module: The module, on its device.
            objective: The loss.
            tokens: Training rows; see ``train``.
            config: The training configuration.
            seed: Seed of the stage, by default that of the fit.
            weights: Row weights; see ``train``.

        Raises:
            ModelFileError: The stored weights belong to another fit.
        """
        fingerprint, checkpoint = f"{self.run.fingerprint}.{name}", self.run.checkpoint
        run = replace(self.run, fingerprint=fingerprint, seed=self.run.seed if seed is None else seed)
        if checkpoint is None:
            return train(module, objective, tokens, config, run, weights)
        path = checkpoint.with_name(f"{checkpoint.name}.{name}")
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
            score = train(module, objective, tokens, config, run, weights)
            arrays = {key: value.cpu().numpy() for key, value in module.state_dict().items()}
            if process_rank() == 0:
                save(path, ModelFile("stage", {"fingerprint": fingerprint, "score": score}, arrays))
        self.stored.append(path)
        return score

    def clear(self) -> None:
        """Remove the stored files at the end of the fit."""
        for path in self.stored:
            with suppress(FileNotFoundError):
                path.unlink()
