"""A generator and a critic, trained against each other from a generator that already draws plausible rows.

Goodfellow et al., "Generative adversarial nets", arXiv 1406.2661, with the non-saturating loss; both are updated in one
step. The generator is also held to the shares of pairs of values, which keeps it from dropping rare ones.
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
"""Weight of the penalty on the critic's slope, and the steps from one to the next."""

PART = 4
"""One in so many drawn rows teaches what part of a row says of its noise."""


class Adversaries(nn.Module):
    """A generator and its critic as one module for the training loop.

    Args:
        generator: A generator without its encoder.
        critic: What it learns against.
        moments: The training rows' shares.
        steps: Steps of the fit.
    """

    def __init__(self, generator: Generator, critic: Critic, moments: Moments, steps: int) -> None:
        super().__init__()
        self.generator, self.critic, self.moments = generator, critic, moments
        self.step, self.steps = 0, steps

    def pace(self, share: float) -> None:
        """Learn which share of the fit is done."""
        self.step = round(share * self.steps)

    def loss(self, batch: Tensor, noise: torch.Generator) -> Tensor:
        """The losses of both, for a batch of real rows, shape (rows, slots), and as many drawn ones."""
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
    """A generator's loss on rows that it draws, and those rows, shape (rows, slots).

    It is how real the critic finds them, how far their shares are off, and the surprise of their noise at part of them.

    Args:
        net: A generator without its encoder.
        critic: Gets no gradient.
        moments: The shares that rows should have.
        rows: How many rows to draw.
        noise: The loss's randomness.
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
