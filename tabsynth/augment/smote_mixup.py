"""SMOTE and mixup on mixed-type tables. Both interpolate between two real rows, and give no privacy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.column_values import numeric_values, to_datetimes
from tabsynth.codec.identifiers import generate_keys, learn_pattern
from tabsynth.codec.pandas_dtypes import datetime_series, dtype_name, numeric_series, value_series
from tabsynth.codec.quantile_bins import shared_decimals
from tabsynth.common.arrays import Floats, Integers
from tabsynth.common.validation import check_required_integers, validate_rows
from tabsynth.data.table import Table, TableLike
from tabsynth.errors import DataError, InputError, missing_package
from tabsynth.schema.columns import Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import satisfies

MAX_TRIES = 50
"""Rounds of resampling for rows that violate a constraint."""


@dataclass(frozen=True, eq=False)
class InterpolationData:
    """A table as numbers to interpolate and codes to choose from.

    Attributes:
        table: The table.
        names: Numeric and datetime columns.
        numbers: Their values, shape (n, len(names)), NaN where missing.
        codes: Codes of the categorical columns by name, -1 for missing, shape (n,).
        labels: The value of each code, None last.
    """

    table: Table
    names: tuple[str, ...]
    numbers: Floats
    codes: dict[str, Integers]
    labels: dict[str, npt.NDArray[np.object_]]

    @classmethod
    def of(cls, table: Table) -> InterpolationData:
        """Encode a table."""
        names = tuple(name for name, column in table.schema.items() if isinstance(column, (Numeric, Datetime)))
        numbers = [numeric_values(table.schema[name], table.frame[name]) for name in names]
        codes_of, labels = {}, {}
        for name, column in table.schema.items():
            if not isinstance(column, (Numeric, Datetime, Identifier, Text)):
                codes, found = pd.factorize(table.frame[name].astype(object))
                codes_of[name], labels[name] = codes.astype(np.int64), np.array([*found, None], dtype=object)
        return cls(table, names, np.column_stack(numbers) if numbers else np.empty((len(table), 0)), codes_of, labels)

    def frame(self, numbers: Floats, codes: dict[str, Integers], rng: np.random.Generator) -> pd.DataFrame:
        """Decode numbers (m, len(names)) and codes (m,) into a frame of the table's columns."""
        out = {}
        for name in self.table.frame.columns:
            column, old = self.table.schema[name], self.table.frame[name]
            if name in self.names:
                out[name] = self._decode_numbers(name, column, numbers[:, self.names.index(name)])
            elif name in codes:
                categories = list(old.cat.categories) if isinstance(old.dtype, pd.CategoricalDtype) else []
                ordered = bool(categories) and bool(old.cat.ordered)
                out[name] = value_series(self.labels[name][codes[name]], dtype_name(old), categories, ordered)
            else:
                out[name] = self._replace_text(column, old, len(numbers), rng)
        return pd.DataFrame(out, columns=list(self.table.frame.columns))

    def _replace_text(self, column: Column, old: pd.Series, rows: int, rng: np.random.Generator) -> pd.Series:
        """Return the identifiers (replaced later) or replaced text, missing at the column's rate."""
        values = old.iloc[rng.integers(len(old), size=rows)].reset_index(drop=True)
        return values.where(values.isna(), column.replacement) if isinstance(column, Text) else values

    def _decode_numbers(self, name: str, column: Column, data: Floats) -> pd.Series:
        old = self.table.frame[name]
        if isinstance(column, Datetime):
            return datetime_series(to_datetimes(column, np.floor(data)), dtype_name(old), column)
        decimals = getattr(column, "decimals", None)
        decimals = shared_decimals(self.numbers[:, self.names.index(name)]) if decimals is None else decimals
        return numeric_series(data if decimals is None else np.round(data, decimals), dtype_name(old))


