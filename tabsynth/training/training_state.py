"""State of a training loop: weights, their average, the best average so far, and the moments of AdamW.

All weights with the same learning rate are stored in one flat tensor, and the module's parameters are views of it. A
step of the optimiser is then a few operations for any number of parameters.

The step calls the operation behind ``torch.optim.AdamW(fused=True)``: the class imports the compiler of torch on its
first step, which takes longer than a small fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from tabsynth.common.data_parallel import average_gradients, share_first, share_number
from tabsynth.common.model_file import ModelFile
from tabsynth.errors import ModelFileError

MIN_CYCLE_IMPROVEMENT = 0.01
"""Another cycle follows if the last half of a cycle improved the validation score by more than this share."""


ADAM_EPSILON = 1e-8


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Length and learning rate of a training run.

    Attributes:
        steps: Optimiser steps of a cycle.
        eval_every: Steps between two validation passes.
        batch: Rows per step.
        rate: Peak learning rate.
        decay: AdamW's weight decay.
        average: Decay of the exponential average of the weights.
        warmup: Share of the steps over which the rate rises.
        clip: Maximum gradient norm.
        beta1: AdamW's decay of the mean gradient.
        beta2: AdamW's decay of the squared gradient.
        lr_multipliers: Learning rate factors of parameters by the prefix of their names, such as ``{"critic.": 5.0}``.
        cycles: Maximum cycles. Another one follows while the validation score improves (warm restarts: Loshchilov and
            Hutter, arXiv 1608.03983).
    """

    steps: int
    eval_every: int
    batch: int
    rate: float
    decay: float = 0.01
    average: float = 0.998
    warmup: float = 0.05
    clip: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.98
    lr_multipliers: dict[str, float] = field(default_factory=dict)
    cycles: int = 1

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step: linear warm-up, then half a cosine to zero, in every cycle."""
        step %= self.steps
        rise = max(1, round(self.warmup * self.steps))
        if step < rise:
            return self.rate * (step + 1) / rise
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(self.steps - rise, 1)))


class TrainingState:
    """The state of a fit at a step.

    Args:
        module: The module on its device; its parameters become views of flat tensors.
        config: The training configuration.

    Attributes:
        step: Optimiser steps done.
        best_score: The best score of the averaged weights so far.
    """

    def __init__(self, module: nn.Module, config: TrainingConfig) -> None:
        self.module, self.config = module, config
        self.names = [name for name, _ in module.named_parameters()]
        lr_multipliers: dict[float, list[nn.Parameter]] = {}
        for name, weight in module.named_parameters():
            multiplier = next(
                (multiplier for start, multiplier in config.lr_multipliers.items() if name.startswith(start)), 1.0
            )
            lr_multipliers.setdefault(multiplier, []).append(weight)
        self.parameters = list(lr_multipliers.values())
        self.weights = [_flattened(own) for own in self.parameters]
        self.gradients = [torch.zeros_like(weight) for weight in self.weights]
        share_first(self.weights)
        self.average = [weight.clone() for weight in self.weights]
        self.best: list[Tensor] | None = None
        self.best_score: float | None = None
        self.scores: list[tuple[int, float]] = []
        self.step = 0
        self.multipliers = list(lr_multipliers)
        self.moments = [
            {
                "step": torch.zeros((), device=weight.device),
                "exp_avg": torch.zeros_like(weight),
                "exp_avg_sq": torch.zeros_like(weight),
            }
            for weight in self.weights
        ]

    @torch.no_grad()
    def advance(self) -> None:
        """Take one optimiser step and clear the gradients."""
        gradients = self.gradients
        for own, gradient in zip(self.parameters, gradients, strict=True):
            parts = [(torch.zeros_like(w) if w.grad is None else w.grad).view(-1) for w in own]
            torch.cat(parts, out=gradient)
            for parameter in own:
                parameter.grad = None
        average_gradients(gradients)
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(own) for own in gradients]))
        torch._foreach_mul_(gradients, (self.config.clip / (norm + 1e-6)).clamp(max=1.0))
        rate = self.config.rate_at(self.step)
        for i, multiplier in enumerate(self.multipliers):
            self._adamw(i, rate * multiplier)
        decay = min(self.config.average, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.average, self.weights, 1 - decay)
        self.step += 1

    def _adamw(self, i: int, rate: float) -> None:
        """Take a step of AdamW (Loshchilov and Hutter, arXiv 1711.05101) with the weights of one learning rate."""
        moments = self.moments[i]
        moments["step"] += 1
        torch._fused_adamw_(
            [self.weights[i]],
            [self.gradients[i]],
            [moments["exp_avg"]],
            [moments["exp_avg_sq"]],
            [],
            [moments["step"]],
            lr=rate,
            beta1=self.config.beta1,
            beta2=self.config.beta2,
            weight_decay=self.config.decay,
            eps=ADAM_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def evaluate(self, validation_loss: Callable[[], float]) -> float:
        """Return the score of the averaged weights; the best ones are stored."""
        self.module.eval()
        own = [weight.clone() for weight in self.weights]
        self._put(self.average)
        score = share_number(validation_loss(), self.weights[0].device)
        self._put(own)
        self.scores.append((self.step, score))
        if self.best_score is None or score < self.best_score:
            self.best_score, self.best = score, [average.clone() for average in self.average]
        return score

    def is_improving(self) -> bool:
        """Return whether another cycle follows: the score improved in the last half cycle, and one more is allowed."""
        if self.step >= self.config.cycles * self.config.steps:
            return False
        before = [score for step, score in self.scores if step <= self.step - self.config.steps // 2]
        best = min(score for _, score in self.scores)
        return bool(before) and min(before) - best > MIN_CYCLE_IMPROVEMENT * abs(min(before))

    def finish(self) -> None:
        """Restore the best weights."""
        self._put(self.best if self.best is not None else self.average)
        self.module.eval()

    def _put(self, weights: list[Tensor]) -> None:
        for own, new in zip(self.weights, weights, strict=True):
            own.copy_(new)

    def to_file(self, fingerprint: str) -> ModelFile:
        """Return the state for ``restore``."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for i, weight in enumerate(self.weights):
            held = {"weight": weight, "average": self.average[i], **self.moments[i]}
            if self.best is not None:
                held["best"] = self.best[i]
            arrays |= {f"{i}.{key}": value.cpu().numpy() for key, value in held.items()}
        config = {
            "fingerprint": fingerprint,
            "recipe": asdict(self.config),
            "step": self.step,
            "best": self.best_score,
            "scores": self.scores,
            "names": self.names,
        }
        return ModelFile("checkpoint", config, arrays)

    def restore(self, file: ModelFile, fingerprint: str, path: Path) -> None:
        """Resume from a saved state.

        Raises:
            ModelFileError: The file belongs to another fit.
        """
        config, arrays = file.config, file.arrays
        same = (fingerprint, asdict(self.config), self.names)
        shapes = [arrays[f"{i}.weight"].shape if f"{i}.weight" in arrays else None for i in range(len(self.weights))]
        if (
            file.kind != "checkpoint"
            or (config.get("fingerprint"), config.get("recipe"), config.get("names")) != same
            or shapes != [tuple(weight.shape) for weight in self.weights]
        ):
            raise ModelFileError(
                f"the checkpoint {str(path)!r} belongs to another fit (other data, options or seed); "
                "remove it or name another"
            )
        device = self.weights[0].device
        for i, weight in enumerate(self.weights):
            keys = ("weight", "average", "exp_avg", "exp_avg_sq", "step")
            held = {key: torch.from_numpy(arrays[f"{i}.{key}"].copy()).to(device) for key in keys}
            weight.copy_(held.pop("weight"))
            self.average[i].copy_(held.pop("average"))
            self.moments[i] = held
        if config["best"] is not None:
            self.best_score = float(config["best"])
            self.best = [torch.from_numpy(arrays[f"{i}.best"].copy()).to(device) for i in range(len(self.weights))]
        self.scores = [(int(step), float(score)) for step, score in config["scores"]]
        self.step = int(config["step"])


def _flattened(parameters: list[nn.Parameter]) -> Tensor:
    """Return one flat tensor of the parameters, which become views of it."""
    flat = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, values in zip(parameters, torch.split(flat, sizes), strict=True):
        parameter.data = values.view_as(parameter)
    return flat
