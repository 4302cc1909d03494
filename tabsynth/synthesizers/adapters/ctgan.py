"""Adapters of CTGAN and TVAE, from the package ctgan.

The package is imported only when a model is fitted or read. It is under the Business Source License 1.1: see the README
before you build a service on it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
import torch

from tabsynth.common.arrays import Arrays
from tabsynth.common.validation import check_required_integers
from tabsynth.errors import InputError
from tabsynth.synthesizers.adapters.base import WrappedSynthesizer, require_package

GAN_COUNTS = ("epochs", "batch_size", "embedding_dim", "discriminator_steps", "pac")
"""Options of CTGAN that are positive integers."""


class CTGANSynthesizer(WrappedSynthesizer):
    """The conditional GAN of Xu et al. (arXiv 1907.00503), from the package ctgan.

    For comparison with published results, and for pipelines that depend on it. ``MaskedSynthesizer`` is more accurate
    and faster: on Adult its error is 0.1 % in columns and 0.9 % in pairs after 24 seconds on two CPU cores; published
    errors of CTGAN are 17 % and 20 % (Zhang et al., arXiv 2310.09656), and its 300 epochs take 582 seconds there.

    Args:
        epochs, batch_size, embedding_dim, generator_dim, discriminator_dim, generator_lr, discriminator_lr,
            discriminator_steps, log_frequency, pac: As in ``ctgan.CTGAN``, with its defaults.
        min_group: Minimum persons behind each category and each bound of the model; 1 switches the floor off.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    kind: ClassVar[str] = "ctgan"
    package: ClassVar[str] = "ctgan"

    def __init__(
        self,
        *,
        epochs: int = 300,
        batch_size: int = 500,
        embedding_dim: int = 128,
        generator_dim: tuple[int, ...] = (256, 256),
        discriminator_dim: tuple[int, ...] = (256, 256),
        generator_lr: float = 2e-4,
        discriminator_lr: float = 2e-4,
        discriminator_steps: int = 1,
        log_frequency: bool = True,
        pac: int = 10,
        min_group: int = 5,
        device: str = "auto",
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.embedding_dim = embedding_dim
        self.generator_dim = generator_dim
        self.discriminator_dim = discriminator_dim
        self.generator_lr = generator_lr
        self.discriminator_lr = discriminator_lr
        self.discriminator_steps = discriminator_steps
        self.log_frequency = log_frequency
        self.pac = pac
        self.min_group = min_group
        self.device = device

    def _check_options(self) -> None:
        check_required_integers(**{name: getattr(self, name) for name in GAN_COUNTS})
        check_batch(self.batch_size, self.pac)

    def _fit_plain(self, plain: pd.DataFrame, show_progress: bool) -> tuple[dict[str, Any], Arrays]:
        model = self._new_model(show_progress)
        model.fit(plain, discrete_columns=self.table_adapter_.discrete)
        return ctgan_parts(model)

    def _assemble(self, parts: dict[str, Any], weights: Arrays) -> Any:
        return ctgan_from_parts(self._new_model(None), parts, weights)

    def _new_model(self, show_progress: bool | None) -> Any:
        """Return an untrained CTGAN; ``show_progress`` is None for one that is read from a file."""
        return require_package("ctgan", type(self).__name__).CTGAN(**self._package_options(show_progress))


class TVAESynthesizer(WrappedSynthesizer):
    """The variational autoencoder of Xu et al. (arXiv 1907.00503), from the package ctgan.

    For comparison with published results. ``MaskedSynthesizer`` and, of the same model family, ``VAESynthesizer`` are
    more accurate: on Adult their errors are at most 0.4 % in columns and 1.2 % in pairs; published errors of TVAE are
    14 % in both (Zhang et al., arXiv 2310.09656), and its 300 epochs take 222 seconds on two CPU cores.

    Args:
        epochs, batch_size, embedding_dim, compress_dims, decompress_dims, l2scale, loss_factor: As in ``ctgan.TVAE``,
            with its defaults.
        min_group: Minimum persons behind each category and each bound of the model; 1 switches the floor off.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    kind: ClassVar[str] = "tvae"
    package: ClassVar[str] = "ctgan"

    def __init__(
        self,
        *,
        epochs: int = 300,
        batch_size: int = 500,
        embedding_dim: int = 128,
        compress_dims: tuple[int, ...] = (128, 128),
        decompress_dims: tuple[int, ...] = (128, 128),
        l2scale: float = 1e-5,
        loss_factor: float = 2,
        min_group: int = 5,
        device: str = "auto",
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.embedding_dim = embedding_dim
        self.compress_dims = compress_dims
        self.decompress_dims = decompress_dims
        self.l2scale = l2scale
        self.loss_factor = loss_factor
        self.min_group = min_group
        self.device = device

    def _check_options(self) -> None:
        counts = {name: getattr(self, name) for name in ("epochs", "batch_size", "embedding_dim")}
        check_required_integers(**counts)

    def _fit_plain(self, plain: pd.DataFrame, show_progress: bool) -> tuple[dict[str, Any], Arrays]:
        model = self._new_model(show_progress)
        model.fit(plain, discrete_columns=self.table_adapter_.discrete)
        return {"transformer": model.transformer}, network_weights(model.decoder)

    def _assemble(self, parts: dict[str, Any], weights: Arrays) -> Any:
        networks = require_package("ctgan.synthesizers.tvae", type(self).__name__)
        model = self._new_model(None)
        model.transformer = parts["transformer"]
        decoder = networks.Decoder(self.embedding_dim, self.decompress_dims, model.transformer.output_dimensions)
        model.decoder = load_weights(decoder, weights).to(model._device)
        return model

    def _new_model(self, show_progress: bool | None) -> Any:
        """Return an untrained TVAE; ``show_progress`` is None for one that is read from a file."""
        return require_package("ctgan", type(self).__name__).TVAE(**self._package_options(show_progress))


def check_batch(batch_size: int, pac: int) -> None:
    """Raise InputError for a batch that CTGAN cannot split; it may be larger than the table, whose rows it draws."""
    if batch_size % 2 or batch_size % pac:
        step = pac if pac % 2 == 0 else 2 * pac
        nearest = max(round(batch_size / step), 1) * step
        raise InputError(
            f"batch_size must be even and a multiple of pac={pac}, not {batch_size}; the nearest is {nearest}"
        )


def ctgan_parts(model: Any) -> tuple[dict[str, Any], Arrays]:
    """Return the parameters of a fitted ``ctgan.CTGAN`` that sampling needs."""
    return {"transformer": model._transformer, "sampler": model._data_sampler}, network_weights(model._generator)


def ctgan_from_parts(blank: Any, parts: dict[str, Any], weights: Arrays) -> Any:
    """Return a ``ctgan.CTGAN`` that samples as the fitted one did."""
    networks = require_package("ctgan.synthesizers.ctgan", "this model")
    blank._transformer, blank._data_sampler = parts["transformer"], parts["sampler"]
    inputs = blank._embedding_dim + blank._data_sampler.dim_cond_vec()
    generator = networks.Generator(inputs, blank._generator_dim, blank._transformer.output_dimensions)
    blank._generator = load_weights(generator, weights).to(blank._device)
    return blank


def network_weights(network: torch.nn.Module) -> Arrays:
    """Return a network's weights and buffers as arrays."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def load_weights(network: torch.nn.Module, weights: Arrays) -> torch.nn.Module:
    """Return a network with its weights and buffers put back."""
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    tensors = {name: torch.from_numpy(array.copy()).reshape(shapes[name]) for name, array in weights.items()}
    network.load_state_dict(tensors)
    return network
