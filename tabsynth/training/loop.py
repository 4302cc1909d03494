"""Training loop of all torch models: AdamW, warm-up and cosine schedule, weight averaging, best validation score.

All random numbers derive from the seed and the step, so a resumed fit ends with the same weights as an uninterrupted
one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tabsynth.common.data_parallel import own_rows, process_rank
from tabsynth.common.model_file import load, save
from tabsynth.common.progress import Progress, progress_bar
from tabsynth.errors import InputError, TrainingError
from tabsynth.training.batches import TokenShards, derived_seed, shuffled_batches
from tabsynth.training.training_run import TrainingRun
from tabsynth.training.training_state import TrainingConfig, TrainingState

MIN_RANK_USE = 1_000
"""Use of ``derived_seed`` for the noise of other processes than the first, plus the process's number."""

CHECKPOINT_SECONDS = 5.0
"""Minimum seconds between checkpoints; the first is written after the first validation pass."""


@dataclass(frozen=True)
class Objective:
    """Loss of a training run.

    Attributes:
        loss: Mean loss of a batch of tokens (batch, slots), given a random generator. A loss that requires no gradient
            has added the gradients to the parameters itself.
        validation_loss: Loss of the module's weights on the validation rows; called with the averaged weights in place.
        on_step: Called before every step with the completed share of the fit.
    """

    loss: Callable[[Tensor, torch.Generator], Tensor]
    validation_loss: Callable[[], float]
    on_step: Callable[[float], None] = lambda share: None


def train(
    module: nn.Module,
    objective: Objective,
    tokens: Tensor | TokenShards,
    config: TrainingConfig,
    run: TrainingRun,
    weights: npt.NDArray[np.float64] | None = None,
) -> float | None:
    """Train a module in place and leave its best averaged weights in it.

    Args:
        module: The module, on its device.
        objective: The loss.
        tokens: Training rows on the module's device, shape (rows, slots), or in files.
        config: The training configuration.
        run: Seed of the batches and of the loss, checkpoint and callbacks.
        weights: Row weights, shape (rows,): the average number of times that a row occurs in an epoch.

    Returns:
        The best validation score.

    Raises:
        TrainingError: The loss is not a number.
        ModelFileError: The checkpoint is damaged or belongs to another fit.
    """
    state = TrainingState(module, config)
    device = state.weights[0].device
    batches = shuffled_batches(tokens, config.batch, run.seed, device, weights)
    checkpoint = run.checkpoint
    if checkpoint is not None and checkpoint.exists():
        state.restore(load(checkpoint), run.fingerprint, checkpoint)
    began = written = time.monotonic()
    noise, rank = torch.Generator(device), process_rank()
    end = config.steps * max(-(-state.step // config.steps), 1)
    with progress_bar(end, "fit", "step", run.progress, state.step) as shown:
        while state.step < end or state.is_improving():
            end = config.steps * (state.step // config.steps + 1)
            shown.total = end
            noise.manual_seed(derived_seed(run.seed, 1 if not rank else MIN_RANK_USE + rank, state.step))
            total = torch.zeros((), device=device)
            stop = min(state.step + config.eval_every, end)
            interval = stop - state.step
            module.train()
            while state.step < stop:
                objective.on_step(state.step / config.steps)
                value = objective.loss(own_rows(batches.at(state.step)), noise)
                if value.requires_grad:
                    value.backward()  # type: ignore[no-untyped-call]
                state.advance()
                total += value.detach()
                shown.update(1)
            mean = float(total) / interval
            if not math.isfinite(mean):
                raise TrainingError(
                    f"the training loss is {mean} at step {state.step}: lower the learning rate or report it"
                )
            score = state.evaluate(objective.validation_loss)
            for callback in run.callbacks:
                callback(Progress(state.step, end, mean, score, time.monotonic() - began))
            now = time.monotonic()
            if checkpoint is not None and not rank and (now - written >= CHECKPOINT_SECONDS or state.step == interval):
                save(checkpoint, state.to_file(run.fingerprint))
                written = now
    state.finish()
    if checkpoint is not None and not rank:
        with suppress(FileNotFoundError):
            checkpoint.unlink()
    return state.best_score


def validation_interval(per_pass: int) -> int:
    """Return the steps between validation passes: an epoch, at most 500 steps; or whole epochs of at least 20."""
    return min(per_pass, 500) if per_pass >= 20 else per_pass * -(-20 // per_pass)


def chosen_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` is a CUDA GPU if there is one.

    Raises:
        InputError: The device is not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}; try 'auto'") from error
