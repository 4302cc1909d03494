"""Masked network for differentially private training.

It has the interface of ``MaskedNet``. Per-row clipping requires that each layer is used once per pass and that every
parameter belongs to a layer: no smooth part, no skip, no dropout.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from tabsynth.privacy.mechanisms.ghost_clipping import GhostEmbedding
from tabsynth.training.networks.layers import new_layer
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.masked import Block


class PlainNet(nn.Module):
    """Masked network: logits of every slot given partially masked tokens.

    Shape:
        Input: tokens (batch, slots), -1 where masked. Output: logits (batch, layout.total).
    """

    skip = None
    cross = None

    def __init__(self, layout: Layout, *, width: int, blocks: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layout = layout
        slots = len(layout.sizes)
        self.embed = new_layer(GhostEmbedding, layout.total + slots, width)
        self.blocks = nn.ModuleList(Block(width, 2 * width, 0.0, generator) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = new_layer(nn.Linear, width, layout.total)
        nn.init.normal_(self.embed.weight, std=1 / math.sqrt(slots), generator=generator)
        nn.init.zeros_(self.out.weight)
        with torch.no_grad():
            self.out.bias.copy_(layout.log_frequencies())
        self._offsets = torch.tensor(layout.offsets)

    @property
    def bias(self) -> Tensor:
        """Biases of the logits, shape (total,)."""
        return cast(Tensor, self.out.bias)

    def table(self) -> Tensor:
        """Return the embeddings of all tokens, then of the masks, shape (total + slots, width)."""
        return self.embed.weight

    def head(self) -> Tensor:
        """Return the output weights, shape (total, width)."""
        return self.out.weight

    def trunk(self, hidden: Tensor, noise: Any = None) -> Tensor:
        """Return the last hidden layer, shape (batch, width)."""
        for block in self.blocks:
            hidden = block(hidden)
        return cast(Tensor, self.norm(hidden))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of all slots."""
        slots = torch.arange(tokens.shape[1], device=tokens.device)
        offsets = self._offsets.to(tokens.device)
        positions = torch.where(tokens < 0, self.layout.total + slots, offsets + tokens)
        return cast(Tensor, self.out(self.trunk(self.embed(positions).sum(1))))
