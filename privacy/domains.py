"""Measure the open facts of a schema under differential privacy: bounds, decimals, nullability and categories.

All but categories come from noisy counts of public cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.arrays import Floats, Integers
from tabsynth.errors import PrivacyError, quote
from tabsynth.privacy.accounting.ledger import PrivacyLedger
from tabsynth.privacy.accounting.measured_spending import check_same_dataset, compose_ledgers, get_measurement_ledger
from tabsynth.privacy.budget import Privacy, zcdp_rho
from tabsynth.privacy.mechanisms.canonical_cells import MAX_EXACT_INTEGER, to_numbers
from tabsynth.privacy.mechanisms.clamping import OTHER, private_table, to_dates
from tabsynth.privacy.mechanisms.contribution_bounding import bound_contributions, check_person_column
from tabsynth.privacy.mechanisms.exponential import exponential
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noisy_counts import noisy_counts
from tabsynth.privacy.mechanisms.partition_selection import discover
from tabsynth.privacy.public_schema import private_schema
from tabsynth.schema.columns import Categorical, Column, Datetime, Numeric
from tabsynth.schema.schema import Schema

__all__ = ["discover", "measure", "private_schema", "private_table", "quantiles"]

MAX_POWER = 64
"""Numbers are bounded by powers of two from 2^-POWERS to 2^POWERS."""

MAX_DECIMALS = 8
"""Columns of more decimals than this are left unrounded."""

FALSE_POSITIVE_RATE = 1e-3
"""Chance that noise alone widens a bound or makes a column nullable."""


def measure(frame: pd.DataFrame, schema: Schema, privacy: Privacy) -> Schema:
    """Measure the open facts of a declared schema, and spend ``privacy.epsilon`` on them.

    Bounds become powers of two (dates: whole years), so that rare values beyond them are clamped later. Categories
    become text, with ``other`` for all that are too rare. Kinds, roles and identifiers are not measured.

    Args:
        frame: The raw rows.
        schema: The declared schema; columns of categories without values and of numbers or dates without bounds are
            measured, and so are the decimals and the nullability of such columns where they are not declared.
        privacy: The budget to spend; its ``ledger`` must be the data set's, so that a later fit is counted with it.

    Returns:
        The schema with the measured columns marked ``measured``, and with what was charged in its ``ledger``: a fit
        with it counts that too.

    Raises:
        PrivacyError: A column is inferred, no ledger is given, persons have no exact keys, or the budget does not
            allow it.
    """
    if privacy.ledger is None:
        raise PrivacyError(
            "measure needs the data set's ledger, so that the fit that follows is counted with it: "
            "Privacy(..., ledger=path or PrivacyLedger)"
        )
    inferred = [name for name, column in schema.items() if column.origin == "inferred"]
    if inferred:
        raise PrivacyError(f"the kinds of {quote(inferred)} were inferred from the data: declare each column's kind")
    absent = [name for name in schema if name not in frame.columns]
    if absent:
        raise PrivacyError(f"the schema has {quote(absent)}, which the table does not have; change one of them")
    open_ = [column for column in schema.values() if _has_open_facts(column)]
    if not open_:
        return schema
    if privacy.unit != "row":
        if privacy.unit not in frame.columns:
            raise PrivacyError(f"the unit of privacy {privacy.unit!r} is not a column of the table")
        check_person_column(frame[privacy.unit])
    before = get_measurement_ledger(schema)
    measurement = _DomainMeasurement.of(privacy, open_)
    check_same_dataset(before, privacy.unit, measurement.ledger.parent)
    columns = dict(schema.columns)
    try:
        for column in open_:
            columns[column.name] = replace(measurement.measured(frame, column), origin="measured")
    finally:
        measurement.ledger.settle()
    return replace(schema, columns=columns, ledger=compose_ledgers(before, measurement.ledger).to_dict())


def _has_open_facts(column: Column) -> bool:
    if isinstance(column, Categorical):
        return column.values is None
    return isinstance(column, (Numeric, Datetime)) and (column.low is None or column.high is None)


@dataclass(frozen=True)
class _DomainMeasurement:
    """Budget and noise for measuring each column."""

    privacy: Privacy
    ledger: PrivacyLedger
    noise: Noise
    rho: float
    delta: float

    @classmethod
    def of(cls, privacy: Privacy, columns: Sequence[Column]) -> _DomainMeasurement:
        opened = privacy.opened()
        categories = sum(isinstance(column, Categorical) for column in columns)
        each = opened.resolved_delta / (10 * categories) if categories else 0.0
        rho = zcdp_rho(opened.epsilon, opened.resolved_delta - each * categories) / len(columns)
        return cls(opened, opened.open_ledger, opened.noise(), rho, each)

    def measured(self, frame: pd.DataFrame, column: Column) -> Column:
        """Measure the open facts of one column."""
        if isinstance(column, Categorical):
            values = discover(
                lambda: self.column(frame, column.name),
                rho=self.rho,
                delta=self.delta,
                max_rows_per_unit=self.privacy.max_rows_per_unit,
                ledger=self.ledger,
                column=column.name,
                noise=self.noise,
            )
            return replace(column, values=(*(value for value in values if value != OTHER), OTHER))
        sigma = self.privacy.max_rows_per_unit / math.sqrt(2 * self.rho)
        if isinstance(column, Numeric):
            cells, ends = _power_of_two_cells()
            read = self.counter(frame, column, cells + MAX_DECIMALS + 3, _numeric_cells)
            counts = self.counts(read, column, sigma * math.sqrt(2), math.sqrt(2))
            low, high = _select_bounds(counts[:cells], ends, sigma * math.sqrt(2))
            return replace(column, **_select_facts(column, counts[cells:], sigma * math.sqrt(2), low, high))
        assert isinstance(column, Datetime)
        years = np.arange(1678, 2262)
        counts = self.counts(self.counter(frame, column, len(years) + 1, _date_cells), column, sigma, 1.0)
        seen = np.flatnonzero(counts[:-1] >= _noise_threshold(sigma, len(years)))
        first, last = (seen[0], seen[-1]) if len(seen) else (np.argmax(counts[:-1]),) * 2
        return replace(
            column,
            low=column.low or f"{years[first]:04d}-01-01",
            high=column.high or f"{years[last]:04d}-12-31T23:59:59",
            nullable=column.nullable or bool(counts[-1] >= _noise_threshold(sigma, 1)),
        )

    def column(self, frame: pd.DataFrame, name: str) -> pd.Series:
        """Return a column with bounded contributions; called inside a read."""
        most = self.privacy.rows_per_person
        if self.privacy.unit == "row" or most is None:
            return frame[name]
        return frame[name][bound_contributions(frame[self.privacy.unit], most, self.noise)]

    def counter(
        self, frame: pd.DataFrame, column: Any, cells: int, place: Callable[[pd.Series, Any], Integers]
    ) -> Callable[[], Integers]:
        def read() -> Integers:
            return np.bincount(place(self.column(frame, column.name), column), minlength=cells).astype(np.int64)

        return read

    def counts(self, read: Callable[[], Integers], column: Column, sigma: float, per_row: float) -> Integers:
        """Return the noisy counts of public cells, of which a row is in ``per_row`` squared."""
        return noisy_counts(
            read,
            sigma=sigma,
            sensitivity=per_row * self.privacy.max_rows_per_unit,
            ledger=self.ledger,
            purpose=f"the domain of {column.name!r}",
            columns=[column.name],
            noise=self.noise,
        )


def quantiles(
    read: Callable[[], Integers],
    shares: Sequence[float],
    grid: npt.NDArray[Any],
    *,
    rho: float,
    ledger: PrivacyLedger,
    columns: Sequence[str],
    noise: Noise,
    max_rows_per_unit: int = 1,
) -> npt.NDArray[Any]:
    """Return the quantiles on a public grid by the exponential mechanism, shape (shares,).

    Args:
        read: Gives the column's numbers, without missing ones, shape (n,).
        shares: Levels of the quantiles, each from 0 to 1, in thousandths.
        grid: The candidates, ascending; public.
        rho: The zCDP to spend on all of them.
        ledger: The ledger that is charged.
        columns: The columns that are read.
        noise: Where the randomness comes from.
        max_rows_per_unit: Maximum rows of a unit.

    Raises:
        PrivacyError: The budget does not allow it; nothing was read.
    """
    out = []
    for share in shares:
        parts = round(1000 * share)

        def scores(parts: int = parts) -> Integers:
            values = np.sort(read())
            below = np.searchsorted(values, grid, side="left").astype(np.int64)
            upto = np.searchsorted(values, grid, side="right").astype(np.int64)
            wanted = parts * len(values)
            # How far the wanted rank lies outside the ranks that the candidate holds, in thousandths of a row.
            return -np.maximum(np.maximum(1000 * below - wanted, wanted - 1000 * upto), 0)

        chosen = exponential(
            scores,
            rho=rho / len(shares),
            sensitivity=max(parts, 1000 - parts) * max_rows_per_unit,
            ledger=ledger,
            purpose=f"quantile {share:g}",
            columns=columns,
            noise=noise,
        )
        out.append(grid[chosen])
    return np.array(out)


def _power_of_two_cells() -> tuple[int, Floats]:
    """Cells between signed powers of two (zero is one): their number, and the end farther from zero of each."""
    sizes = 2.0 ** np.arange(-MAX_POWER + 1, MAX_POWER + 1)
    return 2 * len(sizes) + 1, np.concatenate([-sizes[::-1], [0.0], sizes])


def _numeric_cells(values: pd.Series, column: Numeric) -> Integers:
    """Return each row's cell of its number and, after those, of its decimals; the last cell is for missing values."""
    cells, _ = _power_of_two_cells()
    data = to_numbers(values)
    here = ~np.isnan(data)
    size = np.clip(np.abs(data[here]), 0, 2.0**MAX_POWER)
    # Cell k beside zero holds sizes in (2^(k-1), 2^k], so that the far end bounds it.
    power = np.ceil(np.log2(np.maximum(size, 2.0**-MAX_POWER))).astype(np.int64) + MAX_POWER
    middle = cells // 2
    cell = np.where(size == 0, middle, middle + np.sign(data[here]).astype(np.int64) * np.clip(power, 1, middle))
    digits = np.full(here.sum(), MAX_DECIMALS + 1, np.int64)
    for decimals in range(MAX_DECIMALS, -1, -1):
        digits[np.round(size, decimals) == size] = decimals
    return np.concatenate([cell, cells + digits, np.full((~here).sum(), cells + MAX_DECIMALS + 2)])


