"""Base class of synthesizers: scikit-learn estimators that fit a table, sample rows and save themselves."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pandas as pd
from sklearn.base import BaseEstimator

from tabsynth import __version__
from tabsynth.codec.codec import Codec
from tabsynth.common.arrays import Arrays, check_finite
from tabsynth.common.html_tables import NotebookSummary
from tabsynth.common.model_file import ModelFile, save
from tabsynth.common.validation import CheckedArguments, check_required_integers, random_seed, validate_seed
from tabsynth.data.provenance import get_provenance
from tabsynth.data.table import Table, TableLike
from tabsynth.errors import DataError, InputError, ModelFileError, NotFittedError
from tabsynth.privacy.accounting.explanation import explain_ledger
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.relations.declared.feasibility import check_feasible
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.declared.training_rows import TrainingRows
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.card_facts import check_facts, count_repairs, describe_constraints, summarise_card
from tabsynth.synthesizers.options import FitOptions, Given, SampleContext, chunk_context, resolve_rows, sampling_facts
from tabsynth.synthesizers.private_fit import fit_private, guarantee_statement, unsupported_privacy
from tabsynth.synthesizers.row_weights import allow_masked_gaps, parse_weights
from tabsynth.synthesizers.warm_start.schema import continued_schema

if TYPE_CHECKING:
    from tabsynth.common.progress import Progress
    from tabsynth.privacy.budget import Privacy


N_PROBE_ROWS = 3
"""Rows that are drawn from a model that was read, as a check."""


class Synthesizer(NotebookSummary, CheckedArguments, BaseEstimator, ABC):  # type: ignore[misc]
    """Base class of all synthesizers.

    A subclass stores its constructor arguments as attributes of the same names (scikit-learn's convention) and
    implements ``_fit``, ``_sample``, ``_state`` and ``_restore``.

    Attributes:
        schema_: The schema that was fitted.
        rows_: Number of training rows.
        seed_: Seed of the fit.
        mixed_: Plan and sources of a mixed training table; None if it was not mixed.
        source_rows_: Rows of the source that the training rows are a random sample of; None where all were used.
    """

    kind: ClassVar[str]
    """The name in model files and on the command line."""
    supports_weights: ClassVar[bool] = False
    """Whether it can learn from weighted rows and from rows without some columns."""
    supports_privacy: ClassVar[bool] = False
    """Whether it can be fitted with differential privacy."""

    schema_: Schema
    rows_: int
    seed_: int
    mixed_: dict[str, Any] | None = None
    source_rows_: int | None = None
    _ledger: PrivacyLedger | None = None
    _constraint_facts: dict[str, Any]

    def fit(
        self,
        data: TableLike,
        y: None = None,
        *,
        schema: Schema | None = None,
        privacy: Any = None,
        seed: int | None = None,
        progress: bool | None = None,
        checkpoint: str | Path | None = None,
        callbacks: tuple[Callable[[Progress], None], ...] = (),
        weights: Any = None,
        mask: pd.DataFrame | None = None,
        warm_start: Synthesizer | None = None,
    ) -> Self:
        """Learn a table.

        Args:
            data: A frame, a table or the path of a file.
            y: Ignored; scikit-learn's convention.
            schema: Schema of the table; inferred by default.
            privacy: A ``Privacy`` to guarantee; refused by synthesizers that cannot guarantee it.
            seed: Seed of the fit; the same seed gives the same model on one machine. Random by default, and stored.
            progress: Whether to show a progress bar; by default one on a terminal, for work of over two seconds.
            checkpoint: State file of a long fit, from which the same call resumes; removed when the fit ends.
            callbacks: Functions called with a ``Progress`` during training.
            weights: Row weights: numbers, or a column (1 in every synthetic row); by default that of role ``weight``.
            mask: True where a row's source has the column, as in ``Mixed.mask``; other cells take no part in the fit.
            warm_start: A fitted masked model of other rows of the table, from which the fit continues with these rows.

        Raises:
            InputError: The table or the schema cannot be used; raised before any long work.
            PrivacyError: This synthesizer cannot guarantee the requested privacy.
        """
        self.source_rows_, schema = None, continued_schema(self, warm_start, schema)
        if privacy is not None:
            refused = {"seed": seed, "checkpoint": checkpoint, "weights": weights, "mask": mask}
            refused["warm_start"] = warm_start
            run = FitOptions(random_seed(), progress, None, tuple(callbacks))
            fit_private(self, data, schema, privacy, refused, run)
            return self
        check_feasible(data.schema if isinstance(data, Table) and schema is None else schema)
        table = Table.of(data, schema if schema is None else allow_masked_gaps(schema, mask))
        if len(table) < 2:
            raise DataError("the table has one row; a synthesizer needs at least two")
        self.seed_, self._ledger = random_seed() if seed is None else validate_seed(seed), None
        training = TrainingRows.of(table, getattr(self, "min_group", 1), self.seed_)
        table, row_weights = parse_weights(training.table, *training.keep(weights, mask))
        if not self.supports_weights:
            row_weights.check_unused(type(self).__name__)
        self.schema_, self.rows_, self.mixed_ = table.schema, len(table), get_provenance(table.frame)
        state = Path(checkpoint) if checkpoint else None
        run = FitOptions(self.seed_, progress, state, tuple(callbacks), row_weights=row_weights, warm_start=warm_start)
        try:
            self._fit(RuleSet.of(table.schema).training_table(table), run)
            self._constraint_facts = {"violations": training.card, "repaired": count_repairs(self)}
        except BaseException:  # an interrupted fit must not look fitted
            del self.schema_
            raise
        return self

    @property
    def ledger_(self) -> PrivacyLedger:
        """The privacy ledger of the fit; ``ledger_.epsilon()`` is its total."""
        self._check_fitted()
        return self._ledger or PrivacyLedger.not_private(self.schema_)

    def sample(
        self, n: int | None = None, *, given: Given | None = None, seed: int | None = None, progress: bool | None = None
    ) -> pd.DataFrame:
        """Draw synthetic rows, in the training frame's columns, order and dtypes.

        Args:
            n: Number of rows; by default as many as the training table (a noisy count, under privacy), or as ``given``.
            given: Conditions: ``{"sex": "F", "age": (60, 80)}`` for all rows (a tuple is an inclusive range), or a
                frame of fixed values with one row for each row to draw.
            seed: Seed of the draw; the same seed gives the same rows.
            progress: Whether to show a progress bar; by default one on a terminal, for work of over two seconds.

        Raises:
            ConditionError: A condition names an unknown column, or a value that the model cannot generate.
        """
        self._check_fitted()
        return self._sample(self._rows(n, given), given, SampleContext.of(seed, progress))

    def sample_chunks(
        self, n: int, *, given: Mapping[str, Any] | None = None, chunk: int = 65_536, seed: int | None = None
    ) -> Iterator[pd.DataFrame]:
        """Draw rows in chunks, so that memory does not grow with ``n``; identifiers are unique across all chunks.

        Args:
            n: Number of rows in all.
            given: Conditions of all rows, as in ``sample``.
            chunk: Rows of a chunk; the last may be shorter.
            seed: Seed of the draw; the same seed and chunk give the same rows.

        Raises:
            InputError: A declared key would repeat between chunks.
        """
        seed = random_seed() if seed is None else validate_seed(seed)
        check_required_integers(chunk=chunk)
        for number in range(-(-self._rows(n, None) // chunk)):
            yield self.sample_chunk(number, n, given=given, chunk=chunk, seed=seed)

    def sample_chunk(
        self, number: int, n: int, *, given: Mapping[str, Any] | None = None, chunk: int = 65_536, seed: int
    ) -> pd.DataFrame:
        """Sample one chunk of ``sample_chunks`` alone; its rows do not depend on the sampling of other chunks.

        Args:
            number: Number of the chunk, from 0.
            n: Number of rows of all chunks together.
            given: Conditions on all rows, as in ``sample``.
            chunk: Rows of a chunk; the last may be shorter.
            seed: Seed of all chunks.
        """
        self._check_fitted()
        rows, draw = chunk_context(self.schema_, number, self._rows(n, None), chunk, seed)
        return self._sample(rows, given, draw)

    def impute(self, data: pd.DataFrame | Table, *, seed: int | None = None, draw: bool = False) -> pd.DataFrame:
        """Raise InputError: only the masked and the marginal synthesizer impute missing cells."""
        raise InputError(f"{type(self).__name__} cannot impute; use MaskedSynthesizer or MarginalSynthesizer")

    def save(self, path: str | Path) -> None:
        """Write the model to one file that ``tabsynth.load`` reads.

        Raises:
            SourceError: The folder does not exist or cannot be written.
        """
        save(path, self.to_file())

    def to_file(self) -> ModelFile:
        """Return the content of the file that ``save`` writes."""
        self._check_fitted()
        config, arrays = self._state()
        facts = {
            "parameters": self.get_params(deep=False),
            "schema": self.schema_.to_dict(),
            "rows": self.rows_,
            "seed": self.seed_,
            "ledger": None if self._ledger is None else self._ledger.to_dict(),
            "mixed": self.mixed_,
            "rules": self._constraint_facts,
            "source_rows": self.source_rows_,
            "versions": {"tabsynth": __version__, "python": platform.python_version()},
            "model": config,
        }
        return ModelFile(self.kind, facts, arrays)

    @classmethod
    def from_file(cls, file: ModelFile) -> Self:
        """Rebuild a fitted synthesizer from what ``save`` wrote.

        Raises:
            ModelFileError: The file's content is not a model of this kind.
        """
        try:
            model = cls(**file.config["parameters"])
            model.schema_ = Schema.from_dict(file.config["schema"])
            model.rows_, model.seed_ = int(file.config["rows"]), int(file.config["seed"])
            model._constraint_facts = file.config.get("rules") or {}
            model.mixed_, model.source_rows_ = file.config.get("mixed"), file.config.get("source_rows")
            model._ledger = PrivacyLedger.from_dict(file.config["ledger"]) if file.config.get("ledger") else None
            check_finite({name: a for name, a in file.arrays.items() if not name.startswith("frozen.")})
            model._restore(file.config["model"], file.arrays)
            check_facts(model, file.config)
            # What cannot be drawn is found here rather than in ``sample``.
            model._draw_unrepaired(N_PROBE_ROWS, SampleContext.of(0, False))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
            raise ModelFileError(f"the model file does not contain a {cls.__name__}: {error!r}") from error
        return model

    def card(self) -> dict[str, Any]:
        """Return the model card: facts about the model for users of the synthetic table."""
        self._check_fitted()
        return {
            "synthesizer": type(self).__name__,
            "parameters": self.get_params(deep=False),
            "rows": self.rows_,
            "seed": self.seed_,
            "mixed": self.mixed_,
            "constraints": describe_constraints(self.schema_, self._constraint_facts),
            **sampling_facts(self.rows_, self.source_rows_),
            "privacy": guarantee_statement(self.ledger_),
            "privacy_meaning": explain_ledger(self.ledger_),
            "ledger": self.ledger_.to_dict(),
        }

    def _notebook_facts(self) -> dict[str, Any]:
        return summarise_card(self.card(), self.schema_)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "schema_")

    @abstractmethod
    def _fit(self, table: Table, run: FitOptions) -> None:
        """Learn a validated table."""

    def _fit_private(self, frame: pd.DataFrame, schema: Schema, privacy: Privacy, run: FitOptions) -> None:
        """Learn raw rows, read only by mechanisms that charge ``privacy.ledger``; set ``rows_`` to a noisy count."""
        raise unsupported_privacy(type(self).__name__)

    @abstractmethod
    def _sample(self, n: int, given: Given | None, draw: SampleContext) -> pd.DataFrame:
        """Draw rows."""

    @abstractmethod
    def _state(self) -> tuple[dict[str, Any], Arrays]:
        """Return plain data and arrays for ``_restore``."""

    @abstractmethod
    def _restore(self, config: dict[str, Any], arrays: Arrays) -> None:
        """Restore the state that ``_state`` returned."""

    @abstractmethod
    def _draw_unrepaired(self, n: int, draw: SampleContext) -> tuple[pd.DataFrame, Codec]:
        """Return the rows as the model draws them, with derived columns, and their vocabulary."""

    def _check_fitted(self) -> None:
        if not hasattr(self, "schema_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")

    def _rows(self, n: int | None, given: Given | None) -> int:
        return resolve_rows(n, given, self.rows_)
