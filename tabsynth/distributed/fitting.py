"""Fit a model to a random sample of the rows of a file larger than memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tabsynth.common.progress import Progress
from tabsynth.common.validation import check_positive_integers, random_seed, validate_seed
from tabsynth.data.read_write import cast_columns
from tabsynth.data.table import Table
from tabsynth.distributed.row_sample import sample_rows
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.base import Synthesizer

DEFAULT_TRAINING_ROWS = 2_000_000
"""Maximum training rows; their frame and tokens are in memory."""

Model = TypeVar("Model", bound=Synthesizer)


def fit_sampled(
    model: Model,
    path: str | Path,
    *,
    max_rows: int = DEFAULT_TRAINING_ROWS,
    schema: Schema | None = None,
    seed: int | None = None,
    progress: bool | None = None,
    checkpoint: str | Path | None = None,
    callbacks: tuple[Callable[[Progress], None], ...] = (),
) -> Model:
    """Fit a synthesizer to a uniform random sample of at most ``max_rows`` rows of a file; return it.

    If the file has fewer rows, all are used, and the result is that of ``fit``. Otherwise ``model.source_rows_`` and
    the model card state how many rows the file has and how many were used. Values that do not occur in the sample, such
    as rare categories and the extremes of numbers, are not in the model, unless the schema declares them.

    A private fit reads all rows: call ``fit(privacy=...)``.

    Args:
        model: The synthesizer to fit.
        path: A CSV or Parquet file of any size.
        max_rows: Rows to train on at most.
        schema: Schema of the table; inferred from the sample by default.
        seed: Seed of the sample and of the fit. Random by default, and stored.
        progress: As in ``fit``.
        checkpoint: As in ``fit``.
        callbacks: As in ``fit``.

    Raises:
        InputError: The file or the schema cannot be used.
    """
    seed = random_seed() if seed is None else validate_seed(seed)
    table, total = sample_table(path, max_rows, schema=schema, seed=seed)
    model.fit(table, seed=seed, progress=progress, checkpoint=checkpoint, callbacks=callbacks)
    model.source_rows_ = total if total > len(table) else None
    return model


def sample_table(path: str | Path, max_rows: int, *, schema: Schema | None, seed: int) -> tuple[Table, int]:
    """Return a uniform random sample of a file as a table, and the file's number of rows; see ``fit_sampled``.

    Raises:
        InputError: The file or the schema cannot be used.
    """
    check_positive_integers(max_rows=max_rows)
    frame, total = sample_rows(path, max_rows, seed=seed)
    return Table.of(frame if schema is None else cast_columns(frame, schema), schema), total
