"""Class counts by group, and the number of rows to add for balance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.errors import DataError, InputError, SchemaError, quote
from tabsynth.schema.columns import Boolean, Categorical
from tabsynth.schema.schema import Schema

Goal = Literal["equal_shares", "equal_rates"]

Counts = npt.NDArray[np.int64]

MAX_CELLS = 500
"""Limit on combinations of classes and groups."""


@dataclass(frozen=True, eq=False)
class CellCounts:
    """Row counts by group and class, shape (groups, classes); ``names`` ends with the target."""

    names: tuple[str, ...]
    groups: tuple[tuple[Hashable, ...], ...]
    classes: tuple[Hashable, ...]
    rows: Counts

    @classmethod
    def count(cls, frame: pd.DataFrame, names: Sequence[str]) -> CellCounts:
        """Count the rows of a frame in which none of the columns is missing."""
        present = frame[list(names)].astype(object).dropna()
        values = [tuple(row) for row in present.itertuples(index=False, name=None)]
        groups = tuple(sorted({row[:-1] for row in values}, key=str))
        classes = tuple(sorted({row[-1] for row in values}, key=str))
        if len(classes) < 2:
            raise DataError(f"column {names[-1]!r} has fewer than two classes: nothing to balance")
        if len(groups) * len(classes) > MAX_CELLS:
            raise DataError(
                f"{quote(names)} have {len(groups) * len(classes)} combinations, more than {MAX_CELLS}; name fewer or "
                "coarser columns"
            )
        place = {(*group, value): (i, j) for i, group in enumerate(groups) for j, value in enumerate(classes)}
        rows = np.zeros((len(groups), len(classes)), np.int64)
        for row in values:
            rows[place[row]] += 1
        return cls(tuple(names), groups, classes, rows)

    def plan(self, wanted: Counts) -> pd.DataFrame:
        """Return one row per group and class: its values, its number of ``rows``, and how many to ``add``."""
        rows = [
            (*group, value, self.rows[i, j], wanted[i, j] - self.rows[i, j])
            for i, group in enumerate(self.groups)
            for j, value in enumerate(self.classes)
        ]
        return pd.DataFrame(rows, columns=[*self.names, "rows", "add"])


def balance_plan(
    frame: pd.DataFrame,
    *,
    target: str,
    by: str | Sequence[str] | None = None,
    to: Goal = "equal_shares",
    schema: Schema,
) -> pd.DataFrame:
    """Return the number of rows that ``oversample`` and ``smote`` would add to each class (of each group).

    Args:
        frame: The table.
        target: The column of classes.
        by: The columns that define the groups.
        to: ``equal_shares``: every class (of every group) becomes as large as the largest. ``equal_rates``: the classes
            of every group get the shares that they have in the whole table. Rows are only ever added.
        schema: The table's schema.

    Returns:
        One row per combination: the columns of ``by`` and ``target``, then ``rows`` and ``add``.

    Raises:
        InputError: A column is not categorical, or has fewer than two classes.

    Example:
        >>> frame = pd.DataFrame({"sex": ["f"] * 4 + ["m"] * 6, "ill": ["yes", "no", "no", "no"] + ["yes", "no"] * 3})
        >>> balance_plan(frame, target="ill", by="sex", to="equal_rates", schema=Schema.infer(frame))["add"].tolist()
        [0, 1, 1, 0]
    """
    if to not in get_args(Goal):
        raise InputError(f"to must be one of {', '.join(get_args(Goal))}, not {to!r}")
    names = balance_columns(target, by, schema)
    if to == "equal_rates" and len(names) < 2:
        raise InputError("to='equal_rates' compares groups: name the columns that define them with by=")
    cells = CellCounts.count(frame, names)
    if to == "equal_shares":
        return cells.plan(np.full(cells.rows.shape, cells.rows.max()))
    share = cells.rows.sum(axis=0) / cells.rows.sum()
    # The group size at which its most frequent class has exactly its share.
    size = (cells.rows / share).max(axis=1, keepdims=True)
    return cells.plan(np.maximum(np.rint(size * share).astype(np.int64), cells.rows))


def balance_columns(target: str, by: str | Sequence[str] | None, schema: Schema) -> list[str]:
    """Return the columns of the groups, then the target; raises unless each is categorical."""
    names = [*([by] if isinstance(by, str) else by or ()), target]
    for name in names:
        if name not in schema:
            raise SchemaError(f"unknown column {name!r}; the table has {quote(schema, 12)}")
        if not isinstance(schema[name], (Categorical, Boolean)):
            raise SchemaError(
                f"column {name!r} is {schema[name].kind} and cannot be balanced; name a categorical column, or bin its "
                "values with pandas.cut"
            )
    if len(set(names)) < len(names):
        raise InputError(f"a column is named twice in target and by: {quote(names)}")
    return names


def select_cell(frame: pd.DataFrame, names: Sequence[str], cell: pd.Series) -> pd.DataFrame:
    """Return the rows of one class of one group."""
    kept = np.ones(len(frame), bool)
    for name in names:
        kept &= (frame[name] == cell[name]).fillna(False).to_numpy(bool)
    return frame[kept]


def round_to_total(shares: npt.NDArray[np.float64]) -> Counts:
    """Return the integers with the same sum: the largest remainders are rounded up."""
    whole = np.floor(shares).astype(np.int64)
    rest = round(float(shares.sum())) - int(whole.sum())
    whole.ravel()[np.argsort(-(shares - whole).ravel(), kind="stable")[:rest]] += 1
    return whole
