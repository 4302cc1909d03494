"""How many rows each class of each group has, and how many it lacks to be in balance."""

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

MOST_CELLS = 500
"""More combinations of classes and groups than this are surely a mistake."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The classes of each group, counted.

    Attributes:
        names: The columns that make the groups, then the target.
        groups: The values of each group that occurs.
        classes: The target's values.
        rows: How many rows each class of each group has, shape (groups, classes).
    """

    names: tuple[str, ...]
    groups: tuple[tuple[Hashable, ...], ...]
    classes: tuple[Hashable, ...]
    rows: Counts

    @classmethod
    def count(cls, frame: pd.DataFrame, names: Sequence[str]) -> Cells:
        """Count the rows of a frame in which none of the columns is missing.

        Raises:
            DataError: The target, which comes last, has fewer than two classes, or there are very many combinations.
        """
        present = frame[list(names)].astype(object).dropna()
        values = [tuple(row) for row in present.itertuples(index=False, name=None)]
        groups = tuple(sorted({row[:-1] for row in values}, key=str))
        classes = tuple(sorted({row[-1] for row in values}, key=str))
        if len(classes) < 2:
            raise DataError(f"column {names[-1]!r} has fewer than two classes: there is nothing to balance")
        if len(groups) * len(classes) > MOST_CELLS:
            raise DataError(
                f"{quote(names)} make {len(groups) * len(classes)} combinations; balance fewer or coarser columns"
            )
        place = {(*group, value): (i, j) for i, group in enumerate(groups) for j, value in enumerate(classes)}
        rows = np.zeros((len(groups), len(classes)), np.int64)
        for row in values:
            rows[place[row]] += 1
        return cls(tuple(names), groups, classes, rows)

    def plan(self, wanted: Counts) -> pd.DataFrame:
        """One row for each class of each group: its values, ``rows`` there are and ``add`` to come to ``wanted``."""
        rows = [
            (*group, value, self.rows[i, j], wanted[i, j] - self.rows[i, j])
            for i, group in enumerate(self.groups)
            for j, value in enumerate(self.classes)
        ]
        return pd.DataFrame(rows, columns=[*self.names, "rows", "add"])


def lacking(
    frame: pd.DataFrame,
    *,
    target: str,
    by: str | Sequence[str] | None = None,
    to: Goal = "equal_shares",
    schema: Schema,
) -> pd.DataFrame:
    """How many rows each class (of each group) lacks: the plan of ``oversample`` and ``smote``, to look at first.

    Args:
        frame: The rows there are.
        target: The column of classes.
        by: Columns that make the groups.
        to: ``equal_shares``: every class (of every group) as large as the largest. ``equal_rates``: in every group the
            classes have the shares that they have in the whole table. Rows are only ever added.
        schema: What the columns are.

    Returns:
        One row for each combination: the columns of ``by`` and ``target``, then ``rows`` and ``add``.

    Raises:
        InputError: A column is not one of categories, or there is nothing to balance.

    Example:
        >>> frame = pd.DataFrame({"sex": ["f"] * 4 + ["m"] * 6, "ill": ["yes", "no", "no", "no"] + ["yes", "no"] * 3})
        >>> lacking(frame, target="ill", by="sex", to="equal_rates", schema=Schema.infer(frame))["add"].tolist()
        [0, 1, 1, 0]
    """
    if to not in get_args(Goal):
        raise InputError(f"to must be one of {', '.join(get_args(Goal))}, not {to!r}")
    names = columns(target, by, schema)
    if to == "equal_rates" and len(names) < 2:
        raise InputError("equal rates are between groups: name the column that makes them with by=")
    cells = Cells.count(frame, names)
    if to == "equal_shares":
        return cells.plan(np.full(cells.rows.shape, cells.rows.max()))
    share = cells.rows.sum(axis=0) / cells.rows.sum()
    # The size of a group at which its fullest class has just its share.
    size = (cells.rows / share).max(axis=1, keepdims=True)
    return cells.plan(np.maximum(np.rint(size * share).astype(np.int64), cells.rows))


def columns(target: str, by: str | Sequence[str] | None, schema: Schema) -> list[str]:
    """The columns of the groups, then the target.

    Raises:
        InputError: One is unknown, named twice, or not of categories.
    """
    names = [*([by] if isinstance(by, str) else by or ()), target]
    for name in names:
        if name not in schema:
            raise SchemaError(f"no column {name!r} to balance; there are {quote(schema, 12)}")
        if not isinstance(schema[name], (Categorical, Boolean)):
            raise SchemaError(
                f"column {name!r} cannot be balanced: its kind is {schema[name].kind}; name one of categories, or cut "
                "its values into a few with pandas.cut"
            )
    if len(set(names)) < len(names):
        raise InputError(f"a column is named twice: {quote(names)}")
    return names


def matching(frame: pd.DataFrame, names: Sequence[str], cell: pd.Series) -> pd.DataFrame:
    """The rows of one class of one group."""
    kept = np.ones(len(frame), bool)
    for name in names:
        kept &= (frame[name] == cell[name]).fillna(False).to_numpy(bool)
    return frame[kept]


def rounded(shares: npt.NDArray[np.float64]) -> Counts:
    """Whole numbers of the same sum: the largest remainders are rounded up."""
    whole = np.floor(shares).astype(np.int64)
    rest = round(float(shares.sum())) - int(whole.sum())
    whole.ravel()[np.argsort(-(shares - whole).ravel(), kind="stable")[:rest]] += 1
    return whole
