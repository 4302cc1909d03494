"""Totals that are the sum of child rows in many rows, but not in all: the claim of a visit and the costs of its parts.

Whether the total is close to the sum is learned as a column of the parent. The total of such a parent is computed from
the sampled children.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.data.database.root_rows import root_rows
from tabsynth.relations.linked.linked_tables import Cell, LinkedTables, rounding_unit
from tabsynth.schema.columns import Boolean
from tabsynth.schema.constraints import RefusedRule
from tabsynth.schema.database.database_schema import DatabaseSchema, ForeignKey

IS_SUM = " is a sum"
"""End of the name of the column of near totals."""

MIN_SHARE, MIN_EVIDENCE_ROWS, MIN_NUMBERS = 0.2, 30, 50
"""Minimum share and number of parents whose total is near the sum, and minimum number of different totals."""

RELATIVE_TOLERANCE = 3e-3
"""Maximum difference of a total that is near the sum, relative to the total."""

MIN_PEAK, WIDE = 4.0, 9.0
"""Minimum ratio of the near totals to those by chance, which are at up to ``WIDE`` times the tolerance."""

MAX_RESIDUALS = 200
"""Maximum number of differences between near totals and their sums that are kept."""

SCAN_PARENTS = 2000
"""Number of parents with children on which candidates are compared first."""

MAX_TERMS, MAX_COLUMNS = 8, 12
"""Maximum number of columns of the parent that may be added to the sum, and of numeric columns of a table."""


@dataclass(frozen=True)
class PartialTotal:
    """A column that is near the sum of a column of the children, plus another column, in many rows.

    Attributes:
        parent, column: The total.
        child, key, source: The column that is summed, and the foreign key of its table.
        term: A column of the parent that is added; empty for none.
        parts: Columns of the parent that are between 0 and the total in all rows; they keep their ratio to it.
        residuals: Differences between near totals and their sums, means of equally many parents.
    """

    parent: str
    column: str
    child: str
    key: str
    source: str
    term: str = ""
    parts: tuple[str, ...] = ()
    residuals: tuple[float, ...] = ()

    def __str__(self) -> str:
        """Return the relation as a formula."""
        term = f" + {self.parent}.{self.term}" if self.term else ""
        return f"{self.parent}.{self.column} is close to the sum of {self.child}.{self.source}{term} in many rows"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from plain data."""
        residuals = tuple(map(float, data["residuals"]))
        return cls(**{**data, "parts": tuple(map(str, data["parts"])), "residuals": residuals})

    def known(self, tables: LinkedTables) -> Floats:
        """Return the sum of each parent's children and the term, shape (parents,)."""
        rows = tables.parents(self.child, self.key)
        own = np.nan_to_num(tables.numbers(self.child, self.source))[rows >= 0]
        out = np.bincount(rows[rows >= 0], weights=own, minlength=len(tables.frames[self.parent])).astype(np.float64)
        return np.asarray(out + np.nan_to_num(tables.numbers(self.parent, self.term)) if self.term else out)

    def children(self, tables: LinkedTables) -> Integers:
        """Return the number of children of each parent, shape (parents,)."""
        rows = tables.parents(self.child, self.key)
        return np.bincount(rows[rows >= 0], minlength=len(tables.frames[self.parent]))

    def slack(self, tables: LinkedTables) -> Floats:
        """Return the largest difference of each total from its sum that counts as near, shape (parents,)."""
        observed = tables.numbers(self.parent, self.column)
        rounding = 0.5 * rounding_unit(tables.numbers(self.child, self.source)) * self.children(tables)
        relative = np.maximum(RELATIVE_TOLERANCE * np.abs(observed), rounding)
        return np.asarray(relative + rounding_unit(observed))

    def apply(self, tables: LinkedTables, rng: np.random.Generator) -> None:
        """Compute near totals from the sampled sums, where they are in the range of the sampled totals."""
        drawn = tables.numbers(self.parent, self.column)
        near = (tables.labels(self.parent, self.column + IS_SUM) == "True").to_numpy() & (self.children(tables) > 0)
        if np.isnan(drawn).all():
            return
        total = self.known(tables) + rng.choice(self.residuals, len(drawn))
        near &= (total >= np.nanmin(drawn)) & (total <= np.nanmax(drawn)) & ~np.isnan(drawn)
        tables.put(self.parent, self.column, np.where(near, total, drawn))
        computed = tables.numbers(self.parent, self.column)
        ratio = np.divide(computed, drawn, out=np.ones(len(drawn)), where=near & (drawn > 0))
        for name in self.parts:
            tables.put(self.parent, name, tables.numbers(self.parent, name) * ratio)
            own = tables.numbers(self.parent, name)
            tables.put(self.parent, name, np.where(own > computed, computed, own))


def add_partial_totals(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    taken: Collection[Cell],
    *,
    min_group: int,
) -> tuple[dict[str, pd.DataFrame], DatabaseSchema, tuple[PartialTotal, ...]]:
    """Return tables and schema with the columns of partial totals.

    Args:
        tables: The tables by name.
        schema: Their schema.
        taken: Columns that other relations compute or change.
        min_group: Minimum number of roots whose totals are near the sum.

    Returns:
        The tables, their schema, and the partial totals.
    """
    linked, roots = LinkedTables(tables, schema), root_rows(tables, schema)
    found, taken = list[PartialTotal](), set(taken)
    for name in schema.tables:
        link = schema.main_key(name)
        if link is None or {name, link.parent} & set(schema.reference) or link.parent == name:
            continue
        own = {column for table, column in taken if table in (name, link.parent)}
        one = _strongest(linked, link, own, roots[link.parent], min_group)
        if one is not None:
            near = np.abs(linked.numbers(one.parent, one.column) - one.known(linked)) <= one.slack(linked)
            found.append(_with_residuals(one, linked, near, min_group))
            taken.add((one.parent, one.column))
            linked.add(one.parent, Boolean(name=one.column + IS_SUM), near)
    return linked.frames, linked.schema, tuple(found)


