"""Layers that compute per-row gradient norms without per-row gradients, for ghost clipping (arXiv 2110.05679).

Opacus supports the usual layers. Other layers define their own formula, and must be called once in a forward pass.
"""

from __future__ import annotations

from torch import Tensor, nn


class GhostLayer(nn.Module):
    """A layer with its own formula for per-row gradient norms."""

    def norms(self, inputs: Tensor, gradients: Tensor) -> dict[Tensor, Tensor]:
        """Return the norm of each row's gradient of every weight, shape (rows,).

        Args:
            inputs: Inputs of the layer, rows first.
            gradients: Gradient of each row's loss with respect to the layer's output.
        """
        raise NotImplementedError


class GhostEmbedding(GhostLayer, nn.Embedding):
    """An embedding whose indices differ within each row, so that a row's gradient norm needs no search for repeats."""

    def norms(self, inputs: Tensor, gradients: Tensor) -> dict[Tensor, Tensor]:
        """Return the norms; indices that differ within a row have separate weights."""
        return {self.weight: gradients.flatten(1).norm(dim=1)}


def compute_norms(layer: GhostLayer, activations: list[Tensor], backprops: Tensor) -> dict[Tensor, Tensor]:
    """Compute the gradient norms of a layer, with the signature of an Opacus norm sampler."""
    return layer.norms(activations[0], backprops)
