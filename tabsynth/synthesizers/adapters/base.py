"""Base class of the adapters of other packages: table adapter, isolated global seeds, constraints, model file."""

from __future__ import annotations

import contextlib
import sys
import threading
from abc import abstractmethod
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Arrays, Integers
from tabsynth.common.process_state import discarded_prints, packages_warnings, quiet_logger
from tabsynth.data.table import Table
from tabsynth.errors import ConditionError, DataError, InputError, ModelFileError, TrainingError, missing_package, quote
from tabsynth.relations.declared.fixed_cells import FixedCells
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.declared.satisfy import satisfy, satisfy_keys
from tabsynth.schema.columns import Identifier, Text
from tabsynth.synthesizers.adapters.object_state import from_state, to_state
from tabsynth.synthesizers.adapters.table_adapter import TableAdapter
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.options import FitOptions, Given, SampleContext
from tabsynth.training.loop import chosen_device

_PACKAGES = threading.RLock()
"""Held while a package fits or samples: they draw from global generators and print."""

CHUNK_ROWS = 1 << 16
"""Rows of a chunk of a sample."""

N_CALIBRATION_ROWS = 1 << 13
"""Number of rows that are sampled to estimate the model's rate of missing values."""


class WrappedSynthesizer(Synthesizer):
    """A model of another package; a subclass fits it to a plain frame, serialises it and rebuilds it.

    Attributes:
        table_adapter_: Converts the table to the plain frame and back.
    """

    package: ClassVar[str]
    """The package that must be installed."""

    min_group: int
    table_adapter_: TableAdapter

    def _fit(self, table: Table, run: FitOptions) -> None:
        self._check_options()
        self._check_fit_options(run)
        require_package(self.package, type(self).__name__)
        if all(isinstance(column, (Identifier, Text)) for column in table.schema.values()):
            raise DataError(
                f"every column is an identifier or text, which {type(self).__name__} does not learn; "
                "declare at least one column numeric, categorical, boolean or datetime in the schema"
            )
        self.table_adapter_, plain = TableAdapter.measure(
            table,
            np.random.default_rng([run.seed, 0]),
            min_group=self.min_group,
            derived=set(table.schema) - set(self.schema_),
        )
        parts: dict[str, Any] = {}
        weights: Arrays = {}
        if len(plain.columns):
            show_progress = sys.stderr.isatty() if run.progress is None else run.progress
            try:
                with seeded_globals(run.seed), silenced():
                    parts, weights = self._fit_plain(plain, show_progress)
            except (ValueError, RuntimeError, ArithmeticError) as error:
                if isinstance(error, InputError):
                    raise
                raise TrainingError(
                    f"{self.package} could not learn this table: {error}; change the options, or fit "
                    "a MaskedSynthesizer"
                ) from error
        # The model is rebuilt from its state, so that a model read from its file draws the same rows.
        arrays: Arrays = {}
        state = to_state(parts, arrays)
        self._model_parts = state, {**arrays, **{f"net.{name}": array for name, array in weights.items()}}
        self._versions = {name: version(name) for name in (self.package,) if parts}
        self._rebuild_model()
        if self._model is not None:
            self.table_adapter_ = self.table_adapter_.calibrate(
                self._sample_raw(N_CALIBRATION_ROWS, np.random.default_rng([run.seed, 1]))
            )

    def _sample(self, n: int, given: Given | None, draw: SampleContext) -> pd.DataFrame:
        if given is not None:
            raise ConditionError(
                f"{type(self).__name__} cannot sample under conditions; leave given= out, or fit a MaskedSynthesizer, "
                "which can"
            )
        rules = RuleSet.of(self.schema_)
        frame, codec = self._draw_unrepaired(n, draw)

        def more(rows: Integers) -> pd.DataFrame:
            return self.table_adapter_.decode(self._sample_prepared(len(rows), draw.rng), draw.rng)

        frame = satisfy(rules, frame, codec, FixedCells(), draw.rng, more=more)
        return satisfy_keys(rules, frame, codec, FixedCells(), draw.rng) if rules.keys else frame

    def _draw_unrepaired(self, n: int, draw: SampleContext) -> tuple[pd.DataFrame, Codec]:
        plain = self._sample_prepared(n, draw.rng)
        frame = self.table_adapter_.decode(plain, draw.rng, keys=draw.keys, start=draw.start)
        return frame, self.table_adapter_.codec

    def _sample_prepared(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """Return plain rows that are ready to be decoded."""
        return self.table_adapter_.prepare(self._sample_raw(n, rng), rng)

    def _sample_raw(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """Return plain rows as the model draws them, in chunks."""
        if self._model is None:
            return pd.DataFrame(index=range(n))
        drawn: list[pd.DataFrame] = []
        # At least one row is sampled, because some packages cannot sample 0 rows.
        for start in range(0, max(n, 1), CHUNK_ROWS):
            with seeded_globals(int(rng.integers(2**63))), silenced(), torch.no_grad():
                drawn.append(self._draw_plain(min(CHUNK_ROWS, max(n, 1) - start)))
        return pd.concat(drawn, ignore_index=True).iloc[:n]

    def _draw_plain(self, n: int) -> pd.DataFrame:
        """Return n plain rows of the package; its exceptions, of any kind, are reported as those of the model."""
        try:
            drawn = self._sample_plain(self._model, n)
        except (InputError, MemoryError):
            raise
        except Exception as error:
            raise ModelFileError(
                f"{self.package} cannot sample from this model: {error!r}; if it was read from a file, that was "
                f"edited, or written with another version of {self.package} than that installed: fit it again"
            ) from error
        if lost := set(self.table_adapter_.plain_columns) - set(drawn.columns):
            raise ModelFileError(f"{self.package} sampled no {quote(sorted(lost))}: fit the model again")
        return drawn

    def _rebuild_model(self) -> None:
        """Rebuild the package's model from its serialised parts."""
        plain, arrays = self._model_parts
        parts = from_state(plain, arrays)
        weights = {name.removeprefix("net."): a for name, a in arrays.items() if name.startswith("net.")}
        with seeded_globals(0), silenced():  # networks draw initial weights, which are overwritten
            self._model = self._assemble(parts, weights) if parts else None

    def _state(self) -> tuple[dict[str, Any], Arrays]:
        adapter, arrays = self.table_adapter_.state()
        parts, model_arrays = self._model_parts
        return {"bridge": adapter, "parts": parts, "versions": self._versions}, {**arrays, **model_arrays}

    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        for name, value in self.get_params(deep=False).items():
            if isinstance(value, list):  # JSON has no tuples
                setattr(self, name, tuple(value))
        if config["versions"]:
            require_package(self.package, type(self).__name__)
        self.table_adapter_ = TableAdapter.from_state(config["bridge"], arrays)
        self._model_parts = config["parts"], {k: a for k, a in arrays.items() if k.startswith(("frozen.", "net."))}
        self._versions = dict(config["versions"])
        self._rebuild_model()

    def card(self) -> dict[str, Any]:
        """Return the model card: facts about the model for users of the synthetic table."""
        vocabulary = {**self.table_adapter_.codec.card(), "laws": self.table_adapter_.relations.describe()}
        return {**super().card(), "vocabulary": vocabulary, "packages": self._versions}

    def _check_fit_options(self, run: FitOptions) -> None:
        """Raise InputError for fit options that the package's training loop does not support."""
        if run.checkpoint is not None:
            raise InputError(f"{type(self).__name__} cannot keep a checkpoint: leave checkpoint= out")
        if run.callbacks:
            raise InputError(f"{type(self).__name__} does not report its progress: leave callbacks= out")

    def _package_options(self, show_progress: bool | None) -> dict[str, Any]:
        """Return the package's keyword arguments; a model that was fitted on a GPU may be read where there is none."""
        options: dict[str, Any] = self.get_params(deep=False)
        try:
            gpu = chosen_device(options.pop("device")).type != "cpu"
        except InputError:
            if show_progress is not None:
                raise
            gpu = False
        del options["min_group"]
        return {**options, "verbose": bool(show_progress), "enable_gpu": gpu}

    @abstractmethod
    def _check_options(self) -> None:
        """Raise InputError for a constructor argument that the package would not accept."""

    @abstractmethod
    def _fit_plain(self, plain: pd.DataFrame, show_progress: bool) -> tuple[dict[str, Any], Arrays]:
        """Fit a plain frame; return the fitted model's parts and its weights."""

    @abstractmethod
    def _assemble(self, parts: dict[str, Any], weights: Arrays) -> Any:
        """Rebuild the model from its parts."""

    def _sample_plain(self, model: Any, n: int) -> pd.DataFrame:
        """Draw n plain rows."""
        drawn: pd.DataFrame = model.sample(n)
        return drawn


def require_package(package: str, what: str) -> ModuleType:
    """Import an optional package.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise missing_package(what, package, "sdv") from error


@contextlib.contextmanager
def seeded_globals(seed: int) -> Iterator[None]:
    """Seed the global generators of torch and numpy, which the packages draw from, and restore them afterwards.

    One thread at a time does so: two would draw from each other's seeds.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with _PACKAGES, torch.random.fork_rng(devices=devices):
        before = np.random.get_state()  # noqa: NPY002
        torch.manual_seed(seed)
        np.random.seed(np.random.SeedSequence(seed).generate_state(4))  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Suppress the packages' prints, warnings, event log and worker processes, but no progress bars on stderr."""
    parallel_config = import_module("joblib").parallel_config
    with contextlib.ExitStack() as stack:
        stack.enter_context(_PACKAGES)
        for name in ("SingleTableSynthesizer", "MultiTableSynthesizer", "Metadata"):
            stack.enter_context(quiet_logger(name).made())
        stack.enter_context(packages_warnings().made())
        stack.enter_context(parallel_config(backend="sequential"))  # a worker's random numbers would not be ours
        stack.enter_context(discarded_prints())
        yield
