"""Layers that compute per-row gradient norms of ``TokenEmbedding`` and ``Made``, for training under privacy.

They hold the very weights of the network that they are made from, so that training them trains it. The norms are closed
forms: no row's gradient is ever made.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.privacy.mechanisms.ghost_clipping import GhostLayer
from tabsynth.training.networks.masked import TokenEmbedding


class GhostEmbeddingLookup(GhostLayer):
    """Rows of a matrix by the tokens of a row, one in each slot, or their sum.

    Args:
        waves: The matrix.
        summed: Whether they are summed.

    Shape:
        Input: tokens (rows, slots). Output: (rows, slots, width), or (rows, width) where summed.
    """

    def __init__(self, waves: TokenEmbedding, *, summed: bool = False) -> None:
        super().__init__()
        self.free, self.slow = waves.free, waves.slow
        self.summed = summed
        self._matrix = waves.matrix
        self._offsets = torch.tensor(waves.layout.offsets, device=waves.free.device)
        self._share, self._waves = _of(waves)

    def forward(self, tokens: Tensor) -> Tensor:
        """Rows of the matrix."""
        places, matrix = self._offsets + tokens, self._matrix(self.free, self.slow)
        if self.summed:
            return functional.embedding_bag(places, matrix, mode="sum")
        return functional.embedding(places, matrix)

    def norms(self, inputs: Tensor, gradients: Tensor) -> dict[Tensor, Tensor]:
        """Every slot has weights of its own: a token's free part, and the waves of its slot."""
        places, squares = self._offsets + inputs, gradients.square().sum(-1)
        squares = squares.unsqueeze(1) if self.summed else squares
        return {
            self.free: (squares * self._share[places].square()).sum(1).sqrt(),
            self.slow: (squares * self._waves.square().sum(1)[places]).sum(1).sqrt(),
        }


class GhostOutputHead(GhostLayer):
    """Logits of all slots from a hidden layer, of a row or of each of its slots.

    Args:
        waves: The weights, a row for each token.

    Shape:
        Input: (rows, width), or (rows, slots, width). Output: (rows, total).
    """

    def __init__(self, waves: TokenEmbedding) -> None:
        super().__init__()
        self.free, self.slow = waves.free, waves.slow
        self.layout, self._matrix = waves.layout, waves.matrix
        self._share, self._waves = _of(waves)

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits."""
        matrix = self._matrix(self.free, self.slow)
        if hidden.ndim == 2:
            return functional.linear(hidden, matrix)
        parts = []
        for bucket in self.layout.buckets:
            own = matrix[bucket.start : bucket.stop].view(len(bucket.slots), bucket.width, -1)
            logits = torch.bmm(hidden[:, list(bucket.slots)].transpose(0, 1), own.transpose(1, 2))
            parts.append(logits.transpose(0, 1).reshape(len(hidden), -1))
        return torch.cat(parts, 1)

    def norms(self, inputs: Tensor, gradients: Tensor) -> dict[Tensor, Tensor]:
        """A row's gradient is an outer product in every slot, of its hidden layer and the gradients of its logits."""
        squares = inputs.square().sum(-1)
        free, slow = (torch.zeros(len(inputs), device=inputs.device) for _ in range(2))
        for bucket in self.layout.buckets:
            shape, segment = (len(bucket.slots), bucket.width), slice(bucket.start, bucket.stop)
            own = gradients[:, segment].reshape(len(inputs), *shape)
            seen = squares[:, list(bucket.slots)] if inputs.ndim == 3 else squares.unsqueeze(1)
            free += (seen * (own * self._share[segment].view(shape)).square().sum(2)).sum(1)
            waves = torch.einsum("rsw,swf->rsf", own, self._waves[segment].view(*shape, -1))
            slow += (seen * waves.square().sum(2)).sum(1)
        return {self.free: free.sqrt(), self.slow: slow.sqrt()}


class GhostMaskedLinear(GhostLayer):
    """A linear layer some of whose weights are held at zero.

    Args:
        weight: Shape (outputs, inputs).
        mask: Ones where weights are free, of the same shape.
    """

    def __init__(self, weight: nn.Parameter, mask: Tensor) -> None:
        super().__init__()
        self.weight, self._mask = weight, mask

    def forward(self, inputs: Tensor) -> Tensor:
        """Shape (rows, inputs) -> (rows, outputs)."""
        return functional.linear(inputs, self.weight * self._mask)

    def norms(self, inputs: Tensor, gradients: Tensor) -> dict[Tensor, Tensor]:
        """The outer product of gradient and input, where weights are free."""
        return {self.weight: ((gradients.square() @ self._mask) * inputs.square()).sum(1).sqrt()}


class GhostSharedParameter(GhostLayer):
    """A weight that is the same for every row, such as a shift.

    Args:
        weight: Of any shape.

    Shape:
        Input: anything, rows first. Output: (rows, shape of the weight).
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, inputs: Tensor) -> Tensor:
        """The weight, once for each row."""
        return self.weight.expand(len(inputs), *self.weight.shape)

    def norms(self, inputs: Tensor, gradients: Tensor) -> dict[Tensor, Tensor]:
        """The norm of what comes back."""
        return {self.weight: gradients.flatten(1).norm(dim=1)}


def _of(waves: TokenEmbedding) -> tuple[Tensor, Tensor]:
    """The share of the free part of each token, shape (total,), and its waves, (total, frequencies)."""
    share, features = waves.share, waves.waves
    assert isinstance(share, Tensor)
    assert isinstance(features, Tensor)
    return share.squeeze(1), features
