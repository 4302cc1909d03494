"""Base class of the VAE and the GAN: rows are generated from latents."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor

from tabsynth.common.arrays import Arrays
from tabsynth.privacy.budget import Privacy
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.network_synthesizer import NetworkSynthesizer
from tabsynth.synthesizers.options import FitOptions
from tabsynth.synthesizers.private.distillation import fit_distilled, uses_dp_sgd
from tabsynth.synthesizers.sampling.latent import LatentSampler
from tabsynth.synthesizers.sampling.slot_sampler import RowOptions
from tabsynth.training.loop import chosen_device
from tabsynth.training.networks.vae import LatentNet, LatentSizing


class LatentSynthesizer(NetworkSynthesizer):
    """A token model whose network decodes latents."""

    supports_privacy: ClassVar[bool] = True

    sizing_: LatentSizing
    net_: LatentNet

    def __init__(
        self,
        *,
        epochs: int | None = None,
        min_group: int = 5,
        device: str = "auto",
        private_training: str = "distilled",
    ) -> None:
        self.epochs = epochs
        self.min_group = min_group
        self.device = device
        self.private_training = private_training

    def _fit_private(self, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions) -> None:
        if uses_dp_sgd(self.private_training):
            self._fit_dp_sgd(frame, schema, privacy, run)
        else:
            fit_distilled(self, frame, schema, privacy, run)

    @abstractmethod
    def _fit_dp_sgd(self, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions) -> None:
        """Pretrain on rows of a private mixture, then train on the real rows by DP-SGD."""

    @abstractmethod
    def _network(self, seed: int) -> LatentNet:
        """Return a new network for a fit."""

    def _inference_network(self) -> LatentNet:
        """Return a network whose weights are loaded afterwards."""
        return self._network(0)

    def _fill(self, tokens: Tensor, options: RowOptions) -> Tensor:
        """Sample the tokens that are -1, in place, and return the rows."""
        return LatentSampler(self.net_, self._slot_sampler(options), self.order_).draw(tokens)

    def card(self) -> dict[str, Any]:
        """Return the model card: facts about the model for users of the synthetic table."""
        sampling = "calibrated to the training marginals (from 1,000 rows on) and stratified unless switched off"
        return {**super().card(), "sampling": sampling}

    def _model_state(self) -> tuple[dict[str, Any], Arrays]:
        config, weights = super()._model_state()
        return config | ({"sizing": vars(self.sizing_)} if self.active_ else {}), weights

    def _restore_model(self, config: dict[str, Any], arrays: Arrays) -> None:
        super()._restore_model(config, arrays)
        if self.active_:
            self.sizing_ = LatentSizing(**config["sizing"])
            self.net_ = self._inference_network()
            self.net_.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in arrays.items()})
            self.net_ = self.net_.to(chosen_device(self.device)).eval()
