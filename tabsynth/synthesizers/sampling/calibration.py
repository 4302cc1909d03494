"""Sampling of one slot's tokens: calibrated to the training marginal, stratified or balanced.

Calibration removes the bias of the mean prediction; stratification and balancing remove most of the sampling noise of
independent draws.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

N_PLAIN_STEPS, MAX_CALIBRATION_STEPS, MAX_CALIBRATION_ERROR = 2, 40, 5e-4
"""Calibration: fixed-point steps before over-relaxation and in total, and total variation at which they end."""

RELAXATION, MAX_LOG_WEIGHT = 1.9, 1.5
"""Factor of later steps, and maximum change of a log-probability.

Many neighbouring tokens with a common bias are corrected slowly by plain steps; a factor below 2 converges faster.
"""

GOLDEN = 0.6180339887498949
STRATUM_ROWS = 64
"""Rows that share one set of stratified uniforms."""

CHUNK_ROWS = 4096
"""Rows processed at once on a CPU; intermediates then fit the cache."""

BALANCE_ROWS = 256
"""Rows sampled at once with balanced groups."""


def fit_calibration_weights(probabilities: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
    """Return the token weights such that the mean of the reweighted probabilities equals a target, shape (size,).

    Args:
        probabilities: Shape (rows, size).
        target: Shape (size,), sums to one over the tokens that may be sampled.
        counts: Multiplicity of each row of probabilities, shape (rows,); 1 by default.
    """
    counts = torch.ones_like(probabilities[:, 0]) if counts is None else counts.to(probabilities)
    rows = counts.sum()
    bias = torch.zeros_like(target)
    log_target = target.clamp(min=1e-12).log()
    for step in range(MAX_CALIBRATION_STEPS):
        weight = bias.exp()
        norm = probabilities @ weight
        mean = weight * (probabilities.T @ (counts / norm.clamp(min=1e-12))) / rows
        if step > N_PLAIN_STEPS and 0.5 * float((mean - target).abs().sum()) < MAX_CALIBRATION_ERROR:
            break
        change = (log_target - mean.clamp(min=1e-12).log()) * (1.0 if step < N_PLAIN_STEPS else RELAXATION)
        bias = (bias + change).clamp(-MAX_LOG_WEIGHT, MAX_LOG_WEIGHT)
        bias = torch.where(target > 0, bias, torch.zeros_like(bias))
    return bias.exp()


def reweight_(probabilities: Tensor, weights: Tensor) -> Tensor:
    """Multiply each token's probability by its weight, in place, shape (rows, size)."""
    probabilities *= weights
    return probabilities.div_(probabilities.sum(1, keepdim=True))


def softmax_(logits: Tensor) -> Tensor:
    """Turn logits into probabilities, in place, shape (rows, size)."""
    for some in torch.split(logits, _part(logits)):
        some.copy_(some.softmax(1))
    return logits


def sample_inverse_cdf(probabilities: Tensor, uniforms: Tensor, prefixes: Tensor | None = None) -> Tensor:
    """Return the tokens by inverting the cumulative distribution, shape (rows,).

    Args:
        probabilities: Shape (rows, size), or (prefixes, size).
        uniforms: Shape (rows,).
        prefixes: The row of the probabilities that belongs to each row; None where every row has its own.
    """
    tokens = []
    size = _part(uniforms)
    for begin in range(0, len(uniforms), size):
        part = slice(begin, begin + size)
        some = probabilities[part] if prefixes is None else probabilities.index_select(0, prefixes[part])
        dice, cumulative = uniforms[part], some.cumsum(1)
        at = (dice * cumulative[:, -1]).unsqueeze(1)
        tokens.append(torch.searchsorted(cumulative, at, right=True).squeeze(1))
    return torch.cat(tokens).clamp_(max=probabilities.shape[1] - 1) if tokens else uniforms.long()


