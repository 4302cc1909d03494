"""Rows between rows: SMOTE and mixup on columns of every kind.

Both interpolate real people, and give no privacy: every number made lies between those of two real rows, every category
is one of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.column_values import instants_of, line_of
from tabsynth.codec.identifiers import fresh, learn_pattern
from tabsynth.codec.pandas_dtypes import datetime_series, dtype_name, numeric_series, value_series
from tabsynth.codec.quantile_bins import decimals_of
from tabsynth.common.arrays import Floats, Integers
from tabsynth.data.table import Table
from tabsynth.errors import DataError, InputError, MissingDependencyError
from tabsynth.schema.columns import Column, Datetime, Identifier, Numeric, Text
from tabsynth.schema.schema import Schema
from tabsynth.schema.validation import keeps

TRIES = 50
"""How often rows that break a constraint are made anew."""


@dataclass(frozen=True, eq=False)
class Parts:
    """A table as what can be interpolated and what can only be chosen.

    Attributes:
        table: The table.
        names: Numeric and datetime columns.
        line: Their numbers, shape (n, len(names)), NaN where missing.
        values: All other columns but identifiers and text, by name, as codes with -1 for missing, shape (n,).
        labels: What the codes stand for.
    """

    table: Table
    names: tuple[str, ...]
    line: Floats
    values: dict[str, Integers]
    labels: dict[str, npt.NDArray[np.object_]]

    @classmethod
    def of(cls, table: Table) -> Parts:
        """Read a table."""
        names = tuple(name for name, column in table.schema.items() if isinstance(column, (Numeric, Datetime)))
        line = [line_of(table.schema[name], table.frame[name]) for name in names]
        values, labels = {}, {}
        for name, column in table.schema.items():
            if not isinstance(column, (Numeric, Datetime, Identifier, Text)):
                codes, found = pd.factorize(table.frame[name].astype(object))
                values[name], labels[name] = codes.astype(np.int64), np.array([*found, None], dtype=object)
        return cls(table, names, np.column_stack(line) if line else np.empty((len(table), 0)), values, labels)

    def frame(self, line: Floats, values: dict[str, Integers], rng: np.random.Generator) -> pd.DataFrame:
        """A frame like the table's, of numbers (m, len(names)) and codes (m,); keys and text are made afresh."""
        out = {}
        for name in self.table.frame.columns:
            column, old = self.table.schema[name], self.table.frame[name]
            if name in self.names:
                out[name] = self._numbers(name, column, line[:, self.names.index(name)])
            elif name in values:
                categories = list(old.cat.categories) if isinstance(old.dtype, pd.CategoricalDtype) else []
                ordered = bool(categories) and bool(old.cat.ordered)
                out[name] = value_series(self.labels[name][values[name]], dtype_name(old), categories, ordered)
            else:
                out[name] = self._unlearned(column, old, len(line), rng)
        return pd.DataFrame(out, columns=list(self.table.frame.columns))

    def _unlearned(self, column: Column, old: pd.Series, rows: int, rng: np.random.Generator) -> pd.Series:
        """An identifier (to be made afresh, see ``rekeyed``) or free text (replaced), missing as often as it was."""
        values = old.iloc[rng.integers(len(old), size=rows)].reset_index(drop=True)
        return values.where(values.isna(), column.replacement) if isinstance(column, Text) else values

    def _numbers(self, name: str, column: Column, data: Floats) -> pd.Series:
        """Numbers as a column: on its decimals, in its type."""
        old = self.table.frame[name]
        if isinstance(column, Datetime):
            return datetime_series(instants_of(column, np.floor(data)), dtype_name(old), column)
        decimals = getattr(column, "decimals", None)
        decimals = decimals_of(self.line[:, self.names.index(name)]) if decimals is None else decimals
        return numeric_series(data if decimals is None else np.round(data, decimals), dtype_name(old))


