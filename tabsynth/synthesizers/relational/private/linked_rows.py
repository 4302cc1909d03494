"""Rows of linked tables inside a charged read: typed, clamped, sorted by parent and time, and bounded by person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabsynth.codec.column_values import numeric_values
from tabsynth.common.arrays import Floats, Integers
from tabsynth.privacy.mechanisms.clamping import private_column, private_table
from tabsynth.privacy.mechanisms.contribution_bounding import NO_KEY, bound_contributions, person_keys
from tabsynth.privacy.mechanisms.noise import Noise
from tabsynth.synthesizers.relational.private.public_tables import PublicTables


@dataclass(frozen=True, eq=False)
class LinkedRows:
    """Rows of all tables, child rows sorted by parent and time.

    Attributes:
        frames: The rows of each table without keys, within the declared domains.
        parents: The parent's row number of each row of each child table, ascending.
        persons: The root's row number of each row of each table.
    """

    frames: dict[str, pd.DataFrame]
    parents: dict[str, Integers]
    persons: dict[str, Integers]

    def counts(self, name: str, parent: str) -> Integers:
        """Return the number of children of each parent row, shape (parents,)."""
        return np.bincount(self.parents[name], minlength=len(self.frames[parent])).astype(np.int64)

    def most_children(self, name: str, parent: str) -> Integers:
        """Return, for each person, the largest number of children of one row, shape (persons,)."""
        out = np.zeros(int(max(self.persons[parent], default=-1)) + 1, np.int64)
        np.maximum.at(out, self.persons[parent], self.counts(name, parent))
        return out


def read_linked_rows(tables: Mapping[str, pd.DataFrame], public: PublicTables, noise: Noise) -> LinkedRows:
    """Read linked tables; called inside a mechanism's read, after the charge.

    Rows whose key is missing or refers to no parent are left out, and so are all but one of the rows with the same root
    key. The result for a row depends only on rows of the same person. Below the first child table, this requires that
    no two persons have rows with the same primary key, as a database guarantees.

    Args:
        tables: The raw tables.
        public: Their schemas and links.
        noise: Source of the random choice among root rows with one key, and of the order of siblings without order.
    """
    rows, keys = LinkedRows({}, {}, {}), dict[str, npt.NDArray[np.object_]]()
    for name, visible in public.visible.items():
        raw, link = tables[name].reset_index(drop=True), public.schema.main_key(name)
        if link is None:
            named = raw[public.schema.primary_keys[name]]
            chosen = np.flatnonzero(bound_contributions(named, 1, noise) & (person_keys(named) != None))  # noqa: E711
            rows.persons[name] = np.arange(len(chosen))
        else:
            parents = _positions(keys[link.parent], person_keys(raw[link.column]))
            times = _times(raw, public, name, noise)
            linked = np.flatnonzero(parents >= 0)
            chosen = linked[np.lexsort((times[linked], parents[linked]))]
            rows.parents[name] = parents[chosen]
            rows.persons[name] = rows.persons[link.parent][parents[chosen]]
        if name in public.schema.primary_keys:
            keys[name] = person_keys(raw[public.schema.primary_keys[name]])[chosen]
        rows.frames[name] = private_table(raw[list(visible)].iloc[chosen], visible)
    return rows


def truncate(rows: LinkedRows, public: PublicTables, caps: Mapping[str, int]) -> LinkedRows:
    """Keep the first children of each parent, up to the maximum, and all rows below them."""
    out = LinkedRows({public.root: rows.frames[public.root]}, {}, {public.root: rows.persons[public.root]})
    place = {public.root: np.arange(len(rows.frames[public.root]))}
    for name in public.children:
        parents = place[public.parent(name)][rows.parents[name]]
        first = np.searchsorted(rows.parents[name], rows.parents[name])
        kept = (np.arange(len(parents)) - first < caps[name]) & (parents >= 0)
        place[name] = np.where(kept, np.cumsum(kept) - 1, -1)
        out.frames[name] = rows.frames[name][kept].reset_index(drop=True)
        out.parents[name], out.persons[name] = parents[kept], rows.persons[name][kept]
    return out


def weigh_persons(persons: Integers, rows_per_person: int, noise: Noise) -> Integers:
    """Return row numbers in which every person occurs exactly ``rows_per_person`` times.

    If a person has fewer rows, each row occurs equally often, up to a random remainder; if a person has more rows, some
    are chosen at random. Counts of these rows therefore change by at most ``rows_per_person`` with a person, and all
    persons have the same weight.

    Args:
        persons: The person of each row, shape (n,).
        rows_per_person: Number of occurrences of each person.
        noise: Source of the random choice.
    """
    order = np.lexsort((noise.words(len(persons)), persons))
    ranked = persons[order]
    first = np.searchsorted(ranked, ranked)
    total = np.searchsorted(ranked, ranked, side="right") - first
    times = rows_per_person // total + (np.arange(len(ranked)) - first < rows_per_person % total)
    return np.repeat(order, times)


def _positions(keys: npt.NDArray[np.object_], values: npt.NDArray[np.object_]) -> Integers:
    """Return the first row with each key, -1 where there is none, shape (n,)."""
    index = pd.Index(keys)
    rows = np.flatnonzero(~index.duplicated())
    position = index[rows].get_indexer(pd.Index(values))
    named = np.array([value is not None and value != NO_KEY for value in values], bool)
    return np.where(named & (position >= 0), rows[position] if len(rows) else -1, -1).astype(np.int64)


def _times(raw: pd.DataFrame, public: PublicTables, name: str, noise: Noise) -> Floats:
    """Return the sort key of the children of a parent: their times, or random numbers."""
    order = public.schema.order.get(name)
    if order is None:
        return noise.words(len(raw)).astype(np.float64)
    column = public.visible[name][order]
    return numeric_values(column, private_column(raw[order], column))
