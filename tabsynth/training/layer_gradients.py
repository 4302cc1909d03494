"""Forward and backward passes of layers without autograd, for losses whose graph is known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tabsynth.training.networks.masked import Block, dropout_factors


class NormPass:
    """A layer normalisation and the values for its backward pass."""

    def __init__(self, layer: torch.nn.LayerNorm, values: Tensor) -> None:
        self.layer, self.values = layer, values
        self.out, self.mean, self.scale = torch.native_layer_norm(
            values, [values.shape[1]], layer.weight, layer.bias, layer.eps
        )

    def backward(self, grad: Tensor) -> Tensor:
        """Return the gradient of the values."""
        layer = self.layer
        gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_layer_norm_backward(
            grad, self.values, [grad.shape[1]], self.mean, self.scale, layer.weight, layer.bias, [True, True, True]
        )
        add_gradient(layer.weight, gradients[1])
        add_gradient(layer.bias, gradients[2])
        return gradients[0]


class BlockPass:
    """A block's forward and backward pass."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        self.block, self.dtype = block, dtype
        self.up, self.down = block.up.weight.to(dtype), block.down.weight.to(dtype)

    def forward(self, hidden: Tensor, noise: torch.Generator) -> Tensor:
        """Return one step of the residual stream."""
        block = self.block
        self.norm = NormPass(block.norm, hidden)
        self.normed = self.norm.out.to(self.dtype)
        both = functional.linear(self.normed, self.up, block.up.bias.to(self.dtype))
        self.gate, self.value = both.chunk(2, dim=-1)
        self.sigmoid = self.gate.sigmoid()
        self.active = self.gate * self.sigmoid
        self.inner = self.active * self.value
        self.kept: Tensor | None = None
        if block.dropout:
            self.kept = dropout_factors(self.inner, block.dropout, noise)
            self.inner *= self.kept
        out: Tensor = hidden + block.down.bias
        if self.dtype is torch.float32:
            return out.addmm_(self.inner, self.down.t())
        return out.add_(functional.linear(self.inner, self.down))

    def backward(self, grad: Tensor) -> Tensor:
        """Return the gradient of the residual stream before the block."""
        block = self.block
        narrow = grad.to(self.dtype)
        add_gradient(block.down.bias, grad.sum(0))
        add_gradient(block.down.weight, narrow.t() @ self.inner)
        inner = narrow @ self.down
        if self.kept is not None:
            inner *= self.kept
        both = torch.empty(len(grad), len(block.up.weight), dtype=self.dtype)
        gate, value = both.chunk(2, dim=-1)
        torch.mul(inner, self.active, out=value)
        inner *= self.value
        # The derivative of gate * sigmoid(gate) is sigmoid * (1 - active) + active.
        slope = self.active.addcmul(self.sigmoid, self.active, value=-1).add_(self.sigmoid)
        torch.mul(inner, slope, out=gate)
        add_gradient(block.up.bias, both.sum(0))
        add_gradient(block.up.weight, both.t() @ self.normed)
        return self.norm.backward((both @ self.up).float()).add_(grad)


def sum_by_group(groups: Tensor, values: Tensor, size: int) -> Tensor:
    """Return the sums of rows by group, added in row order.

    Args:
        groups: Groups of each row, shape (rows, ways).
        values: Shape (rows, width).
        size: Number of groups.
    """
    flat = groups.reshape(-1).numpy()
    narrow = flat.astype(np.int16 if size < 2**15 else np.int32)  # numpy sorts 16-bit numbers by radix
    rows = torch.from_numpy(np.argsort(narrow, kind="stable") // groups.shape[1])
    ends = np.cumsum(np.bincount(flat, minlength=size))
    starts = torch.from_numpy(np.concatenate([[0], ends[:-1]]))
    return functional.embedding_bag(rows, values, starts, mode="sum")


def add_gradient(weight: Tensor, grad: Tensor) -> None:
    """Add to the gradient of a parameter."""
    grad = grad.to(weight.dtype)
    if weight.grad is None:
        weight.grad = grad
    else:
        weight.grad += grad
