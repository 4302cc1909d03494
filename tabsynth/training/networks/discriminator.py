"""Discriminator of the GAN on tokens.

It has no batch normalisation and scores each row separately (pac 1), so its loss on real rows is a sum over rows whose
gradients can be clipped per row. The gradient penalty cannot be clipped and is not used in private fits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.masked import TokenEmbedding
from tabsynth.training.networks.nade import linear

SLOPE = 0.2
"""Negative slope of the leaky ReLU."""


class Critic(nn.Module):
    """Three hidden layers on summed embeddings.

    Ordered tokens enter only through the cosine features of their quantiles: with free weights for each token, a critic
    memorises the training rows of a table with thousands of tokens within a few epochs.

    Args:
        layout: The slots.
        width: Units a layer.
        generator: Random generator of the initial weights.
    """

    def __init__(self, layout: Layout, *, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.embed = TokenEmbedding(layout, width, 1 / math.sqrt(len(layout.sizes)), 1.0, generator)
        with torch.no_grad():
            self.embed.share.masked_fill_(layout.on_line().unsqueeze(1), 0.0)  # type: ignore[operator]
            self.embed.slow.mul_(4)
        self.shift = nn.Parameter(torch.zeros(width))
        self.layers = nn.ModuleList([linear(width, width, generator), linear(width, width, generator)])
        self.out = linear(width, 1, generator)
        self.register_buffer("offsets", torch.tensor(layout.offsets), persistent=False)

    def places(self, tokens: Tensor) -> Tensor:
        """Return the rows of the matrix of embeddings, shape (rows, slots)."""
        return self.offsets + tokens  # type: ignore[operator]

    def summed(self, tokens: Tensor, table: Tensor) -> Tensor:
        """Return the summed embeddings of rows of tokens, shape (rows, width)."""
        return functional.embedding_bag(self.places(tokens), table, mode="sum")

    def forward(self, summed: Tensor, *, frozen: bool = False) -> Tensor:
        """Return the log-odds that each row is real, shape (rows,); ``frozen`` stops gradients to the weights."""
        hidden = functional.leaky_relu(summed + _held(self.shift, frozen), SLOPE)
        for layer in self.layers:
            hidden = functional.leaky_relu(_through(layer, hidden, frozen), SLOPE)
        return _through(self.out, hidden, frozen).squeeze(1)


def real_losses(critic: Critic, tokens: Tensor, table: Tensor) -> Tensor:
    """Return the critic's loss on each real row, shape (rows,)."""
    return functional.softplus(-critic(critic.summed(tokens, table)))


def drawn_losses(critic: Critic, tokens: Tensor, table: Tensor) -> Tensor:
    """Return the critic's mean loss on generated rows."""
    return functional.softplus(critic(critic.summed(tokens, table))).mean()


def steepness(critic: Critic, tokens: Tensor, table: Tensor) -> Tensor:
    """Return the gradient penalty at real rows: the squared first-order change if cells take the tokens of another row.

    R1 of Mescheder, Geiger and Nowozin, "Which training methods for GANs do actually converge?", arXiv 1801.04406, in
    the directions in which rows differ, so that it does not depend on the scale of the embeddings. It mixes rows and
    takes a second derivative, so private fits cannot use it.
    """
    summed = critic.summed(tokens, table)
    (slope,) = torch.autograd.grad(critic(summed).sum(), summed, create_graph=True)
    places = critic.places(tokens)
    change = functional.embedding(places.roll(1, 0), table) - functional.embedding(places, table)
    return torch.einsum("rsw,rw->rs", change, slope).square().sum(1).mean()


def _held(weight: Tensor, frozen: bool) -> Tensor:
    return weight.detach() if frozen else weight


def _through(layer: nn.Module, hidden: Tensor, frozen: bool) -> Tensor:
    """Return a linear layer's output."""
    assert isinstance(layer, nn.Linear)
    return functional.linear(hidden, _held(layer.weight, frozen), _held(layer.bias, frozen))
