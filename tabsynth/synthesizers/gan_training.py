"""How a GAN of tokens is fitted: the generator warm as a VAE, then against a critic that begins knowing nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tabsynth.synthesizers.options import FitOptions
from tabsynth.synthesizers.sampling.discriminator_selection import CandidateFn, fit_discriminator
from tabsynth.synthesizers.vae import EvidenceLowerBound
from tabsynth.training.gan_losses import Adversaries
from tabsynth.training.loop import train, validation_interval
from tabsynth.training.marginal_matching import Moments
from tabsynth.training.networks.discriminator import Critic
from tabsynth.training.networks.generator import Generator
from tabsynth.training.networks.vae import LatentSizing
from tabsynth.training.stages import Stages
from tabsynth.training.training_state import TrainingConfig
from tabsynth.training.trees.discriminator import TreeDiscriminator
from tabsynth.training.validation_split import TrainValidation

ADVERSARIAL_STEPS_RATIO = 0.3
"""Steps of generator against critic, for each step of the warm start; twice as many brought no more."""

MAX_ADVERSARIAL_BATCH = 256
"""Most rows of a step of generator against critic."""

N_VALIDATION_SAMPLES, MIN_GROUP_ROWS = 1 << 14, 20
"""Rows that are drawn to judge the generator, and held-out rows of a group, fewer of which say little.

With 4,096 rows and all groups, on credit defaults, one generator's score changed more from draw to draw than learning
changed it.
"""

GENERATOR_LR, CRITIC_LR = 1.5e-4, 1e-3
"""Peak learning rates of the generator, which has learned already, and of the critic, which has not."""


@dataclass(frozen=True, eq=False)
class GanFit:
    """One fit.

    Attributes:
        net: The generator, with its encoder still.
        critic: What it learns against.
        order: The slots in the order in which they are drawn.
        sizing: Sizes of the warm start.
        parts: Training rows and held-out ones.
        epochs: Passes of the warm start.
        pool: Draws rows for a critic.
        run: The fit's seed, callbacks and checkpoint.
        fingerprint: Names the fit.
    """

    net: Generator
    critic: Critic
    order: Sequence[int]
    sizing: LatentSizing
    parts: TrainValidation
    epochs: int
    pool: CandidateFn
    run: FitOptions
    fingerprint: str

    def __call__(self) -> TreeDiscriminator | None:
        """Fit generator and critic in place, the generator without its encoder at the end.

        Returns:
            Trees that choose among its rows, where they are of use.
        """
        stages = Stages(self.run.checkpoint, self.fingerprint)
        self._warm_start(stages)
        self._train_adversarially(stages, int(np.random.SeedSequence([self.run.seed, 3]).generate_state(1)[0]))
        trees = None
        if self.run.fit_discriminator:
            trees = fit_discriminator(self.net.layout, self.parts, self.pool, self.run.seed, self.run.progress)
        stages.clear()
        return trees

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a pass over the training rows."""
        return max(len(self.parts.training) // self.sizing.batch, 1)

    def _warm_start(self, stages: Stages) -> None:
        """The generator learns as the decoder of a VAE."""
        objective = EvidenceLowerBound(self.net)
        recipe = TrainingConfig(
            steps=self.epochs * self.steps_per_epoch,
            eval_every=validation_interval(self.steps_per_epoch),
            batch=self.sizing.batch,
            rate=self.sizing.rate,
            decay=self.sizing.decay,
            clip=5.0,
        )
        judged = self.parts.judged
        parts = objective.loss, lambda: objective.judge(judged)
        self._stage(stages, "warm", self.net, parts, recipe, self.run.seed, objective.pace)
        self.net.shed()

    def _train_adversarially(self, stages: Stages, seed: int) -> None:
        """Generator and critic learn against each other; what makes held-out rows less alike is taken back."""
        training, layout = self.parts.training, self.net.layout
        steps = max(round(ADVERSARIAL_STEPS_RATIO * self.epochs * self.steps_per_epoch), 1)
        both = Adversaries(self.net, self.critic, Moments(layout, self.order, training), steps)
        held = Moments(layout, self.order, self.parts.judged, least=MIN_GROUP_ROWS)

        def judge() -> float:
            # Rows as they will be sampled: adversaries shift columns' shares, which calibration mends.
            return float(held.distance(self.pool(N_VALIDATION_SAMPLES, seed, True)))

        before, own = judge(), {key: value.clone() for key, value in self.net.state_dict().items()}
        recipe = TrainingConfig(
            steps=steps,
            eval_every=min(-(-steps // 4), 500),
            batch=min(MAX_ADVERSARIAL_BATCH, max(len(training) // 2, 1)),
            rate=GENERATOR_LR,
            decay=0.0,
            average=0.995,
            clip=100.0,
            beta1=0.5,
            beta2=0.9,
            lr_multipliers={"critic.": CRITIC_LR / GENERATOR_LR},
        )
        after = self._stage(stages, "generator", both, (both.loss, judge), recipe, seed, both.pace)
        if after is None or after > before:
            self.net.load_state_dict(own)

    def _stage(
        self,
        stages: Stages,
        name: str,
        module: nn.Module,
        parts: tuple[Callable[[Tensor, torch.Generator], Tensor], Callable[[], float]],
        recipe: TrainingConfig,
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
