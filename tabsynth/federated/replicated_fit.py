"""The private fit of the mixture. Every party runs it on the same sums, so each derives the same next query.

A site runs the fit with the sums of the rounds so far and stops at the first query without a sum. It therefore answers
only queries that the plan and earlier noisy sums determine. The coordinator runs the same fit on an empty table.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import FunctionType
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats
from tabsynth.errors import PrivacyError
from tabsynth.federated.plan import FederatedPlan
from tabsynth.privacy.budget import Privacy
from tabsynth.privacy.mechanisms.distributed_noise import summed_gaussian_sigma
from tabsynth.synthesizers.marginal.count_source import SPENDABLE_SHARE, Reader
from tabsynth.synthesizers.marginal.private_rows import CellRows
from tabsynth.synthesizers.marginal.synthesizer import MarginalSynthesizer
from tabsynth.synthesizers.options import FitOptions


@dataclass(frozen=True, eq=False)
class Query:
    """Counts that the fit asks for next.

    Attributes:
        reads: Each gives one vector of counts of the party's rows.
        shares: The share of the budget of each.
        purpose: The purpose of the counts.
        columns: The columns that are counted.
    """

    reads: Sequence[Reader]
    shares: Sequence[float]
    purpose: str
    columns: Sequence[str]

    def sigmas(self, plan: FederatedPlan) -> list[float]:
        """Return the standard deviation of the protecting noise of each vector."""
        return [target_sigma(plan, share) for share in self.shares]

    def digest(self) -> str:
        """Return the SHA-256 of the public facts of the query, to compare with that of another party.

        Reads are functions; what they close over of public facts counts, functions that reach rows do not.
        """
        digest = hashlib.sha256()
        _feed(digest.update, [list(self.shares), self.purpose, list(self.columns)])
        for read in self.reads:
            _feed(digest.update, _closure(read) if isinstance(read, FunctionType) else read)
        return digest.hexdigest()


def target_sigma(plan: FederatedPlan, share: float) -> float:
    """Return the standard deviation of the noise for a share of the budget."""
    mu = math.sqrt(2 * SPENDABLE_SHARE * share * plan.rho) / plan.max_rows_per_unit
    return summed_gaussian_sigma(mu, plan.parts)


@dataclass(frozen=True)
class SummedCounts:
    """Counts of the rows of all sites.

    Attributes:
        plan: The plan of the fit.
        answer: Gives the sums of a query.
    """

    plan: FederatedPlan
    answer: Callable[[Query], list[Floats]]

    @property
    def rho(self) -> float:
        """The budget of the whole fit, half the squared mu of Gaussian DP."""
        return self.plan.rho

    @property
    def max_rows_per_unit(self) -> int:
        """Maximum rows of a unit at all sites together."""
        return self.plan.max_rows_per_unit

    def counts(
        self, reads: Sequence[Reader], shares: Sequence[float], purpose: str, columns: Sequence[str]
    ) -> list[Floats]:
        """Return the noisy sums of the counts of all sites."""
        return self.answer(Query(reads, shares, purpose, columns))

    def sigma(self, share: float) -> float:
        """Return the standard deviation of all noise, that of curious sites included."""
        return target_sigma(self.plan, share) * math.sqrt(len(self.plan.sites) / self.plan.parts)


class ReplicatedSynthesizer(MarginalSynthesizer):
    """The private mixture with another source of counts; it keeps the rows that it has encoded.

    Attributes:
        source: The source of counts.
        encoded_rows: The rows of an earlier run, which are not encoded again.
    """

    source: Any
    encoded_rows: CellRows | None = None

    def _fit_rows(self, rows: CellRows, source: Any, n_public: int | None, run: FitOptions) -> None:
        self.encoded_rows = self.encoded_rows or rows
        super()._fit_rows(self.encoded_rows, self.source, n_public, run)


def run_fit(
    plan: FederatedPlan,
    frame: pd.DataFrame,
    privacy: Privacy,
    answer: Callable[[Query], list[Floats]],
    *,
    encoded: CellRows | None = None,
    progress: bool | None = False,
) -> ReplicatedSynthesizer:
    """Run the fit.

    Args:
        plan: The plan of the fit.
        frame: The rows of this party.
        privacy: Its privacy, opened.
        answer: Gives the sums of a query, or raises to stop.
        encoded: The rows of an earlier run.
        progress: Whether to show a progress bar.
    """
    model = ReplicatedSynthesizer(components=plan.components)
    model.source, model.encoded_rows = SummedCounts(plan, answer), encoded
    model.schema_, model.seed_, model._ledger = plan.schema, plan.seed, privacy.open_ledger
    try:
        model._fit_private(frame, plan.schema, privacy, FitOptions(plan.seed, progress))
    except NextQueryError as stop:
        stop.encoded = model.encoded_rows
        raise
    return model


class NextQueryError(Exception):
    """Stops a replay at the first query that has no sums yet."""

    def __init__(self, query: Query) -> None:
        super().__init__(query.purpose)
        self.query = query
        self.encoded: CellRows | None = None


def next_query(
    plan: FederatedPlan,
    frame: pd.DataFrame,
    privacy: Privacy,
    sums: Sequence[list[Floats]],
    encoded: CellRows | None = None,
) -> tuple[Query, CellRows | None]:
    """Return the query that follows some sums, and the encoded rows for the next replay.

    Raises:
        PrivacyError: The fit asks for nothing more.
    """
    left = iter(sums)

    def answer(query: Query) -> list[Floats]:
        known = next(left, None)
        if known is None:
            raise NextQueryError(query)
        if len(known) != len(query.reads):
            raise PrivacyError("the sums of an earlier round do not fit its query")
        return known

    try:
        run_fit(plan, frame, privacy, answer, encoded=encoded)
    except NextQueryError as stop:
        return stop.query, stop.encoded
    raise PrivacyError("the coordinator asks for a round beyond the end of the fit")


def _closure(function: FunctionType) -> list[Any]:
    """Name and closed-over values of a reader."""
    cells = function.__closure__ or ()
    return [function.__qualname__, *(cell.cell_contents for cell in cells)]


def _feed(update: Callable[[bytes], object], value: Any) -> None:
    """Hash public facts in one canonical form; of anything else, its type alone."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        update(f"array {value.dtype.str} {value.shape}\n".encode())
        update(np.ascontiguousarray(value).tobytes())
    elif value is None or isinstance(value, (str, bytes, bool, int, float, np.generic)):
        update(f"{type(value).__name__} {value!r}\n".encode())
    elif isinstance(value, Mapping):
        _feed(update, [part for pair in value.items() for part in pair])
    elif isinstance(value, (list, tuple)):
        update(f"list {len(value)}\n".encode())
        for part in value:
            _feed(update, part)
    elif is_dataclass(value) and not isinstance(value, type):
        _feed(update, [type(value).__name__, *(getattr(value, field.name) for field in fields(value))])
    else:
        update(f"{type(value).__name__}\n".encode())
