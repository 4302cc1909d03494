"""Generator of the GAN on tokens, with straight-through gradients.

Each slot is sampled by the Gumbel-max trick: forward it is the sampled token, backward a softmax at ``HEAT`` (the
straight-through estimator of Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", arXiv
1611.01144). A slot's logits come from the noise and, through ``Links``, from the slots sampled before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.made import Made
from tabsynth.training.networks.vae import LatentNet, LatentSizing
from tabsynth.training.precision import product_autocast, product_dtype

HEAT = 0.5
"""Temperature of the softmax that replaces a sampled token in the backward pass."""

MIN_PROBABILITY = 1e-20
"""Lower bound of numbers before the logarithm."""


@dataclass(frozen=True)
class Drawn:
    """Generated rows.

    Attributes:
        tokens: Shape (rows, slots).
        soft: For each slot the softmax at ``HEAT`` of its perturbed logits, which carries the gradients, (rows, size).
        chances: For each slot the probabilities from which it was sampled, (rows, size).
    """

    tokens: Tensor
    soft: list[Tensor]
    chances: list[Tensor]


class Noise(Made):
    """A standard normal prior, and a density of the noise given part of a row."""

    def log_prob(self, vectors: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the log-density in nats, shape (rows,); that of the standard normal without context."""
        if context is not None:
            return super().log_prob(vectors, context)
        return -0.5 * (vectors.square() + math.log(2 * math.pi)).sum(1)

    @torch.no_grad()
    def draw(self, rows: int, uniforms: Callable[[Tensor], Tensor], context: Tensor | None = None) -> Tensor:
        """Sample vectors, shape (rows, size); arguments as in ``Made``."""
        if context is not None:
            return super().draw(rows, uniforms, context)
        even = torch.zeros(rows, device=self.bias.device)
        dice = [uniforms(even).double().clamp(1e-7, 1 - 1e-7) for _ in range(self.size)]
        out: Tensor = torch.special.ndtri(torch.stack(dice, 1)).float()
        return out


class Generator(LatentNet):
    """The VAE's network with a standard normal prior, and sampling with gradients."""

    def __init__(self, layout: Layout, order: Sequence[int], sizing: LatentSizing, generator: torch.Generator) -> None:
        super().__init__(layout, order, sizing, generator)
        self.sequence = list(order)
        self.prior: Made = Noise(
            sizing.latents, context=sizing.width, hidden=sizing.hidden, layers=3, components=8, generator=generator
        )

    def shed(self) -> None:
        """Drop the encoder, which only the warm start needs."""
        del self.reader, self.posterior

    def noise(self, rows: int, noise: torch.Generator) -> Tensor:
        """Return the latents of new rows, shape (rows, latents)."""
        return torch.empty(rows, self.prior.size, device=self.bias.device).normal_(generator=noise)

    def rows(self, latents: Tensor, noise: torch.Generator) -> Drawn:
        """Sample a row for each latent vector, with gradients."""
        layout, slots = self.layout, len(self.layout.sizes)
        decoded = self.decode(latents)
        with product_autocast(latents.device):
            own = functional.linear(decoded, self.head(), self.bias)
        # Split once: the gradient of many slices of one tensor would be as many tensors of its full size.
        widths = [bucket.width for bucket in layout.buckets for _ in bucket.slots]
        base = dict(zip(layout.bucket_order, torch.split(own.float(), widths, 1), strict=True))
        heads = dict(zip(layout.bucket_order, torch.split(self.links.head(), widths), strict=True))
        tables = dict(zip(layout.bucket_order, torch.split(self.links.embed(), widths), strict=True))
        sums: Tensor = self.links.start(latents)
        tokens, soft, chances = ([latents] * slots for _ in range(3))
        for slot in self.sequence:
            with product_autocast(latents.device):
                linked = functional.linear(functional.silu(sums), heads[slot])
            logits, size = base[slot] + linked.float(), layout.sizes[slot]
            dice = torch.rand(logits.shape, generator=noise, device=logits.device).clamp_(min=MIN_PROBABILITY).log_()
            perturbed = logits - dice.neg_().clamp_(min=MIN_PROBABILITY).log_()
            tokens[slot] = perturbed[:, :size].detach().argmax(1)
            near = (perturbed / HEAT).softmax(1)
            soft[slot], chances[slot] = near[:, :size], logits.softmax(1)[:, :size]
            sums = sums + _Picked.apply(near, tables[slot], tokens[slot])  # type: ignore[no-untyped-call]
        return Drawn(torch.stack(tokens, 1), soft, chances)


class Bag(torch.autograd.Function):
    """Sum of the matrix rows of sampled tokens; the backward pass is that of soft one-hots times the matrix.

    A gather forward and one product backward are cheaper than dense one-hots. The matrix gets no gradient.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, places: Tensor, starts: tuple[int, ...], *soft: Tensor) -> Tensor:
        """Return the shapes (total, width), (rows, slots) and, for each slot, (rows, size) -> (rows, width)."""
        ctx.save_for_backward(table)
        ctx.segments = [slice(start, start + part.shape[1]) for start, part in zip(starts, soft, strict=True)]
        return functional.embedding_bag(places, table, mode="sum")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the soft one-hots."""
        (table,) = ctx.saved_tensors
        return None, None, None, *(_product(grads[0], table[segment]) for segment in ctx.segments)


class _Picked(torch.autograd.Function):
    """As ``Bag`` for one slot, with a gradient for the matrix."""

    @staticmethod
    def forward(ctx: Any, soft: Tensor, matrix: Tensor, tokens: Tensor) -> Tensor:
        """Map shapes (rows, size), (size, width), (rows,) to (rows, width)."""
        ctx.save_for_backward(matrix, tokens)
        return matrix[tokens]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the soft one-hots and of the matrix."""
        matrix, tokens = ctx.saved_tensors
        own = torch.zeros_like(matrix).index_add_(0, tokens, grads[0])
        return _product(grads[0], matrix), own, None


def _product(grad: Tensor, matrix: Tensor) -> Tensor:
    """Return gradients (rows, width) times a transposed matrix (size, width), in the device's product type."""
    dtype = product_dtype(grad.device)
    return (grad.to(dtype) @ matrix.to(dtype).T).float()
