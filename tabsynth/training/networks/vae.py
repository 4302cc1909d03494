"""Variational autoencoder of tokens with a learned prior.

Kingma and Welling, "Auto-encoding variational Bayes", arXiv 1312.6114; the prior is trained jointly (Chen et al.,
"Variational lossy autoencoder", arXiv 1611.02731). A conditional prior given part of a row serves conditional sampling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.made import Made
from tabsynth.training.networks.masked import Block, TokenEmbedding, slot_losses
from tabsynth.training.networks.nade import Links, linear
from tabsynth.training.precision import product_autocast

MAX_SMALL_ROWS = 2500
"""Tables with fewer rows get a smaller, more strongly regularised network."""

MIN_LOG_SCALE, MAX_LOG_SCALE = -12.0, 4.0
"""Minimum and maximum log-variance of a posterior."""


@dataclass(frozen=True, kw_only=True)
class LatentSizing:
    """Size of the network and length of the fit.

    Attributes:
        latents: Latent variables.
        width: Width of the residual streams.
        blocks: Residual blocks of encoder and decoder each.
        dropout: Dropout rate of the inner units.
        smooth: Strength of the smoothness prior on ordered tokens, from 0 to 1.
        links: Hidden units of the autoregressive decoder.
        hidden: Units of each of the prior's layers.
        batch: Rows per step.
        rate: Peak learning rate.
        decay: Weight decay.
        epochs: Epochs.
    """

    latents: int
    width: int
    blocks: int
    dropout: float
    smooth: float
    links: int
    hidden: int
    batch: int
    rate: float
    decay: float
    epochs: int

    @classmethod
    def of(cls, rows: int, layout: Layout) -> LatentSizing:
        """Return the sizes by rule: latents grow with the root of the vocabulary, from 16 to 32."""
        small, wide = rows < MAX_SMALL_ROWS, layout.total > 2000
        return cls(
            latents=int(np.clip(math.sqrt(layout.total) / 2, 16, 32)),
            width=96 if small else 224 if wide else 192,
            blocks=1 if small else 2,
            dropout=0.1,
            smooth=float(np.clip(1 - rows / 25_000, 0.0, 1.0)),
            links=16 if small else 128 if wide else 64,
            hidden=160 if small else 320,
            batch=int(np.clip(rows // 16, 16, 512)) if rows < 60_000 else 1024,
            rate=3e-3 if rows >= 60_000 else 2e-3,
            decay=0.1 if small else 0.01,
            epochs=40 if small else int(np.clip(14 * (32_000 / rows) ** 0.35, 10, 24)),
        )


class Trunk(nn.Module):
    """Residual blocks and a norm, (batch, width) -> (batch, width)."""

    def __init__(self, width: int, blocks: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, 2 * width, dropout, generator) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Return the last hidden layer, with dropout if a generator is given."""
        for block in self.blocks:
            hidden = block(hidden, noise)
        out: Tensor = self.norm(hidden)
        return out


class LatentNet(nn.Module):
    """Encoder, prior and decoder; the decoder generates the slots in an order."""

    def __init__(self, layout: Layout, order: Sequence[int], sizing: LatentSizing, generator: torch.Generator) -> None:
        super().__init__()
        self.layout = layout
        slots, width = len(layout.sizes), sizing.width
        self.embed = TokenEmbedding(layout, width, 1 / math.sqrt(slots), sizing.smooth, generator)
        self.mask = nn.Parameter(torch.randn(slots, width, generator=generator) / math.sqrt(slots))
        self.reader = Trunk(width, sizing.blocks, sizing.dropout, generator)
        self.posterior = linear(width, 2 * sizing.latents, generator)
        self.glance = Trunk(width, sizing.blocks, sizing.dropout, generator)
        self.prior = Made(
            sizing.latents, context=width, hidden=sizing.hidden, layers=3, components=8, generator=generator
        )
        self.inward = linear(sizing.latents, width, generator)
        self.writer = Trunk(width, sizing.blocks, sizing.dropout, generator)
        self.head = TokenEmbedding(layout, width, 0.0, sizing.smooth, generator)
        self.bias = nn.Parameter(layout.log_frequencies())
        self.links = Links(
            layout,
            order,
            latents=sizing.latents,
            width=sizing.links,
            smooth=sizing.smooth,
            generator=generator,
        )
        self.register_buffer("offsets", torch.tensor(layout.offsets), persistent=False)

    def table(self) -> Tensor:
        """Return the embeddings of all tokens, then of the masks, shape (total + slots, width)."""
        return torch.cat([self.embed(), self.mask])

    def summed(self, tokens: Tensor, table: Tensor) -> Tensor:
        """Return the summed embeddings of tokens (-1 where unknown), shape (rows, width)."""
        slots = torch.arange(tokens.shape[1], device=tokens.device)
        at = torch.where(tokens < 0, self.layout.total + slots, self.offsets + tokens)  # type: ignore[operator]
        return functional.embedding_bag(at, table, mode="sum")

    def encode(self, summed: Tensor, noise: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return the mean and log-variance of the latents of whole rows, each (rows, latents)."""
        with product_autocast(summed.device):
            both = self.posterior(self.reader(summed, noise)).float()
        mean, log_variance = both.chunk(2, dim=1)
        return mean, log_variance.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)

    def context(self, summed: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Return the context of the conditional prior from the known tokens, shape (rows, width)."""
        with product_autocast(summed.device):
            out: Tensor = self.glance(summed, noise).float()
        return out

    def decode(self, latents: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Return the decoder's last layer, shape (rows, width)."""
        hidden = self.inward(latents)
        with product_autocast(latents.device):
            out: Tensor = self.writer(hidden, noise)
        return out

    def errors(self, latents: Tensor, tokens: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Return the cross-entropy of every slot given the latents and earlier slots, in nats, shape (rows, slots)."""
        decoded = self.decode(latents, noise)
        with product_autocast(decoded.device):
            logits = functional.linear(decoded, self.head(), self.bias)
        return slot_losses(logits.float() + self.links(latents, tokens), tokens, self.layout)


def some_hidden(tokens: Tensor, noise: torch.Generator) -> Tensor:
    """Return the random mask, shape (rows, slots): a uniform number of slots per row, in random positions."""
    rows, slots = tokens.shape
    places = torch.rand(rows, slots, generator=noise, device=tokens.device).argsort(1).argsort(1)
    return places >= torch.randint(0, slots, (rows, 1), generator=noise, device=tokens.device)
