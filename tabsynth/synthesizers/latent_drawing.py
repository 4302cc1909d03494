"""Draw rows from a trained VAE: latents from the prior, given what is known, then each slot given the latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tabsynth.synthesizers.picking import Picker
from tabsynth.training.latent import LatentNet

CANDIDATES = 16
"""Draws among which one is chosen where something is known or restricted."""

BATCH = 2048
"""Rows that go through the network at once on a CPU, so that activations stay in the cache."""


class LatentDrawer:
    """A trained network with its matrices computed once, and how slots are drawn.

    Args:
        net: The trained network, in evaluation mode.
        picker: How a slot is drawn from its logits.
        order: The slots in the order in which they are drawn.
    """

    def __init__(self, net: LatentNet, picker: Picker, order: Sequence[int]) -> None:
        self.net, self.picker, self.order = net, picker, order
        self.layout = net.layout
        with torch.no_grad():
            self.table, self.head = net.table().float(), net.head()
        self.device = self.table.device
        self.noise = picker.noise
        self.batch = BATCH if self.device.type == "cpu" else 1 << 16

    def draw(self, tokens: Tensor) -> Tensor:
        """Draw the tokens that are -1, in place, shape (rows, slots)."""
        limited = self.picker.limited(self.order)
        if limited:
            self._draw_limited(tokens, limited)
        known = (tokens >= 0).any(1)
        latents = torch.empty(len(tokens), self.net.prior.size, device=self.device)
        rows = (~known).nonzero().squeeze(1)
        latents[rows] = self.latents(tokens[rows])
        rows = known.nonzero().squeeze(1)
        latents[rows] = self._chosen_latents(tokens[rows])
        decoded = self.decode(latents)
        for slot in self.order:
            rows = (tokens[:, slot] < 0).nonzero().squeeze(1)
            if len(rows):
                tokens[rows, slot] = self.picker.pick(tokens[rows], slot, self.logits(decoded[rows], slot))
        return tokens

    def latents(self, tokens: Tensor) -> Tensor:
        """Latents given the known tokens of rows, from the prior or its context, shape (rows, latents)."""
        parts = []
        for part in torch.split(tokens, self.batch):
            context = self._context(part)
            parts.append(self.net.prior.draw(len(part), self.noise, context))
        return torch.cat(parts) if parts else torch.zeros(0, self.net.prior.size, device=self.device)

    def decode(self, latents: Tensor) -> Tensor:
        """The decoder's last layer, shape (rows, width)."""
        parts = [self.net.decode(part) for part in torch.split(latents, self.batch)]
        return torch.cat(parts) if parts else torch.zeros(0, self.table.shape[1], device=self.device)

    def logits(self, decoded: Tensor, slot: int) -> Tensor:
        """Logits of one slot, shape (rows, size)."""
        segment = self.layout.segment(slot)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            return functional.linear(decoded, self.head[segment]).float() + self.net.bias[segment]

    def _context(self, tokens: Tensor) -> Tensor | None:
        """The context of rows; none where nothing is known of any."""
        if not bool((tokens >= 0).any()):
            return None
        return self.net.context(self.net.summed(tokens, self.table))

    def _chosen_latents(self, tokens: Tensor) -> Tensor:
        """Latents given known tokens: candidates, one chosen by how well it explains them.

        Sampling importance resampling (Rubin 1987). The candidates come from r(z | known); the posterior is
        proportional to p(known | z) p(z).
        """
        if not len(tokens):
            return self.latents(tokens)
        parts = []
        for part in torch.split(tokens, self.batch):
            many = part.repeat_interleave(CANDIDATES, 0)
            context = self._context(many)
            latents = self.net.prior.draw(len(many), self.noise, context)
            weight = self.net.prior.log_prob(latents) - self.net.prior.log_prob(latents, context)
            decoded = self.decode(latents)
            for slot in range(many.shape[1]):
                own = many[:, slot]
                if bool((own >= 0).any()):
                    logs = functional.log_softmax(self.logits(decoded, slot), 1)
                    weight += logs.gather(1, own.clamp(min=0).unsqueeze(1)).squeeze(1) * (own >= 0)
            chosen = self._chosen(weight)
            parts.append(latents[chosen])
        return torch.cat(parts)

    def _chosen(self, weight: Tensor) -> Tensor:
        """One candidate of each row by log-weights, shape (rows,): positions among all candidates."""
        edges = weight.view(-1, CANDIDATES).softmax(1).cumsum(1)
        dice = torch.rand(len(edges), 1, generator=self.noise, device=self.device) * edges[:, -1:]
        chosen = torch.searchsorted(edges, dice, right=True).clamp(max=CANDIDATES - 1).squeeze(1)
        return chosen + torch.arange(len(edges), device=self.device) * CANDIDATES

    def _draw_limited(self, tokens: Tensor, slots: Sequence[int]) -> None:
        """Draw restricted slots one after the other, each given what is known by then, in place.

        As many candidates as in ``_chosen_latents``, weighed by how probable it was to meet the limits. A restricted
        slot of which nothing else is known comes from its training marginal.
        """
        for begin in range(0, len(tokens), self.batch):
            part = tokens[begin : begin + self.batch]
            many = part.repeat_interleave(CANDIDATES, 0)
            weight = torch.zeros(len(many), device=self.device)
            for slot in slots:
                free = many[:, slot] < 0
                if bool((many >= 0).any()):
                    logits = self.logits(self.decode(self.latents(many)), slot)
                else:
                    counts = torch.from_numpy(self.layout.counts[slot]).to(weight)
                    logits = counts.log().expand(len(many), -1)
                chances, mass = self.picker.chances(many, slot, logits)
                weight += mass.clamp(min=1e-30).log() * free
                many[:, slot] = torch.where(free, self.picker.draw(chances), many[:, slot])
            part.copy_(many[self._chosen(weight)])
