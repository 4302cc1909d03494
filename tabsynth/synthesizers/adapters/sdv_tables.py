"""Adapters of sdv's models of several tables, with the interface of ``RelationalSynthesizer``: base class, and HMA.

The package is imported only when a model is fitted. It is under the Business Source License 1.1: see the README before
you build a service on it. Fitted models cannot be saved: sdv writes pickles, which tabsynth does not read or write.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Self

import pandas as pd
from sklearn.base import BaseEstimator

from tabsynth.common.validation import check_positive_integers, random_seed, validate_seed
from tabsynth.errors import ConditionError, InputError, NotFittedError, PrivacyError, SchemaError
from tabsynth.schema.columns import Categorical, Datetime, Identifier
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.schema.schema import Schema
from tabsynth.schema.sdv_metadata import SDTYPES
from tabsynth.schema.validation import to_instants
from tabsynth.synthesizers.adapters.base import require_package, seeded_globals, silenced
from tabsynth.synthesizers.relational.links import check_tables

MAX_HMA_TABLES = 5
"""Maximum tables of HMA in sdv's public package, which also refuses grandchildren."""


class SdvDatabaseSynthesizer(BaseEstimator):  # type: ignore[misc]
    """A model of several tables from sdv. A subclass fits and samples prepared frames.

    Attributes:
        schema_: The database's schema.
        rows_: Number of training rows of each table.
        seed_: Seed of the fit.
    """

    schema_: DatabaseSchema
    rows_: dict[str, int]
    seed_: int

    def fit(
        self,
        tables: Mapping[str, pd.DataFrame],
        y: None = None,
        *,
        schema: DatabaseSchema | None = None,
        privacy: Any = None,
        seed: int | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Learn a database.

        Args:
            tables: Its tables by name.
            y: Ignored; scikit-learn's convention.
            schema: Tables and keys; inferred when left out.
            privacy: Refused: the package has no differentially private fit.
            seed: Seed of the fit.
            progress: Whether to show sdv's progress; by default on a terminal.

        Raises:
            InputError: Tables or keys do not fit the schema.
            SchemaError: The model does not support the schema.
            PrivacyError: ``privacy`` was given.
            MissingDependencyError: sdv is not installed.
        """
        if privacy is not None:
            raise PrivacyError(f"{type(self).__name__} has no differentially private fit; leave privacy= out")
        schema = DatabaseSchema.infer(tables) if schema is None else schema
        check_tables(tables, schema)
        self._check_schema(schema)
        require_package("sdv", type(self).__name__)
        self.seed_ = random_seed() if seed is None else validate_seed(seed)
        self.rows_ = {name: len(frame) for name, frame in tables.items()}
        self._references = {name: tables[name].copy() for name in schema.reference}
        self._blank = {name: tables[name].head(0) for name in schema.tables}
        learned = {
            name: _prepared(tables[name], schema.tables[name]) for name in schema.tables if name not in schema.reference
        }
        with seeded_globals(self.seed_), silenced():
            self._fit_frames(learned, schema, sys.stderr.isatty() if progress is None else progress)
        self.schema_ = schema
        return self

    def sample(
        self,
        n: int | None = None,
        *,
        scale: float | None = None,
        given: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> dict[str, pd.DataFrame]:
        """Draw a synthetic database.

        Args:
            n: Rows of the root table; by default as many as in training.
            scale: Rows as a multiple of the training rows, instead of ``n``.
            given: Refused: the package cannot sample under conditions here.
            seed: Seed of the draw.

        Raises:
            InputError: ``n`` or ``scale`` is not a number of rows.
            ConditionError: ``given`` was given.
        """
        if not hasattr(self, "schema_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")
        if given is not None:
            raise ConditionError(f"{type(self).__name__} cannot sample under conditions; leave given= out")
        if n is not None and scale is not None:
            raise InputError("n and scale exclude each other; give one")
        check_positive_integers(n=n)
        root = self.rows_[self.schema_.roots[0]]
        factor = n / root if n is not None else 1.0 if scale is None else float(scale)
        if not 0 < factor < 1e6:
            raise InputError(f"scale must be a positive number, not {scale!r}")
        seed = random_seed() if seed is None else validate_seed(seed)
        with seeded_globals(seed), silenced(), _first_state(seed):
            drawn = self._sample_frames(factor, root)
        out = {}
        for name, blank in self._blank.items():
            out[name] = self._references[name].copy() if name in self._references else drawn[name][list(blank.columns)]
        return {name: frame.reset_index(drop=True) for name, frame in out.items()}

    def save(self, path: str | Path) -> NoReturn:
        """Raise an error: sdv's models are pickles.

        Raises:
            InputError: Always.
        """
        raise InputError(
            f"{type(self).__name__} cannot be saved to {str(path)!r}: sdv keeps its models as pickles, which run code "
            "when they are read; write the tables that it samples"
        )

    def card(self) -> dict[str, Any]:
        """Return the model card."""
        from importlib.metadata import version

        return {
            "synthesizer": type(self).__name__,
            "parameters": self.get_params(deep=False),
            "rows": self.rows_,
            "seed": self.seed_,
            "privacy": "none",
            "packages": {"sdv": version("sdv")},
        }

    @abstractmethod
    def _check_schema(self, schema: DatabaseSchema) -> None:
        """Raise SchemaError if the model does not support the schema."""

    @abstractmethod
    def _fit_frames(self, tables: dict[str, pd.DataFrame], schema: DatabaseSchema, show_progress: bool) -> None:
        """Learn the tables that are not public."""

    @abstractmethod
    def _sample_frames(self, factor: float, roots: int) -> dict[str, pd.DataFrame]:
        """Draw the tables that are not public, with ``factor`` times ``roots`` root rows."""


class HMASynthesizer(SdvDatabaseSynthesizer):
    """SDV's hierarchical model: a Gaussian copula per table, whose parameters of children are columns of their parent.

    Self-references and primary keys of several columns are refused, as sdv does; keys to public tables are categories.

    Args:
        default_distribution: ``beta``, ``norm``, ``truncnorm``, ``gamma`` or ``uniform``, for all tables.
    """

    def __init__(self, *, default_distribution: str = "beta") -> None:
        self.default_distribution = default_distribution

    def _check_schema(self, schema: DatabaseSchema) -> None:
        for key in schema.foreign_keys:
            if key.table == key.parent:
                raise SchemaError(f"HMASynthesizer has no self-references, such as {key.table}.{key.column}")
        learned = [name for name in schema.tables if name not in schema.reference]
        deep = [
            (key.table, key.parent)
            for key in schema.foreign_keys
            if key.parent not in schema.reference and schema.main_key(key.parent) is not None
        ]
        if len(learned) > MAX_HMA_TABLES or deep:
            found = f"{deep[0][0]!r} has a grandparent" if deep else f"there are {len(learned)}"
            raise SchemaError(
                f"sdv's HMASynthesizer learns at most {MAX_HMA_TABLES} tables, of parents and children only: {found}; "
                "leave tables out"
            )

    def _fit_frames(self, tables: dict[str, pd.DataFrame], schema: DatabaseSchema, show_progress: bool) -> None:
        links = [key for key in schema.foreign_keys if key.parent not in schema.reference]
        described: dict[str, Any] = {"tables": {}, "relationships": [], "METADATA_SPEC_VERSION": "V1"}
        for name in tables:
            keys = {key.column for key in links if key.table == name} | {schema.primary_keys.get(name)}
            public = {key.column for key in schema.foreign_keys if key.table == name} - keys
            described["tables"][name] = {"columns": describe_columns(schema.tables[name], keys, public)}
            if name in schema.primary_keys:
                described["tables"][name]["primary_key"] = schema.primary_keys[name]
        described["relationships"] = [
            {
                "parent_table_name": key.parent,
                "parent_primary_key": schema.primary_keys[key.parent],
                "child_table_name": key.table,
                "child_foreign_key": key.column,
            }
            for key in links
        ]
        metadata = require_package("sdv.metadata", "HMASynthesizer").Metadata.load_from_dict(described)
        self._model = require_package("sdv.multi_table", "HMASynthesizer").HMASynthesizer(
            metadata, verbose=show_progress
        )
        for name in tables:
            self._model.set_table_parameters(name, {"default_distribution": self.default_distribution})
        self._model.fit(tables)

    def _sample_frames(self, factor: float, roots: int) -> dict[str, pd.DataFrame]:
        self._model.reset_sampling()
        self._model._numpy_seed = None  # the seeds of seeded_globals
        drawn: dict[str, pd.DataFrame] = self._model._sample(scale=factor)
        return drawn


@contextmanager
def _first_state(seed: int) -> Iterator[None]:
    """Let sdv's models start their draws from our seed; after a reset they all start from one constant."""
    base: Any = require_package("sdv.single_table.base", "sdv")
    before = base.FIXED_RNG_SEED
    base.FIXED_RNG_SEED = seed % 2**32
    try:
        yield
    finally:
        base.FIXED_RNG_SEED = before


def describe_columns(schema: Schema, keys: set[Any], public: set[str]) -> dict[str, Any]:
    """Return sdv's description of columns; keys are ids, keys to public tables categories."""
    out: dict[str, Any] = {}
    for name, column in schema.items():
        kind = Identifier if name in keys else Categorical if name in public else type(column)
        out[name] = dict(SDTYPES[kind])
    return out


def _prepared(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return a table with real dates; its columns are the schema's."""
    dates = {c.name: to_instants(frame[c.name], c.format) for c in schema.values() if isinstance(c, Datetime)}
    return frame[list(schema)].assign(**dates).reset_index(drop=True)
