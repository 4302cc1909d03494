"""Adapters of the Gaussian copula and CopulaGAN, from the package sdv.

The package is imported only when a model is fitted or read. It is under the Business Source License 1.1: see the README
before you build a service on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd

from tabsynth.common.arrays import Arrays
from tabsynth.common.validation import check_required_integers
from tabsynth.errors import InputError, quote
from tabsynth.synthesizers.adapters.base import WrappedSynthesizer, require_package
from tabsynth.synthesizers.adapters.ctgan import GAN_COUNTS, check_batch, ctgan_from_parts, ctgan_parts
from tabsynth.synthesizers.adapters.table_adapter import TableAdapter

DISTRIBUTIONS = ("beta", "norm", "truncnorm", "gamma", "uniform")
"""The marginals; sdv's kernel density is left out, since it would keep the training column in the model file."""


class GaussianCopulaSynthesizer(WrappedSynthesizer):
    """Marginal distributions joined by a Gaussian copula, from the package sdv.

    Args:
        default_distribution: ``beta``, ``norm``, ``truncnorm``, ``gamma`` or ``uniform``.
        numerical_distributions: Other distributions, by column of numbers or dates.
        min_group: Minimum persons behind each category and each bound of the model; 1 switches the floor off.
    """

    kind: ClassVar[str] = "gaussian_copula"
    package: ClassVar[str] = "sdv"

    def __init__(
        self,
        *,
        default_distribution: str = "beta",
        numerical_distributions: Mapping[str, str] | None = None,
        min_group: int = 5,
    ) -> None:
        self.default_distribution = default_distribution
        self.numerical_distributions = numerical_distributions
        self.min_group = min_group

    def _check_options(self) -> None:
        _check_distributions(self.default_distribution, self.numerical_distributions)

    def _fit_plain(self, plain: pd.DataFrame, show_progress: bool) -> tuple[dict[str, Any], Arrays]:
        model = require_package("sdv.single_table", type(self).__name__).GaussianCopulaSynthesizer(
            _metadata(plain, self.table_adapter_.discrete),
            enforce_rounding=False,
            default_distribution=self.default_distribution,
            numerical_distributions=_plain_distributions(self.table_adapter_, self.numerical_distributions),
        )
        model.fit({TABLE: plain})
        return {"copula": model._model, "transformers": _transformers(model)}, {}

    def _assemble(self, parts: dict[str, Any], weights: Arrays) -> Any:
        return parts

    def _sample_plain(self, model: Any, n: int) -> pd.DataFrame:
        return _reverse_transform(model["transformers"], model["copula"].sample(n))


class CopulaGANSynthesizer(WrappedSynthesizer):
    """CTGAN on columns that a Gaussian copula's marginals have made normal, from the package sdv.

    Args:
        epochs, batch_size, embedding_dim, generator_dim, discriminator_dim, generator_lr, discriminator_lr,
            discriminator_steps, log_frequency, pac: As in ``sdv.single_table.CopulaGANSynthesizer``, with its defaults.
        default_distribution: ``beta``, ``norm``, ``truncnorm``, ``gamma`` or ``uniform``.
        numerical_distributions: Other distributions, by column of numbers or dates.
        min_group: Minimum persons behind each category and each bound of the model; 1 switches the floor off.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    kind: ClassVar[str] = "copula_gan"
    package: ClassVar[str] = "sdv"

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
        default_distribution: str = "beta",
        numerical_distributions: Mapping[str, str] | None = None,
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
        self.default_distribution = default_distribution
        self.numerical_distributions = numerical_distributions
        self.min_group = min_group
        self.device = device

    def _check_options(self) -> None:
        _check_distributions(self.default_distribution, self.numerical_distributions)
        check_required_integers(**{name: getattr(self, name) for name in GAN_COUNTS})
        check_batch(self.batch_size, self.pac)

    def _fit_plain(self, plain: pd.DataFrame, show_progress: bool) -> tuple[dict[str, Any], Arrays]:
        model = require_package("sdv.single_table", type(self).__name__).CopulaGANSynthesizer(
            _metadata(plain, self.table_adapter_.discrete),
            enforce_rounding=False,
            **self._package_options(show_progress)
            | {"numerical_distributions": _plain_distributions(self.table_adapter_, self.numerical_distributions)},
        )
        model.fit({TABLE: plain})
        parts, weights = ctgan_parts(model._model)
        inner = _fitted_transformers(model._gaussian_normalizer_hyper_transformer.field_transformers)
        return {**parts, "transformers": [*inner, *_transformers(model)]}, weights

    def _assemble(self, parts: dict[str, Any], weights: Arrays) -> Any:
        blank = require_package("ctgan", type(self).__name__).CTGAN(
            batch_size=self.batch_size,
            embedding_dim=self.embedding_dim,
            generator_dim=self.generator_dim,
            enable_gpu=self._package_options(None)["enable_gpu"],
        )
        return {"gan": ctgan_from_parts(blank, parts, weights), "transformers": parts["transformers"]}

    def _sample_plain(self, model: Any, n: int) -> pd.DataFrame:
        return _reverse_transform(model["transformers"], model["gan"].sample(n))


TABLE = "table"


def _metadata(plain: pd.DataFrame, discrete: list[str]) -> Any:
    """Return the description that sdv wants of a plain frame."""
    chosen = set(discrete)
    columns = {name: {"sdtype": "categorical" if name in chosen else "numerical"} for name in plain.columns}
    described = {"tables": {TABLE: {"columns": columns}}, "relationships": [], "METADATA_SPEC_VERSION": "V1"}
    return require_package("sdv.metadata", "the copula").Metadata.load_from_dict(described)


def _transformers(model: Any) -> list[tuple[str, Any]]:
    """Return the transformers of a fitted sdv synthesizer, by column."""
    return _fitted_transformers(model.get_transformers())


def _fitted_transformers(transformers: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, transformer) for name, transformer in transformers.items() if transformer is not None]


def _reverse_transform(transformers: list[tuple[str, Any]], drawn: pd.DataFrame) -> pd.DataFrame:
    """Return a sampled frame with the values of the plain columns."""
    out = drawn.copy()
    for name, transformer in transformers:
        out[name] = transformer.reverse_transform(out[[name]])[name]
    return out


def _check_distributions(default: str, others: Mapping[str, str] | None) -> None:
    for name in (default, *(others or {}).values()):
        if name not in DISTRIBUTIONS:
            raise InputError(f"distribution {name!r} is not one of {', '.join(DISTRIBUTIONS)}")


def _plain_distributions(adapter: TableAdapter, chosen: Mapping[str, str] | None) -> dict[str, str]:
    """Return the distributions that were chosen by column, by plain column; a column of one value needs none."""
    unknown = [name for name in chosen or {} if name not in adapter.lines]
    if unknown:
        raise InputError(
            f"numerical_distributions names {quote(unknown)}; the columns of numbers and dates are "
            f"{quote(adapter.lines, 20)}"
        )
    plain = {adapter.lines[name].name: distribution for name, distribution in (chosen or {}).items()}
    return {name: distribution for name, distribution in plain.items() if name is not None}
