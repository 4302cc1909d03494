"""Networks on tokens: summed embeddings, residual SwiGLU blocks, and logits of all slots.

SwiGLU: Shazeer, "GLU variants improve transformer", arXiv 2002.05202. Embeddings and
output weights of ordered tokens are cosine features of their quantile plus a free part, so neighbours start similar.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tabsynth.training.networks.feature_cross import FeatureCross, FeatureCrossEmbedding
from tabsynth.training.networks.layers import new_layer
from tabsynth.training.networks.layout import FREQUENCIES, Layout

SKIP_CELLS = 4_000_000
"""Maximum weights of the linear skip; tokens of wider vocabularies are grouped."""


class Block(nn.Module):
    """A pre-norm residual SwiGLU block, (batch, width) -> (batch, width)."""

    def __init__(self, width: int, inner: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = new_layer(nn.Linear, width, 2 * inner)
        self.down = new_layer(nn.Linear, inner, width)
        self.dropout = dropout
        bound = 1 / math.sqrt(width)
        nn.init.uniform_(self.up.weight, -bound, bound, generator=generator)
        nn.init.zeros_(self.up.bias)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, hidden: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Apply the block; with a generator, with dropout."""
        gate, value = self.up(self.norm(hidden)).chunk(2, dim=-1)
        if noise is None and not torch.is_grad_enabled():  # in place: new matrices do not fit the cache
            change: Tensor = self.down(functional.silu(gate).mul_(value))
            return change.add_(hidden) if change.dtype == hidden.dtype else hidden + change
        inner = functional.silu(gate) * value
        if self.dropout and noise is not None:
            inner = inner * dropout_factors(inner, self.dropout, noise)
        out: Tensor = hidden + self.down(inner)
        return out


