"""Synthesizer of several linked tables: roots with a plan of their children, then children sibling by sibling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from tabsynth.common import model_file
from tabsynth.common.html_tables import NotebookSummary
from tabsynth.common.progress import Progress, progress_bar
from tabsynth.common.validation import CheckedArguments, check_positive_integers, random_seed, validate_seed
from tabsynth.errors import InputError, NotFittedError, PrivacyError
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.synthesizers.card_facts import summarise_database_card
from tabsynth.synthesizers.options import FitOptions
from tabsynth.synthesizers.private_fit import REFUSAL_REASONS
from tabsynth.synthesizers.relational.database_model import DatabaseModel, fit_database
from tabsynth.synthesizers.relational.histories.conditions import check_table_conditions, conditions_by_table
from tabsynth.synthesizers.relational.keys import KeyNumbers
from tabsynth.synthesizers.relational.links import check_tables, repeatable_key, requested_rows, split_rows
from tabsynth.synthesizers.relational.private.database_model import PrivateDatabase
from tabsynth.synthesizers.relational.private.fit import fit_private_database
from tabsynth.synthesizers.relational.private.public_tables import prepare_public_tables
from tabsynth.synthesizers.relational.private.state import from_private_file, to_private_file
from tabsynth.synthesizers.relational.state import KIND, from_file, report_damage, to_file
from tabsynth.synthesizers.relational.transforms.table_transforms import TableTransforms


class RelationalSynthesizer(NotebookSummary, CheckedArguments, BaseEstimator):  # type: ignore[misc]
    """Synthesizer of a database: several tables linked by foreign keys.

    A root table is learned by a ``MaskedSynthesizer`` together with a plan of each row's children: their number, the
    times of the first and the last, and the kind of their history. The rows of a child table are learned as the
    history of their parent by an autoregressive network that reads the parents, the clock, the previous sibling and,
    through running means, all earlier ones.
    Keys are generated last, so that every foreign key has a parent.

    Args:
        epochs: Passes over each child table; by default from its number of rows.
        min_group: Every released value occurs in at least this many rows of the root table.
        max_children: Under privacy, the maximum number of children of a parent row in each child table, by table name.
            Maxima that are not given are measured. Longer histories are cut.

    Attributes:
        schema_: The database's schema.
        rows_: Number of training rows of each table.
        seed_: Seed of the fit.

    Example:
        >>> import pandas as pd
        >>> people = pd.DataFrame({"id": range(40), "sex": ["f", "m"] * 20})
        >>> visits = pd.DataFrame({"person_id": sorted([*range(40)] * 3), "ward": ["a", "b", "c"] * 40})
        >>> model = RelationalSynthesizer(epochs=1).fit({"person": people, "visits": visits}, seed=0)
        >>> tables = model.sample(5, seed=1)
        >>> set(tables["visits"].person_id) <= set(tables["person"].id)
        True
    """

    schema_: DatabaseSchema
    rows_: dict[str, int]
    seed_: int
    _model: DatabaseModel | PrivateDatabase
    _transforms: TableTransforms
    _path: str | None = None  # of the file that the model was read from

    def __init__(
        self, *, epochs: int | None = None, min_group: int = 5, max_children: Mapping[str, int] | None = None
    ) -> None:
        self.epochs = epochs
        self.min_group = min_group
        self.max_children = max_children

    def fit(
        self,
        tables: Mapping[str, pd.DataFrame],
        y: None = None,
        *,
        schema: DatabaseSchema | None = None,
        privacy: Any = None,
        seed: int | None = None,
        progress: bool | None = None,
        callbacks: tuple[Callable[[Progress], None], ...] = (),
    ) -> Self:
        """Learn a database.

        Args:
            tables: Its tables by name.
            y: Ignored; scikit-learn's convention.
            schema: Tables and keys; inferred when left out.
            privacy: A ``Privacy`` to guarantee, whose unit is the root table's key: a row of the root table with all
                rows below it. Tables are then learned by mixtures that are fitted to noisy marginals.
            seed: Seed of the fit; the same seed gives the same model on one machine. Refused under privacy.
            progress: Whether to show progress bars; by default on a terminal, for work of over two seconds.
            callbacks: Called with a ``Progress`` as training goes on.

        Raises:
            InputError: Tables or keys do not fit the schema.
            PrivacyError: The privacy cannot be guaranteed with this schema and budget.
        """
        check_positive_integers(epochs=self.epochs, min_group=self.min_group, **(self.max_children or {}))
        self._path = None
        if privacy is not None:
            return self._fit_private(tables, schema, privacy, seed, progress)
        schema = DatabaseSchema.infer(tables) if schema is None else schema
        check_tables(tables, schema)
        self.seed_ = random_seed() if seed is None else validate_seed(seed)
        self.rows_ = {name: len(frame) for name, frame in tables.items()}
        self._transforms, learned = TableTransforms.prepare(tables, schema, min_group=self.min_group)
        self._model = fit_database(
            learned.tables,
            learned.schema,
            totals=learned.totals,
            epochs=self.epochs,
            min_group=self.min_group,
            seed=self.seed_,
            progress=progress,
            callbacks=callbacks,
        )
        self.schema_ = schema
        return self

    def _fit_private(
        self,
        tables: Mapping[str, pd.DataFrame],
        schema: DatabaseSchema | None,
        privacy: Any,
        seed: int | None,
        progress: bool | None,
    ) -> Self:
        if seed is not None:
            raise PrivacyError(f"a private fit takes no seed: {REFUSAL_REASONS['seed']}")
        public = prepare_public_tables(tables, schema, privacy, self.max_children)
        self.seed_ = random_seed() if privacy.insecure_seed is None else privacy.insecure_seed
        run = FitOptions(self.seed_, progress)
        self._model = fit_private_database(tables, public, privacy, self.max_children or {}, run)
        self._transforms = TableTransforms()
        self.rows_, self.schema_ = self._model.rows, public.schema
        return self

    @property
    def ledger_(self) -> PrivacyLedger:
        """The privacy ledger of the fit; ``ledger_.epsilon()`` is its total."""
        self._check_fitted()
        if isinstance(self._model, PrivateDatabase):
            return self._model.ledger
        return PrivacyLedger.not_private(f"{name}.{c}" for name, own in self.schema_.tables.items() for c in own)

    def sample(
        self,
        n: int | Mapping[str, int] | None = None,
        *,
        scale: float | None = None,
        given: Mapping[str, Mapping[str, Any]] | None = None,
        seed: int | None = None,
        progress: bool | None = None,
    ) -> dict[str, pd.DataFrame]:
        """Sample a synthetic database.

        Args:
            n: Rows of the root table, or of each of several root tables by name; by default as many as in training.
            scale: Rows of every root table as a multiple of the training rows, instead of ``n``.
            given: Conditions by table: ``{"patients": {"sex": "F"}, "visits": {"ward": ["eye", "heart"]}}``. Every row
                of the table satisfies them. Conditions on a child table do not change the distribution of the parents.
            seed: Seed of the draw; the same seed gives the same tables.
            progress: Whether to show progress bars.

        Returns:
            The tables by name, with the columns and dtypes of the training tables; reference tables are unchanged.

        Raises:
            InputError: ``n`` or ``scale`` is not a number of rows.
            ConditionError: A condition is on a key or a date of a child table, or cannot be met.
        """
        wanted, conditions = self._request(n, scale, given)
        rng = np.random.default_rng(random_seed() if seed is None else validate_seed(seed))
        with report_damage(self._path):
            drawn = self._model.sample(wanted, conditions, rng, progress)
            return self._transforms.restore(drawn, self._model.schema, self.schema_, given or {}, rng)

    def sample_chunks(
        self,
        n: int | Mapping[str, int] | None = None,
        *,
        scale: float | None = None,
        chunk: int | None = None,
        given: Mapping[str, Mapping[str, Any]] | None = None,
        seed: int | None = None,
        progress: bool | None = None,
    ) -> Iterator[dict[str, pd.DataFrame]]:
        """Sample a synthetic database in chunks, so that memory use does not grow with its size.

        Each chunk is a database of its own: a part of each root table and the rows below it. Keys are unique across all
        chunks, and no row refers to another chunk. Reference tables are in the first chunk only.

        Args:
            n: As in ``sample``, for all chunks together.
            scale: As in ``sample``.
            chunk: Rows of the largest root table in a chunk; by default as many as 100,000 rows of all tables have.
            given: As in ``sample``.
            seed: Seed of the draw; the same seed and chunk give the same tables.
            progress: Whether to show progress bars.

        Raises:
            InputError: As in ``sample``, or a key without a foreign key could occur in two chunks.
            ConditionError: As in ``sample``.
        """
        check_positive_integers(chunk=1 if chunk is None else chunk)
        wanted, conditions = self._request(n, scale, given)
        seed = random_seed() if seed is None else validate_seed(seed)
        parts = split_rows(self.schema_, self.rows_, wanted, chunk)
        if len(parts) > 1 and (key := self.repeatable_key):
            raise InputError(f"the key {key} could occur in two chunks; sample the whole database at once with sample")
        numbers = KeyNumbers(int(np.random.default_rng(seed).integers(2**62)))
        with progress_bar(sum(wanted.values()), "sampling", "row", progress) as bar:
            for at, part in enumerate(parts):
                with report_damage(self._path):
                    rng = np.random.default_rng([seed, at])
                    drawn = self._model.sample(part, conditions, rng, progress if len(parts) == 1 else False, numbers)
                    joined = self._transforms.restore(drawn, self._model.schema, self.schema_, given or {}, rng)
                yield {name: joined[name] for name in joined if at == 0 or name not in self.schema_.reference}
                bar.update(sum(part.values()))

    @property
    def repeatable_key(self) -> str | None:
        """Description of a key that could occur in two chunks: ``sample_chunks`` refuses such a database."""
        self._check_fitted()
        return repeatable_key(self.schema_, self._model.schema)

    def save(self, path: str | Path) -> None:
        """Write the model to one file that ``RelationalSynthesizer.load`` reads.

        Raises:
            SourceError: The folder does not exist or cannot be written.
        """
        self._check_fitted()
        facts = {
            "parameters": self.get_params(deep=False),
            "rows": self.rows_,
            "seed": self.seed_,
            "schema": self.schema_.to_dict(),
            **self._transforms.to_dict(),
        }
        model = self._model
        file = to_private_file(model, facts) if isinstance(model, PrivateDatabase) else to_file(model, facts)
        model_file.save(path, file)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that ``save`` wrote.

        Raises:
            ModelFileError: Not there, damaged, or not a relational model.
        """
        file = model_file.load(path)
        private = file.kind == KIND and file.config.get("private")
        fitted, facts = from_private_file(file, str(path)) if private else from_file(file, str(path))
        with report_damage(str(path), reading=True):
            model = cls(**facts["parameters"])
            model.rows_, model.seed_ = {name: int(rows) for name, rows in facts["rows"].items()}, int(facts["seed"])
            model._model, model.schema_ = fitted, DatabaseSchema.from_dict(facts["schema"])
            model._transforms, model._path = TableTransforms.from_dict(facts), str(path)
        return model

    def card(self) -> dict[str, Any]:
        """Return the model card: facts about the model for readers of the synthetic tables."""
        self._check_fitted()
        return {
            "synthesizer": type(self).__name__,
            "parameters": self.get_params(deep=False),
            "rows": self.rows_,
            "seed": self.seed_,
            **self._model.privacy_card(),
            "links": [link.to_dict() for link in self.schema_.foreign_keys],
            "relations": self._model.relations(),
            "linked_relations": self._transforms.describe(),
        }

    def _request(
        self, n: int | Mapping[str, int] | None, scale: float | None, given: Mapping[str, Mapping[str, Any]] | None
    ) -> tuple[dict[str, int], dict[str, Mapping[str, Any]]]:
        """Return the rows of each root table, and the conditions by table where they are learned."""
        self._check_fitted()
        given = conditions_by_table(given, self.schema_)
        self._transforms.linked.check_conditions(given)
        moved, model = self._transforms.move_conditions(given), self._model
        check_table_conditions(moved, self.schema_, model.visible, model.timelines, self._transforms.relative)
        return requested_rows(self.schema_, self.rows_, n, scale), moved

    def _notebook_facts(self) -> dict[str, Any]:
        return summarise_database_card(self.card())

    def _check_fitted(self) -> None:
        if not hasattr(self, "schema_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")
