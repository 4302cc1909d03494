"""Base class of token models with a network: slot order, sampling, and selection of rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tabsynth.common.arrays import Arrays, Floats, Tokens
from tabsynth.synthesizers.options import FitOptions, SampleContext
from tabsynth.synthesizers.sampling.discriminator_selection import (
    MIN_CALIBRATED_ROWS,
    DiscriminatorSelection,
    fit_discriminator,
    sample_rows,
)
from tabsynth.synthesizers.sampling.slot_sampler import RowOptions, SlotSampler
from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer
from tabsynth.training.loop import Objective, chosen_device
from tabsynth.training.model_size import MAX_SMALL_ROWS
from tabsynth.training.precision import precision_name
from tabsynth.training.stages import Stages
from tabsynth.training.training_state import TrainingConfig
from tabsynth.training.validation_split import TrainValidation, split_rows
from tabsynth.training.variable_order import chain_order, mutual_information, strongest_predecessors

N_PARENTS = 4
"""Number of slots by which rows are sorted for stratified sampling."""


class NetworkSynthesizer(TokenSynthesizer):
    """A token model with a network, whose rows a tree discriminator may select.

    Attributes:
        order_: The slots in sampling order.
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
        self._order_slots(information, nearest_first=len(tokens) < MAX_SMALL_ROWS)
        return information

    def _order_slots(self, information: npt.NDArray[np.float64], *, nearest_first: bool) -> None:
        """Choose order and parents by the mutual information of the slots."""
        order = chain_order(information, self.layout_.sizes, nearest_first=nearest_first)
        self.order_ = self._order_digits(order)
        self.parents_ = strongest_predecessors(information, self.order_, N_PARENTS)

    def card(self) -> dict[str, Any]:
        """Return the model card: facts about the model for users of the synthetic table."""
        return {**super().card(), "precision": self.precision_}

    @torch.inference_mode()
    def _sample_tokens(self, fixed: Tokens, limits: list[Floats | None], draw: SampleContext) -> Tokens:
        choice = DiscriminatorSelection.by(self.trees_, self._allowed_tokens)
        return sample_rows(self._fill, self._candidates, self._refine, choice, fixed, limits, draw, self._device())

    def _train_network(
        self,
        objective: Objective,
        parts: TrainValidation,
        config: TrainingConfig,
        run: FitOptions,
        trained: Callable[[], None] = lambda: None,
    ) -> float | None:
        """Train the network, then a discriminator of its rows; return the network's validation score.

        Args:
            objective: The loss.
            parts: The rows of the fit.
            config: The training configuration.
            run: Options of the fit.
            trained: Called before the discriminator is fitted.
        """
        stages, rows = Stages(run), parts.training if parts.shards is None else parts.shards
        score = stages.train("network", self.net_, objective, rows, config, weights=parts.weights)
        trained()
        self._fit_discriminator(parts, run)
        stages.clear()
        return score

    def _fit_discriminator(self, parts: TrainValidation, run: FitOptions) -> None:
        """Fit a discriminator of the network's rows, which is kept if it helps."""
        if run.fit_discriminator:
            self.trees_ = fit_discriminator(self.layout_, parts, self._draw_candidates, run.seed, run.progress)

    @torch.inference_mode()
    def _draw_candidates(self, count: int, seed: int, finished: bool) -> Tensor:
        """Return the candidate rows, shape (count, slots)."""
        noise = torch.Generator(self._device()).manual_seed(seed)
        options = RowOptions([None] * len(self.active_), noise, count >= MIN_CALIBRATED_ROWS, True)
        if not finished:
            return self._candidates(count, 1, options)
        tokens = self._fill(torch.full((count, len(self.active_)), -1, device=self._device()), options)
        return self._refine(tokens, torch.ones_like(tokens, dtype=torch.bool), options)

    def _candidates(self, rows: int, branches: int, options: RowOptions) -> Tensor:
        """Return rows for selection, shape (rows * branches, slots); branches of a row may have slots in common."""
        return self._fill(torch.full((rows * branches, len(self.active_)), -1, device=self._device()), options)

    def _model_state(self) -> tuple[dict[str, Any], Arrays]:
        weights = self.net_.state_dict() if self.active_ else {}
        config = {"order": self.order_, "parents": self.parents_, "precision": self.precision_}
        return config, {name: value.cpu().numpy() for name, value in weights.items()}

    def _restore_model(self, config: dict[str, Any], arrays: Arrays) -> None:
        """Restore order and parents; subclasses build the network and load its weights."""
        self.order_ = [int(slot) for slot in config["order"]]
        self.parents_ = [[int(slot) for slot in parents] for parents in config["parents"]]
        slots = range(len(self.active_))
        known = all(slot in slots for parents in self.parents_ for slot in parents)
        if sorted(self.order_) != [*slots] or len(self.parents_) != len(slots) or not known:
            raise ValueError("the order and the parents are not those of the columns")
        self.precision_ = config.get("precision")
        most = max((max(array.shape, default=0) for array in arrays.values()), default=0)
        sizes = {name: config.get("sizing", {}).get(name, 1) for name in ("width", "latents", "links", "hidden")}
        sizes["blocks"] = config.get("sizing", {}).get("blocks", 1)
        for name, size in sizes.items():  # before a network of these sizes takes its memory
            limit = len(arrays) if name == "blocks" else most
            if self.active_ and (type(size) is not int or not 0 <= size <= limit):
                raise ValueError(f"the file does not contain the weights of {size} {name}")

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
