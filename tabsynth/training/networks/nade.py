"""Autoregressive decoder given latents, whose slots share one running sum.

NADE: Larochelle and Murray, "The neural autoregressive distribution estimator", 2011. Without it, columns that nearly
determine each other would need very precise latents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.training.networks.layers import new_layer
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.masked import TokenEmbedding
from tabsynth.training.precision import product_autocast, product_dtype


class Links(nn.Module):
    """Logits of every slot from the latents and the tokens before it in an order.

    Args:
        layout: The slots.
        order: The slots in sampling order.
        latents: Latent variables.
        width: Units of the running sum.
        smooth: As in ``TokenEmbedding``.
        generator: Random generator of the initial weights.
    """

    def __init__(
        self,
        layout: Layout,
        order: Sequence[int],
        *,
        latents: int,
        width: int,
        smooth: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.embed = TokenEmbedding(layout, width, 1 / math.sqrt(len(order)), smooth, generator)
        self.start = linear(latents, width, generator)
        self.head = TokenEmbedding(layout, width, 0.0, smooth, generator)
        place = [0] * len(order)
        for i, slot in enumerate(order):
            place[slot] = i
        self.register_buffer("order", torch.tensor(list(order)), persistent=False)
        self.register_buffer("place", torch.tensor(place), persistent=False)
        self.register_buffer("offsets", torch.tensor(layout.offsets), persistent=False)
        # For each slot in bucket order, the slots sampled before it.
        places = torch.tensor(place)
        before = places < places[torch.tensor(layout.bucket_order)].unsqueeze(1)
        self.register_buffer("before", before.float(), persistent=False)

    def forward(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """Return the logits of all slots, (rows, total), given tokens, (rows, slots); absent ones (-1) add nothing."""
        # One product sums the slots before each slot and avoids large intermediate tensors.
        table = functional.pad(self.embed(), (0, 0, 0, 1))
        at = torch.where(tokens < 0, self.layout.total, self.offsets + tokens)  # type: ignore[operator]
        before = self.before.expand(len(tokens), -1, -1)  # type: ignore[operator]
        sums = torch.baddbmm(self.start(latents).unsqueeze(1), before, functional.embedding(at, table))
        sizes, head, parts = [len(bucket.slots) for bucket in self.layout.buckets], self.head(), []
        with product_autocast(latents.device):
            units = torch.split(functional.silu(sums).to(product_dtype(latents.device)), sizes, 1)
            for bucket, seen in zip(self.layout.buckets, units, strict=True):
                own = head[bucket.start : bucket.stop].view(len(bucket.slots), bucket.width, -1)
                logits = torch.bmm(seen.transpose(0, 1), own.transpose(1, 2))
                parts.append(logits.transpose(0, 1).reshape(len(latents), -1))
        return torch.cat(parts, 1).float()


def linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """Return a linear layer initialised from the generator."""
    layer = new_layer(nn.Linear, inputs, outputs)
    bound = 1 / math.sqrt(inputs)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
