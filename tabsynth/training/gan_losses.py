"""Adversarial training of a generator and a critic, starting from a pretrained generator.

Goodfellow et al., "Generative adversarial nets", arXiv 1406.2661, with the non-saturating loss; both are updated in one
step. A penalty on the frequencies of pairs of values keeps the generator from dropping rare ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.training.marginal_matching import Moments
from tabsynth.training.networks.discriminator import Critic, drawn_losses, real_losses, steepness
from tabsynth.training.networks.generator import Bag, Generator
from tabsynth.training.networks.vae import some_hidden

STEEPNESS, EVERY = 0.1, 8
"""Weight of the critic's gradient penalty, and the steps between two of them."""

PART = 4
"""One in this many generated rows trains the posterior of the noise given part of a row."""


class Adversaries(nn.Module):
    """A generator and its critic as one module for the training loop.

    Args:
        generator: A generator without its encoder.
        critic: The critic.
        moments: Frequencies of the training rows.
        steps: Steps of the fit.
    """

    def __init__(self, generator: Generator, critic: Critic, moments: Moments, steps: int) -> None:
        super().__init__()
        self.generator, self.critic, self.moments = generator, critic, moments
        self.step, self.steps = 0, steps

    def on_step(self, share: float) -> None:
        """Set the completed share of the fit."""
        self.step = round(share * self.steps)

    def loss(self, batch: Tensor, noise: torch.Generator) -> Tensor:
        """Return the sum of both losses for a batch of real rows, shape (rows, slots), and as many generated ones."""
        critic, rows = self.critic, len(batch)
        table = critic.embed()
        loss, drawn = generator_loss(self.generator, critic, self.moments, rows, noise, table.detach())
        loss = loss + real_losses(critic, batch, table).sum() / rows + drawn_losses(critic, drawn, table)
        if self.step % EVERY == 0:
            loss = loss + EVERY * STEEPNESS * steepness(critic, batch, table)
        return loss


def generator_loss(
    net: Generator, critic: Critic, moments: Moments, rows: int, noise: torch.Generator, table: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the generator's loss on its own rows, and these rows, shape (rows, slots).

    The sum of the adversarial loss, the error of their frequencies, and the negative log-posterior of their noise given
    part of each row.

    Args:
        net: A generator without its encoder.
        critic: The critic, which gets no gradient.
        moments: The target frequencies.
        rows: Number of rows to generate.
        noise: Random generator.
        table: The critic's embeddings.
    """
    latents = net.noise(rows, noise)
    drawn = net.rows(latents, noise)
    seen = Bag.apply(table, critic.places(drawn.tokens), net.layout.offsets, *drawn.soft)  # type: ignore[no-untyped-call]
    loss = functional.softplus(-critic(seen, frozen=True)).mean() + moments.loss(drawn)
    part = drawn.tokens[: -(-rows // PART)]
    summed = net.summed(part.masked_fill(some_hidden(part, noise), -1), net.table())
    surprise = net.prior.log_prob(latents[: len(part)], net.context(summed, noise))
    return loss - surprise.mean(), drawn.tokens
