"""Layers that compute per-row gradient norms of ``TokenEmbedding`` and ``Made``, for training under privacy.

They share the parameters of the network that they wrap. The norms have closed forms, so no per-row gradient is
materialised.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.privacy.mechanisms.ghost_clipping import GhostLayer
from tabsynth.training.networks.masked import TokenEmbedding


class GhostEmbeddingLookup(GhostLayer):
    """Embedding lookup of a row's tokens, one per slot, or their sum.

    Args:
        embedding: The embedding matrix.
        summed: Whether to sum over slots.

    Shape:
        Input: tokens (rows, slots). Output: (rows, slots, width), or (rows, width) where summed.
    """

    def __init__(self, embedding: TokenEmbedding, *, summed: bool = False) -> None:
        super().__init__()
        self.free, self.slow = embedding.free, embedding.slow
        self.summed = summed
        self._matrix = embedding.matrix
        self._offsets = torch.tensor(embedding.layout.offsets, device=embedding.free.device)
        self._share, self._waves = _features_of(embedding)

    def forward(self, tokens: Tensor) -> Tensor:
        """Look up the embeddings."""
        places, matrix = self._offsets + tokens, self._matrix(self.free, self.slow)
        if self.summed:
            return functional.embedding_bag(places, matrix, mode="sum")
        return functional.embedding(places, matrix)

    def norms(self, inputs: Tensor, gradients: Tensor) -> dict[Tensor, Tensor]:
        """Return the norms of the free weights of each token and of the cosine weights of each slot."""
        places, squares = self._offsets + inputs, gradients.square().sum(-1)
        squares = squares.unsqueeze(1) if self.summed else squares
        return {
            self.free: (squares * self._share[places].square()).sum(1).sqrt(),
            self.slow: (squares * self._waves.square().sum(1)[places]).sum(1).sqrt(),
        }


class GhostOutputHead(GhostLayer):
    """Output layer: logits of all slots from one hidden layer of a row, or one of each slot.

    Args:
        embedding: The weights, a row for each token.

    Shape:
        Input: (rows, width), or (rows, slots, width). Output: (rows, total).
    """

    def __init__(self, embedding: TokenEmbedding) -> None:
        super().__init__()
        self.free, self.slow = embedding.free, embedding.slow
        self.layout, self._matrix = embedding.layout, embedding.matrix
        self._share, self._waves = _features_of(embedding)

    def forward(self, hidden: Tensor) -> Tensor:
        """Compute the logits."""
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
        """Return the norms of the rows' gradients, outer products of hidden layer and logit gradients in every slot."""
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
    """A linear layer with a fixed sparsity mask.

    Args:
        weight: Shape (outputs, inputs).
        mask: 1 for free weights, 0 elsewhere; same shape.
    """

    def __init__(self, weight: nn.Parameter, mask: Tensor) -> None:
        super().__init__()
        self.weight, self._mask = weight, mask

    def forward(self, inputs: Tensor) -> Tensor:
        """Shape (rows, inputs) -> (rows, outputs)."""
        return functional.linear(inputs, self.weight * self._mask)

    def norms(self, inputs: Tensor, gradients: Tensor) -> dict[Tensor, Tensor]:
        """Return the norm of the outer product of gradient and input over the free weights."""
        return {self.weight: ((gradients.square() @ self._mask) * inputs.square()).sum(1).sqrt()}


class GhostSharedParameter(GhostLayer):
    """A parameter that every row shares, such as a bias.

    Args:
        weight: The parameter, of any shape.

    Shape:
        Input: anything, rows first. Output: (rows, shape of the weight).
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, inputs: Tensor) -> Tensor:
        """Repeat the parameter for each row."""
        return self.weight.expand(len(inputs), *self.weight.shape)

    def norms(self, inputs: Tensor, gradients: Tensor) -> dict[Tensor, Tensor]:
        """Return the norm of the incoming gradient."""
        return {self.weight: gradients.flatten(1).norm(dim=1)}


def _features_of(embedding: TokenEmbedding) -> tuple[Tensor, Tensor]:
    """Share of the free weights of each token, shape (total,), and its cosine features, (total, frequencies)."""
    share, features = embedding.share, embedding.waves
    assert isinstance(share, Tensor)
    assert isinstance(features, Tensor)
    return share.squeeze(1), features
