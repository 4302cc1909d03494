"""Categories that determine a constant column, such as the ward that determines the hospital of a patient.

The constant column is sampled with the parent, and the category with each row. A category that belongs to another value
of the constant column is replaced by one of the parent's value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Floats, Integers
from tabsynth.data.database.root_rows import root_rows
from tabsynth.relations.linked.constant_columns import rows_above
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables, text_labels
from tabsynth.relations.row_rule_discovery import MIN_EVIDENCE_ROWS
from tabsynth.schema.columns import Boolean, Categorical
from tabsynth.schema.database.database_schema import DatabaseSchema
from tabsynth.synthesizers.relational.transforms.moved_columns import MovedColumn

GOLDEN_RATIO = (5**0.5 - 1) / 2

SCAN_ROWS = 2000
"""Number of rows in which columns are compared first."""


@dataclass(frozen=True)
class Determinant:
    """A column whose categories determine a column that is constant within a table above.

    Attributes:
        table, column: The column.
        constant: The column that it determines.
        categories: Categories of each value of the constant column; the value is a text.
        shares: Share of each category among the rows with the value.
    """

    table: str
    column: str
    constant: str
    categories: Mapping[str, tuple[Any, ...]]
    shares: Mapping[str, tuple[float, ...]]

    def __str__(self) -> str:
        """Return the relation as text, such as ``visits.hospital is a function of ward``."""
        return f"{self.table}.{self.constant} is a function of {self.column}"

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return rows whose categories belong to their value of the constant column."""
        of = {category: value for value, own in self.categories.items() for category in own}
        labels, column = text_labels(frame[self.constant]), frame[self.column].copy()
        belongs = column.astype(object).map(of)
        wrong = (belongs.notna() & (belongs != labels)).to_numpy()
        for value in np.unique(labels[wrong]):
            if value in self.categories:
                rows = np.flatnonzero(wrong & (labels == value))
                column.iloc[rows] = self._spread(value, len(rows))
        return frame.assign(**{self.column: column})

    def _spread(self, value: str, count: int) -> list[Any]:
        """Return categories of a value in proportion to their shares, in a quasi-random order."""
        at = np.searchsorted(np.cumsum(self.shares[value])[:-1], (np.arange(1, count + 1) * GOLDEN_RATIO) % 1, "right")
        return [self.categories[value][i] for i in at]

    def to_dict(self) -> dict[str, Any]:
        """Return the relation as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` writes."""
        sides = {side: {value: tuple(own) for value, own in data[side].items()} for side in ("categories", "shares")}
        return cls(**{**data, **sides})


def discover_determinants(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    moved: Iterable[MovedColumn],
    computed: Collection[Cell],
    min_group: int,
) -> tuple[Determinant, ...]:
    """Return the categories that determine columns that are moved to a table above.

    Args:
        tables: The tables before columns are moved.
        schema: Their schema.
        moved: The columns that are moved.
        computed: Columns that other relations compute.
        min_group: Minimum number of roots with a category, and with a value that categories determine.
    """
    linked, moved, out = LinkedTables(tables, schema), tuple(moved), []
    roots, gone = root_rows(tables, schema), {one.cell for one in moved} | {*computed}
    for one in moved:
        ruled = {name for rule in schema.tables[one.table].constraints for name in rule.columns}
        for column, kind in schema.tables[one.table].items():
            if (one.table, column) in gone or column in ruled | linked.keys(one.table):
                continue
            if isinstance(kind, (Categorical, Boolean)):
                found = _determinant(linked, one, column, roots[one.table], min_group)
                out += [found] if found is not None else []
    taken = set[Cell]()  # only the constant column with the most values repairs a category
    for found in sorted(out, key=lambda one: -len(one.categories)):
        if (found.table, found.column) in taken:
            out.remove(found)
        taken.add((found.table, found.column))
    return tuple(out)


def _determinant(
    tables: LinkedTables, moved: MovedColumn, column: str, roots: Integers, min_group: int
) -> Determinant | None:
    """Return the relation if every category has one value of the constant column, with evidence."""
    frame = tables.frames[moved.table]
    present = frame[column].notna().to_numpy()
    frame, roots = frame[present], roots[present]
    codes, values = pd.factorize(frame[column])
    labels = text_labels(frame[moved.column])
    if any(pd.Series(labels[:rows]).groupby(codes[:rows]).nunique().max() != 1 for rows in (SCAN_ROWS, len(labels))):
        return None
    # Rows with the same parent and category count as evidence once.
    parents = rows_above(tables, moved.table, moved.above)[present]
    units = pd.DataFrame({"parent": parents, "code": codes, "label": labels}).drop_duplicates(["parent", "code"])
    shares = units.label.value_counts(normalize=True).to_numpy()
    if (len(units) - len(values)) * (1 - (shares**2).sum()) < MIN_EVIDENCE_ROWS:
        return None
    enough = np.flatnonzero(pd.Series(roots).groupby(codes).nunique().to_numpy() >= min_group)
    known = {str(label) for label, n in pd.Series(roots).groupby(labels).nunique().items() if n >= min_group}
    counts, held = np.bincount(codes), pd.Series(labels).groupby(codes).first()
    categories: dict[str, list[Any]] = {}
    weights: dict[str, list[float]] = {}
    plain = pd.Index(values).tolist()
    for code in enough.tolist():
        if held[code] in known:
            categories.setdefault(held[code], []).append(plain[code])
            weights.setdefault(held[code], []).append(float(counts[code]))
    return Determinant(
        moved.table,
        column,
        moved.column,
        {label: tuple(own) for label, own in categories.items()},
        {label: _normalised(own) for label, own in weights.items()},
    )


def _normalised(weights: list[float]) -> tuple[float, ...]:
    data: Floats = np.array(weights) / np.sum(weights)
    return tuple(data.round(6).tolist())
