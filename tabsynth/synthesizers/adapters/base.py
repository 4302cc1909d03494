"""What the adapters of other packages' models share: the bridge, seeds that leave no trace, constraints, the file."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from tabsynth.common.arrays import Arrays
from tabsynth.data.table import Table
from tabsynth.errors import ConditionError, DataError, InputError, TrainingError, missing_package
from tabsynth.schema.columns import Identifier, Text
from tabsynth.schema.validation import satisfies
from tabsynth.synthesizers.adapters.object_state import freeze, thaw
from tabsynth.synthesizers.adapters.table_bridge import Bridge
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.options import Draw, Given, Run

CHUNK = 1 << 16
"""Rows that are drawn together."""

CALIBRATION = 1 << 13
"""Rows that are drawn to see how often the model leaves a gap."""

TRIES = 50
"""How often rows that break a constraint are drawn anew."""


class WrappedSynthesizer(Synthesizer):
    """A model of another package. A subclass learns a plain frame, takes the model apart and puts it together again.

    Attributes:
        bridge_: The way from the table to the plain frame and back.
    """

    package: ClassVar[str]
    """The package that must be installed."""

    min_group: int
    bridge_: Bridge

    def _fit(self, table: Table, run: Run) -> None:
        self._check_options()
        self._check_run(run)
        require(self.package, type(self).__name__)
        if all(isinstance(column, (Identifier, Text)) for column in table.schema.values()):
            raise DataError(
                f"every column is an identifier or text, which {type(self).__name__} does not learn; "
                "declare at least one column numeric, categorical, boolean or datetime in the schema"
            )
        self.bridge_, plain = Bridge.measure(table, np.random.default_rng([run.seed, 0]), min_group=self.min_group)
        parts: dict[str, Any] = {}
        weights: Arrays = {}
        if len(plain.columns):
            shown = sys.stderr.isatty() if run.progress is None else run.progress
            try:
                with seeded(run.seed), quiet():
                    parts, weights = self._learn(plain, shown)
            except (ValueError, RuntimeError, ArithmeticError) as error:
                if isinstance(error, InputError):
                    raise
                raise TrainingError(
                    f"{self.package} could not learn this table: {error}; change the options, or fit "
                    "a MaskedSynthesizer"
                ) from error
        # What samples is what a file would hold, so a model read from its file draws the same rows.
        held: Arrays = {}
        self._frozen = freeze(parts, held), {**held, **{f"net.{name}": array for name, array in weights.items()}}
        self._versions = {name: version(name) for name in (self.package,) if parts}
        self._revive()
        if self._model is not None:
            self.bridge_ = self.bridge_.calibrated(self._raw(CALIBRATION, np.random.default_rng([run.seed, 1])))

    def _sample(self, n: int, given: Given | None, draw: Draw) -> pd.DataFrame:
        if given is not None:
            raise ConditionError(
                f"{type(self).__name__} cannot sample under conditions; leave given= out, or fit a MaskedSynthesizer, "
                "which can"
            )
        plain = self._drawn(n, draw.rng) if not self.schema_.constraints else self._kept(n, draw.rng)
        return self.bridge_.decode(plain, draw.rng, keys=draw.keys, start=draw.start)

    def _kept(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """Plain rows whose decoded values keep every constraint: those that do not are drawn anew."""
        kept = pd.DataFrame()
        for _ in range(TRIES):
            plain = self._drawn(n, rng)
            frame = self.bridge_.decode(plain, rng)
            good = np.ones(n, bool)
            for constraint in self.schema_.constraints:
                good &= satisfies(constraint, frame, self.schema_)
            kept = pd.concat([kept, plain[good]], ignore_index=True)
            if len(kept) >= n:
                return kept.iloc[:n]
        raise ConditionError(
            f"only {len(kept)} of {n * TRIES} rows that {type(self).__name__} drew keep the schema's constraints; "
            "fit it for longer, take a MaskedSynthesizer, or drop the constraints"
        )

    def _drawn(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """Plain rows that are ready to be decoded."""
        return self.bridge_.settled(self._raw(n, rng), rng)

    def _raw(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """Plain rows as the model draws them, in chunks."""
        if self._model is None:
            return pd.DataFrame(index=range(n))
        drawn: list[pd.DataFrame] = []
        # A model draws at least one row: not every package can draw none.
        for start in range(0, max(n, 1), CHUNK):
            with seeded(int(rng.integers(2**63))), quiet(), torch.no_grad():
                drawn.append(self._draw(self._model, min(CHUNK, max(n, 1) - start)))
        return pd.concat(drawn, ignore_index=True).iloc[:n]

    def _revive(self) -> None:
        """Make the live model of its frozen parts."""
        plain, arrays = self._frozen
        parts = thaw(plain, arrays)
        weights = {name.removeprefix("net."): a for name, a in arrays.items() if name.startswith("net.")}
        with seeded(0), quiet():  # a network draws its first weights, though others take their place at once
            self._model = self._assemble(parts, weights) if parts else None

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        bridge, arrays = self.bridge_.state()
        parts, held = self._frozen
        return {"bridge": bridge, "parts": parts, "versions": self._versions}, {**arrays, **held}

    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        for name, value in self.get_params(deep=False).items():
            if isinstance(value, list):  # JSON has no tuples
                setattr(self, name, tuple(value))
        if config["versions"]:
            require(self.package, type(self).__name__)
        self.bridge_ = Bridge.from_state(config["bridge"], arrays)
        self._frozen = config["parts"], {k: a for k, a in arrays.items() if k.startswith(("frozen.", "net."))}
        self._versions = dict(config["versions"])
        self._revive()

    def card(self) -> dict[str, Any]:
        """The model card: what a reader of the synthetic table should know of its model."""
        vocabulary = {**self.bridge_.codec.card(), "laws": self.bridge_.relations.describe()}
        return {**super().card(), "vocabulary": vocabulary, "packages": self._versions}

    def _check_run(self, run: Run) -> None:
        """Refuse what the package's training loop cannot do."""
        if run.checkpoint is not None:
            raise InputError(f"{type(self).__name__} cannot keep a checkpoint: leave checkpoint= out")
        if run.callbacks:
            raise InputError(f"{type(self).__name__} does not say how far it is: leave callbacks= out")

    @abstractmethod
    def _check_options(self) -> None:
        """Raise InputError for a constructor argument that the package would stumble over."""

    @abstractmethod
    def _learn(self, plain: pd.DataFrame, shown: bool) -> tuple[dict[str, Any], Arrays]:
        """Learn a plain frame; give the fitted model's parts and its weights."""

    @abstractmethod
    def _assemble(self, parts: dict[str, Any], weights: Arrays) -> Any:
        """The live model of its parts."""

    @abstractmethod
    def _draw(self, model: Any, n: int) -> pd.DataFrame:
        """Draw n plain rows."""


def require(package: str, what: str) -> ModuleType:
    """Import an optional package.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise missing_package(what, package, "sdv") from error


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of torch and numpy, which the packages draw from, and put them back afterwards."""
    before = np.random.get_state()  # noqa: NPY002
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        np.random.seed(np.random.SeedSequence(seed).generate_state(4))  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the packages' prints, warnings, event log and worker processes away; progress bars on stderr pass."""
    parallel_config = import_module("joblib").parallel_config
    loggers = [logging.getLogger(name) for name in ("SingleTableSynthesizer", "MultiTableSynthesizer", "Metadata")]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        # One process: a worker's random numbers would not be ours.
        with warnings.catch_warnings(), parallel_config(backend="sequential"):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(io.StringIO()):
                yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
