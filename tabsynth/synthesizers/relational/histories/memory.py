"""Memory of a history: running means of its earlier rows with several half-lives.

A running mean is linear in the rows, so that training computes the means of many rows in one matrix product instead of
step by step. It preserves counts, which recurrent networks approximate poorly.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

HALF_LIVES = (1.0, 3.0, 8.0, 24.0, 80.0)
"""Half-lives of the running means in rows; one more mean has equal weights."""

N_MEANS = len(HALF_LIVES) + 1

CHUNK_ROWS = 128
"""Rows of a history that one matrix product covers."""


def means_before(values: Tensor) -> Tensor:
    """Return the means of the rows before each row.

    Args:
        values: Values of histories padded with zeros, shape (parents, length, means, features).
    """
    out = _scan(values)
    out[:, :, -1] /= _place(values)
    return out


def means_gradient(grad: Tensor) -> Tensor:
    """Return the gradient of the values of ``means_before``, by that of its result."""
    grad = grad.clone()
    grad[:, :, -1] /= _place(grad)
    return _scan(grad.flip(1)).flip(1)


def update_means(means: Tensor, values: Tensor, place: int) -> Tensor:
    """Return the means after one more row, shape (n, means, features).

    Args:
        means: Means of the rows before.
        values: Values of the row, of the same shape.
        place: Number of rows before it.
    """
    shares = [1 - 2 ** (-1 / life) for life in HALF_LIVES]
    return means + (values - means) * torch.tensor([*shares, 1 / (place + 1)])[None, :, None]


def _place(values: Tensor) -> Tensor:
    """Return the number of earlier rows, at least 1, shape (length, 1)."""
    return torch.arange(values.shape[1], dtype=values.dtype).clamp(min=1)[:, None]


@cache
def _weights() -> tuple[Tensor, Tensor]:
    """Return the weights of a chunk's rows, and of the sums before it, in the sums before each row and after the last.

    Returns:
        Shapes (means, CHUNK_ROWS + 1, CHUNK_ROWS) and (means, CHUNK_ROWS + 1).
    """
    keep = torch.tensor([2 ** (-1 / life) for life in HALF_LIVES] + [1.0])[:, None]
    share = torch.where(keep < 1, 1 - keep, 1.0)
    place = torch.arange(CHUNK_ROWS + 1, dtype=torch.float32)
    age = place[:, None] - 1 - place[None, :-1]
    weights = torch.where(age >= 0, share[:, :, None] * keep[:, :, None] ** age.clamp(min=0), 0.0)
    return weights, keep**place


def _scan(values: Tensor) -> Tensor:
    """Return the exponentially weighted sums, and plain ones as the last, of the rows before each row."""
    weights, kept = _weights()
    state, parts = torch.zeros_like(values[:, 0]), []
    for chunk in values.split(CHUNK_ROWS, 1):  # type: ignore[no-untyped-call]
        rows = chunk.shape[1]
        sums = torch.einsum("kts,bskd->btkd", weights[:, : rows + 1, :rows], chunk)
        sums += kept[:, : rows + 1].t()[None, :, :, None] * state[:, None]
        state = sums[:, rows]
        parts.append(sums[:, :rows])
    return torch.cat(parts, 1)
