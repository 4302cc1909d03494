"""Base class of the VAE and the GAN: rows are generated from latents."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from tabsynth.common.arrays import Arrays
from tabsynth.synthesizers.network_synthesizer import NetworkSynthesizer
from tabsynth.synthesizers.sampling.latent import LatentSampler
from tabsynth.synthesizers.sampling.slot_sampler import RowOptions
from tabsynth.training.loop import chosen_device
from tabsynth.training.networks.vae import LatentNet, LatentSizing


class LatentSynthesizer(NetworkSynthesizer):
    """A token model whose network decodes latents."""

    device: str
    sizing_: LatentSizing
    net_: LatentNet

    @abstractmethod
    def _network(self, seed: int) -> LatentNet:
        """Return a new network for a fit."""

    def _inference_network(self) -> LatentNet:
        """Return a network whose weights are loaded afterwards."""
        return self._network(0)

    def _fill(self, tokens: Tensor, options: RowOptions) -> Tensor:
        """Return the rows with the tokens that were -1 drawn, in place."""
        return LatentSampler(self.net_, self._slot_sampler(options), self.order_).draw(tokens)

    def card(self) -> dict[str, Any]:
        """Return the model card: facts about the model for users of the synthetic table."""
        sampling = "calibrated to the training marginals (from 1,000 rows on) and stratified unless switched off"
        return {**super().card(), "sampling": sampling}

    def _model_state(self) -> tuple[dict[str, Any], Arrays]:
        config: dict[str, Any] = {"order": self.order_, "parents": self.parents_, "precision": self.precision_}
        if not self.active_:
            return config, {}
        weights = {name: value.cpu().numpy() for name, value in self.net_.state_dict().items()}
        return config | {"sizing": vars(self.sizing_)}, weights

    def _restore_model(self, config: dict[str, Any], arrays: Arrays) -> None:
        self.order_ = [int(slot) for slot in config["order"]]
        self.parents_ = [[int(slot) for slot in parents] for parents in config["parents"]]
        self.precision_ = config.get("precision")
        if self.active_:
            self.sizing_ = LatentSizing(**config["sizing"])
            self.net_ = self._inference_network()
            self.net_.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in arrays.items()})
            self.net_ = self.net_.to(chosen_device(self.device)).eval()
