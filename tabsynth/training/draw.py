"""Draw one slot's tokens from predicted probabilities: calibrated to the training marginal, stratified or balanced.

They make a sample of many rows more faithful than independent draws: calibration removes the bias of the mean
prediction, stratification and balance remove most of the sampling noise. None copies a value.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array
from torch import Tensor

STEPS = 4
CLAMP = 1.5
"""Calibration: fixed-point steps, and the largest change of a log-probability."""

GOLDEN = 0.6180339887498949
BLOCK = 64
"""Rows that share one set of stratified uniforms."""

TOGETHER = 256
"""Rows that are drawn at once when groups are balanced."""


def calibrating(probabilities: Tensor, target: Tensor) -> Tensor:
    """Weights of tokens by which rows of probabilities get a mean that meets a target, shape (size,).

    Args:
        probabilities: Shape (rows, size).
        target: Shape (size,), sums to one over the tokens that may be drawn.
    """
    rows = probabilities.shape[0]
    bias = torch.zeros_like(target)
    log_target = target.clamp(min=1e-12).log()
    for _ in range(STEPS):
        weight = bias.exp()
        norm = probabilities @ weight
        mean = weight * (probabilities.T @ (1 / norm.clamp(min=1e-12))) / rows
        bias = (bias + log_target - mean.clamp(min=1e-12).log()).clamp(-CLAMP, CLAMP)
        bias = torch.where(target > 0, bias, torch.zeros_like(bias))
    return bias.exp()


def weighted(probabilities: Tensor, weights: Tensor) -> Tensor:
    """Rows of probabilities with each token's multiplied by its weight, shape (rows, size)."""
    out = probabilities * weights
    return out / out.sum(1, keepdim=True)


def inverse(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """Tokens by inverting the cumulative distribution, shape (rows,)."""
    cumulative = probabilities.cumsum(1)
    at = (uniforms * cumulative[:, -1]).unsqueeze(1)
    tokens = torch.searchsorted(cumulative, at, right=True).squeeze(1)
    return tokens.clamp(max=probabilities.shape[1] - 1)


def stratified_uniforms(order: Tensor, generator: torch.Generator) -> Tensor:
    """Uniforms that fill [0, 1) evenly within each block of 64 rows of an order, shape (rows,).

    Each row's uniform alone is uniform; only rows of one block depend on each other.
    """
    rows = len(order)
    blocks = -(-rows // BLOCK)
    shuffle = torch.rand(blocks, BLOCK, generator=generator, device=order.device).argsort(1)
    # From block to block a stratum's point moves by the golden ratio, so that what one block rounds up the next rounds
    # down; which row gets which stratum stays random.
    first = torch.rand(1, BLOCK, generator=generator, device=order.device, dtype=torch.float64)
    moved = torch.arange(blocks, device=order.device, dtype=torch.float64).unsqueeze(1) * GOLDEN
    jitter = ((first + moved) % 1.0).float()
    even = ((shuffle + jitter.gather(1, shuffle)) / BLOCK).clamp(max=1 - 1e-7).view(-1)[:rows]
    if rows % BLOCK:  # the last block is not full: independent uniforms keep it even
        last = rows - rows % BLOCK
        even[last:] = torch.rand(rows - last, generator=generator, device=order.device)
    out = torch.empty_like(even)
    out[order] = even
    return out


def balanced(probabilities: Tensor, groups: npt.NDArray[np.int64], generator: torch.Generator) -> Tensor:
    """Tokens by which each of many overlapping groups of rows has nearly its expected number of each, shape (rows,).

    Rows come in random order, and what a row's groups are owed becomes more probable: a walk that balances itself, as
    that of Alweiss, Liu and Sawhney, "Discrepancy minimization via a self-balancing walk", arXiv 2006.14009. What one
    row gets beyond its share the next ones of its groups get less, so that the shares hold on the whole.

    Args:
        probabilities: Shape (rows, size).
        groups: For each way of grouping the number of a row's group, shape (rows, ways).
        generator: Where random numbers come from.
    """
    rows, ways = groups.shape
    order = torch.rand(rows, generator=generator, device=generator.device).argsort()
    uniforms = torch.rand(rows, 1, generator=generator, device=generator.device).cpu().numpy()
    many = groups.max(0) + 1
    at = (groups + many.cumsum() - many)[order.cpu().numpy()]
    member = csr_array((np.ones(at.size, np.float32), at.ravel(), np.arange(0, at.size + 1, ways)))
    # The rows of one step do not know of each other: together they make up what is owed, not each of them.
    part_of = (1 / (1 + member.sum(0) * (TOGETHER / rows)) / ways).astype(np.float32)[:, None]
    ordered = probabilities[order].cpu().numpy()
    owed = np.zeros((member.shape[1], ordered.shape[1]), np.float32)
    tokens = np.empty(rows, np.int64)
    for begin in range(0, rows, TOGETHER):
        some = slice(begin, begin + TOGETHER)
        own, mine = ordered[some], member[some]
        due = np.maximum((own + mine @ (owed * part_of)) * (own > 0), 0)
        reach = np.where(due.any(1, keepdims=True), due, own).cumsum(1, dtype=np.float64)
        tokens[some] = (reach <= uniforms[some] * reach[:, -1:]).sum(1)
        left = own.copy()
        left[np.arange(len(own)), tokens[some]] -= 1
        owed += mine.T @ left
    out = torch.empty(rows, dtype=torch.long)
    out[order.cpu()] = torch.from_numpy(tokens)
    return out.to(probabilities.device)
