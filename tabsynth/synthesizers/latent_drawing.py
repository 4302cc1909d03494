"""Draw rows from a trained VAE: latents from the prior, given what is known, then each slot given the latents."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tabsynth.synthesizers.picking import Picker
from tabsynth.training.draw import stratified_uniforms
from tabsynth.training.latent import LatentNet

CANDIDATES = 32
"""Draws among which one is chosen where something is known or restricted."""

FAINT = 1e-30
"""Probabilities are held above this before their logarithm is taken."""

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
        asked = (tokens >= 0).any(1) | bool(limited)
        latents = torch.empty(len(tokens), self.net.prior.size, device=self.device)
        rows = (~asked).nonzero().squeeze(1)
        latents[rows] = self.latents(tokens[rows])
        for part in torch.split(asked.nonzero().squeeze(1), self.batch // 4):
            tokens[part], latents[part] = self._fitting(tokens[part], limited)
        decoded = self.decode(latents)
        for slot in self.order:
            rows = (tokens[:, slot] < 0).nonzero().squeeze(1)
            if len(rows):
                tokens[rows, slot] = self.picker.pick(tokens[rows], slot, self.logits(decoded[rows], slot))
        return tokens

    def latents(self, tokens: Tensor) -> Tensor:
        """Latents given the known tokens of rows, from the prior or its context, shape (rows, latents)."""
        return self.net.prior.draw(len(tokens), self._uniforms, self._context(tokens))

    def decode(self, latents: Tensor) -> Tensor:
        """The decoder's last layer, shape (rows, width)."""
        parts = [self.net.decode(part) for part in torch.split(latents, self.batch)]
        return torch.cat(parts) if parts else torch.zeros(0, self.table.shape[1], device=self.device)

    def logits(self, decoded: Tensor, slot: int) -> Tensor:
        """Logits of one slot, shape (rows, size)."""
        segment = self.layout.segment(slot)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            return functional.linear(decoded, self.head[segment]).float() + self.net.bias[segment]

    def _uniforms(self, means: Tensor) -> Tensor:
        """A uniform number for each row, dealt evenly to rows that expect about the same latent."""
        if self.picker.stratify:
            return stratified_uniforms(means.argsort(stable=True), self.noise)
        return torch.rand(len(means), generator=self.noise, device=self.device)

    def _context(self, tokens: Tensor) -> Tensor | None:
        """The context of rows; none where nothing is known of any."""
        if not bool((tokens >= 0).any()):
            return None
        return self.net.context(self.net.summed(tokens, self.table))

    def _fitting(self, tokens: Tensor, limited: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Rows with their restricted slots drawn, and latents that fit them, by sampling importance resampling.

        Rubin 1987. Latents are proposed by the prior that has seen what is known, r(z | known), and each candidate
        weighs as p(z) p(known | z) p(limits | z) / r(z | known). Where limits leave little, few such latents meet them:
        half of the candidates instead take restricted slots from their training marginals and count them as known.
        """
        many = tokens.repeat_interleave(CANDIDATES, 0)
        weight = torch.zeros(len(many), device=self.device)
        guessed = torch.arange(len(many), device=self.device) % CANDIDATES >= CANDIDATES // 2
        for slot in limited:
            share = torch.from_numpy(self.layout.counts[slot]).to(weight)
            share = (share / share.sum()).log()
            chances, mass = self.picker.chances(many, slot, share.expand(len(many), -1))
            drawn, here = self.picker.draw(chances), guessed & (many[:, slot] < 0)
            weight += (mass.clamp(min=FAINT).log() - share[drawn].clamp(min=math.log(FAINT))) * here
            many[:, slot] = torch.where(here, drawn, many[:, slot])
        latents = self.latents(many)
        weight += self.net.prior.log_prob(latents) - self.net.prior.log_prob(latents, self._context(many))
        decoded = self.decode(latents)
        for slot in range(many.shape[1]):
            known = many[:, slot] >= 0
            if bool(known.any()):
                logs = functional.log_softmax(self.logits(decoded, slot), 1)
                weight += logs.gather(1, many[:, slot].clamp(min=0).unsqueeze(1)).squeeze(1) * known
        for slot in limited:
            free = many[:, slot] < 0
            chances, mass = self.picker.chances(many, slot, self.logits(decoded, slot))
            weight += mass.clamp(min=FAINT).log() * free
            many[:, slot] = torch.where(free, self.picker.draw(chances), many[:, slot])
        chosen = self._chosen(weight)
        return many[chosen], latents[chosen]

    def _chosen(self, weight: Tensor) -> Tensor:
        """One candidate of each row by log-weights, shape (rows,): positions among all candidates."""
        edges = weight.view(-1, CANDIDATES).softmax(1).cumsum(1)
        dice = torch.rand(len(edges), 1, generator=self.noise, device=self.device) * edges[:, -1:]
        chosen = torch.searchsorted(edges, dice, right=True).clamp(max=CANDIDATES - 1).squeeze(1)
        return chosen + torch.arange(len(edges), device=self.device) * CANDIDATES
