"""Autoregressive network of a parent's children: row by row and slot by slot, with a GRU as memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.training.networks.masked import Block, dropout_factors


class HistoryNetwork(nn.Module):
    """Logits of each slot of a child row, given its context, the rows before it and the slots before it.

    Args:
        sizes: Number of tokens of each slot of a row.
        context: Number of tokens of each feature that is known before the row.
        late: Number of tokens of each feature that is known after the first slot, the row's time.
        width: Width of the residual stream.
        memory: Width of the GRU's state.
        dropout: Share of features and of inner units dropped in training.
        generator: Source of the first weights.
    """

    row_offsets: Tensor
    context_offsets: Tensor
    late_offsets: Tensor
    previous_offsets: Tensor

    def __init__(
        self,
        sizes: Sequence[int],
        context: Sequence[int],
        late: Sequence[int],
        *,
        width: int,
        memory: int,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.sizes, self.width, self.dropout = list(sizes), width, dropout
        self.register_buffer("row_offsets", _offsets(sizes), persistent=False)
        self.register_buffer("context_offsets", _offsets(context), persistent=False)
        self.register_buffer("late_offsets", _offsets(late), persistent=False)
        self.register_buffer("previous_offsets", _offsets([size + 1 for size in sizes]), persistent=False)
        # skip_init: the modules' own first weights would come from torch's global generator.
        new = nn.utils.skip_init
        self.context = new(nn.EmbeddingBag, sum(context), width, mode="sum")  # type: ignore[no-untyped-call]
        self.late = new(nn.EmbeddingBag, max(sum(late), 1), width, mode="sum")  # type: ignore[no-untyped-call]
        self.previous = new(nn.EmbeddingBag, sum(sizes) + len(sizes), width, mode="sum")  # type: ignore[no-untyped-call]
        self.row = new(nn.Embedding, sum(sizes), width)  # type: ignore[no-untyped-call]
        self.position = nn.Parameter(torch.zeros(len(sizes), width))
        self.gru = nn.GRU(width, memory, batch_first=True, device="meta").to_empty(device="cpu")
        self.recall = new(nn.Linear, memory, width)  # type: ignore[no-untyped-call]
        self.heads = new(nn.Linear, width, sum(sizes))  # type: ignore[no-untyped-call]
        for module in (self.context, self.late, self.previous, self.row):
            nn.init.normal_(module.weight, std=0.1, generator=generator)
        for layer, units in ((self.gru, memory), (self.recall, memory), (self.heads, width)):
            for weight in layer.parameters():
                nn.init.uniform_(weight, -(units**-0.5), units**-0.5, generator=generator)
        self.blocks = nn.ModuleList(Block(width, 2 * width, dropout, generator) for _ in range(2))
        self.norm = nn.LayerNorm(width)

    def base(self, context: Tensor, previous: Tensor, memory: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """What all slots of a row share, shape (n, width); with a generator, some features are dropped."""
        weights = [torch.ones(features.shape, device=features.device) for features in (context, previous)]
        if noise is not None and self.dropout:
            weights = [dropout_factors(ones, self.dropout, noise) for ones in weights]
            memory = memory * dropout_factors(memory, self.dropout, noise)
        known: Tensor = self.context(context + self.context_offsets, per_sample_weights=weights[0])
        before: Tensor = self.previous(previous + self.previous_offsets, per_sample_weights=weights[1])
        recalled: Tensor = self.recall(memory)
        return known + before + recalled

    def after(self, late: Tensor) -> Tensor:
        """What the row's time adds to the slots after it, shape (n, width)."""
        if not late.shape[1]:
            return torch.zeros(len(late), self.width, device=late.device)
        out: Tensor = self.late(late + self.late_offsets)
        return out

    def embed(self, tokens: Tensor, slot: int) -> Tensor:
        """What one slot's tokens add to the slots after it, shape (n, width)."""
        out: Tensor = self.row(tokens + self.row_offsets[slot])
        return out

    def hidden(self, stream: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """The residual blocks, any shape (..., width); with a generator, some inner units are dropped."""
        for block in self.blocks:
            stream = block(stream, noise)
        out: Tensor = self.norm(stream)
        return out

    def logits(self, hidden: Tensor, slot: int) -> Tensor:
        """Logits of a slot, shape (n, size)."""
        at = slice(int(self.row_offsets[slot]), int(self.row_offsets[slot]) + self.sizes[slot])
        return functional.linear(hidden, self.heads.weight[at], self.heads.bias[at])

    def remember(self, tokens: Tensor, late: Tensor) -> Tensor:
        """What the memory reads of whole rows, shape (n, width)."""
        rows: Tensor = self.row(tokens + self.row_offsets)
        return rows.sum(-2) + self.after(late)

    def losses(
        self,
        context: Tensor,
        late: Tensor,
        previous: Tensor,
        tokens: Tensor,
        known: Tensor,
        rows: Tensor,
        noise: torch.Generator | None = None,
    ) -> Tensor:
        """Cross-entropy of each slot that is drawn, 0 for the others, shape (n, slots).

        Args:
            context: Shape (n, context features).
            late: Shape (n, late features).
            previous: Tokens of the sibling before, the slot's size where there is none, shape (n, slots).
            tokens: Shape (n, slots).
            known: Slots that the plan determines, shape (n, slots).
            rows: Row numbers of each parent's children, -1 after the last, shape (parents, most children).
            noise: Switches dropout on.
        """
        read = self.remember(tokens, late)
        padded = read[rows.clamp(min=0)] * (rows >= 0).unsqueeze(-1)
        states, _ = self.gru(padded)
        shifted = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)
        base = self.base(context, previous, shifted[rows >= 0][torch.argsort(rows[rows >= 0])], noise)
        inputs = self.row(tokens + self.row_offsets)
        prefix = torch.cumsum(inputs, 1) - inputs
        stream = base.unsqueeze(1) + prefix + self.position
        stream = torch.cat([stream[:, :1], stream[:, 1:] + self.after(late).unsqueeze(1)], 1)
        hidden = self.hidden(stream, noise)
        out = [
            functional.cross_entropy(self.logits(hidden[:, slot], slot).float(), tokens[:, slot], reduction="none")
            for slot in range(len(self.sizes))
        ]
        return torch.stack(out, 1) * ~known


def _offsets(sizes: Sequence[int]) -> Tensor:
    """Where each feature's tokens begin in one table of embeddings."""
    return torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)[: len(sizes)])
