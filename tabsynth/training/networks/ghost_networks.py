"""The decoder of a VAE and the discriminator of a GAN with per-row gradient norms.

Both wrap the parameters of the networks given to them and train these in place.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.training.networks.discriminator import SLOPE, Critic
from tabsynth.training.networks.ghost_layers import (
    GhostEmbeddingLookup,
    GhostMaskedLinear,
    GhostOutputHead,
    GhostSharedParameter,
)
from tabsynth.training.networks.made import Made
from tabsynth.training.networks.masked import slot_losses
from tabsynth.training.networks.vae import LatentNet


class Density(nn.Module):
    """The prior of a VAE (see ``Made``); its context network is not trained.

    Args:
        made: The prior.
    """

    def __init__(self, made: Made) -> None:
        super().__init__()
        self.shifts, self.bias = GhostSharedParameter(made.shifts), GhostSharedParameter(made.bias)
        masks = [cast(Tensor, mask) for mask in (made.mask_in, made.mask_hidden, made.mask_out, made.mask_skip)]
        self.inward = GhostMaskedLinear(made.inward, masks[0])
        self.layers = nn.ModuleList(GhostMaskedLinear(layer, masks[1]) for layer in made.layers)
        self.outward, self.skip = GhostMaskedLinear(made.outward, masks[2]), GhostMaskedLinear(made.skip, masks[3])
        self._density = made.density

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the log-density in nats, shape (rows,), of vectors, shape (rows, size)."""
        shifts = self.shifts(vectors)
        hidden = self.inward(vectors) + shifts[:, 0]
        for number, layer in enumerate(self.layers, 1):
            hidden = hidden + layer(functional.silu(hidden)) + shifts[:, number]
        out = self.outward(functional.silu(hidden)) + self.skip(vectors) + self.bias(vectors)
        return self._density(vectors, out)


class RowwiseDecoder(nn.Module):
    """Prior and decoder of a VAE.

    Args:
        net: The VAE; its encoder and its conditional prior are not trained.
    """

    def __init__(self, net: LatentNet) -> None:
        super().__init__()
        self.layout = net.layout
        self.inward, self.writer = net.inward, net.writer
        self.head, self.bias = GhostOutputHead(net.head), GhostSharedParameter(net.bias)
        self.start, self.embed, self.links = (
            net.links.start,
            GhostEmbeddingLookup(net.links.embed),
            GhostOutputHead(net.links.head),
        )
        self.prior = Density(net.prior)
        self._order, self._place = cast(Tensor, net.links.order), cast(Tensor, net.links.place)

    def forward(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """Return the negative log-likelihood of latents and of rows given them, in nats, shape (rows,).

        Args:
            latents: Shape (rows, latents).
            tokens: Shape (rows, slots), none absent.
        """
        logits = self.head(self.writer(self.inward(latents))) + self.bias(latents)
        steps = self.embed(tokens)[:, self._order]
        sums = self.start(latents).unsqueeze(1) + steps.cumsum(1) - steps
        logits = logits + self.links(functional.silu(sums)[:, self._place])
        out: Tensor = slot_losses(logits, tokens, self.layout).sum(1) - self.prior(latents)
        return out


class RowwiseCritic(nn.Module):
    """A critic of rows of tokens.

    Args:
        critic: The critic to train.
    """

    def __init__(self, critic: Critic) -> None:
        super().__init__()
        self.embed, self.shift = GhostEmbeddingLookup(critic.embed, summed=True), GhostSharedParameter(critic.shift)
        self.layers, self.out = critic.layers, critic.out

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the log-odds that each row is real, shape (rows,)."""
        hidden = functional.leaky_relu(self.embed(tokens) + self.shift(tokens), SLOPE)
        for layer in self.layers:
            hidden = functional.leaky_relu(layer(hidden), SLOPE)
        out: Tensor = self.out(hidden).squeeze(1)
        return out


@torch.no_grad()
def hold(critic: Critic, most: float) -> None:
    """Bound the spectral norm of each weight matrix of a critic, in place.

    A projection after each step (Gouk, Frank, Pfahringer and Cree, "Regularisation of neural networks by enforcing
    Lipschitz continuity", arXiv 1804.04368); it reads only the weights.
    """
    for layer in [*critic.layers, critic.out]:
        assert isinstance(layer, nn.Linear)
        layer.weight.mul_((most / torch.linalg.matrix_norm(layer.weight, 2)).clamp(max=1.0))