def interpolate(
    table: Table,
    parts: Sequence[tuple[pd.DataFrame, int]],
    fixed: Sequence[str],
    neighbours: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Run SMOTE on each part of a table.

    Args:
        table: The whole table.
        parts: Rows of the table, and how many new rows to interpolate between them.
        fixed: Columns that are constant within a part.
        neighbours: Number of nearest neighbours.
        rng: Generator.
    """
    check_required_integers(neighbours=neighbours)
    cells = InterpolationData.of(table)
    samples = []
    for rows, wanted in parts:
        if wanted < 1:
            continue
        if len(rows) < 2:
            fixed_values = {name: rows[name].iloc[0] for name in fixed} if len(rows) else dict.fromkeys(fixed)
            raise DataError(
                f"{len(rows)} rows of {fixed_values or list(fixed)} are too few to interpolate {wanted} more; merge "
                "classes or groups, or use oversample with a model"
            )
        at = table.frame.index.get_indexer(rows.index)
        part = InterpolationData(
            table, cells.names, cells.numbers[at], {k: v[at] for k, v in cells.codes.items()}, cells.labels
        )
        samples.append(_sample_smote(part, wanted, min(neighbours, len(rows) - 1), rng))
    return pd.concat(samples, ignore_index=True) if samples else table.frame.iloc[:0]


def mixup(
    data: TableLike,
    n: int | None = None,
    *,
    alpha: float = 0.2,
    schema: Schema | None = None,
    seed: int | None = None,
) -> pd.DataFrame:
    """Return the convex combinations of two rows each, as an augmentation for training.

    Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: beyond empirical risk minimization" (arXiv 1710.09412), equation (1): a
    row is ``share * first + (1 - share) * second`` with the share from Beta(alpha, alpha).

    NOTE[DIFF]: categories cannot be averaged. A row takes each from its first row with probability ``share``, otherwise
    from its second, so the expected one-hot code (the target's too) is the paper's mixture. A number that is missing in
    one of the two rows is taken in the same way.

    **This gives no privacy.** The rows interpolate real people: with a small alpha most are near copies of one.

    Args:
        data: The rows to mix.
        n: Number of mixed rows; by default as many as the table has.
        alpha: Above 0; the smaller, the closer a mixed row is to one of its two.
        schema: The schema; by default the table's own, or inferred.
        seed: Seed of the pairs and shares.

    Raises:
        InputError: alpha or n is out of range, or the rows keep violating a constraint.
    """
    if not isinstance(alpha, (int, float)) or not 0 < alpha < np.inf:
        raise InputError(f"alpha must be a positive number, not {alpha!r}")
    table = Table.of(data, schema)
    n = len(table) if n is None else validate_rows(n)
    cells, rng = InterpolationData.of(table), np.random.default_rng(seed)

    def mixed(rows: int) -> pd.DataFrame:
        pair = rng.integers(len(table), size=(2, rows))
        share = rng.beta(alpha, alpha, size=(rows, 1))
        first, second = cells.numbers[pair[0]], cells.numbers[pair[1]]
        both = ~np.isnan(first) & ~np.isnan(second)
        line = np.where(
            both, share * first + (1 - share) * second, np.where(rng.random(first.shape) < share, first, second)
        )
        values = {
            name: np.where(rng.random(rows) < share[:, 0], codes[pair[0]], codes[pair[1]])
            for name, codes in cells.codes.items()
        }
        return cells.frame(line, values, rng)

    return _reject_violations(table, n, mixed, rng)


def _sample_smote(cells: InterpolationData, wanted: int, neighbours: int, rng: np.random.Generator) -> pd.DataFrame:
    """Run SMOTE on one part, without rows that violate a constraint."""
    absent = np.isnan(cells.numbers)
    never = absent.all(axis=0)
    filled = np.where(never, 0.0, cells.numbers)
    middle, spread = np.nanmedian(filled, axis=0), np.nanstd(filled, axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    line = (np.where(absent, middle, filled) - middle) / scale
    names, gaps = list(cells.codes), np.flatnonzero(absent.any(axis=0) & ~never)
    # Missingness is one more category; the placeholder, the median, is never released.
    codes = np.column_stack([*cells.codes.values(), absent[:, gaps]]).astype(np.float64)

    def between(rows: int) -> pd.DataFrame:
        numbers, chosen = _run_smote(line, codes, rows, neighbours, rng)
        back = numbers * scale + middle
        back[:, never] = np.nan
        for k, j in enumerate(gaps):
            back[chosen[:, len(names) + k] == 1, j] = np.nan
        return cells.frame(back, {name: chosen[:, k].astype(np.int64) for k, name in enumerate(names)}, rng)

    return _reject_violations(cells.table, wanted, between, rng)


def _run_smote(
    line: Floats, codes: Floats, rows: int, neighbours: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the numbers (rows, ...) and codes (rows, ...) from imbalanced-learn."""
    try:
        from imblearn.over_sampling import SMOTEN, SMOTENC
    except ImportError as error:
        raise missing_package("SMOTE", "imbalanced-learn", "augment") from error
    seed, width, count = int(rng.integers(2**31 - 1)), line.shape[1], len(line)
    # The package needs a second class: a copy of the first.
    wanted, labels = {1: count + rows}, np.repeat([1, 0], count)
    table = np.vstack([np.column_stack([line, codes])] * 2)
    if width:
        places = list(range(width, table.shape[1]))
        engine = SMOTENC(places, sampling_strategy=wanted, k_neighbors=neighbours, random_state=seed)
    else:
        engine = SMOTEN(sampling_strategy=wanted, k_neighbors=neighbours, random_state=seed)
    rows_out = np.asarray(engine.fit_resample(table, labels)[0], dtype=np.float64)[2 * count :]
    return rows_out[:, :width], rows_out[:, width:]


def _reject_violations(
    table: Table, wanted: int, make: Callable[[int], pd.DataFrame], rng: np.random.Generator
) -> pd.DataFrame:
    """Resample rows until ``wanted`` satisfy the constraints: rounding or missing cells may violate them."""
    kept: list[pd.DataFrame] = []
    remaining = wanted
    for _ in range(MAX_TRIES):
        if remaining < 1:
            break
        rows = make(remaining)
        good = np.ones(len(rows), bool)
        for constraint in table.schema.constraints:
            good &= satisfies(constraint, rows, table.schema)
        kept.append(rows[good])
        remaining -= int(good.sum())
    if remaining > 0:
        raise DataError(
            f"{remaining} of {wanted} rows still violate a constraint of the schema after {MAX_TRIES} rounds; relax it"
        )
    out = pd.concat(kept, ignore_index=True) if kept else table.frame.iloc[:0].copy()
    return replace_identifiers(out, table.schema, table.frame, rng)


def replace_identifiers(
    rows: pd.DataFrame, schema: Schema, known: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the rows with new distinct identifiers that have the pattern of the known ones."""
    rows = rows.copy()
    for name, column in schema.items():
        if isinstance(column, Identifier) and len(rows):
            there, old = rows[name].notna().to_numpy(), known[name].dropna()
            values = np.full(len(rows), None, dtype=object)
            pattern = learn_pattern(old, regex=column.pattern)
            values[there] = generate_keys(pattern, int(there.sum()), rng, avoid=set(old))
            rows[name] = pd.Series(values, index=rows.index).astype(rows[name].dtype)
    return rows
