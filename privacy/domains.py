"""Measure undeclared facts of a schema under differential privacy: bounds, decimals, nullability and categories.

Categories come from partition selection, all others from noisy counts of public cells.
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
from tabsynth.privacy.budget import Privacy, gaussian_rho
from tabsynth.privacy.mechanisms.canonical_cells import MAX_EXACT_INTEGER, to_numbers
from tabsynth.privacy.mechanisms.clamping import OTHER, private_table, to_dates
from tabsynth.privacy.mechanisms.contribution_bounding import bound_contributions, check_person_column
from tabsynth.privacy.mechanisms.exponential import exponential
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.privacy.mechanisms.noisy_counts import gaussian_scale, noisy_counts
from tabsynth.privacy.mechanisms.partition_selection import discover
from tabsynth.privacy.public_schema import private_schema, warn_of_unmeasured
from tabsynth.schema.columns import Categorical, Column, Datetime, Numeric
from tabsynth.schema.schema import Schema

__all__ = ["discover", "measure", "private_schema", "private_table", "quantiles"]

MAX_POWER = 64
"""Bounds of numbers are powers of two from 2^-MAX_POWER to 2^MAX_POWER."""

MAX_DECIMALS = 8
"""Columns with more decimals are not rounded."""

FALSE_POSITIVE_RATE = 1e-3
"""Chance that noise alone widens a bound or makes a column nullable."""


def measure(frame: pd.DataFrame, schema: Schema, privacy: Privacy) -> Schema:
    """Measure the undeclared facts of a schema, and spend ``privacy.epsilon`` on them.

    Bounds are rounded outwards to powers of two (dates: whole years); rare values beyond them are clamped later.
    Categories become text, with ``other`` for all rare ones. Kinds, roles and identifiers are not measured.

    Args:
        frame: The raw rows.
        schema: The declared schema. Categorical columns without values and numbers or dates without bounds are
            measured, with the decimals and nullability of such columns if they are not declared.
        privacy: The budget to spend. Its ``ledger`` must be the data set's, so that a later fit is counted with it.

    Returns:
        The schema with the measured columns marked ``measured``. Its ``ledger`` contains the charges, which a fit with
        this schema also counts.

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
        raise PrivacyError(
            f"the kinds of {quote(inferred)} were inferred from the data: declare each column's kind, in the "
            "schema's file by removing 'origin: inferred'"
        )
    absent = [name for name in schema if name not in frame.columns]
    if absent:
        raise PrivacyError(f"the table has no columns {quote(absent)}, which the schema declares; change one of them")
    open_columns = [column for column in schema.values() if has_open_facts(column)]
    if not open_columns:
        return schema
    if privacy.unit != "row":
        if privacy.unit not in frame.columns:
            raise PrivacyError(
                f"the unit of privacy {privacy.unit!r} is not a column of the table; name a column of persons, or use "
                "unit='row'"
            )
        check_person_column(frame[privacy.unit])
    prior_ledger = get_measurement_ledger(schema)
    measurement = _DomainMeasurement.of(privacy, open_columns)
    check_same_dataset(prior_ledger, privacy.unit, measurement.ledger.parent)
    columns = dict(schema.columns)
    try:
        for column in open_columns:
            columns[column.name] = replace(measurement.measure(frame, column), origin="measured")
    finally:
        measurement.ledger.settle()
    warn_of_unmeasured([columns[column.name] for column in open_columns])
    return replace(schema, columns=columns, ledger=compose_ledgers(prior_ledger, measurement.ledger).to_dict())


