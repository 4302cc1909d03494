"""What the models with a network of tokens share: the order of the slots, and rows that are filled in and chosen."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tabsynth.common.arrays import Floats, Tokens
from tabsynth.synthesizers.options import FitOptions, SampleContext
from tabsynth.synthesizers.sampling.discriminator_selection import (
    CandidateFn,
    DiscriminatorSelection,
    RowOptions,
    fit_discriminator,
    sample_rows,
    sample_unconditional_rows,
)
from tabsynth.synthesizers.sampling.slot_sampler import SlotSampler
from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer
from tabsynth.training.loop import chosen_device, train
from tabsynth.training.model_size import MAX_SMALL_ROWS
from tabsynth.training.networks.layout import Layout
from tabsynth.training.precision import precision_name
from tabsynth.training.stages import Stages
from tabsynth.training.training_state import TrainingConfig
from tabsynth.training.trees.discriminator import TreeDiscriminator
from tabsynth.training.validation_split import TrainValidation
from tabsynth.training.variable_order import chain_order, mutual_information, strongest_predecessors

N_PARENTS = 4
"""Slots by which rows are sorted before stratified uniforms are dealt to them."""


class NetworkSynthesizer(TokenSynthesizer):
    """A model of tokens whose network fills in rows, among which a critic may choose.

    Attributes:
        order_: The slots in the order in which they are drawn.
        parents_: For each slot, those by which rows are sorted when it is drawn.
        net_: The network.
        precision_: Type in which the fit ran its matrix products, ``bfloat16`` or ``float32``; None in files of
            earlier versions.
    """

    device: str
    precision_: str | None
    order_: list[int]
    parents_: list[list[int]]
    net_: nn.Module

    def _choose_order(self, tokens: Tokens) -> npt.NDArray[np.float64]:
        """Choose order and parents; return the mutual information of slots that they rest on."""
        self.precision_ = precision_name(chosen_device(self.device))
        information = mutual_information(tokens, self.layout_)
        small = len(tokens) < MAX_SMALL_ROWS
        self.order_ = self._order_digits(chain_order(information, self.layout_.sizes, nearest_first=small))
        self.parents_ = strongest_predecessors(information, self.order_, N_PARENTS)
        return information

    def card(self) -> dict[str, Any]:
        """The model card: what a reader of the synthetic table should know of its model."""
        return {**super().card(), "precision": self.precision_}

    @torch.inference_mode()
    def _sample_tokens(
        self,
        fixed: Tokens,
        limits: list[Floats | None],
        draw: SampleContext,
        *,
        calibrate: bool,
        stratify: bool,
    ) -> Tokens:
        choice, device = DiscriminatorSelection.by(self.trees_, self._allowed_tokens), self._device()
        how = {"calibrate": calibrate, "stratify": stratify}
        return sample_rows(self._fill, self._refine, choice, fixed, limits, draw, device, **how)

    @torch.inference_mode()
    def _draw_candidates(self, count: int, seed: int, finished: bool) -> Tensor:
        """Rows for a critic, shape (count, slots)."""
        finish = self._refine if finished else None
        return sample_unconditional_rows(self._fill, finish, count, len(self.active_), seed, self._device())

    def _device(self) -> torch.device:
        """Where the network is."""
        return next(self.net_.parameters()).device

    def _slot_sampler(self, options: RowOptions, weights: Mapping[int, Tensor] | None = None) -> SlotSampler:
        """Sampler of a slot's tokens from its logits; ``weights`` of tokens replace calibration."""
        asked = options.limits, options.noise, options.calibrate, options.stratify
        allowed = self._allowed_tokens
        return SlotSampler(self.layout_, self.parents_, allowed, *asked, calibration_weights=weights or {})

    @abstractmethod
    def _fill(self, tokens: Tensor, options: RowOptions) -> Tensor:
        """Rows with the tokens that were -1 drawn, in place."""

    def _refine(self, tokens: Tensor, free: Tensor, options: RowOptions) -> Tensor:
        """Rows that are filled and chosen, with some of their free cells drawn once more."""
        return tokens


def fit_network(
    net: nn.Module,
    layout: Layout,
    loss: Callable[[Tensor, torch.Generator], Tensor],
    judge: Callable[[], float],
    parts: TrainValidation,
    recipe: TrainingConfig,
    pool: CandidateFn,
    run: FitOptions,
    fingerprint: str,
    pace: Callable[[float], None] | None = None,
    trained: Callable[[], None] | None = None,
) -> tuple[float | None, TreeDiscriminator | None]:
    """Train a network in place; return its score on held-out rows, and a critic of its rows where one is of use.

    Args:
        net: What is trained.
        layout: The slots.
        loss: See ``train``, as for the judge, the recipe and the pace.
        judge: Score of the network on held-out rows.
        parts: The rows of the fit.
        recipe: How long and how fast.
        pool: Draws rows for a critic.
        run: The fit's seed, callbacks and checkpoint.
        fingerprint: Names the fit for its checkpoint.
        pace: Told before every step which share of the fit is done.
        trained: Called when the network is trained, before a critic looks.
    """

    def fit(checkpoint: Path | None, fingerprint: str) -> float | None:
        return train(
            net,
            loss,
            judge,
            parts.training,
            recipe,
            seed=run.seed,
            checkpoint=checkpoint,
            fingerprint=fingerprint,
            callbacks=run.callbacks,
            progress=run.progress,
            pace=pace,
            weights=parts.weights,
        )

    stages = Stages(run.checkpoint, fingerprint)
    score = stages.run("network", net, fit)
    if trained is not None:
        trained()
    trees = fit_discriminator(layout, parts, pool, run.seed, run.progress) if run.fit_discriminator else None
    stages.clear()
    return score, trees
