"""White-box canary audit of the private mixture: the likelihood ratio of all of its noisy counts.

The adversary of a worst-case audit knows the code, every other row and the canary. A fit learns only noisy counts from
its rows, so the optimal score is the log-likelihood ratio of these counts with and without the canary.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats, Tokens
from tabsynth.errors import SchemaError
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.schema.columns import Boolean, Categorical, Column, Datetime, Numeric
from tabsynth.schema.schema import Schema
from tabsynth.synthesizers.marginal.count_source import NoisyCounts, Reader
from tabsynth.synthesizers.marginal.fit import measure_pairs
from tabsynth.synthesizers.marginal.private_rows import CellRows, PrivateRows
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.options import FitOptions

N_ROWS = 1_000
"""Rows of the crafted table; enough that every measurement of a fit takes place."""

N_ROWS_SAMPLES_ONLY = 40
"""Rows of a table for an adversary who sees only synthetic rows, in which the canary is conspicuous."""

NeighbouringTables = tuple[pd.DataFrame, pd.DataFrame]
"""The table without the canary, and the canary."""


def worst_case_tables(
    schema: Schema, *, alone: bool = False, unit: str = "row", rows_per_person: int = 1
) -> NeighbouringTables:
    """Return a table that is based on public facts only, and a canary with the last values and highest numbers.

    Args:
        schema: The columns, with declared values and bounds.
        alone: Whether the canary's values occur in no other row.
        unit: ``row``, or the column of persons: then every other person has one row and the canary several.
        rows_per_person: Rows of the canary.

    Raises:
        SchemaError: A column's values or bounds are not declared.
    """
    rows = N_ROWS_SAMPLES_ONLY if alone else N_ROWS
    others = {
        name: [_public_value(column, i / rows / (2 if alone else 1), i, alone) for i in range(rows)]
        for name, column in schema.items()
    }
    canary = {name: [_public_value(column, 1.0, rows, alone)] for name, column in schema.items()}
    if unit != "row":
        canary = {name: cells * rows_per_person for name, cells in canary.items()}
    return pd.DataFrame(others), pd.DataFrame(canary)


def likelihood_ratio_pipeline(
    schema: Schema, privacy: Privacy, known: NeighbouringTables
) -> Callable[[pd.DataFrame, int], float]:
    """Return a pipeline for ``canaries``: the log-likelihood ratio of the mixture's noisy counts.

    The noise comes from the system's generator; the seed argument of the pipeline is ignored.
    """
    replayed = list[PrivateRows]()

    def fit(frame: pd.DataFrame, number: int) -> float:
        model = WhiteBoxSynthesizer(components=1)
        model.known, model.privacy, model.replayed = known, privacy, replayed
        model.fit(frame, schema=schema, privacy=privacy, progress=False)
        return model.evidence_

    return fit


class WhiteBoxSynthesizer(MarginalSynthesizer):
    """A mixture that records its noisy counts and computes their likelihood ratio for the canary.

    Attributes:
        known: Set before ``fit``.
        privacy: The claim, set before ``fit``.
        replayed: The rows of the known tables, set before ``fit``: empty, or as the first of many fits has read them.
        evidence_: Log likelihood ratio of the noisy counts, with the canary over without it.
    """

    known: NeighbouringTables
    privacy: Privacy
    replayed: list[PrivateRows]
    evidence_: float

    def _fit_rows(self, rows: CellRows, source: Any, n_public: int | None, run: FitOptions) -> None:
        watched = _RecordingSource(source)
        super()._fit_rows(rows, watched, n_public, run)  # type: ignore[arg-type]
        if not self.replayed:
            # This charges nothing.
            self.replayed += [
                PrivateRows(frame, rows.rules, rows.public_grids, self.privacy, Noise.insecure(0))
                for frame in (self.known[0], pd.concat(self.known, ignore_index=True))
            ]
        base, neighbour = (self._replay(known, watched, n_public, run) for known in self.replayed)
        self.evidence_ = sum(
            float(((noisy - (without + with_row) / 2) * (with_row - without)).sum()) / sigma**2
            for (noisy, sigma), without, with_row in zip(watched.recorded, base.exact, neighbour.exact, strict=True)
        )

    def _fit_marginals(
        self, tokens: Callable[[], Tokens], rows: float, source: Any, share: float, run: FitOptions
    ) -> None:
        """Count the pairs only: everything else of a mixture is post-processing of these counts."""
        if self.active_:
            measure_pairs(self._slots(rows), tokens, source, share, components=self.components, seed=run.seed)

    def _replay(
        self, known: PrivateRows, watched: _RecordingSource, n_public: int | None, run: FitOptions
    ) -> _ReplaySource:
        """Return the exact counts of other rows for the same sequence of measurements."""
        replay = _ReplaySource(watched)
        model = MarginalSynthesizer(components=1)
        model.schema_ = known.rules.schema
        with contextlib.suppress(_ReplayCompleteError):
            model._fit_rows(known, replay, n_public, run)  # type: ignore[arg-type]
        return replay


class _RecordingSource:
    """A source of noisy counts that records each result with its noise scale."""

    def __init__(self, source: NoisyCounts) -> None:
        self.source, self.recorded = source, list[tuple[Floats, float]]()
        self.rho, self.max_rows_per_unit = source.rho, source.max_rows_per_unit

    def counts(
        self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]
    ) -> list[Floats]:
        out = self.source.counts(reads, shares, purpose, columns)
        self.recorded += zip(out, map(self.source.sigma, shares), strict=True)
        return out

    def sigma(self, share: float) -> float:
        return self.source.sigma(share)


class _ReplaySource:
    """Replays the recorded noisy counts, and records the exact counts of other rows."""

    def __init__(self, watched: _RecordingSource) -> None:
        self.watched, self.exact = watched, list[Floats]()
        self.rho, self.max_rows_per_unit = watched.rho, watched.max_rows_per_unit

    def counts(
        self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]
    ) -> list[Floats]:
        begin = len(self.exact)
        self.exact += [read().astype(np.float64) for read in reads]
        if len(self.exact) == len(self.watched.recorded):
            raise _ReplayCompleteError
        return [noisy for noisy, _ in self.watched.recorded[begin : len(self.exact)]]

    def sigma(self, share: float) -> float:
        return self.watched.sigma(share)


class _ReplayCompleteError(Exception):
    """Whether all released results have been replayed."""


def _public_value(column: Column, share: float, number: int, alone: bool) -> Any:
    """Return a public value; the canary's share is 1, those of others are below."""
    last = share == 1
    if isinstance(column, Categorical):
        values = column.values
        if not values:
            raise SchemaError(f"column {column.name!r}: declare its values; canaries use public facts only")
        return values[-1] if last else values[number % max(len(values) - alone, 1)]
    if isinstance(column, Boolean):
        return last or (number // 7 % 2 == 1 and not alone)  # 7 shares no factor with typical numbers of categories
    if isinstance(column, (Numeric, Datetime)):
        if column.low is None or column.high is None:
            raise SchemaError(f"column {column.name!r}: declare low and high; canaries use public facts only")
        if isinstance(column, Datetime):
            low, high = pd.Timestamp(column.low), pd.Timestamp(column.high)
            return low + (high - low) * share
        value = column.low + (column.high - column.low) * share
        return value if column.decimals is None else round(value, column.decimals)
    return f"row {number}"
