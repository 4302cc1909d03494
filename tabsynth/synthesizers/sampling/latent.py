"""Sampling from a trained VAE: latents from the prior given known tokens, then each slot given the latents."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tabsynth.synthesizers.sampling.calibration import stratified_uniforms
from tabsynth.synthesizers.sampling.importance_resampling import resample_per_group
from tabsynth.synthesizers.sampling.slot_sampler import SlotSampler
from tabsynth.training.networks.vae import LatentNet
from tabsynth.training.precision import product_autocast

N_CANDIDATES = 32
"""Candidates per row if some slots are known or restricted."""

MIN_PROBABILITY = 1e-30
"""Lower bound of probabilities before the logarithm."""

BATCH = 2048
"""Rows of one pass on a CPU; activations then fit the cache."""


class LatentSampler:
    """A trained network with cached matrices, and the sampler of its slots.

    Args:
        net: The trained network, in evaluation mode.
        slot_sampler: Sampler of a slot from its logits.
        order: The slots in sampling order.
    """

    def __init__(self, net: LatentNet, slot_sampler: SlotSampler, order: Sequence[int]) -> None:
        self.net, self.slot_sampler, self.order = net, slot_sampler, order
        self.layout = net.layout
        with torch.no_grad():
            self.table, self.head = net.table().float(), net.head()
            self.links, self.linked = net.links.embed(), net.links.head()
        self.device = self.table.device
        self.batch = BATCH if self.device.type == "cpu" else 1 << 16

    def draw(self, tokens: Tensor) -> Tensor:
        """Draw the tokens that are -1, in place, shape (rows, slots)."""
        limited = self.slot_sampler.limited(self.order)
        asked = (tokens >= 0).any(1) | bool(limited)
        latents = torch.empty(len(tokens), self.net.prior.size, device=self.device)
        rows = (~asked).nonzero().squeeze(1)
        latents[rows] = self.latents(tokens[rows])
        rows = asked.nonzero().squeeze(1)
        for part in torch.split(rows, self.batch // 4) if len(rows) else ():
            tokens[part], latents[part] = self._fitting(tokens[part], limited)
        decoded, sums = self.decode(latents), self.net.links.start(latents)
        for slot in self.order:
            rows = (tokens[:, slot] < 0).nonzero().squeeze(1)
            if len(rows):
                logits = self.logits(decoded[rows], sums[rows], slot)
                tokens[rows, slot] = self.slot_sampler.sample(tokens[rows], slot, logits)
            sums += self.links[self.layout.offsets[slot] + tokens[:, slot]]
        return tokens

    def latents(self, tokens: Tensor) -> Tensor:
        """Return the latents given the known tokens of rows, from the prior or its context, shape (rows, latents)."""
        return self.net.prior.draw(len(tokens), self._uniforms, self._context(tokens))

    def decode(self, latents: Tensor) -> Tensor:
        """Return the decoder's last layer, shape (rows, width)."""
        parts = [self.net.decode(part) for part in torch.split(latents, self.batch)]
        return torch.cat(parts) if parts else torch.zeros(0, self.table.shape[1], device=self.device)

    def logits(self, decoded: Tensor, sums: Tensor, slot: int) -> Tensor:
        """Return the logits of one slot, shape (rows, size).

        Args:
            decoded: The decoder's last layer, shape (rows, width).
            sums: Running sum over latents and earlier slots, shape (rows, links).
            slot: The slot.
        """
        segment = self.layout.segment(slot)
        with product_autocast(self.device):
            direct = functional.linear(decoded, self.head[segment])
            linked = functional.linear(functional.silu(sums), self.linked[segment])
        return direct.float() + linked.float() + self.net.bias[segment]

    def _uniforms(self, means: Tensor) -> Tensor:
        """Return a stratified uniform number for each row, over rows with similar expected latents."""
        options = self.slot_sampler.options
        if options.stratify:
            return stratified_uniforms(means.argsort(stable=True), options.noise)
        return torch.rand(len(means), generator=options.noise, device=self.device)

    def _context(self, tokens: Tensor) -> Tensor | None:
        """Return the context of the conditional prior; None if nothing is known."""
        if not bool((tokens >= 0).any()):
            return None
        return self.net.context(self.net.summed(tokens, self.table))

    def _fitting(self, tokens: Tensor, limited: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the rows sampled up to the last known or restricted slot, and their latents.

        Sampling importance resampling (Rubin 1987). Latents are proposed by the conditional prior r(z | known); slots
        follow in order, and a candidate's weight is p(z) / r(z | known) times the probability of its known tokens and
        limits. For narrow limits, half of the candidates instead take restricted slots from their training marginals
        and treat them as known.
        """
        many = tokens.repeat_interleave(N_CANDIDATES, 0)
        weight = torch.zeros(len(many), device=self.device)
        guessed = torch.arange(len(many), device=self.device) % N_CANDIDATES >= N_CANDIDATES // 2
        for slot in limited:
            share = torch.from_numpy(self.layout.counts[slot]).to(weight)
            share = (share / share.sum()).log()
            probabilities, mass = self.slot_sampler.probabilities(many, slot, share.repeat(len(many), 1))
            drawn, here = self.slot_sampler.draw(probabilities), guessed & (many[:, slot] < 0)
            weight += (mass.clamp(min=MIN_PROBABILITY).log() - share[drawn].clamp(min=math.log(MIN_PROBABILITY))) * here
            many[:, slot] = torch.where(here, drawn, many[:, slot])
        latents = self.latents(many)
        weight += self.net.prior.log_prob(latents) - self.net.prior.log_prob(latents, self._context(many))
        decoded, sums = self.decode(latents), self.net.links.start(latents)
        asked = [slot in limited or bool((tokens[:, slot] >= 0).any()) for slot in self.order]
        for slot in self.order[: len(asked) - asked[::-1].index(True)]:
            known, logits = many[:, slot] >= 0, self.logits(decoded, sums, slot)
            log_prob = functional.log_softmax(logits, 1).gather(1, many[:, slot].clamp(min=0).unsqueeze(1)).squeeze(1)
            probabilities, mass = self.slot_sampler.probabilities(many, slot, logits)
            weight += torch.where(known, log_prob, mass.clamp(min=MIN_PROBABILITY).log())
            many[:, slot] = torch.where(known, many[:, slot], self.slot_sampler.draw(probabilities))
            sums += self.links[self.layout.offsets[slot] + many[:, slot]]
        weight = weight.view(-1, N_CANDIDATES).softmax(1)
        chosen = resample_per_group(weight, N_CANDIDATES, self.slot_sampler.options.noise)
        return many[chosen], latents[chosen]
