"""Sampler of one slot's tokens from its logits: allowed tokens, limits, calibration and stratification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tabsynth.common.arrays import Floats
from tabsynth.synthesizers.sampling.calibration import (
    fit_calibration_weights,
    reweight_,
    sample_balanced,
    sample_inverse_cdf,
    softmax_,
    stratified_uniforms,
)
from tabsynth.training.networks.layout import Layout


@dataclass(frozen=True, eq=False)
class RowOptions:
    """Options of sampling rows.

    Attributes:
        limits: The allowed share of each token of a slot, None where unrestricted; two-dimensional where it
            depends on the token of the slot before.
        noise: Random generator.
        calibrate: Calibrate each slot's mean prediction to its training marginal.
        stratify: Stratify the uniforms over similar rows.
    """

    limits: Sequence[Floats | None]
    noise: torch.Generator
    calibrate: bool = False
    stratify: bool = False

    def plain(self, free: Tensor) -> bool:
        """Return whether sampling is unconditional, given the free cells."""
        return bool(free.all()) and all(limit is None for limit in self.limits)


@dataclass(frozen=True, eq=False)
class SlotSampler:
    """Sampler of slots.

    Attributes:
        layout: The learned slots.
        parents: For each slot, the slots by which rows are sorted for stratified sampling.
        emit: Allowed tokens of each slot; two-dimensional, like limits, for a low digit.
        options: Limits, random generator, calibration and stratification.
        calibration_weights: Fixed weights of a slot's tokens, used without calibration.
        fitted_weights: The weights by which a slot was calibrated last.
    """

    layout: Layout
    parents: Sequence[Sequence[int]]
    emit: Sequence[npt.NDArray[np.bool_]]
    options: RowOptions
    calibration_weights: Mapping[int, Tensor] = field(default_factory=dict)
    fitted_weights: dict[int, Tensor] = field(default_factory=dict)

    def limited(self, order: Sequence[int]) -> list[int]:
        """Return the restricted slots of an order; those whose limits depend on another slot come last."""
        dimensions = [0 if limit is None else limit.ndim for limit in self.options.limits]
        return sorted((slot for slot in order if dimensions[slot]), key=lambda slot: dimensions[slot])

    def probabilities(self, tokens: Tensor, slot: int, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities of a slot's tokens within its limits, and the probability of the limits.

        Args:
            tokens: The rows' tokens so far, shape (rows, slots).
            slot: The slot.
            logits: Shape (rows, size); replaced by the probabilities.
        """
        emit = torch.from_numpy(self.emit[slot]).to(logits.device)
        if emit.dim() == 2:  # the low digit of a wide column, after its high digit
            emit = emit[tokens[:, slot - 1].clamp(min=0)]
        free = self._sample_valid(slot, logits, emit)
        limit = self.options.limits[slot]
        if limit is None:
            return free, torch.ones(len(free), device=free.device)
        share = torch.from_numpy(limit).to(free)
        share = share if share.dim() == 1 else share[tokens[:, slot - 1].clamp(min=0)]
        met = free * share
        mass = met.sum(1)
        # If the network gives the limits zero probability, allowed tokens are uniform.
        met = met.where(mass.unsqueeze(1) > 0, (share > 0).to(free).expand_as(free))
        return met / met.sum(1, keepdim=True).clamp(min=1e-30), mass

    def _sample_valid(self, slot: int, logits: Tensor, emit: Tensor) -> Tensor:
        """Return the probabilities of allowed tokens; the mass of others goes to the slot's values, not to MISSING."""
        allowed, missing = self.emit[slot], self.layout.missing_token(slot)
        if allowed.all():
            return softmax_(logits)
        if missing is None or not allowed[missing] or allowed.sum() == 1:
            return softmax_(logits.masked_fill_(~emit, -torch.inf))
        absent = (logits[:, missing] - logits.logsumexp(1)).exp()
        logits.masked_fill_(~emit, -torch.inf)[:, missing] = -torch.inf
        softmax_(logits).mul_((1 - absent).unsqueeze(1))[:, missing] = absent
        return logits

    def sample(
        self,
        tokens: Tensor,
        slot: int,
        logits: Tensor,
        *,
        prefixes: Tensor | None = None,
        groups: Tensor | None = None,
    ) -> Tensor:
        """Draw one slot's tokens, shape (rows,).

        Args:
            tokens: The rows' tokens so far, shape (rows, slots).
            slot: The slot.
            logits: Shape (rows, size), or (prefixes, size); replaced by the probabilities.
            prefixes: The row of the logits that belongs to each row; None where every row has its own.
            groups: Groups of similar rows to balance, shape (rows, ways); by default rows are sorted by the tokens of
                the slot's parents and sampled with stratified uniforms.
        """
        options, emit, limit, first, counts = self.options, self.emit[slot], self.options.limits[slot], tokens, None
        low = emit.ndim == 2  # a low digit, which follows its high one
        if prefixes is not None:
            counts = torch.bincount(prefixes, minlength=len(logits))
            if low or (limit is not None and limit.ndim == 2):  # only these depend on other tokens
                rows = torch.arange(len(tokens), device=tokens.device)
                first = tokens[torch.empty_like(counts).index_copy_(0, prefixes, rows)]
        chances, _ = self.probabilities(first, slot, logits)
        if options.calibrate and not low and slot not in self.layout.slots_with_absent_rows:
            target = torch.from_numpy(self.layout.target_marginal(slot, emit)).to(chances)
            self.fitted_weights[slot] = fit_calibration_weights(chances, target, counts)
            chances = reweight_(chances, self.fitted_weights[slot])
        elif slot in self.calibration_weights:
            chances = reweight_(chances, self.calibration_weights[slot].to(chances))
        if options.stratify and groups is not None:
            return sample_balanced(chances, groups, options.noise)
        if options.stratify:
            uniforms = stratified_uniforms(_sorted(tokens, self.parents[slot], options.noise), options.noise)
        else:
            uniforms = torch.rand(len(tokens), generator=options.noise, device=chances.device)
        return sample_inverse_cdf(chances, uniforms, prefixes)

    def draw(self, chances: Tensor) -> Tensor:
        """Return the independent draws from rows of probabilities, shape (rows,)."""
        uniforms = torch.rand(len(chances), generator=self.options.noise, device=chances.device)
        return sample_inverse_cdf(chances, uniforms)


def _sorted(tokens: Tensor, parents: Sequence[int], noise: torch.Generator) -> Tensor:
    """Return the rows sorted by the tokens of their parents, ties in random order, shape (rows,)."""
    order = torch.randperm(len(tokens), generator=noise, device=tokens.device)
    if not parents:
        return order
    key = tokens[order, parents[0]]
    for slot in parents[1:]:
        token = tokens[order, slot]
        key = key * (token.max() + 1) + token
    return order[key.argsort(stable=True)]
