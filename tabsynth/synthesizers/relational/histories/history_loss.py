"""Loss and gradients of a history network in one pass, without autograd.

Tests compare the result with ``HistoryNetwork.losses``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tabsynth.synthesizers.relational.histories.memory import N_MEANS, means_before, means_gradient
from tabsynth.synthesizers.relational.histories.network import HistoryBatch, HistoryNetwork
from tabsynth.synthesizers.relational.occurrences.calendar_days import N_LENGTHS
from tabsynth.training.layer_gradients import BlockPass, NormPass, add_gradient, sum_by_group
from tabsynth.training.networks.masked import dropout_factors
from tabsynth.training.precision import product_dtype


def history_loss(net: HistoryNetwork, batch: HistoryBatch, noise: torch.Generator) -> Tensor:
    """Return the summed cross-entropy of a batch; adds the gradients of its mean over rows to those of the parameters.

    Args:
        net: The network, in training mode.
        batch: Whole histories.
        noise: Generator of the dropout.
    """
    with torch.no_grad():
        return _HistoryPass(net, batch, product_dtype(torch.device("cpu"))).run(noise)


class _HistoryPass:
    """One forward and backward pass."""

    def __init__(self, net: HistoryNetwork, batch: HistoryBatch, dtype: torch.dtype) -> None:
        self.net, self.batch, self.dtype = net, batch, dtype
        self.rows, self.slots = batch.tokens.shape

    def run(self, noise: torch.Generator) -> Tensor:
        """Return the loss and accumulate the gradients in place."""
        net, batch, n = self.net, self.batch, self.rows
        row_tokens = batch.tokens + net.row_offsets
        inputs = net.row.weight[row_tokens]
        late = net.after(batch.late)
        read = inputs.sum(1).add_(late)
        kept = functional.linear(read, net.keep.weight, net.keep.bias)
        means = means_before(batch.padded(functional.silu(kept).view(n, N_MEANS, -1)))
        memory = batch.rows(means).view(n, -1)
        factors = dropout_factors(memory, net.dropout, noise)
        memory = memory * factors
        context, scale = self._dropped(batch.context + net.context_offsets, len(net.context.weight), noise)
        previous, _ = self._dropped(batch.previous + net.previous_offsets, len(net.previous.weight), noise)
        base = functional.linear(memory, net.read.weight, net.read.bias)
        base += _bag(context, net.context.weight).mul_(scale)
        base += _bag(previous, net.previous.weight).mul_(scale)
        trunk, block = BlockPass(net.trunk, self.dtype), BlockPass(net.block, self.dtype)
        shared = trunk.forward(base, noise)
        stream = torch.empty(n, self.slots, net.width)
        stream[:, 0] = shared
        if self.slots > 1:
            stream[:, 1:] = torch.cumsum(inputs[:, :-1], 1).add_((shared + late).unsqueeze(1))
        if net.class_slot is not None:
            precedent, _ = self._dropped(batch.precedents + net.previous_offsets, len(net.precedent.weight), noise)
            stream[:, net.class_slot + 1 :] += _bag(precedent, net.precedent.weight).mul_(scale).unsqueeze(1)
        stream += net.position
        norm = NormPass(net.norm, block.forward(stream.view(n * self.slots, -1), noise))
        hidden = norm.out.view(n, self.slots, -1).to(self.dtype)
        loss, grad = self._losses(hidden)

        grad = block.backward(norm.backward(grad.view(n * self.slots, -1))).view(n, self.slots, -1)
        add_gradient(net.position, grad.sum(0))
        later = grad.flip(1).cumsum(1).flip(1)  # gradient with respect to a slot and those after it
        back = trunk.backward(later[:, 0].contiguous())
        add_gradient(net.read.weight, back.t() @ memory)
        add_gradient(net.read.bias, back.sum(0))
        recalled = (back @ net.read.weight).mul_(factors)
        recalled = batch.rows(means_gradient(batch.padded(recalled.view(n, N_MEANS, -1)))).view(n, -1)
        recalled = torch.ops.aten.silu_backward(recalled, kept)
        add_gradient(net.keep.weight, recalled.t() @ read)
        add_gradient(net.keep.bias, recalled.sum(0))
        remembered = recalled @ net.keep.weight
        back *= scale
        add_gradient(net.context.weight, sum_by_group(context, back, len(net.context.weight) + 1)[:-1])
        add_gradient(net.previous.weight, sum_by_group(previous, back, len(net.previous.weight) + 1)[:-1])
        if net.class_slot is not None and net.class_slot + 1 < self.slots:
            own = later[:, net.class_slot + 1] * scale
            add_gradient(net.precedent.weight, sum_by_group(precedent, own, len(net.precedent.weight) + 1)[:-1])
        after = remembered + later[:, 1] if self.slots > 1 else remembered
        if batch.late.shape[1]:
            add_gradient(net.late.weight, sum_by_group(batch.late + net.late_offsets, after, len(net.late.weight)))
        own = remembered.unsqueeze(1).repeat(1, self.slots, 1)
        own[:, :-1] += later[:, 1:]
        add_gradient(
            net.row.weight, sum_by_group(row_tokens.view(-1, 1), own.view(n * self.slots, -1), len(net.row.weight))
        )
        return loss

    def _dropped(self, tokens: Tensor, size: int, noise: torch.Generator) -> tuple[Tensor, float]:
        """Return the tokens of features, some replaced by one past the last, and the scale of the others."""
        if not self.net.dropout:
            return tokens, 1.0
        factors = dropout_factors(torch.empty(tokens.shape), self.net.dropout, noise)
        return tokens.masked_fill(factors == 0, size), 256 / (256 - round(self.net.dropout * 256))

    def _losses(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summed loss, and the gradient of the hidden values under the mean over rows."""
        net, batch = self.net, self.batch
        out, total = torch.empty(hidden.shape), torch.zeros(())
        weight, weights, biases = net.heads.weight.to(self.dtype), torch.empty_like(net.heads.weight), []
        onward = torch.zeros(0) if net.total is None else torch.zeros_like(net.total)
        towards = torch.zeros(0) if net.distance is None else torch.zeros_like(net.distance)
        for slot, size in enumerate(net.sizes):
            start = int(net.row_offsets[slot])
            own, head = hidden[:, slot], weight[start : start + size]
            logits = functional.linear(own, head).float()
            logits += net.heads.bias[start : start + size]
            ratios = batch.ratios.long() if slot == 0 and batch.ratios.shape[1] else None
            if ratios is not None:
                logits += functional.linear(own.float(), net.ratio.weight, net.ratio.bias).gather(1, ratios)
            distances = net.distances(slot, batch.previous, batch.precedents)
            if distances is not None:
                by_distance = net.distance_weight(slot)
                scores = functional.linear(own.float(), by_distance[:, :-1], by_distance[:, -1])
                logits += scores.gather(1, distances.long())
            after = batch.after[:, net.after_columns[slot]].long() if slot in net.deciding else None
            if after is not None:
                by_total = net.total_weight(slot)
                logits += functional.linear(own.float(), by_total[:, :-1], by_total[:, -1]).gather(1, after)
            calendar = net.calendar if slot == 0 else None
            if calendar is not None:
                logits.index_add_(1, net.daily_tokens, net.by_length(own.float(), batch.reached)[:, net.daily_lengths])
            wanted, counted = batch.tokens[:, slot : slot + 1], ~batch.known[:, slot : slot + 1]
            logits = torch.log_softmax(logits, 1)
            total -= (logits.gather(1, wanted) * counted).sum()
            grad = logits.exp_()
            grad.scatter_add_(1, wanted, torch.full(wanted.shape, -1.0))
            grad *= counted / self.rows
            biases.append(grad.sum(0))
            narrow = grad.to(self.dtype)
            weights[start : start + size] = narrow.t() @ own
            out[:, slot] = narrow @ head
            if ratios is not None:
                classes = torch.zeros(len(grad), len(net.ratio.weight)).scatter_add_(1, ratios, grad)
                add_gradient(net.ratio.weight, classes.t() @ own.float())
                add_gradient(net.ratio.bias, classes.sum(0))
                out[:, slot] += classes @ net.ratio.weight
            if calendar is not None:
                lengths = torch.zeros(len(grad), N_LENGTHS).index_add_(1, net.daily_lengths, grad[:, net.daily_tokens])
                summed = torch.zeros(len(grad), len(calendar))
                summed.scatter_add_(1, batch.reached.flatten(1).long(), lengths.repeat(1, batch.reached.shape[1]))
                add_gradient(calendar, torch.cat([summed.t() @ own.float(), summed.sum(0)[:, None]], 1))
                out[:, slot] += summed @ calendar[:, :-1]
            if distances is not None and net.distance is not None:
                summed = torch.zeros(len(grad), by_distance.shape[0]).scatter_add_(1, distances.long(), grad)
                towards[net.earlier[slot][0], :, :-1] = summed.t() @ own.float()
                towards[net.earlier[slot][0], :, -1] = summed.sum(0)
                out[:, slot] += summed @ by_distance[:, :-1]
            if after is not None and net.total is not None:
                summed = torch.zeros(len(grad), by_total.shape[0]).scatter_add_(1, after, grad)
                onward[net.deciding[slot], :, :-1] = summed.t() @ own.float()
                onward[net.deciding[slot], :, -1] = summed.sum(0)
                out[:, slot] += summed @ by_total[:, :-1]
        if net.distance is not None:
            add_gradient(net.distance, towards)
        if net.total is not None:
            add_gradient(net.total, onward)
        add_gradient(net.heads.weight, weights)
        add_gradient(net.heads.bias, torch.cat(biases))
        return total, out


def _bag(tokens: Tensor, weight: Tensor) -> Tensor:
    """Return the sums of embeddings, shape (n, width); a token one past the last counts as none."""
    table = torch.cat([weight, torch.zeros(1, weight.shape[1])])
    return functional.embedding_bag(tokens, table, mode="sum")