def interpolate(
    table: Table,
    parts: Sequence[tuple[pd.DataFrame, int]],
    fixed: Sequence[str],
    neighbours: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """SMOTE's new rows for each of some parts of a table.

    Args:
        table: The whole table, which sets the scale of its numbers.
        parts: Rows of the table, and how many new ones to make between them.
        fixed: Columns that are alike within a part.
        neighbours: Among how many nearest rows a row is paired.
        rng: Decides the pairs.

    Raises:
        InputError: A part has fewer than two rows, or neighbours is no whole number of at least 1.
        MissingDependencyError: imbalanced-learn is not installed.
    """
    if isinstance(neighbours, bool) or not isinstance(neighbours, int) or neighbours < 1:
        raise InputError(f"neighbours must be a whole number of at least 1, not {neighbours!r}")
    cells = Parts.of(table)
    made = []
    for rows, wanted in parts:
        if wanted < 1:
            continue
        if len(rows) < 2:
            said = {name: rows[name].iloc[0] for name in fixed} if len(rows) else dict.fromkeys(fixed)
            raise DataError(
                f"{len(rows)} rows are too few to interpolate {wanted} more of {said or list(fixed)}; merge classes or "
                "groups, or oversample with a model"
            )
        at = table.frame.index.get_indexer(rows.index)
        part = Parts(table, cells.names, cells.line[at], {k: v[at] for k, v in cells.values.items()}, cells.labels)
        made.append(_kept(part, wanted, min(neighbours, len(rows) - 1), rng))
    return pd.concat(made, ignore_index=True) if made else table.frame.iloc[:0]


def mixup(
    data: pd.DataFrame | Table | str | Path,
    n: int | None = None,
    *,
    alpha: float = 0.2,
    schema: Schema | None = None,
    seed: int | None = None,
) -> pd.DataFrame:
    """Rows mixed of two rows each, as an augmentation for training; no model is needed.

    Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: beyond empirical risk minimization" (arXiv 1710.09412), equation (1): a
    row is ``share * first + (1 - share) * second`` with the share from Beta(alpha, alpha).

    NOTE[DIFF]: categories cannot be mixed. A row takes each from its first row with probability ``share``, otherwise
    from its second, so that the expected one-hot code (the target's too) is the paper's mixture. Where a number is
    missing on one side, the cell too is that of one side.

    **This gives no privacy.** The rows interpolate real people: with a small alpha most are near copies of one.

    Args:
        data: The rows to mix.
        n: Number of mixed rows; by default as many as there are.
        alpha: Above 0; the smaller, the closer a mixed row is to one of its two.
        schema: What the columns are; by default the table's own, or inferred.
        seed: Seed of the pairs and shares; the same seed gives the same rows.

    Raises:
        InputError: Alpha is not above 0, n is no number of rows, or the rows break a constraint again and again.
    """
    if not isinstance(alpha, (int, float)) or not 0 < alpha < np.inf:
        raise InputError(f"alpha must be a number above 0, not {alpha!r}")
    table = Table.of(data, schema)
    n = len(table) if n is None else n
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise InputError(f"n must be a whole number of rows, not {n!r}")
    cells, rng = Parts.of(table), np.random.default_rng(seed)

    def mixed(rows: int) -> pd.DataFrame:
        pair = rng.integers(len(table), size=(2, rows))
        share = rng.beta(alpha, alpha, size=(rows, 1))
        first, second = cells.line[pair[0]], cells.line[pair[1]]
        both = ~np.isnan(first) & ~np.isnan(second)
        line = np.where(
            both, share * first + (1 - share) * second, np.where(rng.random(first.shape) < share, first, second)
        )
        values = {
            name: np.where(rng.random(rows) < share[:, 0], codes[pair[0]], codes[pair[1]])
            for name, codes in cells.values.items()
        }
        return cells.frame(line, values, rng)

    return _constrained(table, n, mixed, rng)


def _kept(cells: Parts, wanted: int, neighbours: int, rng: np.random.Generator) -> pd.DataFrame:
    """SMOTE's new rows of one part that keep the constraints."""
    absent = np.isnan(cells.line)
    never = absent.all(axis=0)
    filled = np.where(never, 0.0, cells.line)
    middle, spread = np.nanmedian(filled, axis=0), np.nanstd(filled, axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    line = (np.where(absent, middle, filled) - middle) / scale
    names, gaps = list(cells.values), np.flatnonzero(absent.any(axis=0) & ~never)
    # Whether a number is missing is one more category; its place holder, the median, is never shown.
    codes = np.column_stack([*cells.values.values(), absent[:, gaps]]).astype(np.float64)

    def between(rows: int) -> pd.DataFrame:
        made, chosen = _smote(line, codes, rows, neighbours, rng)
        back = made * scale + middle
        back[:, never] = np.nan
        for k, j in enumerate(gaps):
            back[chosen[:, len(names) + k] == 1, j] = np.nan
        return cells.frame(back, {name: chosen[:, k].astype(np.int64) for k, name in enumerate(names)}, rng)

    return _constrained(cells.table, wanted, between, rng)


def _smote(line: Floats, codes: Floats, rows: int, neighbours: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """New numbers (rows, ...) and codes (rows, ...) by imbalanced-learn."""
    try:
        from imblearn.over_sampling import SMOTEN, SMOTENC
    except ImportError as error:
        raise MissingDependencyError(
            "SMOTE needs the package imbalanced-learn: pip install 'tabsynth[augment]', or oversample with a model"
        ) from error
    seed, width, count = int(rng.integers(2**31 - 1)), line.shape[1], len(line)
    # The package fills a smaller class up to a wanted number, so it wants to see two: the second is a copy.
    wanted, labels = {1: count + rows}, np.repeat([1, 0], count)
    table = np.vstack([np.column_stack([line, codes])] * 2)
    if width:
        places = list(range(width, table.shape[1]))
        engine = SMOTENC(places, sampling_strategy=wanted, k_neighbors=neighbours, random_state=seed)
    else:
        engine = SMOTEN(sampling_strategy=wanted, k_neighbors=neighbours, random_state=seed)
    made = np.asarray(engine.fit_resample(table, labels)[0], dtype=np.float64)[2 * count :]
    return made[:, :width], made[:, width:]


def _constrained(
    table: Table, wanted: int, make: Callable[[int], pd.DataFrame], rng: np.random.Generator
) -> pd.DataFrame:
    """So many rows that keep the table's constraints: those that break one are made anew.

    A mixture of two rows keeps ``low <= high``; rounding, or a cell that is missing in one row, may not.
    """
    kept: list[pd.DataFrame] = []
    left = wanted
    for _ in range(TRIES):
        if left < 1:
            break
        rows = make(left)
        good = np.ones(len(rows), bool)
        for constraint in table.schema.constraints:
            good &= keeps(constraint, rows, table.schema)
        kept.append(rows[good])
        left -= int(good.sum())
    if left > 0:
        raise DataError(f"{left} of {wanted} rows still break a constraint of the schema after {TRIES} tries")
    out = pd.concat(kept, ignore_index=True) if kept else table.frame.iloc[:0].copy()
    return rekeyed(out, table.schema, table.frame, rng)


def rekeyed(rows: pd.DataFrame, schema: Schema, known: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Rows with fresh identifiers where they have any: all different, spelled like the known ones and none of them."""
    rows = rows.copy()
    for name, column in schema.items():
        if isinstance(column, Identifier) and len(rows):
            there, old = rows[name].notna().to_numpy(), known[name].dropna()
            values = np.full(len(rows), None, dtype=object)
            values[there] = fresh(learn_pattern(old, regex=column.pattern), int(there.sum()), rng, avoid=set(old))
            rows[name] = pd.Series(values, index=rows.index).astype(rows[name].dtype)
    return rows
