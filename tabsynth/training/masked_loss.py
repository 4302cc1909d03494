"""Loss and gradients of the masked network in one pass, without autograd.

On a CPU, autograd costs about as much as the matrix products: it builds a graph of several hundred small operations and
allocates memory for each of them. Here, most of them run in place. On a GPU, the network's own forward pass with
autograd
is used; tests compare both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tabsynth.training.layer_gradients import BlockPass, NormPass, add_gradient, sum_by_group
from tabsynth.training.networks.masked import Block, MaskedNet, TokenEmbedding, slot_losses
from tabsynth.training.precision import product_autocast, product_dtype


def masked_loss(net: MaskedNet, tokens: Tensor, masked: Tensor, weight: Tensor, noise: torch.Generator) -> Tensor:
    """Return the weighted cross-entropy of the masked slots; adds its gradients to those of the network's parameters.

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


def any_order_loss(net: MaskedNet, tokens: Tensor, rank: Tensor, noise: torch.Generator) -> Tensor:
    """Return mean cross-entropy per masked slot: half of the rows in any order, half in the fixed order.

    Args:
        net: The network, in training mode.
        tokens: Shape (batch, slots), -1 where absent.
        rank: Position of each slot in the fixed order, shape (slots,).
        noise: Random generator of the masks and of the dropout.
    """
    rows, slots = tokens.shape
    half = rows // 2
    device = tokens.device
    dice = torch.rand(half, slots, generator=noise, device=device)
    places = torch.cat([dice.argsort(1).argsort(1), rank.expand(rows - half, slots)])
    known = torch.randint(0, slots, (rows, 1), generator=noise, device=device)
    masked = places >= known
    weight = masked / ((slots - known) * rows)
    weight[half:] = 0.5 * weight[half:] + (0.5 / rows) * (places[half:] == known[half:])
    return masked_loss(net, tokens, masked, weight, noise)


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
        blocks = [BlockPass(block, self.dtype) for block in net.blocks if isinstance(block, Block)]
        for block in blocks:
            hidden = block.forward(hidden, noise)
        last = NormPass(net.norm, hidden)
        normed, head = last.out.to(self.dtype), _table(net.head).to(self.dtype)
        logits = functional.linear(normed, head).float()
        logits += net.bias
        groups = None
        if net.skip is not None:
            groups = net.groups(positions)
            logits += functional.embedding_bag(groups, net.skip, mode="sum")
        loss, grad = self._losses(logits, tokens, weight)
        add_gradient(net.bias, grad.sum(0))
        if net.skip is not None and groups is not None:
            sums = sum_by_group(groups, grad, len(net.skip))
            sums[-1] = 0  # masked slots are the last row, which stays zero
            add_gradient(net.skip, sums)
        narrow = grad.to(self.dtype)
        _table_backward(net.head, narrow.t() @ normed)
        back = last.backward((narrow @ head).float())
        for block in reversed(blocks):
            back = block.backward(back)
        if net.cross is not None and crossed is not None:
            sums = sum_by_group(crossed.unsqueeze(1), back, len(net.cross.embed))
            sums[-1] = 0
            add_gradient(net.cross.embed, sums)
        table = sum_by_group(positions, back, net.layout.total + tokens.shape[1])
        add_gradient(net.mask, table[net.layout.total :])
        _table_backward(net.embed, table[: net.layout.total])
        return loss

    def _losses(self, logits: Tensor, tokens: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted loss, and its gradient in place of the logits."""
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


def _table(waves: TokenEmbedding) -> Tensor:
    """Return the matrix of ``TokenEmbedding``, built in place."""
    out = waves.free * waves.share  # type: ignore[operator]
    for slot in waves.smooth_slots:
        own = waves.layout.segment(slot)
        out[own].addmm_(waves.waves[own], waves.slow[slot])  # type: ignore[index]
    return out


def _table_backward(waves: TokenEmbedding, grad: Tensor) -> None:
    """Return the gradients of the parts of ``TokenEmbedding``."""
    grad = grad.float()
    slow = torch.zeros_like(waves.slow)
    for slot in waves.smooth_slots:
        own = waves.layout.segment(slot)
        torch.mm(waves.waves[own].t(), grad[own], out=slow[slot])  # type: ignore[index]
    add_gradient(waves.slow, slow)
    add_gradient(waves.free, grad.mul_(waves.share))  # type: ignore[arg-type]