def join_partial_totals(
    tables: Mapping[str, pd.DataFrame],
    schema: DatabaseSchema,
    totals: Iterable[PartialTotal],
    held: Collection[Cell],
    rng: np.random.Generator,
) -> dict[str, pd.DataFrame]:
    """Return sampled tables with computed totals, without the columns that were added.

    Args:
        tables: Sampled tables of the schema that ``add_partial_totals`` returned.
        schema: This schema.
        totals: The partial totals that it returned.
        held: Columns that must not change.
        rng: Random generator.
    """
    linked = LinkedTables(tables, schema)
    for one in totals:
        if not {(one.parent, name) for name in (one.column, *one.parts)} & set(held):
            one.apply(linked, rng)
        linked.frames[one.parent] = linked.frames[one.parent].drop(columns=one.column + IS_SUM)
    return linked.frames


def _strongest(
    tables: LinkedTables, link: ForeignKey, taken: Collection[str], roots: Integers, min_group: int
) -> PartialTotal | None:
    """Return the total with the largest share of near rows."""
    rules = (rule for name in (link.parent, link.table) for rule in tables.schema.tables[name].constraints)
    refused = {rule.rule for rule in rules if isinstance(rule, RefusedRule)}
    rows = tables.parents(link.table, link.column)
    parents = np.unique(rows[rows >= 0])
    scan = tables.some(link, parents[:: -(-len(parents) // SCAN_PARENTS)]) if len(parents) else tables
    best, most = None, 0.0
    for one in _candidates(tables, link, taken):
        if str(one) in refused or _is_rarely_near(one, scan):
            continue
        share = _near_share(one, tables, roots, min_group)
        if share > most:
            best, most = one, share
    if best is None:
        return None
    total = tables.numbers(best.parent, best.column)
    names = [name for name in tables.numeric(best.parent, dates=False) if name not in {best.column, best.term, *taken}]
    parts = (name for name in names if _is_part(tables.numbers(best.parent, name), total))
    return replace(best, parts=tuple(parts))


def _candidates(tables: LinkedTables, link: ForeignKey, taken: Collection[str]) -> Iterator[PartialTotal]:
    own = [name for name in tables.numeric(link.parent, dates=False) if name not in taken]
    sources = [name for name in tables.numeric(link.table, dates=False) if name not in taken]
    for column in own[:MAX_COLUMNS]:
        for source in sources[:MAX_COLUMNS]:
            for term in ("", *(name for name in own[:MAX_TERMS] if name != column)):
                yield PartialTotal(link.parent, column, link.table, link.column, source, term)


def _is_rarely_near(one: PartialTotal, scan: LinkedTables) -> bool:
    """Return whether fewer than half of the minimum share of some parents have a total near the sum."""
    near = np.abs(scan.numbers(one.parent, one.column) - one.known(scan)) <= one.slack(scan)
    return not near.any() or float(near.mean()) < MIN_SHARE / 2


def _near_share(one: PartialTotal, tables: LinkedTables, roots: Integers, min_group: int) -> float:
    """Return the share of parents with children whose total is near the sum; 0 without enough evidence."""
    observed = tables.numbers(one.parent, one.column)
    some = (one.children(tables) > 0) & ~np.isnan(observed)
    if some.sum() < MIN_EVIDENCE_ROWS or len(np.unique(observed[some])) < MIN_NUMBERS:
        return 0.0
    known, slack = one.known(tables), one.slack(tables)[some]
    distance = np.abs(observed - known)[some]
    near = distance <= slack
    nearby = (distance <= WIDE * slack) & ~near
    shifted = np.abs(observed[some] - np.roll(known[some], 1)) <= slack
    chance = max(int(nearby.sum()) / (WIDE - 1), int(shifted.sum()), 1.0)
    enough = near.sum() >= max(MIN_SHARE * len(near), MIN_EVIDENCE_ROWS, MIN_PEAK * chance)
    return float(near.mean()) if enough and len(np.unique(roots[some][near])) >= min_group else 0.0


def _is_part(data: Floats, total: Floats) -> bool:
    """Return whether a column is between 0 and the total in all rows."""
    some: Bools = ~np.isnan(data) & ~np.isnan(total)
    data, total = data[some], total[some]
    return len(data) > 0 and bool(((data >= 0) & (data <= total)).all())


def _with_residuals(one: PartialTotal, tables: LinkedTables, near: Bools, min_group: int) -> PartialTotal:
    """Return the total with the differences of near totals, each the mean of at least ``min_group`` parents."""
    rest = np.sort((tables.numbers(one.parent, one.column) - one.known(tables))[near & (one.children(tables) > 0)])
    groups = np.array_split(rest, max(min(len(rest) // min_group, MAX_RESIDUALS), 1))
    return replace(one, residuals=tuple(float(own.mean()) for own in groups))
