"""Cluster linked pairs into persons, with at most one record of each source.

A chain of links (a to b, b to c, ...) can join records that were never compared. A cluster therefore grows in order of
probability and never takes a second record of a source; many refused pairs indicate a low threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tabsynth.common.arrays import Integers
from tabsynth.errors import DataError, InputError

MAX_SOURCE_RECORDS = 2
"""Maximum connected records for each source before a group is reported as over-linked."""


def cluster_pairs(
    sizes: Mapping[str, int], pairs: pd.DataFrame, one_to_one: bool = True
) -> tuple[dict[str, Integers], dict[str, Any]]:
    """Number the records of all sources by entity.

    Args:
        sizes: Number of records of each source.
        pairs: Linked pairs by descending probability: ``source_a``, ``row_a``, ``source_b``, ``row_b``.
        one_to_one: Whether an entity has at most one record of a source; otherwise entities are connected components.

    Returns:
        The entity of each record, by source, numbered from 0 in the order of the records; and the report:
        ``cluster_sizes`` (entities by number of records), ``refused`` (pairs that would have joined two records of a
        source), ``overlinked`` (connected groups too large for one entity) and ``overlinked_records`` (their records).
    """
    names = list(sizes)
    start = dict(zip(names, np.concatenate([[0], np.cumsum(list(sizes.values()))[:-1]]).astype(np.int64), strict=True))
    count = int(sum(sizes.values()))
    left = pairs["source_a"].map(start).to_numpy(np.int64) + pairs["row_a"].to_numpy(np.int64)
    right = pairs["source_b"].map(start).to_numpy(np.int64) + pairs["row_b"].to_numpy(np.int64)
    source = np.repeat(np.arange(len(names)), list(sizes.values()))
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
    components = connected_components(graph, directed=False)[1].astype(np.int64)
    labels, refused = (
        (_join_one_to_one(left, right, source, count) if one_to_one else (components, 0))
        if len(left)
        else (components, 0)
    )
    # Numbering by first record makes the result independent of the clustering order.
    entity = pd.factorize(labels)[0].astype(np.int64)
    sizes_present, times = np.unique(np.bincount(entity), return_counts=True) if count else (np.empty(0), np.empty(0))
    group_sizes = np.bincount(components) if count else np.zeros(1, np.int64)
    report = {
        "cluster_sizes": {int(size): int(number) for size, number in zip(sizes_present, times, strict=True)},
        "refused": refused,
        "overlinked": int((group_sizes > MAX_SOURCE_RECORDS * len(names)).sum()),
        "overlinked_records": int(group_sizes[group_sizes > MAX_SOURCE_RECORDS * len(names)].sum()),
        "largest_group": int(group_sizes.max()),
    }
    ends = np.cumsum(list(sizes.values()))
    return {name: entity[end - sizes[name] : end] for name, end in zip(names, ends, strict=True)}, report


def _join_one_to_one(left: Integers, right: Integers, source: npt.NDArray[Any], count: int) -> tuple[Integers, int]:
    """Join pairs in order, except pairs that join two records of a source; return labels and number of exceptions."""
    degree = np.bincount(left, minlength=count) + np.bincount(right, minlength=count)
    labels = np.arange(count)
    # Isolated pairs, which are nearly all, need no union-find.
    alone = (degree[left] == 1) & (degree[right] == 1) & (source[left] != source[right])
    labels[right[alone]] = left[alone]
    parent: dict[int, int] = {}
    members: dict[int, set[int]] = {}

    def root(node: int) -> int:
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = node = parent[above]
        return node

    refused = 0
    for a, b in zip(left[~alone].tolist(), right[~alone].tolist(), strict=True):
        one, other = root(a), root(b)
        if one == other:
            continue
        left_sources, right_sources = (members.setdefault(node, {int(source[node])}) for node in (one, other))
        if left_sources & right_sources:
            refused += 1
            continue
        parent[other] = one
        left_sources |= members.pop(other)
    for node in parent:
        labels[node] = root(node)
    return labels, refused


@dataclass(frozen=True)
class Exposure:
    """Sources and rows of each person: the factor between a row's and a person's privacy loss.

    Attributes:
        sources: Number of entities by number of sources.
        max_sources: Maximum sources of one entity.
        max_rows: Maximum rows of one entity over all sources.
    """

    sources: dict[int, int]
    max_sources: int
    max_rows: int

    @property
    def factor(self) -> int:
        """The factor by which a person's epsilon exceeds a row's: the maximum rows of a person."""
        return self.max_rows

    def __str__(self) -> str:
        if self.factor <= 1:
            return "each person has one row: an epsilon of a row is an epsilon of a person"
        return (
            f"a person has up to {self.max_rows} rows in up to {self.max_sources} sources: if the guarantee is for "
            f"a row, a person's epsilon is up to {self.factor} times as large; cap a person's rows or state row-level"
        )


def sources_per_entity(entities: Mapping[str, Integers]) -> Exposure:
    """Count the sources and rows of each person, which give the factor of a person's epsilon.

    A missed link makes the true factor larger, up to the number of sources.

    Args:
        entities: The entity of each row by source, as in ``Links.entities``.

    Example:
        >>> sources_per_entity({"a": np.array([0, 1]), "b": np.array([1, 2])}).factor
        2
    """
    top = (
        max((int(numbers_of_rows.max()) for numbers_of_rows in entities.values() if len(numbers_of_rows)), default=-1)
        + 1
    )
    rows = sum(
        (np.bincount(numbers_of_rows, minlength=top) for numbers_of_rows in entities.values()), np.zeros(top, np.int64)
    )
    n_sources = sum(
        ((np.bincount(numbers_of_rows, minlength=top) > 0) for numbers_of_rows in entities.values()),
        np.zeros(top, np.int64),
    )
    numbers, times = np.unique(n_sources[n_sources > 0], return_counts=True)
    return Exposure(
        {int(number): int(count) for number, count in zip(numbers, times, strict=True)},
        int(n_sources.max(initial=0)),
        int(rows.max(initial=0)),
    )


def split_entities(entities: Mapping[str, Integers], share: float, seed: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Choose persons to hold out, so that no person has rows in both training and holdout.

    Args:
        entities: The entity of each row, by source.
        share: Share of the entities to hold out, between 0 and 1.
        seed: Random seed.

    Returns:
        Boolean mask of the held-out rows, by source.

    Raises:
        InputError: The share is not between 0 and 1, or there are too few entities.
    """
    if not 0 < share < 1:
        raise InputError(f"the share to hold out must be between 0 and 1, not {share!r}")
    every = np.unique(np.concatenate([*entities.values(), np.empty(0, np.int64)]))
    n_held_out = round(share * len(every))
    if not 0 < n_held_out < len(every):
        raise DataError(
            f"{len(every)} persons cannot be split with a share of {share!r} held out; choose another share"
        )
    held_out = np.random.default_rng(seed).choice(every, n_held_out, replace=False)
    return {source: np.isin(entity, held_out) for source, entity in entities.items()}