def dropout_factors(values: Tensor, share: float, noise: torch.Generator) -> Tensor:
    """Return the dropout factors: zero for a share of values, in multiples of 1/256, and the scale of the others.

    torch's dropout uses the global generator and one random number per value; here one 64-bit number serves eight.
    """
    drop = round(share * 256)
    words = torch.empty(-(-values.numel() // 8), dtype=torch.int64, device=values.device)
    words.random_(-(2**63), None, generator=noise)
    kept = words.view(torch.uint8)[: values.numel()].view(values.shape) >= drop
    return kept.to(values.dtype).mul_(256 / (256 - drop))


class TokenEmbedding(nn.Module):
    """A matrix with a row per token: a free part, plus a smooth function of the quantile for ordered tokens.

    Args:
        layout: The slots.
        width: Columns of the matrix.
        scale: Standard deviation of the initial weights.
        smooth: Strength of the smoothness prior on ordered tokens, from 0 to 1. It helps on small tables.
        generator: Random generator of the initial weights.
    """

    def __init__(self, layout: Layout, width: int, scale: float, smooth: float, generator: torch.Generator) -> None:
        super().__init__()
        self.layout = layout
        self.smooth_slots = [slot for slot, line in enumerate(layout.lines) if line > 2]
        self.free = nn.Parameter(torch.randn(layout.total, width, generator=generator) * scale)
        self.slow = nn.Parameter(torch.randn(len(layout.sizes), FREQUENCIES, width, generator=generator) * scale / 4)
        self.register_buffer("waves", layout.waves(taper=smooth / 2), persistent=False)
        self.register_buffer(
            "share", torch.where(layout.on_line(), 1 - 0.9 * smooth, 1.0).unsqueeze(1), persistent=False
        )

    def forward(self) -> Tensor:
        """Return the matrix, shape (total, width)."""
        return self.matrix(self.free, self.slow)

    def matrix(self, every: Tensor, slow: Tensor) -> Tensor:
        """Return the matrix of given free and smooth parts, of the same shapes."""
        parts = []
        # Split instead of sliced: the gradient of each slice would be a full matrix.
        share: Tensor = self.share  # type: ignore[assignment]
        for bucket, free in zip(self.layout.buckets, torch.split(every * share, self.layout.widths), strict=True):
            if any(self.layout.lines[slot] > 2 for slot in bucket.slots):
                waves = self.waves[bucket.start : bucket.stop].view(len(bucket.slots), bucket.width, FREQUENCIES)  # type: ignore[index]
                parts.append(free + torch.bmm(waves, slow[list(bucket.slots)]).view(-1, free.shape[1]))
            else:
                parts.append(free)
        return torch.cat(parts)


class MaskedNet(nn.Module):
    """Masked network: logits of every slot given partially masked tokens.

    Shape:
        Input: tokens (batch, slots), -1 where masked. Output: logits (batch, layout.total).
    """

    def __init__(
        self,
        layout: Layout,
        *,
        width: int,
        blocks: int,
        dropout: float,
        skip: bool,
        smooth: float,
        generator: torch.Generator,
        cross: FeatureCross | None = None,
    ) -> None:
        super().__init__()
        self.layout = layout
        slots = len(layout.sizes)
        self.embed = TokenEmbedding(layout, width, 1 / math.sqrt(slots), smooth, generator)
        self.mask = nn.Parameter(torch.randn(slots, width, generator=generator) / math.sqrt(slots))
        self.blocks = nn.ModuleList(Block(width, 2 * width, dropout, generator) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = TokenEmbedding(layout, width, 0.0, smooth, generator)
        self.bias = nn.Parameter(layout.log_frequencies())
        self.cross = FeatureCrossEmbedding(cross, layout, width) if cross is not None else None
        groups, total = layout.groups(self._most_groups(layout)) if skip else (None, 0)
        self.skip = nn.Parameter(torch.zeros(total + 1, layout.total)) if groups is not None else None
        self.register_buffer("offsets", torch.tensor(layout.offsets), persistent=False)
        self.register_buffer("group", torch.from_numpy(groups) if groups is not None else None, persistent=False)

    @staticmethod
    def _most_groups(layout: Layout) -> int:
        """Return the maximum groups per slot that keep the skip within its budget."""
        for most in (32, 24, 16, 12, 8):
            if (layout.groups(most)[1] + 1) * layout.total <= SKIP_CELLS:
                return most
        return 4

    def positions(self, tokens: Tensor) -> Tensor:
        """Return the rows of the embedding matrix (mask rows follow the tokens'), shape (batch, slots)."""
        slots = torch.arange(tokens.shape[1], device=tokens.device)
        return torch.where(tokens < 0, self.layout.total + slots, self.offsets + tokens)  # type: ignore[operator]

    def hidden(self, positions: Tensor, table: Tensor) -> Tensor:
        """Return the summed embeddings, shape (batch, width)."""
        return functional.embedding_bag(positions, table, mode="sum")

    def groups(self, positions: Tensor) -> Tensor:
        """Skip indices, shape (batch, slots); the last index is for masked slots."""
        assert self.skip is not None
        group: Tensor = self.group  # type: ignore[assignment]
        known = group[positions.clamp(max=self.layout.total - 1)]
        return torch.where(positions < self.layout.total, known, len(self.skip) - 1)

    def table(self) -> Tensor:
        """Return the embeddings of all tokens, then of the masks, shape (total + slots, width)."""
        return torch.cat([self.embed(), self.mask])

    def trunk(self, hidden: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Return the last hidden layer, shape (batch, width)."""
        for block in self.blocks:
            hidden = block(hidden, noise)
        out: Tensor = self.norm(hidden)
        return out

    def forward(self, tokens: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Return the logits of all slots, with dropout if a generator is given."""
        positions = self.positions(tokens)
        hidden = self.hidden(positions, self.table())
        if self.cross is not None:
            hidden = hidden + self.cross(tokens)
        out = functional.linear(self.trunk(hidden, noise), self.head(), self.bias)
        if self.skip is not None:
            pad = len(self.skip) - 1
            out = out + functional.embedding_bag(self.groups(positions), self.skip, mode="sum", padding_idx=pad)
        return out


def slot_losses(logits: Tensor, tokens: Tensor, layout: Layout) -> Tensor:
    """Return the cross-entropy of every slot in nats, shape (batch, slots); zero where the token is absent (-1)."""
    parts = []
    for bucket, own in zip(layout.buckets, torch.split(logits, layout.widths, dim=1), strict=True):
        view = own.reshape(len(logits), len(bucket.slots), bucket.width)
        wanted = tokens[:, list(bucket.slots)]
        picked = view.gather(2, wanted.clamp(min=0).unsqueeze(2)).squeeze(2)
        parts.append((view.logsumexp(2) - picked) * (wanted >= 0))
    joined = torch.cat(parts, dim=1)
    return joined[:, torch.argsort(torch.tensor(layout.bucket_order, device=logits.device))]
