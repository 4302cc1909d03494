"""Autoregressive sampling and likelihood of a trained ``MaskedNet``, one slot at a time.

The sum of embeddings is updated with each newly sampled token, so the cost of the first layer does not depend on the
number of slots; only the logits of the current slot are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tabsynth.training.networks.feature_cross import FeatureCrossEmbedding
from tabsynth.training.networks.gaussian_copula import GaussianCopula
from tabsynth.training.networks.layout import Layout
from tabsynth.training.networks.masked import MaskedNet
from tabsynth.training.networks.masked_dp import PlainNet
from tabsynth.training.precision import product_autocast
from tabsynth.training.validation_split import TrainValidation

BATCH = 2048
"""Rows of one pass on a CPU; activations then fit the cache."""

MAX_SHARED = 0.95
"""Maximum number of prefixes per row for which rows with equal prefixes share one pass."""


class AutoregressiveModel:
    """A trained network with cached matrices.

    Args:
        net: The trained network, in evaluation mode.
        copula: A Gaussian copula that is pooled with the network's conditionals, if any.
    """

    def __init__(self, net: MaskedNet | PlainNet, copula: GaussianCopula | None = None) -> None:
        self.net, self.copula = net, copula
        self.layout: Layout = net.layout
        with torch.no_grad():
            self.table = net.table().float()
            self.head = net.head()
        self.device = self.table.device
        self.batch = BATCH if self.device.type == "cpu" else 1 << 16

    def start(self, rows: int) -> Tensor:
        """Return the sum of embeddings with every slot masked, shape (rows, width)."""
        return self.table[self.layout.total :].sum(0).repeat(rows, 1)

    def add(self, hidden: Tensor, slot: int, tokens: Tensor) -> None:
        """Add the tokens of a slot to the sum of embeddings, in place; -1 stays masked."""
        begin = self.layout.offsets[slot]
        own = self.table[begin : begin + self.layout.sizes[slot]] - self.table[self.layout.total + slot]
        for sums, part in zip(torch.split(hidden, self.batch), torch.split(tokens, self.batch), strict=True):
            known = part >= 0
            change = functional.embedding(part.clamp(min=0), own)
            sums += change if bool(known.all()) else change * known.unsqueeze(1)

    def logits(self, hidden: Tensor, tokens: Tensor, slot: int, seen: Sequence[int]) -> Tensor:
        """Return the logits of one slot, shape (rows, size).

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
                values = functional.linear(self.net.trunk(start), head).float().add_(bias)
            if skip is not None and at:
                known = tokens[part][:, at]
                groups = torch.where(known < 0, pad, self._groups(known, at))
                values += functional.embedding_bag(groups, skip, mode="sum", padding_idx=pad)
            out[part] = values
        return out if self.copula is None else self.copula.pool(out, tokens, slot, seen)

    def _crossed(self, seen: Sequence[int]) -> FeatureCrossEmbedding | None:
        """Return the feature cross, if all of its slots may be known."""
        cross = self.net.cross
        return cross if cross is not None and set(cross.slots) <= set(seen) else None

    def _skip(self, segment: slice) -> tuple[Tensor | None, int]:
        """Skip weights towards one slot, and the row of the mask."""
        if self.net.skip is None:
            return None, 0
        return self.net.skip[:, segment].contiguous(), self.net.skip.shape[0] - 1

    def _groups(self, tokens: Tensor, slots: list[int]) -> Tensor:
        """Return the rows of the skip matrix for known tokens, shape (rows, len(slots))."""
        offsets = torch.tensor([self.layout.offsets[slot] for slot in slots], device=self.device)
        group: Tensor = self.net.group  # type: ignore[assignment]
        return group.take(offsets + tokens.clamp(min=0))

    def draw(
        self,
        tokens: Tensor,
        order: Sequence[int],
        sample: Callable[[int, Tensor, Tensor, Tensor | None], Tensor],
    ) -> Tensor:
        """Sample the unknown tokens of rows along an order, in place.

        Args:
            tokens: Shape (rows, slots), -1 where unknown.
            order: The slots in sampling order.
            sample: Samples tokens of some rows: (slot, rows, logits, prefixes) -> tokens of those rows. ``prefixes`` is
                the row of the logits that belongs to each row; None where every row has its own.
        """
        unknown = tokens < 0
        seen = [slot for slot in range(tokens.shape[1]) if not bool(unknown[:, slot].all())]
        shares = all(bool(unknown[:, slot].all()) for slot in order)
        state = Prefixes(self, tokens, shares)
        for slot in seen:
            state.add(slot)
        every = torch.arange(len(tokens), device=self.device)
        for slot in order:
            rows = every if shares else unknown[:, slot].nonzero().squeeze(1)
            if not len(rows):
                continue
            if len(rows) == len(tokens):
                logits = self.logits(state.hidden, state.known, slot, seen)
                tokens[:, slot] = sample(slot, rows, logits, state.of)
                seen.append(slot)
                if slot != order[-1]:
                    state.add(slot)
                continue
            part = state.hidden[rows]
            drawn = sample(slot, rows, self.logits(part, tokens[rows], slot, seen), None)
            tokens[rows, slot] = drawn
            self.add(part, slot, drawn)
            state.hidden[rows] = part
            seen = sorted({*seen, slot})
        return tokens

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the last hidden layer given known tokens (-1 is masked), shape (rows, width)."""
        hidden = self.start(len(tokens))
        for slot in range(tokens.shape[1]):
            self.add(hidden, slot, tokens[:, slot])
        if self.net.cross is not None:
            hidden += self.net.cross(tokens)
        parts = [self.net.trunk(hidden[begin : begin + self.batch]) for begin in range(0, len(hidden), self.batch)]
        return torch.cat(parts)

    def log_prob(self, tokens: Tensor, order: Sequence[int]) -> Tensor:
        """Return the log-likelihood of rows along an order in nats, shape (rows,); absent slots (-1) are left out."""
        return self.log_probs(tokens, order).sum(1)

    def log_probs(self, tokens: Tensor, order: Sequence[int], begin: int = 0) -> Tensor:
        """Return each slot's log-probability given those before it, shape (rows, len(order)); 0 before ``begin``."""
        state = Prefixes(self, tokens)
        out = torch.zeros(len(tokens), len(order), device=self.device)
        for i, slot in enumerate(order):
            own = tokens[:, slot]
            if i >= begin:
                values = functional.log_softmax(self.logits(state.hidden, state.known, slot, order[:i]), dim=1)
                if state.of is None:
                    values = values.gather(1, own.clamp(min=0).unsqueeze(1)).squeeze(1)
                else:
                    values = values[state.of, own.clamp(min=0)]
                out[:, i] = values * (own >= 0)
            if slot != order[-1]:
                state.add(slot)
        return out

    def fit_copula(self, parts: TrainValidation, order: Sequence[int]) -> GaussianCopula:
        """Fit a copula to the training rows, and its pooling weights to the validation rows."""
        validation = parts.validation
        copula, state = (
            GaussianCopula.fit(parts.training, self.layout, parts.weights),
            Prefixes(self, validation, False),
        )
        network, own = [np.empty(0)] * len(order), [np.empty(0)] * len(order)
        for i, slot in enumerate(order):
            logits = self.logits(state.hidden, state.known, slot, order[:i])
            network[slot] = logits.log_softmax(1).double().cpu().numpy()
            own[slot] = copula.log_prob(validation, slot, order[:i]).numpy()
            state.add(slot)
        return copula.pooled_with(network, own, validation.cpu().numpy())

    def conditional_log_prob(self, tokens: Tensor, slot: int, order: Sequence[int], own: Tensor) -> Tensor:
        """Return the log-probability of each row's token of a slot given all other slots by the chain, shape (rows,).

        By Bayes' rule: the row's likelihood divided by the sum over all tokens observed in training.

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


class Prefixes:
    """The first layer of rows whose slots become known one by one, stored once for rows with equal prefixes.

    Args:
        chain: The network.
        tokens: Shape (rows, slots); a slot's tokens are read when it is added.
        shared: Whether rows may share a prefix.

    Attributes:
        of: The prefix of each row, shape (rows,); None where every row has its own.
        known: Tokens of a row of each prefix, shape (prefixes, slots).
        hidden: The sum of embeddings of each prefix, shape (prefixes, width).
    """

    def __init__(self, chain: AutoregressiveModel, tokens: Tensor, shared: bool = True) -> None:
        self.chain, self.tokens = chain, tokens
        self.of: Tensor | None = torch.zeros(len(tokens), dtype=torch.long, device=chain.device) if shared else None
        self.known = tokens[:1] if shared else tokens
        self.hidden = chain.start(len(self.known))

    def add(self, slot: int) -> None:
        """Make a slot known in all rows; -1 stays masked."""
        if self.of is not None:
            before, rows = self.of, torch.arange(len(self.tokens), device=self.chain.device)
            key = before * (self.chain.layout.sizes[slot] + 1) + self.tokens[:, slot] + 1
            values, self.of = torch.unique(key, return_inverse=True)
            if len(values) > MAX_SHARED * len(rows):
                self.of, self.known, self.hidden = None, self.tokens, self.hidden.index_select(0, before)
            else:
                first = torch.empty(len(values), dtype=torch.long, device=rows.device).index_copy_(0, self.of, rows)
                self.known = self.tokens.index_select(0, first)
                self.hidden = self.hidden.index_select(0, before[first])
        self.chain.add(self.hidden, slot, self.known[:, slot])
