"""Autoregressive sampling and prediction of unknown tokens, within limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tabsynth.common.arrays import Floats
from tabsynth.synthesizers.sampling.importance_resampling import resample_per_group
from tabsynth.synthesizers.sampling.slot_sampler import SlotSampler
from tabsynth.training.networks.autoregressive import AutoregressiveModel

N_CANDIDATES = 16
"""Candidates per row if several slots are restricted."""

SHARED_SHARE = 2 / 3
"""Share of the slots that branches of one row have in common."""


@dataclass(frozen=True, eq=False)
class AutoregressiveSampler:
    """Autoregressive sampler.

    Attributes:
        chain: The trained model.
        order: The slots in the order of an unconditional sample.
        slot_sampler: Sampler of a slot from its logits.
    """

    chain: AutoregressiveModel
    order: Sequence[int]
    slot_sampler: SlotSampler

    def draw(self, tokens: Tensor) -> Tensor:
        """Draw the tokens that are -1, in place, shape (rows, slots)."""
        # Restricted slots come first: free slots are then sampled given that the limits hold.
        limited = self.slot_sampler.limited(self.order)
        if len(limited) > 1:
            self._draw_limited(tokens, limited)
        return self._draw_slots(tokens, limited + [slot for slot in self.order if slot not in limited])

    def draw_branches(self, rows: int, branches: int) -> Tensor:
        """Draw unconditional rows, of which ``branches`` in succession share their first slots.

        Args:
            rows: The rows before they branch.
            branches: The rows that each becomes.

        Returns:
            The tokens, shape (rows * branches, slots).
        """
        tokens = torch.full((rows, len(self.order)), -1, device=self.chain.device)
        at = round(SHARED_SHARE * len(self.order)) if branches > 1 else len(self.order)
        self._draw_slots(tokens, self.order[:at])
        return self._draw_slots(tokens.repeat_interleave(branches, 0), self.order[at:])

    def _draw_slots(self, tokens: Tensor, slots: Sequence[int]) -> Tensor:
        """Draw the tokens of slots that are -1, in place."""

        def sample(slot: int, rows: Tensor, logits: Tensor, prefixes: Tensor | None) -> Tensor:
            selected = tokens if len(rows) == len(tokens) else tokens[rows]
            return self.slot_sampler.sample(selected, slot, logits, prefixes=prefixes)

        return self.chain.draw(tokens, slots, sample)

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
        weight = weight.view(-1, N_CANDIDATES).softmax(1)
        tokens.copy_(many[resample_per_group(weight, N_CANDIDATES, self.slot_sampler.options.noise)])

    def predict(self, tokens: Tensor, means: Sequence[Floats | None]) -> tuple[Tensor, dict[int, Tensor]]:
        """Fill the tokens that are -1 with the most probable one, each given only the known tokens.

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
            limit = self.slot_sampler.options.limits[slot]
            if limit is not None and limit.ndim == 2:  # a low digit follows the high digit that was chosen
                self.chain.add(part, slot - 1, out[rows, slot - 1])
                known = known.clone()
                known[:, slot - 1] = out[rows, slot - 1]
                before = sorted({*seen, slot - 1})
            probabilities, _ = self.slot_sampler.probabilities(
                known, slot, self.chain.logits(part, known, slot, before)
            )
            out[rows, slot] = probabilities.argmax(1)
            mean = means[slot]
            if mean is not None:
                value = torch.full((len(tokens),), torch.nan, dtype=torch.float64, device=tokens.device)
                ordered = probabilities[:, : len(mean)].double()
                value[rows] = (ordered @ torch.from_numpy(mean).to(ordered)) / ordered.sum(1)
                numbers[slot] = value
        return out, numbers
