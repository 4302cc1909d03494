"""Training of the GAN: a VAE warm start of the generator, then adversarial training with a new critic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tabsynth.synthesizers.options import FitOptions
from tabsynth.synthesizers.sampling.discriminator_selection import CandidateFn
from tabsynth.synthesizers.vae import EvidenceLowerBound, latent_training
from tabsynth.training.gan_losses import Adversaries
from tabsynth.training.loop import Objective
from tabsynth.training.marginal_matching import Moments
from tabsynth.training.networks.discriminator import Critic
from tabsynth.training.networks.generator import Generator
from tabsynth.training.networks.vae import LatentSizing
from tabsynth.training.stages import Stages
from tabsynth.training.training_state import TrainingConfig
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
        order: The slots in sampling order.
        sizing: Sizes of the warm start.
        parts: Training and validation rows.
        epochs: Epochs of the warm start.
        pool: Samples rows for the validation score.
        run: Options of the fit.
    """

    net: Generator
    critic: Critic
    order: Sequence[int]
    sizing: LatentSizing
    parts: TrainValidation
    epochs: int
    pool: CandidateFn
    run: FitOptions

    def __call__(self) -> Stages:
        """Fit generator and critic in place; the encoder is dropped at the end. Return the stages, to be cleared."""
        stages = Stages(self.run)
        self._warm_start(stages)
        self._train_adversarially(stages, int(np.random.SeedSequence([self.run.seed, 3]).generate_state(1)[0]))
        return stages

    def _warm_start(self, stages: Stages) -> None:
        """Train the generator as the decoder of a VAE."""
        config = latent_training(self.sizing, self.epochs, len(self.parts.training))
        objective = EvidenceLowerBound(self.net).objective(self.parts.validation)
        stages.train("warm", self.net, objective, self.parts.training, config)
        self.net.shed()

    def _train_adversarially(self, stages: Stages, seed: int) -> None:
        """Train adversarially; undone if that worsens the validation score."""
        training, layout = self.parts.training, self.net.layout
        steps_per_epoch = max(len(training) // self.sizing.batch, 1)
        steps = max(round(ADVERSARIAL_STEPS_RATIO * self.epochs * steps_per_epoch), 1)
        both = Adversaries(self.net, self.critic, Moments(layout, self.order, training), steps)
        validation = Moments(layout, self.order, self.parts.validation, least=MIN_GROUP_ROWS)

        def validation_loss() -> float:
            # Calibrated rows, as in sampling: adversarial training shifts marginals, and calibration corrects them.
            return float(validation.distance(self.pool(N_VALIDATION_SAMPLES, seed, True)))

        before = validation_loss()
        initial_weights = {key: value.clone() for key, value in self.net.state_dict().items()}
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
        objective = Objective(both.loss, validation_loss, both.on_step)
        after = stages.train("generator", both, objective, training, config, seed=seed)
        if after is None or after > before:
            self.net.load_state_dict(initial_weights)
