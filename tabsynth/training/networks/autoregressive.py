"""Read a trained MaskedNet one slot at a time: draw a chain of conditionals, or score rows along it.

The sum of embeddings is kept and only what a newly drawn token changes is added, so that the first layer costs the same
however many slots there are; only the logits of the slot at hand are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tabsynth.training.networks.feature_cross import Crossed
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.masked import MaskedNet
from tabsynth.training.networks.masked_dp import PlainNet
from tabsynth.training.precision import product_autocast

BATCH = 2048
"""Rows that go through the network at once on a CPU, so that activations stay in the cache."""

ALIKE = 0.7
"""Rows whose tokens so far are equal share one pass through the network while they make no more than this share."""


class Chain:
    """A trained network with its matrices computed once.

    Args:
        net: The trained network, in evaluation mode.
    """

    def __init__(self, net: MaskedNet | PlainNet) -> None:
        self.net = net
        self.layout: Layout = net.layout
        with torch.no_grad():
            self.table = net.table().float()
            self.head = net.head()
        self.device = self.table.device
        self.batch = BATCH if self.device.type == "cpu" else 1 << 16

    def start(self, rows: int) -> Tensor:
        """The sum of embeddings when every slot is masked, shape (rows, width)."""
        return self.table[self.layout.total :].sum(0).repeat(rows, 1)

    def add(self, hidden: Tensor, slot: int, tokens: Tensor) -> None:
        """Put drawn tokens of a slot into the sum, in place; rows with -1 stay masked."""
        begin = self.layout.offsets[slot]
        own = self.table[begin : begin + self.layout.sizes[slot]] - self.table[self.layout.total + slot]
        for sums, part in zip(torch.split(hidden, self.batch), torch.split(tokens, self.batch), strict=True):
            known = part >= 0
            change = functional.embedding(part.clamp(min=0), own)
            sums += change if bool(known.all()) else change * known.unsqueeze(1)

    def logits(self, hidden: Tensor, tokens: Tensor, slot: int, seen: Sequence[int]) -> Tensor:
        """Logits of one slot, shape (rows, size).

        Args:
            hidden: The sum of embeddings, shape (rows, width).
            tokens: All tokens so far, shape (rows, slots), -1 where unknown.
            slot: The slot to predict.
            seen: Slots whose tokens may be known; the others are masked in every row.
        """
        segment = self.layout.segment(slot)
        head, bias = self.head[segment], self.net.bias[segment]
        skip, pad = self._skip(segment)
        out = torch.empty(len(hidden), self.layout.sizes[slot], device=self.device)
        at, crossed = list(seen), self._crossed(seen)
        for begin in range(0, len(hidden), self.batch):
            part = slice(begin, begin + self.batch)
            start = hidden[part] if crossed is None else hidden[part] + crossed(tokens[part])
            with product_autocast(self.device):
                values = functional.linear(self.net.trunk(start), head).float() + bias
            if skip is not None and at:
                known = tokens[part][:, at]
                groups = torch.where(known < 0, pad, self._groups(known, at))
                values += functional.embedding_bag(groups, skip, mode="sum", padding_idx=pad)
            out[part] = values
        return out

    def _crossed(self, seen: Sequence[int]) -> Crossed | None:
        """What adds the crossed feature, where all of its slots may be known."""
        cross = self.net.cross
        return cross if cross is not None and set(cross.slots) <= set(seen) else None

    def _skip(self, segment: slice) -> tuple[Tensor | None, int]:
        """The skip's weights towards one slot, and the row that stands for masked."""
        if self.net.skip is None:
            return None, 0
        return self.net.skip[:, segment].contiguous(), self.net.skip.shape[0] - 1

    def _groups(self, tokens: Tensor, slots: list[int]) -> Tensor:
        """Rows of the skip for known tokens, shape (rows, len(slots))."""
        offsets = torch.tensor([self.layout.offsets[slot] for slot in slots], device=self.device)
        group: Tensor = self.net.group  # type: ignore[assignment]
        return group[offsets + tokens.clamp(min=0)]

    def draw(
        self,
        tokens: Tensor,
        order: Sequence[int],
        pick: Callable[[int, Tensor, Tensor], Tensor],
    ) -> Tensor:
        """Draw the unknown tokens of rows along an order, in place.

        Args:
            tokens: Shape (rows, slots), -1 where unknown.
            order: The slots, in the order in which they are drawn.
            pick: Draws a slot's tokens: (slot, rows, logits of those rows) -> tokens of those rows.
        """
        unknown = tokens < 0
        seen = [slot for slot in range(tokens.shape[1]) if not bool(unknown[:, slot].all())]
        order = list(order)
        if len(tokens) and all(bool(unknown[:, slot].all()) for slot in order):
            done = self._draw_alike(tokens, order, seen, pick)
            order, seen = order[done:], [*seen, *order[:done]]
        hidden = self.start(len(tokens))
        for slot in seen:
            self.add(hidden, slot, tokens[:, slot])
        for slot in order:
            rows = unknown[:, slot].nonzero().squeeze(1)
            if not len(rows):
                continue
            every = len(rows) == len(tokens)
            part, known = (hidden, tokens) if every else (hidden[rows], tokens[rows])
            drawn = pick(slot, rows, self.logits(part, known, slot, seen))
            tokens[rows, slot] = drawn
            if every:
                self.add(hidden, slot, drawn)
                seen.append(slot)
            else:
                self.add(part, slot, drawn)
                hidden[rows] = part
                seen = sorted({*seen, slot})
        return tokens

    def _draw_alike(
        self, tokens: Tensor, order: Sequence[int], seen: Sequence[int], pick: Callable[[int, Tensor, Tensor], Tensor]
    ) -> int:
        """Draw the first slots of an order in place, each set of equal rows as one; says how many were drawn."""
        every, seen = torch.arange(len(tokens), device=self.device), list(seen)
        alike = torch.unique(tokens[:, seen], dim=0, return_inverse=True)[1] if seen else torch.zeros_like(every)
        for done, slot in enumerate(order):
            sets = int(alike.max()) + 1
            if sets > ALIKE * len(tokens):
                return done
            first = tokens[torch.empty(sets, dtype=torch.long, device=self.device).index_copy_(0, alike, every)]
            hidden = self.start(sets)
            for before in seen:
                self.add(hidden, before, first[:, before])
            drawn = pick(slot, every, self.logits(hidden, first, slot, seen)[alike])
            tokens[:, slot] = drawn
            seen.append(slot)
            alike = torch.unique(alike * self.layout.sizes[slot] + drawn, return_inverse=True)[1]
        return len(order)

    def embed(self, tokens: Tensor) -> Tensor:
        """The end of the residual stream with known tokens (-1 stays masked), shape (rows, width)."""
        hidden = self.start(len(tokens))
        for slot in range(tokens.shape[1]):
            self.add(hidden, slot, tokens[:, slot])
        if self.net.cross is not None:
            hidden += self.net.cross(tokens)
        parts = [self.net.trunk(hidden[begin : begin + self.batch]) for begin in range(0, len(hidden), self.batch)]
        return torch.cat(parts)

    def log_prob(self, tokens: Tensor, order: Sequence[int]) -> Tensor:
        """Log-likelihood of rows along an order in nats, shape (rows,); absent slots (-1) are left out."""
        return self.log_probs(tokens, order).sum(1)

    def log_probs(self, tokens: Tensor, order: Sequence[int], begin: int = 0) -> Tensor:
        """What each slot of an order adds to rows' log-likelihood, shape (rows, len(order)); 0 before ``begin``."""
        hidden = self.start(len(tokens))
        out = torch.zeros(len(tokens), len(order), device=self.device)
        for i, slot in enumerate(order):
            own = tokens[:, slot]
            if i >= begin:
                values = functional.log_softmax(self.logits(hidden, tokens, slot, order[:i]), dim=1)
                out[:, i] = values.gather(1, own.clamp(min=0).unsqueeze(1)).squeeze(1) * (own >= 0)
            self.add(hidden, slot, own)
        return out

    def implied(self, tokens: Tensor, slot: int, order: Sequence[int], own: Tensor) -> Tensor:
        """Log-probability of each row's token of a slot given all its other slots by the chain, shape (rows,).

        By Bayes' rule: the row's likelihood against those with each other token in its place that training rows have.

        Args:
            tokens: Shape (rows, slots), none absent.
            slot: The slot.
            order: The chain's order.
            own: ``log_probs`` of the rows along the order.
        """
        met, at = torch.from_numpy(np.flatnonzero(self.layout.counts[slot])).to(self.device), list(order).index(slot)
        many = tokens.repeat_interleave(len(met) - 1, 0)
        many[:, slot] = met.expand(len(tokens), -1)[met != tokens[:, slot : slot + 1]]
        rest = self.log_probs(many, order, at).sum(1).view(len(tokens), -1)
        kept = own[:, at:].sum(1, keepdim=True)
        return (kept - torch.cat([kept, rest], 1).logsumexp(1, keepdim=True)).squeeze(1)
