"""Selection of rows by discriminator weights that are raked to the known marginals.

After discriminator rejection sampling (Azadi et al., arXiv 1810.06758), but with weights that are raked to known
marginals (Deming and Stephan, "On a least squares adjustment of a sampled frequency table", 1940), and systematic
resampling (Kitagawa 1996) in place of rejection.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

MAX_ROUNDS = 8
"""Raking passes over the slots, and attempts to cap weights."""

STEP = 3.0
"""Maximum factor of one raking step."""


def cap_weights(weights: Tensor, most: float) -> Tensor:
    """Return the weights with a mean of one and, but for rounding, none above ``most``, shape (rows,)."""
    for _ in range(MAX_ROUNDS):
        weights = weights / weights.mean()
        if float(weights.max()) <= most:
            break
        weights = weights.clamp(max=most)
    return weights / weights.mean()


def rake_weights(weights: Tensor, tokens: Tensor, targets: Mapping[int, Tensor], most: float) -> Tensor:
    """Return the weights whose sums over the tokens of each slot approach targets, shape (rows,).

    Args:
        weights: Shape (rows,).
        tokens: Shape (rows, slots).
        targets: Target marginals, for the slots that have one.
        most: Maximum weight in multiples of the mean.
    """
    weights = cap_weights(weights, most)
    for _ in range(MAX_ROUNDS):
        for slot, target in targets.items():
            sums = torch.zeros(len(target), dtype=weights.dtype, device=weights.device)
            sums.index_add_(0, tokens[:, slot], weights)
            factor = target * sums.sum() / sums.clamp(min=1e-12)
            weights = weights * factor.clamp(1 / STEP, STEP)[tokens[:, slot]]
        weights = cap_weights(weights, most)
    return weights


def resample_systematically(weights: Tensor, count: int, order: Tensor, noise: torch.Generator) -> Tensor:
    """Return the positions of ``count`` rows at even steps of the summed weights along an order, shape (count,)."""
    edges = weights[order].double().cumsum(0)
    first = torch.rand(1, generator=noise, device=weights.device, dtype=torch.float64)
    points = (torch.arange(count, device=weights.device) + first) / count * edges[-1]
    return order[torch.searchsorted(edges, points, right=True).clamp(max=len(order) - 1)]


def resample_per_group(weights: Tensor, candidates: int, noise: torch.Generator) -> Tensor:
    """Draw one of every ``candidates`` rows in a row by their weights, shape (rows / candidates,)."""
    edges = weights.view(-1, candidates).cumsum(1)
    dice = torch.rand(len(edges), 1, generator=noise, device=weights.device, dtype=weights.dtype) * edges[:, -1:]
    chosen = torch.searchsorted(edges, dice, right=True).clamp(max=candidates - 1).squeeze(1)
    return chosen + torch.arange(len(edges), device=weights.device) * candidates
