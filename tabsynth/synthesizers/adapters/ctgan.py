"""CTGAN and TVAE, from the package ctgan, behind our interface; the copulas are in ``copula_adapters``.

The package is imported only when a model is fitted or read. It is under the Business Source License 1.1: see the README
before you build a service on it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
import torch

from tabsynth.common.arrays import Arrays
from tabsynth.errors import InputError
from tabsynth.synthesizers.adapters.base import WrappedSynthesizer, require_package
from tabsynth.training.loop import chosen_device


class CTGANSynthesizer(WrappedSynthesizer):
    """The conditional GAN of Xu et al. (arXiv 1907.00503), from the package ctgan.

    Good for comparing with published work, and where a pipeline rests on it. ``MaskedSynthesizer`` is simply better: on
    Adult it errs by 0.1 % in columns and 0.9 % in pairs after 24 seconds on two CPU cores; published errors of CTGAN
    are 17 % and 20 % (Zhang et al., arXiv 2310.09656), and its 300 epochs take 582 seconds there.

    Args:
        epochs, batch_size, embedding_dim, generator_dim, discriminator_dim, generator_lr, discriminator_lr,
            discriminator_steps, log_frequency, pac: As in ``ctgan.CTGAN``, with its defaults.
        min_group: No category and no bound rests on fewer persons than this; 1 switches the floor off.
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
        check_counts(
            epochs=self.epochs,
            batch_size=self.batch_size,
            embedding_dim=self.embedding_dim,
            discriminator_steps=self.discriminator_steps,
            pac=self.pac,
        )
        check_batch(self.batch_size, self.pac)

    def _fit_plain(self, plain: pd.DataFrame, show_progress: bool) -> tuple[dict[str, Any], Arrays]:
        model = self._new_model(show_progress)
        model.fit(plain, discrete_columns=self.table_adapter_.discrete)
        return ctgan_parts(model)

    def _assemble(self, parts: dict[str, Any], weights: Arrays) -> Any:
        return ctgan_from_parts(self._new_model(None), parts, weights)

    def _sample_plain(self, model: Any, n: int) -> pd.DataFrame:
        drawn: pd.DataFrame = model.sample(n)
        return drawn

    def _new_model(self, show_progress: bool | None) -> Any:
        """Return a CTGAN that has learned nothing yet; ``show_progress`` is None for one that is read from a file."""
        return require_package("ctgan", type(self).__name__).CTGAN(
            epochs=self.epochs,
            batch_size=self.batch_size,
            embedding_dim=self.embedding_dim,
            generator_dim=self.generator_dim,
            discriminator_dim=self.discriminator_dim,
            generator_lr=self.generator_lr,
            discriminator_lr=self.discriminator_lr,
            discriminator_steps=self.discriminator_steps,
            log_frequency=self.log_frequency,
            pac=self.pac,
            verbose=bool(show_progress),
            enable_gpu=use_gpu(self.device, required=show_progress is not None),
        )


class TVAESynthesizer(WrappedSynthesizer):
    """The variational autoencoder of Xu et al. (arXiv 1907.00503), from the package ctgan.

    Good for comparing with published work. ``MaskedSynthesizer`` is simply better, and ``VAESynthesizer`` the nearer
    kin: on Adult these err by at most 0.4 % in columns and 1.2 % in pairs; published errors of TVAE are 14 % in both
    (Zhang et al., arXiv 2310.09656), and its 300 epochs take 222 seconds on two CPU cores.

    Args:
        epochs, batch_size, embedding_dim, compress_dims, decompress_dims, l2scale, loss_factor: As in ``ctgan.TVAE``,
            with its defaults.
        min_group: No category and no bound rests on fewer persons than this; 1 switches the floor off.
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
        check_counts(epochs=self.epochs, batch_size=self.batch_size, embedding_dim=self.embedding_dim)

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

    def _sample_plain(self, model: Any, n: int) -> pd.DataFrame:
        drawn: pd.DataFrame = model.sample(n)
        return drawn

    def _new_model(self, show_progress: bool | None) -> Any:
        """Return a TVAE that has learned nothing yet; ``show_progress`` is None for one that is read from a file."""
        return require_package("ctgan", type(self).__name__).TVAE(
            epochs=self.epochs,
            batch_size=self.batch_size,
            embedding_dim=self.embedding_dim,
            compress_dims=self.compress_dims,
            decompress_dims=self.decompress_dims,
            l2scale=self.l2scale,
            loss_factor=self.loss_factor,
            verbose=bool(show_progress),
            enable_gpu=use_gpu(self.device, required=show_progress is not None),
        )


def check_counts(**options: int) -> None:
    """Raise InputError for an option that is not a whole number of at least one."""
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")


def use_gpu(device: str, *, required: bool) -> bool:
    """Return whether to use a GPU; a model that was fitted on one may sample on a machine without.

    Raises:
        InputError: The device is required and not here.
    """
    try:
        return chosen_device(device).type != "cpu"
    except InputError:
        if required:
            raise
        return False


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
