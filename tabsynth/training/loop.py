"""The one training loop of every torch model: AdamW, warm-up and cosine, averaged weights, best on held-out rows.

Everything random comes from the seed and the step, so that a fit resumed from its checkpoint ends with the same weights
as one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tabsynth.common.model_file import ModelFile, load, save
from tabsynth.common.progress import Progress, bar
from tabsynth.errors import InputError, ModelFileError, TrainingError
from tabsynth.training.validation_split import resampled

FALLING = 0.01
"""A fit goes on when the last half of a cycle took more than this share off the score on held-out rows."""

CHECKPOINT_SECONDS = 5.0
"""A checkpoint is written after the first leg, then no more often than this."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How long and how fast to train.

    Attributes:
        steps: Optimiser steps of a cycle.
        leg: Steps between two judgements on held-out rows.
        batch: Rows a step.
        rate: Peak learning rate.
        decay: AdamW's weight decay.
        average: Decay of the exponential average of the weights.
        warmup: Share of the steps over which the rate rises.
        clip: Largest norm of a gradient.
        beta1: AdamW's decay of the mean gradient.
        beta2: AdamW's decay of the squared gradient.
        paces: Factors of the learning rate of weights by how their name begins, such as ``{"critic.": 5.0}``.
        cycles: Most cycles. Another one follows while the score on held-out rows still falls (warm restarts:
            Loshchilov and Hutter, arXiv 1608.03983).
    """

    steps: int
    leg: int
    batch: int
    rate: float
    decay: float = 0.01
    average: float = 0.998
    warmup: float = 0.05
    clip: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.98
    paces: dict[str, float] = field(default_factory=dict)
    cycles: int = 1

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then half a cosine to zero, in every cycle."""
        step %= self.steps
        rise = max(1, round(self.warmup * self.steps))
        if step < rise:
            return self.rate * (step + 1) / rise
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(self.steps - rise, 1)))


