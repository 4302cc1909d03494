"""Fit a model to all rows of a table larger than memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tabsynth.common.atomic_files import temporary_folder
from tabsynth.common.progress import Progress
from tabsynth.common.validation import check_positive_integers, random_seed, validate_seed
from tabsynth.distributed.out_of_core.confirmation import Confirmation, search_again
from tabsynth.distributed.out_of_core.source import Source
from tabsynth.distributed.out_of_core.token_files import write_tokens
from tabsynth.distributed.out_of_core.vocabulary import known_missing, measure_codec, with_counts
from tabsynth.errors import InputError
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.enforcement import Relations
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.base import Synthesizer
from tabsynth.synthesizers.card_facts import count_repairs
from tabsynth.synthesizers.options import FitOptions
from tabsynth.synthesizers.token_synthesizer import TokenSynthesizer

DEFAULT_MEMORY_ROWS = 1 << 18
"""Maximum rows in memory at once."""

Model = TypeVar("Model", bound=Synthesizer)


def fit_out_of_core(
    model: Model,
    source: str | Path,
    *,
    memory_rows: int = DEFAULT_MEMORY_ROWS,
    schema: Schema | None = None,
    seed: int | None = None,
    progress: bool | None = None,
    checkpoint: str | Path | None = None,
    callbacks: tuple[Callable[[Progress], None], ...] = (),
) -> Model:
    """Fit a masked synthesizer to all rows of a table of any size; return it.

    A table of at most ``memory_rows`` rows is fitted by ``fit``. A larger one is read in batches, two or three times:
    the third time for categorical columns. CSV files are read once more, and so is a table in which rows contradict a
    relation of the sample.

    Categories, and minima and maxima of numbers, come from all rows. A uniform random sample of ``memory_rows`` rows
    determines the inferred schema, the bins of numbers and the relations between columns; a relation is kept if all
    rows satisfy it. The tokens of all rows are written to a temporary folder (``TMPDIR``). The network trains on them
    in random order for as many epochs as in ``fit``, but on at most 30,000,000 rows unless the model's ``epochs`` is
    set. The model card states the number.

    Args:
        model: The synthesizer to fit.
        source: A file, a folder or pattern of Parquet files, or the URL of a database's table.
        memory_rows: Rows in memory at once.
        schema: Schema of the table; inferred from the sample by default.
        seed: Seed of the fit; the same seed gives the same model on one machine. Random by default, and stored.
        progress: As in ``fit``.
        checkpoint: As in ``fit``.
        callbacks: As in ``fit``.

    Raises:
        InputError: The source, the schema or the synthesizer cannot be used.
    """
    if not isinstance(model, TokenSynthesizer) or not model.fits_shards:
        raise InputError(
            f"{type(model).__name__} cannot be fitted out of core; use MaskedSynthesizer, or fit a random sample of "
            "the rows with max_rows (--max-rows)"
        )
    check_positive_integers(memory_rows=memory_rows, epochs=model.epochs, min_group=model.min_group)
    seed = random_seed() if seed is None else validate_seed(seed)
    rows = Source.of(source, schema, memory_rows, seed)
    if rows.rows <= memory_rows:
        return model.fit(
            source, schema=schema, seed=seed, progress=progress, checkpoint=checkpoint, callbacks=callbacks
        )
    run = FitOptions(seed, progress, Path(checkpoint) if checkpoint else None, tuple(callbacks))
    try:
        _fit(model, rows, run)
    except BaseException:  # an interrupted fit must not look fitted
        if hasattr(model, "schema_"):
            del model.schema_
        raise
    return model


def _fit(model: TokenSynthesizer, source: Source, run: FitOptions) -> None:
    """Measure the codec, write the tokens and train."""
    schema = source.schema
    table = RuleSet.of(schema).training_table(source.sample)
    codec = measure_codec(source, table, model.min_group)
    derived = set(table.schema) - set(schema)
    confirmation = Confirmation(Relations.discover(table, codec, without=derived))
    with temporary_folder("tabsynth-") as folder:
        done = write_tokens(source, codec, confirmation, folder, source.sample_rows, run.seed)
        relations = search_again(source, table, codec, confirmation, without=derived)
        codec = with_counts(codec, done.column_counts, done.tails)
        if source.declared is None:
            schema = known_missing(schema, codec)
            codec = replace(codec, schema=known_missing(codec.schema, codec))
        model.schema_, model.rows_, model.seed_ = schema, source.rows, run.seed
        model.mixed_, model.source_rows_, model._ledger = None, None, None
        model.codec_, model.relations_ = codec, relations
        model._prepare(done.slot_counts, [])
        model._learn(done.shards.sample(source.sample_rows, run.seed), replace(run, shards=done.shards))
        model._constraint_facts = {"violations": [], "repaired": count_repairs(model)}
