"""Base class of token models with a network: slot order, sampling, and selection of rows."""

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
    fit_discriminator,
    sample_rows,
    sample_unconditional_rows,
)
from tabsynth.synthesizers.sampling.slot_sampler import RowOptions, SlotSampler
from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer
from tabsynth.training.loop import chosen_device, train
from tabsynth.training.model_size import MAX_SMALL_ROWS
from tabsynth.training.networks.layout import Layout
from tabsynth.training.precision import precision_name
from tabsynth.training.stages import Stages
from tabsynth.training.training_state import TrainingConfig
from tabsynth.training.trees.discriminator import TreeDiscriminator
from tabsynth.training.validation_split import TrainValidation, split_rows
from tabsynth.training.variable_order import chain_order, mutual_information, strongest_predecessors

N_PARENTS = 4
"""Number of slots by which rows are sorted for stratified sampling."""


class NetworkSynthesizer(TokenSynthesizer):
    """A token model with a network, whose rows a tree discriminator may select.

    Attributes:
        order_: The slots in the order in which they are drawn.
        parents_: For each slot, the slots by which rows are sorted when it is sampled.
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
        """Choose order and parents; return the mutual information of the slots."""
        self.precision_ = precision_name(chosen_device(self.device))
        information = mutual_information(tokens, self.layout_)
        small = len(tokens) < MAX_SMALL_ROWS
        self.order_ = self._order_digits(chain_order(information, self.layout_.sizes, nearest_first=small))
        self.parents_ = strongest_predecessors(information, self.order_, N_PARENTS)
        return information

    def card(self) -> dict[str, Any]:
        """Return the model card: facts about the model for users of the synthetic table."""
        return {**super().card(), "precision": self.precision_}

    @torch.inference_mode()
    def _sample_tokens(self, fixed: Tokens, limits: list[Floats | None], draw: SampleContext) -> Tokens:
        choice = DiscriminatorSelection.by(self.trees_, self._allowed_tokens)
        return sample_rows(self._fill, self._refine, choice, fixed, limits, draw, self._device())

    @torch.inference_mode()
    def _draw_candidates(self, count: int, seed: int, finished: bool) -> Tensor:
        """Return the candidate rows, shape (count, slots)."""
        finish = self._refine if finished else None
        return sample_unconditional_rows(self._fill, finish, count, len(self.active_), seed, self._device())

    def _device(self) -> torch.device:
        """Return the device of the network."""
        return next(self.net_.parameters()).device

    def _slot_sampler(self, options: RowOptions, weights: Mapping[int, Tensor] | None = None) -> SlotSampler:
        """Return the sampler of a slot's tokens from its logits; ``weights`` of tokens replace calibration."""
        return SlotSampler(self.layout_, self.parents_, self._allowed_tokens, options, weights or {})

    @abstractmethod
    def _fill(self, tokens: Tensor, options: RowOptions) -> Tensor:
        """Sample the tokens that are -1, in place."""

    def _refine(self, tokens: Tensor, free: Tensor, options: RowOptions) -> Tensor:
        """Return the sampled and selected rows, with some free cells resampled."""
        return tokens


def split_fit(tokens: Tokens, run: FitOptions, device: torch.device) -> TrainValidation:
    """Return the rows of a fit: those of the tokens, split, or those in files, of which the tokens are a sample."""
    if run.shards is not None:
        return TrainValidation.of_shards(run.shards, tokens, device)
    return split_rows(tokens, run.seed, device, run.row_weights.weights)


def fit_network(
    net: nn.Module,
    layout: Layout,
    loss: Callable[[Tensor, torch.Generator], Tensor],
    validation_loss: Callable[[], float],
    parts: TrainValidation,
    config: TrainingConfig,
    pool: CandidateFn,
    run: FitOptions,
    fingerprint: str,
    on_step: Callable[[float], None] | None = None,
    trained: Callable[[], None] | None = None,
) -> tuple[float | None, TreeDiscriminator | None]:
    """Train a network in place; return its validation score, and a tree discriminator of its rows if it helps.

    Args:
        net: The network.
        layout: The slots.
        loss: Loss of a batch; see ``train``.
        validation_loss: Loss of the network on the validation rows.
        parts: The rows of the fit.
        config: The training configuration.
        pool: Samples rows for the discriminator.
        run: The fit's seed, callbacks and checkpoint.
        fingerprint: Identifies the fit in its checkpoint.
        on_step: Called before every step with the completed share of the fit.
        trained: Called after training of the network, before the discriminator is fitted.
    """

    def fit(checkpoint: Path | None, fingerprint: str) -> float | None:
        return train(
            net,
            loss,
            validation_loss,
            parts.training if parts.shards is None else parts.shards,
            config,
            seed=run.seed,
            checkpoint=checkpoint,
            fingerprint=fingerprint,
            callbacks=run.callbacks,
            progress=run.progress,
            on_step=on_step,
            weights=parts.weights,
        )

    stages = Stages(run.checkpoint, fingerprint)
    score = stages.run("network", net, fit)
    if trained is not None:
        trained()
    trees = fit_discriminator(layout, parts, pool, run.seed, run.progress) if run.fit_discriminator else None
    stages.clear()
    return score, trees
