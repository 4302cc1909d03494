"""Options of a fit, and the state of a sampling call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.common.validation import check_required_integers, validate_rows, validate_seed
from tabsynth.errors import ConditionError, InputError
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.schema.cell_types import to_pandas
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.row_weights import RowWeights
from tabsynth.training.training_run import TrainingRun

if TYPE_CHECKING:
    from tabsynth.synthesizers.base import Synthesizer
    from tabsynth.training.batches import TokenShards

Given = Mapping[str, Any] | pd.DataFrame


@dataclass(frozen=True)
class FitOptions(TrainingRun):
    """Options of one fit, with how it runs.

    Attributes:
        row_weights: Weights of the rows, and which cells each row has.
        fit_discriminator: Whether to fit the discriminator that selects sampled rows.
        warm_start: A fitted model from which the fit continues.
        shards: Files of the training rows, where these do not fit in memory.
        persons: Person of each training row; None if each row is its own person.
    """

    row_weights: RowWeights = field(default_factory=RowWeights)
    fit_discriminator: bool = True
    warm_start: Synthesizer | None = None
    shards: TokenShards | None = None
    persons: Integers | None = None


@dataclass(frozen=True)
class SampleContext:
    """State of one sampling call.

    Attributes:
        rng: Random generator.
        progress: Whether to show a progress bar; None shows one on a terminal.
        keys: Seed of the identifiers, shared by the chunks of one sample.
        start: Number of rows sampled before with the same ``keys``.
        calibrate: Whether to calibrate each slot's mean prediction to its training marginal, where there are rows
            enough.
        stratify: Whether to stratify the random numbers of similar rows.
    """

    rng: np.random.Generator
    progress: bool | None
    keys: int
    start: int = 0
    calibrate: bool = True
    stratify: bool = True

    @classmethod
    def of(
        cls, seed: int | None, progress: bool | None, *, calibrate: bool = True, stratify: bool = True
    ) -> SampleContext:
        """Return a context with its own generator."""
        rng = np.random.default_rng(None if seed is None else validate_seed(seed))
        return cls(rng, progress, int(rng.integers(2**63)), calibrate=calibrate, stratify=stratify)


def sampling_facts(rows: int, source_rows: int | None) -> dict[str, Any]:
    """Return the model card's entries on the rows of a source that were not used, if any."""
    if source_rows is None:
        return {}
    rule = f"a uniform random sample of {rows} of {source_rows} rows; the others were not used"
    return {"source_rows": source_rows, "training_rows": rule}


def fit_facts(rows: int, visits: int | None, earlier_rows: int | None) -> dict[str, Any]:
    """Return the model card's entries on a fit from files, and on one that continued from a model of earlier rows."""
    out: dict[str, Any] = {} if earlier_rows is None else {"earlier_rows": earlier_rows}
    if visits is not None:
        rule = f"all {rows} rows, in random order; the network saw {visits} rows, {visits / max(rows, 1):.3g} epochs"
        out |= {"row_visits": visits, "training_rows": rule}
    return out


def resolve_rows(n: int | None, given: Given | None, default: int) -> int:
    """Return the number of rows to draw: as asked, as in a frame of conditions, or the default.

    Raises:
        InputError: ``n`` is no whole number of at least 0.
        ConditionError: It differs from the number of conditions.
    """
    given = to_pandas(given)
    frame_rows = len(given) if isinstance(given, pd.DataFrame) else None
    if n is None:
        return default if frame_rows is None else frame_rows
    rows = validate_rows(n)
    if frame_rows is not None and rows != frame_rows:
        raise ConditionError(f"n is {n}, but given has {frame_rows} rows; leave n out")
    return rows


def chunk_context(schema: Schema, number: int, n: int, chunk: int, seed: int) -> tuple[int, SampleContext]:
    """Return the rows of a chunk of a sample of ``n`` rows, and the context in which it is sampled.

    Raises:
        InputError: There is no such chunk, its size is invalid, or a key would repeat between chunks.
    """
    check_required_integers(chunk=chunk)
    chunks = -(-n // chunk)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < chunks:
        raise InputError(f"there is no chunk {number!r}: {n} rows in chunks of {chunk} have {chunks}, counted from 0")
    start = number * chunk
    check_keys_in_chunks(schema, n, chunk)
    keys = int(np.random.default_rng(seed).integers(2**63))
    return min(chunk, n - start), SampleContext(np.random.default_rng([seed, number]), False, keys, start)


def check_keys_in_chunks(schema: Schema, n: int, chunk: int) -> None:
    """Raise InputError if a declared key would repeat between chunks, which are sampled independently."""
    if n > chunk and (keys := RuleSet.of(schema).repeatable_keys):
        raise InputError(
            f"the key ({', '.join(keys[0].of)}) would repeat between chunks of {chunk} rows; draw all {n} rows in one "
            "chunk, or declare a column of the key as identifier"
        )