def stratified_uniforms(order: Tensor, generator: torch.Generator) -> Tensor:
    """Return the uniforms that fill [0, 1) evenly within each block of 64 rows of an order, shape (rows,).

    Each row's uniform alone is uniform; only rows of one block depend on each other.
    """
    rows = len(order)
    blocks = -(-rows // STRATUM_ROWS)
    shuffle = torch.rand(blocks, STRATUM_ROWS, generator=generator, device=order.device).argsort(1)
    # From block to block a stratum's point moves by the golden ratio, so that what one block rounds up the next rounds
    # down; which row gets which stratum stays random.
    first = torch.rand(1, STRATUM_ROWS, generator=generator, device=order.device, dtype=torch.float64)
    moved = torch.arange(blocks, device=order.device, dtype=torch.float64).unsqueeze(1) * GOLDEN
    jitter = ((first + moved) % 1.0).float()
    even = ((shuffle + jitter.gather(1, shuffle)) / STRATUM_ROWS).clamp(max=1 - 1e-7).view(-1)[:rows]
    if rows % STRATUM_ROWS:  # the last block is not full: independent uniforms keep it even
        last = rows - rows % STRATUM_ROWS
        even[last:] = torch.rand(rows - last, generator=generator, device=order.device)
    out = torch.empty_like(even)
    out[order] = even
    return out


def sample_balanced(probabilities: Tensor, groups: Tensor, generator: torch.Generator) -> Tensor:
    """Return the tokens such that many overlapping groups of rows have nearly their expected counts, shape (rows,).

    Rows are visited in random order, and tokens below their expected count in a row's groups become more probable: a
    self-balancing walk (Alweiss, Liu and Sawhney, "Discrepancy minimization via a self-balancing walk", arXiv
    2006.14009). Overall frequencies are preserved.

    Args:
        probabilities: Shape (rows, size).
        groups: Group of each row for each way of grouping, shape (rows, ways).
        generator: Random generator.
    """
    rows, n_groupings = groups.shape
    device = probabilities.device
    order = torch.randperm(rows, generator=generator, device=device)
    uniforms = torch.rand(rows, 1, generator=generator, device=device)
    possible = probabilities.any(0).nonzero().squeeze(1)
    ordered, most = probabilities[:, possible].index_select(0, order), int(groups.max()) + 1
    member = groups.index_select(0, order) + torch.arange(n_groupings, device=device, dtype=groups.dtype) * most
    sizes = torch.bincount(member.view(-1), minlength=n_groupings * most)
    # Rows of one step are independent of each other, so they share the correction.
    part_of = 1 / (1 + sizes * (BALANCE_ROWS / rows)) / n_groupings
    owed = torch.zeros(ordered.shape[1], len(sizes), device=device)
    tokens = torch.empty(rows, 1, dtype=torch.long, device=device)
    for begin in range(0, rows, BALANCE_ROWS):
        some = slice(begin, begin + BALANCE_ROWS)
        part, mine = ordered[some], member[some].long()
        due = part + functional.embedding_bag(mine, (owed * part_of).T.contiguous(), mode="sum")
        due = due.clamp_(min=0) * (part > 0)
        reach = torch.where(due.any(1, keepdim=True), due, part).cumsum(1, dtype=torch.float64)
        tokens[some] = (reach <= uniforms[some] * reach[:, -1:]).sum(1, keepdim=True)
        left = part.scatter_add(1, tokens[some], torch.full_like(part[:, :1], -1.0))
        if device.type == "cpu":
            each = left.T.unsqueeze(2).expand(-1, -1, n_groupings).reshape(len(owed), -1)
            owed.scatter_add_(1, mine.view(1, -1).expand(len(owed), -1), each)
        else:  # elsewhere scatter_add_ adds in varying order
            owed += left.T @ torch.zeros(len(part), len(sizes), device=device).scatter_(1, mine, 1.0)
    out = torch.empty(rows, dtype=torch.long, device=device)
    out[order] = possible[tokens.squeeze(1)]
    return out


def _part(rows: Tensor) -> int:
    """Return the rows processed at once."""
    return CHUNK_ROWS if rows.device.type == "cpu" else max(len(rows), 1)