def train(
    module: nn.Module,
    loss: Callable[[Tensor, torch.Generator], Tensor],
    judge: Callable[[], float],
    tokens: Tensor,
    recipe: Recipe,
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
        loss: Mean loss of a batch of tokens (batch, slots), its randomness from the generator.
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
    state = _State(module, recipe)
    if checkpoint is not None and checkpoint.exists():
        state.restore(load(checkpoint), fingerprint, checkpoint)
    began = written = time.monotonic()
    rows, device = len(tokens), tokens.device
    noise = torch.Generator(device)
    per_pass = max(rows // recipe.batch, 1)
    shuffled: tuple[int, Tensor] | None = None
    end = recipe.steps * max(-(-state.step // recipe.steps), 1)
    with bar(end, "fit", "step", progress, state.step) as shown:
        while state.step < end or state.falling():
            end = recipe.steps * (state.step // recipe.steps + 1)
            shown.total = end
            noise.manual_seed(_derived(seed, 1, state.step))
            total = torch.zeros((), device=device)
            stop = min(state.step + recipe.leg, end)
            legs = stop - state.step
            module.train()
            while state.step < stop:
                number, within = divmod(state.step, per_pass)
                if shuffled is None or shuffled[0] != number:
                    rng = np.random.default_rng(_derived(seed, 2, number))
                    order = rng.permutation(rows if weights is None else resampled(weights, rows, rng))
                    shuffled = number, torch.from_numpy(order).to(device)
                chosen = shuffled[1][within * recipe.batch : (within + 1) * recipe.batch]
                if pace is not None:
                    pace(state.step / recipe.steps)
                value = loss(tokens.index_select(0, chosen), noise)
                value.backward()  # type: ignore[no-untyped-call]
                state.advance()
                total += value.detach()
                shown.update(1)
            mean = float(total) / legs
            if not math.isfinite(mean):
                raise TrainingError(
                    f"the training loss is {mean} at step {state.step}: lower the learning rate or report it"
                )
            score = state.judged(judge)
            for callback in callbacks:
                callback(Progress(state.step, end, mean, score, time.monotonic() - began))
            now = time.monotonic()
            if checkpoint is not None and (now - written >= CHECKPOINT_SECONDS or state.step == legs):
                save(checkpoint, state.saved(fingerprint))
                written = now
    state.finish()
    if checkpoint is not None:
        with suppress(FileNotFoundError):
            checkpoint.unlink()
    return state.best_score


class _State:
    """Weights, their average, the best average so far and the optimiser, at a step."""

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        self.module, self.recipe = module, recipe
        self.names = [name for name, _ in module.named_parameters()]
        self.weights = [weight for _, weight in module.named_parameters()]
        self.average = [weight.detach().clone() for weight in self.weights]
        self.best: list[Tensor] | None = None
        self.best_score: float | None = None
        self.scores: list[tuple[int, float]] = []
        self.step = 0
        paces = [next((x for start, x in recipe.paces.items() if n.startswith(start)), 1.0) for n in self.names]
        groups = [
            {"params": [weight for weight, own in zip(self.weights, paces, strict=True) if own == pace], "pace": pace}
            for pace in sorted(set(paces))
        ]
        self.optimiser = torch.optim.AdamW(
            groups, lr=recipe.rate, betas=(recipe.beta1, recipe.beta2), weight_decay=recipe.decay, fused=True
        )

    def advance(self) -> None:
        """One optimiser step on the gradients in place."""
        nn.utils.clip_grad_norm_(self.weights, self.recipe.clip, foreach=True)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate_at(self.step) * group["pace"]
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        decay = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list[Tensor](self.weights), 1 - decay)
        self.step += 1

    def judged(self, judge: Callable[[], float]) -> float:
        """The averaged weights' score; they are kept when it is the best."""
        self.module.eval()
        own = [weight.detach().clone() for weight in self.weights]
        self._put(self.average)
        score = judge()
        self._put(own)
        self.scores.append((self.step, score))
        if self.best_score is None or score < self.best_score:
            self.best_score, self.best = score, [average.clone() for average in self.average]
        return score

    def falling(self) -> bool:
        """Whether another cycle is to follow: the best score fell in the last half cycle, and one more is allowed."""
        if self.step >= self.recipe.cycles * self.recipe.steps:
            return False
        before = [score for step, score in self.scores if step <= self.step - self.recipe.steps // 2]
        best = min(score for _, score in self.scores)
        return bool(before) and min(before) - best > FALLING * abs(min(before))

    def finish(self) -> None:
        """Put the best weights in place."""
        self._put(self.best if self.best is not None else self.average)
        self.module.eval()

    def _put(self, weights: list[Tensor]) -> None:
        with torch.no_grad():
            for own, new in zip(self.weights, weights, strict=True):
                own.copy_(new)

    def saved(self, fingerprint: str) -> ModelFile:
        """Everything that ``restore`` needs."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for i, weight in enumerate(self.weights):
            held = {"weight": weight, "average": self.average[i], **self.optimiser.state[weight]}
            if self.best is not None:
                held["best"] = self.best[i]
            arrays |= {f"{i}.{key}": value.detach().cpu().numpy() for key, value in held.items()}
        config = {
            "fingerprint": fingerprint,
            "recipe": asdict(self.recipe),
            "step": self.step,
            "best": self.best_score,
            "scores": self.scores,
            "names": self.names,
        }
        return ModelFile("checkpoint", config, arrays)

    def restore(self, file: ModelFile, fingerprint: str, path: Path) -> None:
        """Go on from a saved state."""
        config, arrays = file.config, file.arrays
        same = (fingerprint, asdict(self.recipe), self.names)
        if file.kind != "checkpoint" or (config.get("fingerprint"), config.get("recipe"), config.get("names")) != same:
            raise ModelFileError(
                f"the checkpoint {str(path)!r} belongs to another fit (other data, options or seed); "
                "remove it or name another"
            )
        device = self.weights[0].device
        for i, weight in enumerate(self.weights):
            held = {key: torch.from_numpy(arrays[f"{i}.{key}"].copy()) for key in ("weight", "average", "step")}
            held |= {key: torch.from_numpy(arrays[f"{i}.{key}"]).to(device) for key in ("exp_avg", "exp_avg_sq")}
            with torch.no_grad():
                weight.copy_(held["weight"])
                self.average[i].copy_(held["average"])
            state = {key: held[key].clone() for key in ("step", "exp_avg", "exp_avg_sq")}
            self.optimiser.state[weight] = {
                **state,
                "step": state["step"].to(device if device.type != "cpu" else "cpu"),
            }
        if config["best"] is not None:
            self.best_score = float(config["best"])
            self.best = [torch.from_numpy(arrays[f"{i}.best"].copy()).to(device) for i in range(len(self.weights))]
        self.scores = [(int(step), float(score)) for step, score in config["scores"]]
        self.step = int(config["step"])


def _derived(seed: int, use: int, number: int) -> int:
    """A seed for one use at one step, independent of the others."""
    return int(np.random.SeedSequence([seed, use, number]).generate_state(1, np.uint64)[0] >> 1)


def leg_of(per_pass: int) -> int:
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
