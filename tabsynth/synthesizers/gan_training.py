"""Training of the GAN: a VAE warm start of the generator, then adversarial training with a new critic."""

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
"""Adversarial steps for each step of the warm start."""

MAX_ADVERSARIAL_BATCH = 256
"""Maximum batch size of the adversarial steps."""

N_VALIDATION_SAMPLES, MIN_GROUP_ROWS = 1 << 14, 20
"""Generated rows for the validation score, and minimum validation rows of a token group.

Fewer rows or smaller groups make the score noisier than the differences between generators.
"""

GENERATOR_LR, CRITIC_LR = 1.5e-4, 1e-3
"""Peak learning rates of the pretrained generator and of the new critic."""


@dataclass(frozen=True, eq=False)
class GanFit:
    """One fit.

    Attributes:
        net: The generator, with its encoder.
        critic: The critic.
        order: The slots in the order in which they are drawn.
        sizing: Sizes of the warm start.
        parts: Training and validation rows.
        epochs: Epochs of the warm start.
        pool: Samples rows for the tree discriminator.
        run: The fit's seed, callbacks and checkpoint.
        fingerprint: Identifies the fit.
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
        """Fit generator and critic in place; the encoder is dropped at the end.

        Returns:
            A tree discriminator that selects rows, or None if it does not help.
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
        """Steps per epoch."""
        return max(len(self.parts.training) // self.sizing.batch, 1)

    def _warm_start(self, stages: Stages) -> None:
        """Train the generator as the decoder of a VAE."""
        objective = EvidenceLowerBound(self.net)
        config = TrainingConfig(
            steps=self.epochs * self.steps_per_epoch,
            eval_every=validation_interval(self.steps_per_epoch),
            batch=self.sizing.batch,
            rate=self.sizing.rate,
            decay=self.sizing.decay,
            clip=5.0,
        )
        validation = self.parts.validation
        parts = objective.loss, lambda: objective.validation_loss(validation)
        self._stage(stages, "warm", self.net, parts, config, self.run.seed, objective.on_step)
        self.net.shed()

    def _train_adversarially(self, stages: Stages, seed: int) -> None:
        """Adversarial training; undone if it worsens the validation score."""
        training, layout = self.parts.training, self.net.layout
        steps = max(round(ADVERSARIAL_STEPS_RATIO * self.epochs * self.steps_per_epoch), 1)
        both = Adversaries(self.net, self.critic, Moments(layout, self.order, training), steps)
        held = Moments(layout, self.order, self.parts.validation, least=MIN_GROUP_ROWS)

        def validation_loss() -> float:
            # Calibrated rows, as in sampling: adversarial training shifts marginals, and calibration corrects them.
            return float(held.distance(self.pool(N_VALIDATION_SAMPLES, seed, True)))

        before, own = validation_loss(), {key: value.clone() for key, value in self.net.state_dict().items()}
        config = TrainingConfig(
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
        after = self._stage(stages, "generator", both, (both.loss, validation_loss), config, seed, both.on_step)
        if after is None or after > before:
            self.net.load_state_dict(own)

    def _stage(
        self,
        stages: Stages,
        name: str,
        module: nn.Module,
        parts: tuple[Callable[[Tensor, torch.Generator], Tensor], Callable[[], float]],
        config: TrainingConfig,
        seed: int,
        on_step: Callable[[float], None] | None = None,
    ) -> float | None:
        """Train a module as one stage."""

        def fit(checkpoint: Path | None, fingerprint: str) -> float | None:
            return train(
                module,
                *parts,
                self.parts.training,
                config,
                seed=seed,
                checkpoint=checkpoint,
                fingerprint=fingerprint,
                callbacks=self.run.callbacks,
                progress=self.run.progress,
                on_step=on_step,
            )

        return stages.run(name, module, fit)