def _date_cells(values: pd.Series, column: Datetime) -> Integers:
    """Return each row's cell of its year; the last cell is for missing values."""
    data = to_dates(values, column.format)
    years = data.astype("datetime64[Y]").astype(np.int64) + 1970
    return np.where(np.isnat(data), 2262 - 1678, np.clip(years, 1678, 2261) - 1678)


def _select_bounds(counts: Integers, ends: Floats, sigma: float) -> tuple[float, float]:
    """Return the bounds of the cells whose noisy counts exceed the noise."""
    seen = np.flatnonzero(counts >= _noise_threshold(sigma, len(counts)))
    first, last = (int(seen[0]), int(seen[-1])) if len(seen) else (int(np.argmax(counts)),) * 2
    # A cell's stored end is the far one; the near end of a cell beyond zero is the end of the cell before.
    low = ends[first] if ends[first] <= 0 else ends[first - 1]
    high = ends[last] if ends[last] >= 0 else ends[last + 1]
    return float(low), float(high)


def _select_facts(column: Numeric, counts: Integers, sigma: float, low: float, high: float) -> dict[str, Any]:
    """Measure the bounds, decimals and nullability that are not declared."""
    least = _noise_threshold(sigma, MAX_DECIMALS + 3)
    seen = np.flatnonzero(counts[: MAX_DECIMALS + 2] >= least)
    most = int(seen[-1]) if len(seen) else MAX_DECIMALS + 1
    decimals = column.decimals if column.decimals is not None else (most if most <= MAX_DECIMALS else None)
    most_exact = MAX_EXACT_INTEGER - 1 if decimals == 0 else math.inf
    low = max(low, -most_exact) if column.low is None else column.low
    high = min(high, most_exact) if column.high is None else column.high
    return {
        "low": min(low, high),
        "high": max(low, high),
        "decimals": decimals,
        "nullable": column.nullable or bool(counts[MAX_DECIMALS + 2] >= least),
    }


def _noise_threshold(sigma: float, cells: int) -> float:
    """Return a count that noise alone exceeds in any of some cells with probability ``FALSE_POSITIVE_RATE`` at most."""
    return sigma * math.sqrt(2 * math.log(max(cells, 1) / FALSE_POSITIVE_RATE))
