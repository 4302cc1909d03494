"""DP-SGD fit of the GAN: pretraining on a private mixture's rows, then DP-SGD of the critic on the real rows.

Only the critic reads real rows. The gradient of its loss on real rows is clipped per row and noised; the gradient of
its loss on generated rows contains no real row and is added unchanged, and the generator's updates are post-processing
of the critic's weights. Spectral norm bounds of the critic's matrices replace the gradient penalty; there is no batch
normalisation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.privacy.budget import Privacy
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.private.dp_sgd_fit import WeightAverage, prepare_dp_sgd
from tabsynth.training.gan_losses import generator_loss
from tabsynth.training.loop import chosen_device
from tabsynth.training.marginal_matching import Moments
from tabsynth.training.networks.discriminator import Critic
from tabsynth.training.networks.generator import Generator
from tabsynth.training.networks.ghost_networks import RowwiseCritic, hold

if TYPE_CHECKING:
    from tabsynth.synthesizers.gan import GANSynthesizer
    from tabsynth.synthesizers.options import FitOptions

N_EPOCHS, MAX_BATCH, CRITIC_LR, MAX_GRADIENT_NORM = 10, 4096, 1e-3, 1.0
"""Expected epochs, maximum batch size, Adam's learning rate, and clipping norm."""

CRITIC_WIDTH = 64
"""Units per layer of the critic; fewer weights receive less noise."""

MAX_SPECTRAL_NORM = 2.0
"""Maximum spectral norm of the critic's matrices."""

N_GENERATED_ROWS = 512
"""Generated rows per step."""

GENERATOR_LR = 2e-4
"""Adam's learning rate of the generator."""


def fit_gan(model: GANSynthesizer, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions) -> None:
    """Fit a GAN; every read of the frame is charged before."""
    start = prepare_dp_sgd(model, frame, schema, privacy, run)
    if not model.active_:
        model._fit_tokens(start.drawn, start.run)
        return
    paid = start.charge_steps(
        batch=int(min(max(start.units / 8, 64), MAX_BATCH)),
        epochs=model.epochs or N_EPOCHS,
        clip=MAX_GRADIENT_NORM,
        purpose="DP-SGD of a GAN's critic on all rows",
    )
    critic = model._train_adversarially(start.drawn, start.run, CRITIC_WIDTH)
    assert critic is not None
    rows = torch.from_numpy(start.drawn.astype(np.int64)).to(chosen_device(model.device))
    duel = GeneratorUpdate(model.net_, critic, Moments(model.layout_, model.order_, rows), run.seed)
    start.train(
        paid,
        RowwiseCritic(critic),
        real_losses,
        rate=CRITIC_LR,
        after=duel.update_generator,
        public=duel.generated_loss,
    )
    duel.average.copy_to_module()
    model.net_.eval()


def real_losses(critic: nn.Module, /, tokens: Tensor, generator: torch.Generator) -> Tensor:
    """Return the critic's loss on each real row, shape (rows,)."""
    return functional.softplus(-critic(tokens))


class GeneratorUpdate:
    """The part beside the critic's noisy steps: generated rows, and updates of the generator.

    Args:
        net: The generator, without its encoder.
        critic: The critic.
        moments: Frequencies of the mixture's rows.
        seed: Seed of the generated rows.
    """

    def __init__(self, net: Generator, critic: Critic, moments: Moments, seed: int) -> None:
        self.net, self.critic, self.moments = net, critic, moments
        self.noise = torch.Generator(net.bias.device).manual_seed(seed)
        self.average = WeightAverage(net)
        self.optimiser = torch.optim.Adam(net.parameters(), lr=GENERATOR_LR, betas=(0.5, 0.9))
        with torch.no_grad():
            self.drawn = net.rows(net.noise(N_GENERATED_ROWS, self.noise), self.noise).tokens

    def generated_loss(self, critic: nn.Module) -> Tensor:
        """Return the critic's mean loss on generated rows."""
        return functional.softplus(critic(self.drawn)).mean()

    def update_generator(self, step: int) -> None:
        """Update the generator after a step of the critic."""
        hold(self.critic, MAX_SPECTRAL_NORM)
        table = self.critic.embed().detach()
        loss, self.drawn = generator_loss(self.net, self.critic, self.moments, N_GENERATED_ROWS, self.noise, table)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.average.update(step)
