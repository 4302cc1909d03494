"""Registry of synthesizers: create one by name, load one from a file, or synthesize a table in one call."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from tabsynth.common import model_file
from tabsynth.common.validation import checked_arguments
from tabsynth.data.table import TableLike
from tabsynth.errors import InputError, ModelFileError, did_you_mean
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.base import Synthesizer

KINDS: dict[str, tuple[str, str]] = {
    "masked": ("tabsynth.synthesizers.masked", "MaskedSynthesizer"),
    "vae": ("tabsynth.synthesizers.vae", "VAESynthesizer"),
    "gan": ("tabsynth.synthesizers.gan", "GANSynthesizer"),
    "marginal": ("tabsynth.synthesizers.marginal.synthesizer", "MarginalSynthesizer"),
    "ctgan": ("tabsynth.synthesizers.adapters.ctgan", "CTGANSynthesizer"),
    "tvae": ("tabsynth.synthesizers.adapters.ctgan", "TVAESynthesizer"),
    "gaussian_copula": ("tabsynth.synthesizers.adapters.sdv", "GaussianCopulaSynthesizer"),
    "copula_gan": ("tabsynth.synthesizers.adapters.sdv", "CopulaGANSynthesizer"),
}
"""Module of each kind's synthesizer, imported on first use."""

DATABASE_KINDS = ("relational",)
"""Kinds of models of several tables, which ``RelationalSynthesizer.load`` reads."""


def synthesizer_class(kind: str) -> type[Synthesizer]:
    """Return the class of a kind.

    Raises:
        InputError: There is no such kind.
    """
    if kind not in KINDS:
        raise InputError(
            f"there is no synthesizer {kind!r}{did_you_mean(kind, KINDS)}; choose one of {', '.join(KINDS)}"
        )
    module, name = KINDS[kind]
    loaded: type[Synthesizer] = getattr(import_module(module), name)
    return loaded


def create(kind: str, **options: Any) -> Synthesizer:
    """Return an unfitted synthesizer.

    Args:
        kind: A name of ``KINDS``.
        options: Its constructor arguments.

    Raises:
        InputError: There is no such kind, or it has no such option.

    Example:
        >>> create("masked", epochs=5)
        MaskedSynthesizer(epochs=5)
    """
    cls = synthesizer_class(kind)
    known = list(inspect.signature(cls).parameters)
    unknown = [name for name in options if name not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known)
        raise InputError(f"the synthesizer {kind!r} has no option {unknown[0]!r}{hint}; it has {', '.join(known)}")
    return cls(**options)


@checked_arguments
def load(path: str | Path) -> Synthesizer:
    """Read a fitted synthesizer from the file that its ``save`` wrote.

    Raises:
        ModelFileError: Missing, not a model file, damaged, of a later version, or of an unknown kind.
        MissingDependencyError: The model needs a package that is not installed.
    """
    return from_file(model_file.load(path), path)


def from_file(file: model_file.ModelFile, path: str | Path) -> Synthesizer:
    """Return a fitted synthesizer from the content of its file.

    Raises:
        ModelFileError: Of an unknown kind, or damaged.
    """
    if file.kind in DATABASE_KINDS:
        raise ModelFileError(f"{str(path)!r} is a model of linked tables; read it with RelationalSynthesizer.load")
    if file.kind not in KINDS:
        raise ModelFileError(
            f"{str(path)!r} contains a {file.kind!r}, which this version of tabsynth does not support; "
            f"it supports {', '.join(KINDS)}"
        )
    return synthesizer_class(file.kind).from_file(file)


@checked_arguments
def synthesize(
    data: TableLike,
    n: int | None = None,
    *,
    schema: Schema | None = None,
    seed: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Synthesize a table in one call: fit a ``MaskedSynthesizer`` and sample it.

    Args:
        data: A frame, a table or the path of a file.
        n: Number of rows; by default as many as ``data`` has.
        schema: Schema of the table; inferred by default.
        seed: Seed of the fit and of the draw.
        progress: Whether to show progress bars; by default on a terminal, for work of over two seconds.

    Raises:
        InputError: The table or the schema cannot be used.
    """
    model = create("masked").fit(data, schema=schema, seed=seed, progress=progress)
    return model.sample(n, seed=seed, progress=progress)


def create_on_device(kind: str, options: Mapping[str, Any]) -> Synthesizer:
    """Return an unfitted synthesizer of a kind.

    Raises:
        InputError: Unknown kind, unknown option, or unavailable device.
    """
    from tabsynth.training.loop import chosen_device

    model = create(kind, **options)
    chosen_device(str(options.get("device", "auto")))
    return model


def supports_checkpoints(model: Synthesizer) -> bool:
    """Return whether fits of this synthesizer support checkpoints."""
    from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer

    return isinstance(model, TokenSynthesizer)


def known_values(model: Synthesizer) -> dict[str, tuple[Any, ...]]:
    """Return the known values of each categorical column; an inferred schema does not contain them."""
    from tabsynth.codec.categorical_encoder import ValueCoder
    from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer

    coders = model.codec_.coders if isinstance(model, TokenSynthesizer) else {}
    return {n: (*coder.values, *coder.public) for n, coder in coders.items() if isinstance(coder, ValueCoder)}
