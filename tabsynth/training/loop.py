"""The one training loop of every torch model: AdamW, warm-up and cosine, averaged weights, best on held-out rows.

Everything random comes from the seed and the step, so that a fit resumed from its checkpoint ends with the same weights
as one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tabsynth.common.model_file import load, save
from tabsynth.common.progress import Progress, progress_bar
from tabsynth.errors import InputError, TrainingError
from tabsynth.training.training_state import TrainingConfig, TrainingState
from tabsynth.training.validation_split import resample_rows

CHECKPOINT_SECONDS = 5.0
"""A checkpoint is written after the first leg, then no more often than this."""


def train(
    module: nn.Module,
    loss: Callable[[Tensor, torch.Generator], Tensor],
    judge: Callable[[], float],
    tokens: Tensor,
    recipe: TrainingConfig,
    *,
    seed: int,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    callbacks: tuple[Callable[[Progress], None], ...] = (),
    progress: bool | None = None,
    pace: Callable[[float], None] | None = None,
    weights: npt.NDArray[np.float64] | None = None,
) -> float | None:
    """Train a module in place and leave its best averaged weights in it.

    Args:
        module: What is trained, on its device.
        loss: Mean loss of a batch of tokens (batch, slots), its randomness from the generator. A loss that requires no
            gradient has added its gradients to those of the parameters itself.
        judge: Score of the module's present weights on held-out rows; lower is better. It is called with the
            averaged weights in place.
        tokens: Training rows on the module's device, shape (rows, slots).
        recipe: How long and how fast.
        seed: Seed of the batches and of the loss.
        checkpoint: File to keep the state in and to resume from; removed at the end.
        fingerprint: Names the fit, so that a checkpoint of another one is refused.
        callbacks: Called after every leg.
        progress: Whether to show a bar.
        pace: Told before every step which share of the fit is done, for losses that change as it goes on.
        weights: How much each row counts, shape (rows,): in every pass it comes so often on average.

    Returns:
        The best score on held-out rows.

    Raises:
        TrainingError: The loss is not a number.
        ModelFileError: The checkpoint is damaged or belongs to another fit.
    """
    state = TrainingState(module, recipe)
    if checkpoint is not None and checkpoint.exists():
        state.restore(load(checkpoint), fingerprint, checkpoint)
    began = written = time.monotonic()
    rows, device = len(tokens), tokens.device
    noise = torch.Generator(device)
    per_pass = max(rows // recipe.batch, 1)
    shuffled: tuple[int, Tensor] | None = None
    end = recipe.steps * max(-(-state.step // recipe.steps), 1)
    with progress_bar(end, "fit", "step", progress, state.step) as shown:
        while state.step < end or state.is_improving():
            end = recipe.steps * (state.step // recipe.steps + 1)
            shown.total = end
            noise.manual_seed(_derived(seed, 1, state.step))
            total = torch.zeros((), device=device)
            stop = min(state.step + recipe.eval_every, end)
            legs = stop - state.step
            module.train()
            while state.step < stop:
                number, within = divmod(state.step, per_pass)
                if shuffled is None or shuffled[0] != number:
                    rng = np.random.default_rng(_derived(seed, 2, number))
                    order = rng.permutation(rows if weights is None else resample_rows(weights, rows, rng))
                    shuffled = number, torch.from_numpy(order).to(device)
                chosen = shuffled[1][within * recipe.batch : (within + 1) * recipe.batch]
                if pace is not None:
                    pace(state.step / recipe.steps)
                value = loss(tokens.index_select(0, chosen), noise)
                if value.requires_grad:
                    value.backward()  # type: ignore[no-untyped-call]
                state.advance()
                total += value.detach()
                shown.update(1)
            mean = float(total) / legs
            if not math.isfinite(mean):
                raise TrainingError(
                    f"the training loss is {mean} at step {state.step}: lower the learning rate or report it"
                )
            score = state.evaluate(judge)
            for callback in callbacks:
                callback(Progress(state.step, end, mean, score, time.monotonic() - began))
            now = time.monotonic()
            if checkpoint is not None and (now - written >= CHECKPOINT_SECONDS or state.step == legs):
                save(checkpoint, state.to_file(fingerprint))
                written = now
    state.finish()
    if checkpoint is not None:
        with suppress(FileNotFoundError):
            checkpoint.unlink()
    return state.best_score


def _derived(seed: int, use: int, number: int) -> int:
    """A seed for one use at one step, independent of the others."""
    return int(np.random.SeedSequence([seed, use, number]).generate_state(1, np.uint64)[0]) >> 1


def validation_interval(per_pass: int) -> int:
    """Steps between two judgements: a pass over the rows, but 500 at most, and whole passes of 20 steps at least."""
    return min(per_pass, 500) if per_pass >= 20 else per_pass * -(-20 // per_pass)


def chosen_device(name: str) -> torch.device:
    """The device of a name; ``auto`` takes a CUDA GPU where there is one.

    Raises:
        InputError: No such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}; try 'auto'") from error
