"""Loss and gradients of the masked network in one pass, without autograd.

On a CPU autograd costs about as much as the matrix products: a graph of several hundred small operations and fresh
memory for each of them. Here most of them run in place. The network's own forward pass with autograd is the reference
in the tests, and the path on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tabsynth.training.networks.masked import Block, MaskedNet, TokenEmbedding, dropout_factors, slot_losses
from tabsynth.training.precision import product_autocast, product_dtype


def masked_loss(net: MaskedNet, tokens: Tensor, masked: Tensor, weight: Tensor, noise: torch.Generator) -> Tensor:
    """Weighted cross-entropy of the masked slots; adds its gradients to those of the network's parameters.

    Args:
        net: The network, in training mode.
        tokens: Shape (batch, slots), -1 where absent.
        masked: The masked cells, shape (batch, slots).
        weight: Weight of each cell's cross-entropy, shape (batch, slots).
        noise: Random generator of the dropout.
    """
    if tokens.device.type != "cpu":
        with product_autocast(tokens.device):
            logits = net(tokens.masked_fill(masked, -1), noise)
        loss = (slot_losses(logits.float(), tokens, net.layout) * weight).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()
    with torch.no_grad():
        return _Pass(net, product_dtype(tokens.device)).run(tokens, masked, weight, noise)


@dataclass(frozen=True, eq=False)
class _Pass:
    """One forward and backward pass.

    Attributes:
        net: The network.
        dtype: Type of the matrix products.
    """

    net: MaskedNet
    dtype: torch.dtype

    def run(self, tokens: Tensor, masked: Tensor, weight: Tensor, noise: torch.Generator) -> Tensor:
        """Compute the loss and add the gradients."""
        net = self.net
        seen = tokens.masked_fill(masked, -1)
        positions = net.positions(seen)
        hidden = net.hidden(positions, torch.cat([_table(net.embed), net.mask]))
        crossed = None if net.cross is None else net.cross.positions(seen)
        if net.cross is not None and crossed is not None:
            hidden += net.cross.embed[crossed]
        blocks = [_BlockPass(block, self.dtype) for block in net.blocks if isinstance(block, Block)]
        for block in blocks:
            hidden = block.forward(hidden, noise)
        last = _Norm(net.norm, hidden)
        normed, head = last.out.to(self.dtype), _table(net.head).to(self.dtype)
        logits = functional.linear(normed, head).float()
        logits += net.bias
        groups = None
        if net.skip is not None:
            groups = net.groups(positions)
            logits += functional.embedding_bag(groups, net.skip, mode="sum")
        loss, grad = self._losses(logits, tokens, weight)
        _add(net.bias, grad.sum(0))
        if net.skip is not None and groups is not None:
            sums = _sums(groups, grad, len(net.skip))
            sums[-1] = 0  # masked slots are the last row, which stays zero
            _add(net.skip, sums)
        narrow = grad.to(self.dtype)
        _table_backward(net.head, narrow.t() @ normed)
        back = last.backward((narrow @ head).float())
        for block in reversed(blocks):
            back = block.backward(back)
        if net.cross is not None and crossed is not None:
            sums = _sums(crossed.unsqueeze(1), back, len(net.cross.embed))
            sums[-1] = 0
            _add(net.cross.embed, sums)
        table = _sums(positions, back, net.layout.total + tokens.shape[1])
        _add(net.mask, table[net.layout.total :])
        _table_backward(net.embed, table[: net.layout.total])
        return loss

    def _losses(self, logits: Tensor, tokens: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss, and its gradient in place of the logits."""
        layout = self.net.layout
        order = list(layout.bucket_order)
        wanted, weight = tokens[:, order], weight[:, order]
        weight = weight * (wanted >= 0)
        at = wanted.clamp(min=0) + self.net.offsets[order]  # type: ignore[index]
        views = [
            own.unflatten(1, (len(bucket.slots), bucket.width))  # type: ignore[no-untyped-call]
            for bucket, own in zip(layout.buckets, torch.split(logits, layout.widths, dim=1), strict=True)
        ]
        for view in views:
            view -= view.amax(2, keepdim=True)
        picked = logits.gather(1, at)
        logits.exp_()
        sums = torch.cat([view.sum(2) for view in views], 1)
        loss = ((sums.log() - picked) * weight).sum()
        scales = torch.split(weight / sums, [len(bucket.slots) for bucket in layout.buckets], dim=1)
        for view, scale in zip(views, scales, strict=True):
            view *= scale.unsqueeze(2)
        return loss, logits.scatter_add_(1, at, -weight)


class _Norm:
    """A layer normalisation and the values for its backward pass."""

    def __init__(self, layer: torch.nn.LayerNorm, values: Tensor) -> None:
        self.layer, self.values = layer, values
        self.out, self.mean, self.scale = torch.native_layer_norm(
            values, [values.shape[1]], layer.weight, layer.bias, layer.eps
        )

    def backward(self, grad: Tensor) -> Tensor:
        """Gradient of the values."""
        layer = self.layer
        gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_layer_norm_backward(
            grad, self.values, [grad.shape[1]], self.mean, self.scale, layer.weight, layer.bias, [True, True, True]
        )
        _add(layer.weight, gradients[1])
        _add(layer.bias, gradients[2])
        return gradients[0]


class _BlockPass:
    """A block's forward and backward pass."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        self.block, self.dtype = block, dtype
        self.up, self.down = block.up.weight.to(dtype), block.down.weight.to(dtype)

    def forward(self, hidden: Tensor, noise: torch.Generator) -> Tensor:
        """One step of the residual stream."""
        block = self.block
        self.norm = _Norm(block.norm, hidden)
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
        """Gradient of the residual stream before the block."""
        block = self.block
        narrow = grad.to(self.dtype)
        _add(block.down.bias, grad.sum(0))
        _add(block.down.weight, narrow.t() @ self.inner)
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
        _add(block.up.bias, both.sum(0))
        _add(block.up.weight, both.t() @ self.normed)
        return self.norm.backward((both @ self.up).float()).add_(grad)


def _table(waves: TokenEmbedding) -> Tensor:
    """The matrix of ``TokenEmbedding``, built in place."""
    out = waves.free * waves.share  # type: ignore[operator]
    for slot in waves.smooth_slots:
        own = waves.layout.segment(slot)
        out[own].addmm_(waves.waves[own], waves.slow[slot])  # type: ignore[index]
    return out


def _table_backward(waves: TokenEmbedding, grad: Tensor) -> None:
    """Gradients of the parts of ``TokenEmbedding``."""
    grad = grad.float()
    slow = torch.zeros_like(waves.slow)
    for slot in waves.smooth_slots:
        own = waves.layout.segment(slot)
        torch.mm(waves.waves[own].t(), grad[own], out=slow[slot])  # type: ignore[index]
    _add(waves.slow, slow)
    _add(waves.free, grad.mul_(waves.share))  # type: ignore[arg-type]


def _sums(groups: Tensor, values: Tensor, size: int) -> Tensor:
    """Sums of rows by group, added in row order.

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


def _add(weight: Tensor, grad: Tensor) -> None:
    """Add to the gradient of a parameter."""
    grad = grad.to(weight.dtype)
    if weight.grad is None:
        weight.grad = grad
    else:
        weight.grad += grad
