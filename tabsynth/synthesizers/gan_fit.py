"""How a GAN of tokens is fitted: warm as a VAE, a first critic, generator against critic, a last critic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tabsynth.synthesizers.base import Run
from tabsynth.synthesizers.vae import Objective
from tabsynth.training.adversarial import Adversaries
from tabsynth.training.critic import CHANCE, Critic, Telling
from tabsynth.training.generator import Generator
from tabsynth.training.latent import LatentSizing
from tabsynth.training.loop import Recipe, leg_of, train
from tabsynth.training.moments import Moments
from tabsynth.training.parting import Parts
from tabsynth.training.stages import Stages

TELLING = 0.8
"""Passes in which a critic is taught, for each pass of the warm start."""

ADVERSARIAL = 0.6
"""Steps of generator against critic, for each step of the warm start."""

BATCH = 256
"""Most rows of a step of generator against critic."""

POOL = 100_000
"""Most rows that are drawn to teach a critic."""


@dataclass(frozen=True, eq=False)
class GanFit:
    """One fit.

    Attributes:
        net: The generator, with its encoder still.
        critic: Makes a new critic of a seed.
        order: The slots in the order in which they are drawn.
        sizing: Sizes of the warm start.
        parts: Training rows and held-out ones.
        epochs: Passes of the warm start.
        pool: Draws so many rows with a seed; with True as they will be sampled, with False as the generator draws them.
        run: The fit's seed, callbacks and checkpoint.
        fingerprint: Names the fit.
    """

    net: Generator
    critic: Callable[[int], Critic]
    order: Sequence[int]
    sizing: LatentSizing
    parts: Parts
    epochs: int
    pool: Callable[[int, int, bool], Tensor]
    run: Run
    fingerprint: str

    def __call__(self) -> tuple[Critic, float]:
        """Fit the generator in place, without its encoder at the end; return the last critic and its held-out loss."""
        stages = Stages(self.run.checkpoint, self.fingerprint)
        seeds = [int(seed) for seed in np.random.SeedSequence([self.run.seed, 3]).generate_state(6)]
        self._warm(stages)
        critic, _ = self._told(stages, "critic", seeds[0], seeds[1], polished=False)
        self._opposed(stages, critic, seeds[2])
        out = self._told(stages, "judge", seeds[3], seeds[4], polished=True)
        stages.clear()
        return out

    @property
    def per_pass(self) -> int:
        """Steps of a pass over the training rows."""
        return max(len(self.parts.training) // self.sizing.batch, 1)

    def _warm(self, stages: Stages) -> None:
        """The generator learns as the decoder of a VAE."""
        objective = Objective(self.net)
        recipe = Recipe(
            steps=self.epochs * self.per_pass,
            leg=leg_of(self.per_pass),
            batch=self.sizing.batch,
            rate=self.sizing.rate,
            decay=self.sizing.decay,
            clip=5.0,
        )
        judged = self.parts.judged
        parts = objective.loss, lambda: objective.judge(judged)
        self._stage(stages, "warm", self.net, parts, recipe, self.run.seed, objective.pace)
        self.net.shed()

    def _told(self, stages: Stages, name: str, seed: int, other: int, *, polished: bool) -> tuple[Critic, float]:
        """A new critic learns to tell real rows from those that the generator draws now."""
        critic, judged = self.critic(seed), self.parts.judged
        count = min(2 * len(self.parts.training), POOL)
        drawn = self.pool(count + 4 * len(judged), other, polished)
        telling = Telling(critic, drawn[:count], judged, drawn[count:])
        recipe = Recipe(
            steps=max(round(TELLING * self.epochs * self.per_pass), 1),
            leg=leg_of(self.per_pass),
            batch=self.sizing.batch,
            rate=3e-3,
            average=0.99,
        )
        score = self._stage(stages, name, critic, (telling.loss, telling.judge), recipe, seed)
        return critic, CHANCE if score is None else score

    def _opposed(self, stages: Stages, critic: Critic, seed: int) -> None:
        """Generator and critic learn against each other; what makes held-out rows less alike is taken back."""
        training, judged = self.parts.training, self.parts.judged
        steps = max(round(ADVERSARIAL * self.epochs * self.per_pass), 1)
        moments = [Moments(self.net.layout, self.order, rows) for rows in (training, judged)]
        both = Adversaries(self.net, critic, moments[0], moments[1], steps)
        before, own = both.judge(), {key: value.clone() for key, value in self.net.state_dict().items()}
        recipe = Recipe(
            steps=steps,
            leg=min(max(steps // 4, 1), 500),
            batch=min(BATCH, max(len(training) // 2, 1)),
            rate=2e-4,
            decay=0.0,
            average=0.995,
            clip=100.0,
            beta1=0.5,
            beta2=0.9,
            paces={"critic.": 5.0},
        )
        after = self._stage(stages, "generator", both, (both.loss, both.judge), recipe, seed, both.pace)
        if after is None or after > before:
            self.net.load_state_dict(own)

    def _stage(
        self,
        stages: Stages,
        name: str,
        module: nn.Module,
        parts: tuple[Callable[[Tensor, torch.Generator], Tensor], Callable[[], float]],
        recipe: Recipe,
        seed: int,
        pace: Callable[[float], None] | None = None,
    ) -> float | None:
        """Train a module as one stage."""

        def fit(checkpoint: Path | None, fingerprint: str) -> float | None:
            return train(
                module,
                *parts,
                self.parts.training,
                recipe,
                seed=seed,
                checkpoint=checkpoint,
                fingerprint=fingerprint,
                callbacks=self.run.callbacks,
                progress=self.run.progress,
                pace=pace,
            )

        return stages.run(name, module, fit)
