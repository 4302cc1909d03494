"""Autoregressive density of real vectors: mixtures of Gaussians from one masked network, optionally conditional.

MADE: Germain, Gregor, Murray and Larochelle, "Masked autoencoder for distribution estimation", arXiv 1502.03509. Hidden
units are sorted by degree, so sampling computes each unit once and costs as much as one pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.training.precision import product_autocast

MIN_LOG_SCALE = -7.0
"""Minimum log standard deviation of a component."""


class Made(nn.Module):
    """A density p(z | context) with a mixture of Gaussians per coordinate, each given the coordinates before it.

    Args:
        size: Length of the vectors.
        context: Length of the context.
        hidden: Units a layer.
        layers: Masked residual layers.
        components: Gaussians a coordinate.
        generator: Random generator of the initial weights.
    """

    def __init__(
        self, size: int, *, context: int, hidden: int, layers: int, components: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.size, self.components = size, components
        outputs = 3 * components
        # A unit of degree d sees the first d coordinates; coordinate i is read off units of degree <= i.
        degrees = torch.arange(hidden) * max(size - 1, 1) // hidden + 1
        self.ends = [int((degrees <= i).sum()) for i in range(size)]
        places = torch.arange(size)
        self.register_buffer("mask_in", (degrees[:, None] > places).float(), persistent=False)
        self.register_buffer("mask_hidden", (degrees[:, None] >= degrees).float(), persistent=False)
        whose = places.repeat_interleave(outputs)
        self.register_buffer("mask_out", (whose[:, None] >= degrees).float(), persistent=False)
        self.register_buffer("mask_skip", (whose[:, None] > places).float(), persistent=False)
        self.inward = _weights(hidden, size, generator)
        self.layers = nn.ParameterList(_weights(hidden, hidden, generator) for _ in range(layers))
        self.shifts = nn.Parameter(torch.zeros(layers + 1, hidden))
        self.outward = nn.Parameter(torch.zeros(size * outputs, hidden))
        self.skip = nn.Parameter(torch.zeros(size * outputs, size))
        first = torch.zeros(size, 3, components)
        first[:, 1] = torch.linspace(-1.5, 1.5, components)
        self.bias = nn.Parameter(first.flatten())
        self.given = nn.Parameter(torch.zeros(hidden + size * outputs, context))

    def log_prob(self, vectors: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the log-density in nats, shape (rows,).

        Args:
            vectors: Shape (rows, size).
            context: Shape (rows, context); the zero vector by default.
        """
        seen, direct = self._split(context)
        hidden = functional.linear(vectors, self.inward * self.mask_in, self.shifts[0]) + seen  # type: ignore[operator]
        for layer, shift in zip(self.layers, self.shifts[1:], strict=True):
            with product_autocast(vectors.device):
                change = functional.linear(functional.silu(hidden), layer * self.mask_hidden)
            hidden = hidden + change.float() + shift
        out = functional.linear(functional.silu(hidden), self.outward * self.mask_out, self.bias) + direct  # type: ignore[operator]
        out = out + functional.linear(vectors, self.skip * self.mask_skip)  # type: ignore[operator]
        return self.density(vectors, out)

    def density(self, vectors: Tensor, out: Tensor) -> Tensor:
        """Return the log-density of vectors given the mixture parameters, shape (rows, size * 3 * components)."""
        shares, means, scales = out.view(-1, self.size, 3, self.components).unbind(2)
        scales = scales.clamp(min=MIN_LOG_SCALE)
        off = (vectors.unsqueeze(2) - means) * torch.exp(-scales)
        each = functional.log_softmax(shares, 2) - 0.5 * off * off - scales
        return each.logsumexp(2).sum(1) - 0.5 * self.size * math.log(2 * math.pi)

    @torch.no_grad()
    def draw(self, rows: int, uniforms: Callable[[Tensor], Tensor], context: Tensor | None = None) -> Tensor:
        """Sample vectors coordinate by coordinate, shape (rows, size).

        Args:
            rows: Number of vectors.
            uniforms: Returns a uniform random number per row, given the mean of the current coordinate, both (rows,).
            context: As in ``log_prob``.
        """
        device = self.bias.device
        seen, direct = self._split(context)
        vectors = torch.zeros(rows, self.size, device=device)
        weights = [self.inward * self.mask_in, *(layer * self.mask_hidden for layer in self.layers)]  # type: ignore[operator]
        outward, skip = self.outward * self.mask_out, self.skip * self.mask_skip  # type: ignore[operator]
        units = [torch.zeros(rows, len(self.inward), device=device) for _ in weights]
        done, outputs = 0, 3 * self.components
        for i in range(self.size):
            end = self.ends[i]
            if end > done:
                new = slice(done, end)
                value = functional.linear(vectors[:, :i], weights[0][new, :i], self.shifts[0, new])
                value = value + (seen if isinstance(seen, float) else seen[:, new])
                units[0][:, new] = functional.silu(value)
                for depth in range(1, len(weights)):
                    change = functional.linear(units[depth - 1][:, :end], weights[depth][new, :end])
                    value = value + change + self.shifts[depth, new]
                    units[depth][:, new] = functional.silu(value)
                done = end
            own = slice(i * outputs, (i + 1) * outputs)
            out = functional.linear(units[-1][:, :end], outward[own, :end], self.bias[own])
            out = out + functional.linear(vectors[:, :i], skip[own, :i])
            out = out + (direct if isinstance(direct, float) else direct[:, own])
            shares, means, scales = out.view(rows, 3, self.components).unbind(1)
            shares, ranks = shares.softmax(1), means.argsort(1)
            shares, means, scales = (part.gather(1, ranks) for part in (shares, means, scales))
            edges = shares.cumsum(1)
            dice = uniforms((shares * means).sum(1)).unsqueeze(1) * edges[:, -1:]
            chosen = torch.searchsorted(edges, dice, right=True).clamp(max=self.components - 1)
            place = 1 - (edges.gather(1, chosen) - dice) / shares.gather(1, chosen).clamp(min=1e-30)
            normal = torch.special.ndtri(place.double().clamp(1e-7, 1 - 1e-7)).float()
            spread = scales.gather(1, chosen).clamp(min=MIN_LOG_SCALE).exp()
            vectors[:, i] = (means.gather(1, chosen) + spread * normal).squeeze(1)
        return vectors

    def _split(self, context: Tensor | None) -> tuple[Tensor | float, Tensor | float]:
        """Return the context's contributions to the first layer and to the outputs."""
        if context is None:
            return 0.0, 0.0
        hidden = len(self.inward)
        both = functional.linear(context, self.given)
        return both[:, :hidden], both[:, hidden:]


def _weights(rows: int, columns: int, generator: torch.Generator) -> nn.Parameter:
    """Return an initial weight matrix, uniform within 1 / sqrt(columns)."""
    bound = 1 / math.sqrt(columns)
    return nn.Parameter(torch.empty(rows, columns).uniform_(-bound, bound, generator=generator))
