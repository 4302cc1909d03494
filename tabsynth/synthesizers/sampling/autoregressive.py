"""Autoregressive sampling and prediction of unknown tokens, within limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tabsynth.common.arrays import Floats
from tabsynth.synthesizers.sampling.slot_sampler import SlotSampler
from tabsynth.training.networks.autoregressive import AutoregressiveModel

N_CANDIDATES = 16
"""Candidates per row if several slots are restricted."""


@dataclass(frozen=True, eq=False)
class AutoregressiveSampler:
    """Autoregressive sampler.

    Attributes:
        chain: The trained model.
        order: The slots in the order of an unconditional sample.
        parents: For each slot, the slots by which rows are sorted for stratified sampling.
        emit: Allowed tokens of each slot.
        limits: The allowed share of each token of a slot, None where unrestricted; two-dimensional where it
            depends on the token of the slot before.
        noise: Random generator.
        calibrate: Calibrate each slot's mean prediction to its training marginal.
        stratify: Stratify the uniforms over similar rows.
        calibration_weights: Fixed weights of a slot's tokens, used without calibration.
    """

    chain: AutoregressiveModel
    order: Sequence[int]
    parents: Sequence[Sequence[int]]
    emit: Sequence[npt.NDArray[np.bool_]]
    limits: Sequence[Floats | None]
    noise: torch.Generator
    calibrate: bool = False
    stratify: bool = False
    calibration_weights: Mapping[int, Tensor] = field(default_factory=dict)

    @cached_property
    def slot_sampler(self) -> SlotSampler:
        """Sampler of a slot from its logits."""
        layout = self.chain.layout
        calibration = (self.calibrate, self.stratify, self.calibration_weights)
        return SlotSampler(layout, self.parents, self.emit, self.limits, self.noise, *calibration)

    def draw(self, tokens: Tensor) -> Tensor:
        """Draw the tokens that are -1, in place, shape (rows, slots)."""
        # Restricted slots come first: free slots are then sampled given that the limits hold.
        limited = self.slot_sampler.limited(self.order)
        if len(limited) > 1:
            self._draw_limited(tokens, limited)
        order = limited + [slot for slot in self.order if slot not in limited]

        def sample(slot: int, rows: Tensor, logits: Tensor, prefixes: Tensor | None) -> Tensor:
            own = tokens if len(rows) == len(tokens) else tokens[rows]
            return self.slot_sampler.sample(own, slot, logits, prefixes=prefixes)

        return self.chain.draw(tokens, order, sample)

    def _draw_limited(self, tokens: Tensor, slots: list[int]) -> None:
        """Sample several restricted slots jointly: candidates are weighted by the probability of meeting the limits.

        Sampling importance resampling (Rubin 1987): sequential sampling alone would ignore what later limits imply for
        earlier slots.
        """
        many = tokens.repeat_interleave(N_CANDIDATES, 0)
        weight = torch.zeros(len(many), device=tokens.device)

        def sample(slot: int, rows: Tensor, logits: Tensor, prefixes: Tensor | None) -> Tensor:
            logits = logits if prefixes is None else logits[prefixes]
            chances, mass = self.slot_sampler.probabilities(many[rows], slot, logits)
            if slot != slots[0]:
                weight[rows] += mass.clamp(min=1e-30).log()
            return self.slot_sampler.draw(chances)

        self.chain.draw(many, slots, sample)
        best = weight.view(-1, N_CANDIDATES).softmax(1).cumsum(1)
        dice = torch.rand(len(tokens), 1, generator=self.noise, device=tokens.device) * best[:, -1:]
        chosen = torch.searchsorted(best, dice, right=True).clamp(max=N_CANDIDATES - 1).squeeze(1)
        tokens.copy_(many.view(-1, N_CANDIDATES, tokens.shape[1])[torch.arange(len(tokens)), chosen])

    def predict(self, tokens: Tensor, means: Sequence[Floats | None]) -> tuple[Tensor, dict[int, Tensor]]:
        """Fill the tokens that are -1 with the most probable one, each given only what was known.

        Args:
            tokens: Shape (rows, slots), -1 where unknown.
            means: Mean number of each token of numeric slots, None for others.

        Returns:
            The filled tokens, and for numeric slots the expected number of each row (NaN where known).
        """
        out = tokens.clone()
        hidden = self.chain.start(len(tokens))
        seen = [slot for slot in range(tokens.shape[1]) if bool((tokens[:, slot] >= 0).any())]
        for slot in seen:
            self.chain.add(hidden, slot, tokens[:, slot])
        numbers: dict[int, Tensor] = {}
        for slot in range(tokens.shape[1]):
            rows = (tokens[:, slot] < 0).nonzero().squeeze(1)
            if not len(rows):
                continue
            part, known = hidden[rows], tokens[rows]
            before = seen
            limit = self.limits[slot]
            if limit is not None and limit.ndim == 2:  # a low digit follows the high digit that was chosen
                self.chain.add(part, slot - 1, out[rows, slot - 1])
                known = known.clone()
                known[:, slot - 1] = out[rows, slot - 1]
                before = sorted({*seen, slot - 1})
            chances, _ = self.slot_sampler.probabilities(known, slot, self.chain.logits(part, known, slot, before))
            out[rows, slot] = chances.argmax(1)
            mean = means[slot]
            if mean is not None:
                value = torch.full((len(tokens),), torch.nan, dtype=torch.float64, device=tokens.device)
                line = chances[:, : len(mean)].double()
                value[rows] = (line @ torch.from_numpy(mean).to(line)) / line.sum(1)
                numbers[slot] = value
        return out, numbers
