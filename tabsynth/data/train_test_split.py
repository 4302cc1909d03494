"""Stratified, grouped train/test split."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.common.validation import checked_arguments
from tabsynth.data.table import Table, TableLike
from tabsynth.errors import DataError, InputError, SchemaError, quote
from tabsynth.schema.columns import Identifier, Text
from tabsynth.schema.schema import Schema


@checked_arguments
def split(
    table: TableLike, share: float = 0.2, *, schema: Schema | None = None, seed: int = 0, target: str | None = None
) -> tuple[Table, Table]:
    """Split a table in two.

    Systematic sampling: units are sorted by target, shuffled within equal targets, and sampled at equal steps. So each
    class, or each range of a numeric target, has its share to within one unit, and each unit has the same chance.

    Args:
        table: The table, or its path. With a column of role ``person``, persons are the units, else rows.
        share: Share of the units to hold out, between 0 and 1.
        schema: The schema of both parts; by default that of the table, inferred where it has none.
        seed: Seed of the draw.
        target: Column to stratify by; missing values are a class. By default the column of role ``target``, if any.

    Returns:
        The training table and the held-out table, each in the order of the original.

    Raises:
        InputError: The share is not between 0 and 1, the target is unknown, or there are too few units.

    Example:
        >>> table = Table.of(pd.DataFrame({"x": range(10), "y": ["a", "b"] * 5}))
        >>> train, holdout = split(table, 0.4, seed=0, target="y")
        >>> len(train), sorted(holdout.frame["y"])
        (6, ['a', 'a', 'b', 'b'])
    """
    table = Table.of(table, schema)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise InputError(f"the share to hold out must lie between 0 and 1, not {share!r}")
    target = target or next(iter(table.schema.with_role("target")), None)
    if target is not None:
        check_target(table, target)
    units = _unit_numbers(table)
    count = int(units.max()) + 1
    if count < 3:
        what = "rows" if not table.schema.with_role("person") else "persons"
        raise DataError(f"the table has {count} {what}; at least 3 are needed to hold some out")
    held = min(max(round(share * count), 1), count - 2)
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    if target is not None:
        first = np.unique(units, return_index=True)[1]  # a person's target is that of their first row
        ranks = _sort_ranks(table.frame[target])[first]
        order = order[np.argsort(ranks[order], kind="stable")]
    steps = np.floor((np.arange(held) + rng.random()) * count / held).astype(np.int64)
    out = np.isin(units, order[np.minimum(steps, count - 1)])
    return _select_rows(table, ~out), _select_rows(table, out)


def split_independently(table: Table, share: float, *, seed: int = 0, unit: str = "row") -> tuple[Table, Table]:
    """Split a table for a private fit: each row, or each person, is held out independently at random.

    Which rows are learned then depends on no value and no other row, as it would in a stratified split of a fixed size;
    a guarantee of the training rows is one of the whole table.

    Args:
        table: The table.
        share: Probability of each unit to be held out.
        seed: Seed of the draws.
        unit: ``row``, or the column that identifies persons.

    Raises:
        DataError: A part is empty.

    Example:
        >>> table = Table.of(pd.DataFrame({"x": range(1000)}))
        >>> train, holdout = split_independently(table, 0.2, seed=0)
        >>> len(train) + len(holdout), 150 < len(holdout) < 250
        (1000, True)
    """
    # Missing persons, of code -1, are one person: the last draw.
    units = np.arange(len(table)) if unit == "row" else pd.factorize(table.frame[unit])[0]
    held = (np.random.default_rng(seed).random(int(units.max(initial=0)) + 2) < share)[units]
    if held.all() or not held.any():
        raise DataError(f"the table has too few rows to hold out a share of {share:g}; give more rows")
    return _select_rows(table, ~held), _select_rows(table, held)


def check_target(table: Table, target: str) -> None:
    """Raise if a column cannot be the target.

    Raises:
        SchemaError: No such column, or one whose values mean nothing (an identifier, free text).
    """
    column = table.schema.get(target)
    if column is None:
        raise SchemaError(f"no column {target!r} to be the target; there are {quote(table.schema, 12)}")
    if isinstance(column, (Identifier, Text)):
        others = [n for n, c in table.schema.items() if not isinstance(c, (Identifier, Text))]
        raise SchemaError(
            f"column {target!r} cannot be the target: its kind is {column.kind}, whose values are never learned; "
            f"choose one of {quote(others, 12)}, or declare another kind in a schema"
        )


def _unit_numbers(table: Table) -> npt.NDArray[np.int64]:
    """Return the number of each row's unit, shape (n,): its person, or itself if the person is missing."""
    persons = table.schema.with_role("person")
    if not persons:
        return np.arange(len(table))
    codes = np.array(pd.factorize(table.frame[persons[0]])[0], dtype=np.int64)
    unknown = np.flatnonzero(codes < 0)
    codes[unknown] = codes.max(initial=-1) + 1 + np.arange(len(unknown))
    return codes


def _sort_ranks(values: pd.Series) -> npt.NDArray[np.int64]:
    """Sort ranks of a column's values, missing ones together."""
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return np.asarray(values.rank(method="dense").fillna(0), dtype=np.int64)
    return np.asarray(pd.factorize(values)[0], dtype=np.int64)


def _select_rows(table: Table, keep: npt.NDArray[np.bool_]) -> Table:
    """Select rows."""
    return Table(table.frame[keep].reset_index(drop=True), table.schema)
