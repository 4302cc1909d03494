"""Differentiable error of the one-way and two-way marginals of generated rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tabsynth.training.networks.generator import Drawn
from tabsynth.training.networks.layout import Layout, coarsen_counts

GROUPS = 24
"""Maximum token groups of a slot."""

ACROSS = 1000
"""Maximum groups over all slots; wide tables get fewer for each slot, but at least two."""

CHUNK = 4096
"""Rows counted at once."""


class Moments:
    """Frequencies of token groups and of pairs of them in real rows, and the error of other rows against them.

    Args:
        layout: The slots.
        order: The order in which the generator samples the slots.
        tokens: Real rows, shape (rows, slots).
        least: Minimum rows by which the error of a group is scaled, because rare groups add mostly noise.
    """

    def __init__(self, layout: Layout, order: Sequence[int], tokens: Tensor, *, least: int = 1) -> None:
        self.order = list(order)
        most = max(2, min(GROUPS, ACROSS // len(self.order)))
        groups = [coarsen_counts(counts, line, most) for counts, line in zip(layout.counts, layout.lines, strict=True)]
        self.maps = [functional.one_hot(torch.from_numpy(own)).float().to(tokens.device) for own in groups]
        widths = torch.tensor([self.maps[slot].shape[1] for slot in self.order])
        rank = torch.arange(len(widths)).repeat_interleave(widths).to(tokens.device)
        self.single, self.pairs = self._shares(tokens)
        shares = self.single.clamp(min=least / len(tokens))
        self.weight = (rank[:, None] < rank) / (shares[:, None] * shares)
        self.own = 1 / shares

    def loss(self, drawn: Drawn) -> Tensor:
        """Return the mean squared error of the frequencies, each scaled by its value under independence; unbiased.

        The sampled token of one slot is paired with the probabilities of a later slot, which is less noisy than a pair
        of sampled tokens. Multiplying the errors of two halves of the rows, whose noise is independent, removes the
        bias.
        """
        hard, chances = [], []
        for slot in self.order:
            soft = drawn.soft[slot] @ self.maps[slot]
            hard.append(soft + (self.maps[slot][drawn.tokens[:, slot]] - soft).detach())
            chances.append(drawn.chances[slot] @ self.maps[slot])
        seen, expected = torch.cat(hard, 1), torch.cat(chances, 1)
        half = len(seen) // 2
        parts = slice(0, half), slice(half, 2 * half)
        pairs = [seen[part].T @ expected[part] / half - self.pairs for part in parts]
        single = [expected[part].mean(0) - self.single for part in parts]
        total = (self.weight * pairs[0] * pairs[1]).sum() + (self.own * single[0] * single[1]).sum()
        return total / len(self.order)

    def distance(self, tokens: Tensor) -> Tensor:
        """Return the same error for tokens without their probabilities."""
        single, pairs = self._shares(tokens)
        total = (self.weight * (pairs - self.pairs).square()).sum() + (self.own * (single - self.single).square()).sum()
        return total / len(self.order)

    def _shares(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the frequencies of groups and of pairs of them, in sampling order."""
        size = sum(part.shape[1] for part in self.maps)
        single = torch.zeros(size, device=tokens.device)
        pairs = torch.zeros(size, size, device=tokens.device)
        for part in torch.split(tokens, CHUNK):
            seen = torch.cat([self.maps[slot][part[:, slot]] for slot in self.order], 1)
            single += seen.sum(0)
            pairs += seen.T @ seen
        return single / len(tokens), pairs / len(tokens)