def has_open_facts(column: Column) -> bool:
    """Return whether a column's values or bounds are not declared."""
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
        rho = gaussian_rho(opened.epsilon, opened.resolved_delta - each * categories) / len(columns)
        return cls(opened, opened.open_ledger, opened.noise(), rho, each)

    def measure(self, frame: pd.DataFrame, column: Column) -> Column:
        """Measure the undeclared facts of one column."""
        if isinstance(column, Categorical):
            values = discover(
                lambda: self.read_column(frame, column.name),
                rho=self.rho,
                delta=self.delta,
                max_rows_per_unit=self.privacy.max_rows_per_unit,
                ledger=self.ledger,
                column=column.name,
                noise=self.noise,
            )
            return replace(column, values=(*(value for value in values if value != OTHER), OTHER))
        sigma = gaussian_scale(self.rho, self.privacy.max_rows_per_unit)
        if isinstance(column, Numeric):
            cells, ends = _power_of_two_cells()
            read = self.cell_counter(frame, column, cells + MAX_DECIMALS + 3, _numeric_cells)
            counts = self.noisy_cell_counts(read, column, sigma * math.sqrt(2), math.sqrt(2))
            low, high = _select_bounds(counts[:cells], ends, sigma * math.sqrt(2))
            return replace(column, **_select_facts(column, counts[cells:], sigma * math.sqrt(2), low, high))
        assert isinstance(column, Datetime)
        years = np.arange(1678, 2262)
        read = self.cell_counter(frame, column, len(years) + 1, _date_cells)
        counts = self.noisy_cell_counts(read, column, sigma, 1.0)
        occupied = np.flatnonzero(counts[:-1] >= _noise_threshold(sigma, len(years)))
        first, last = (occupied[0], occupied[-1]) if len(occupied) else (np.argmax(counts[:-1]),) * 2
        return replace(
            column,
            low=column.low or f"{years[first]:04d}-01-01",
            high=column.high or f"{years[last]:04d}-12-31T23:59:59",
            nullable=column.nullable or bool(counts[-1] >= _noise_threshold(sigma, 1)),
        )

    def read_column(self, frame: pd.DataFrame, name: str) -> pd.Series:
        """Return a column with bounded contributions; called inside a mechanism's read."""
        max_rows = self.privacy.rows_per_person
        if self.privacy.unit == "row" or max_rows is None:
            return frame[name]
        return frame[name][bound_contributions(frame[self.privacy.unit], max_rows, self.noise)]

    def cell_counter(
        self, frame: pd.DataFrame, column: Any, cells: int, to_cells: Callable[[pd.Series, Any], Integers]
    ) -> Callable[[], Integers]:
        def read() -> Integers:
            return np.bincount(to_cells(self.read_column(frame, column.name), column), minlength=cells).astype(np.int64)

        return read

    def noisy_cell_counts(self, read: Callable[[], Integers], column: Column, sigma: float, norm: float) -> Integers:
        """Return noisy counts of public cells; ``norm`` is the Euclidean norm of what one row adds to them."""
        return noisy_counts(
            read,
            sigma=sigma,
            sensitivity=norm * self.privacy.max_rows_per_unit,
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
        noise: Source of randomness.
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
            # Distance of the wanted rank from the candidate's ranks, in thousandths of a row.
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
    """Return the number of cells between signed powers of two (zero is one), and each one's end farther from zero."""
    sizes = 2.0 ** np.arange(-MAX_POWER + 1, MAX_POWER + 1)
    return 2 * len(sizes) + 1, np.concatenate([-sizes[::-1], [0.0], sizes])


def _numeric_cells(values: pd.Series, column: Numeric) -> Integers:
    """Return two cells of each row, of its value and of its decimals; the last cell counts missing values."""
    cells, _ = _power_of_two_cells()
    data = to_numbers(values)
    present = ~np.isnan(data)
    size = np.clip(np.abs(data[present]), 0, 2.0**MAX_POWER)
    # The k-th cell on either side of zero holds magnitudes in (2^(k-1), 2^k], so its far end is a bound.
    power = np.ceil(np.log2(np.maximum(size, 2.0**-MAX_POWER))).astype(np.int64) + MAX_POWER
    middle = cells // 2
    cell = np.where(size == 0, middle, middle + np.sign(data[present]).astype(np.int64) * np.clip(power, 1, middle))
    digits = np.full(present.sum(), MAX_DECIMALS + 1, np.int64)
    for decimals in range(MAX_DECIMALS, -1, -1):
        digits[np.round(size, decimals) == size] = decimals
    return np.concatenate([cell, cells + digits, np.full((~present).sum(), cells + MAX_DECIMALS + 2)])


def _date_cells(values: pd.Series, column: Datetime) -> Integers:
    """Return each row's cell, its year; the last cell counts missing values."""
    data = to_dates(values, column.format)
    years = data.astype("datetime64[Y]").astype(np.int64) + 1970
    return np.where(np.isnat(data), 2262 - 1678, np.clip(years, 1678, 2261) - 1678)


def _select_bounds(counts: Integers, ends: Floats, sigma: float) -> tuple[float, float]:
    """Return the bounds of the cells whose counts exceed the noise threshold."""
    occupied = np.flatnonzero(counts >= _noise_threshold(sigma, len(counts)))
    first, last = (int(occupied[0]), int(occupied[-1])) if len(occupied) else (int(np.argmax(counts)),) * 2
    # ``ends`` holds the far ends; the near end of a cell is the far end of its neighbour towards zero.
    low = ends[first] if ends[first] <= 0 else ends[first - 1]
    high = ends[last] if ends[last] >= 0 else ends[last + 1]
    return float(low), float(high)


def _select_facts(column: Numeric, counts: Integers, sigma: float, low: float, high: float) -> dict[str, Any]:
    """Return the bounds, decimals and nullability, each declared or measured."""
    threshold = _noise_threshold(sigma, MAX_DECIMALS + 3)
    occupied = np.flatnonzero(counts[: MAX_DECIMALS + 2] >= threshold)
    measured = int(occupied[-1]) if len(occupied) else MAX_DECIMALS + 1
    decimals = column.decimals if column.decimals is not None else (measured if measured <= MAX_DECIMALS else None)
    max_exact = MAX_EXACT_INTEGER - 1 if decimals == 0 else math.inf
    low = max(low, -max_exact) if column.low is None else column.low
    high = min(high, max_exact) if column.high is None else column.high
    return {
        "low": min(low, high),
        "high": max(low, high),
        "decimals": decimals,
        "nullable": column.nullable or bool(counts[MAX_DECIMALS + 2] >= threshold),
    }


def _noise_threshold(sigma: float, cells: int) -> float:
    """Return the count that noise exceeds in any of the cells with probability at most ``FALSE_POSITIVE_RATE``."""
    return sigma * math.sqrt(2 * math.log(max(cells, 1) / FALSE_POSITIVE_RATE))
