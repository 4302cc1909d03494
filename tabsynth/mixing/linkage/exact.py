"""Linkage by equal keys, and the growth of a join, counted before joining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabsynth.common.arrays import Integers
from tabsynth.errors import DataError, InputError, quote
from tabsynth.mixing.linkage.fields import loose_keys, normalise_text

MIN_HEAVY_ROWS = 10
"""Minimum rows of a heavy key, which also has ten times the mean rows of its source's keys."""


@dataclass(frozen=True)
class Growth:
    """The number of rows that a join by a key would produce.

    Attributes:
        factor: Rows of the join over rows of each shared key's largest side: 1 unless a key repeats in two sources.
        rows: Rows from keys shared by at least two sources.
        cardinality: ``1:1``, ``1:n`` (a key repeats in one source at most) or ``m:n``.
        worst: Rows from the most multiplied key.
        repeated: By source, rows with a repeated key.
    """

    factor: float
    rows: int
    cardinality: str
    worst: int
    repeated: dict[str, int]


def number_keys(
    frames: Mapping[str, pd.DataFrame], keys: Mapping[str, Sequence[str]], loose: bool = False
) -> dict[str, Integers]:
    """Number equal keys equally in all sources; -1 where a part is null.

    Placeholders ("unknown", 0, 999-99-9999, ...) count as null.

    Args:
        frames: The sources.
        keys: The key's columns in each source, in corresponding order.
        loose: Whether differences of form (case, leading zeros, compatibility characters) are ignored.

    Returns:
        By source, shape (rows,).

    Raises:
        InputError: A source has no key, or the keys differ in their number of columns.
        DataError: A key column is missing.
    """
    width = {source: len(keys.get(source, ())) for source in frames}
    if not all(width.values()):
        raise InputError(f"source {quote([s for s, n in width.items() if not n])} has no key; name its key columns")
    if len(set(width.values())) > 1:
        raise InputError(f"the keys of the sources have different numbers of columns: {width}; use equally many")
    for source, frame in frames.items():
        absent = [name for name in keys[source] if name not in frame.columns]
        if absent:
            raise DataError(
                f"source {source!r} has no column {quote(absent)}, which its key names; correct the key of this input"
            )
    parts = []
    for i in range(max(width.values(), default=0)):
        columns = [normalise_text(frame[keys[source][i]], fold=False) for source, frame in frames.items()]
        columns = [loose_keys(column) for column in columns] if loose else columns
        every = pd.concat([column.to_pandas() for column in columns], ignore_index=True)
        parts.append(pd.factorize(every)[0].astype(np.int64))
    number = parts[0]
    for part in parts[1:]:
        null = (number < 0) | (part < 0)
        number = pd.factorize(number * (part.max(initial=0) + 1) + part)[0].astype(np.int64)
        number[null] = -1
    ends = np.cumsum([len(frame) for frame in frames.values()])
    return {s: number[end - len(f) : end] for (s, f), end in zip(frames.items(), ends, strict=True)}


def number_linked_keys(
    frames: Mapping[str, pd.DataFrame], keys: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Integers], int]:
    """Number keys that link sources, ignoring their form if that merges no different keys of one source.

    Returns:
        The numbers, and the number of further keys that would match if their form were ignored.
    """
    strict, loose = number_keys(frames, keys), number_keys(frames, keys, loose=True)
    if all(len(np.unique(strict[source])) == len(np.unique(loose[source])) for source in frames):
        return loose, 0
    return strict, max(0, _n_shared(loose) - _n_shared(strict))


def _n_shared(groups: Mapping[str, Integers]) -> int:
    """Count the keys that several sources share."""
    every = np.concatenate([np.unique(found[found >= 0]) for found in groups.values()])
    return int((np.unique(every, return_counts=True)[1] > 1).sum())


def count_growth(groups: Mapping[str, Integers]) -> Growth:
    """Count the rows of a join without joining.

    Args:
        groups: By source, each row's key number (``number_keys``) or entity; negative for rows that join nothing.

    Example:
        >>> count_growth({"a": np.array([0, 0, 1]), "b": np.array([0, 0, 0, 1])})
        Growth(factor=1.75, rows=7, cardinality='m:n', worst=6, repeated={'a': 2, 'b': 3})
    """
    top = max((int(found.max(initial=-1)) for found in groups.values()), default=-1) + 1
    counts = np.array([np.bincount(found[found >= 0], minlength=top) for found in groups.values()], np.float64)
    repeated = {s: int(c[c > 1].sum()) for s, c in zip(groups, counts, strict=True)}
    shared = (counts > 0).sum(axis=0) > 1
    joined = np.where(shared, np.maximum(counts, 1).prod(axis=0), 0.0) if top else np.zeros(0)
    largest_sides = counts.max(axis=0)[joined > 0] if top else np.zeros(0)
    n_repeating = (counts > 1).sum(axis=0) if top else np.zeros(0)
    kind = "m:n" if (n_repeating > 1).any() else "1:n" if (n_repeating == 1).any() else "1:1"
    factor = float(joined.sum() / largest_sides.sum()) if len(largest_sides) else 1.0
    return Growth(factor, int(joined.sum()), kind, int(joined.max(initial=0)), repeated)


def check_growth(growth: Growth, max_growth: float, cardinality: str = "m:n") -> None:
    """Check that a join does not multiply rows or violate the cardinality.

    Args:
        growth: The counted join.
        max_growth: Maximum factor.
        cardinality: ``1:1`` (no key repeats in a source), ``1:n`` (in one source at most) or ``m:n``.

    Raises:
        DataError: The factor exceeds ``max_growth``, or the cardinality differs.
    """
    if growth.factor > max_growth:
        raise DataError(
            f"the join would produce {growth.rows:,} rows, {growth.factor:.3g} times those that match, above "
            f"max_growth {max_growth:g} ({growth.worst:,} from one key); rows whose key repeats: {growth.repeated}. "
            "Join by a key that is unique in all sources but one, aggregate first, or raise max_growth"
        )
    several = [source for source, rows in growth.repeated.items() if rows]
    if len(several) > {"1:1": 0, "1:n": 1}.get(cardinality, len(several)):
        raise DataError(
            f"the plan declares the join {cardinality}, but {quote(several)} have several rows of one key "
            f"({max(growth.repeated.values()):,} rows); allow cardinality {'1:n' if len(several) == 1 else 'm:n'}, or "
            "keep one row of each key"
        )


def key_report(groups: Mapping[str, Integers]) -> dict[str, Any]:
    """Report null and heavy keys.

    Returns:
        ``null_keys`` (by source, rows that join nothing) and ``heavy_keys`` (source, number of rows and first row; the
        key itself is not disclosed).
    """
    heavy: list[dict[str, Any]] = []
    for source, found in groups.items():
        rows = np.bincount(found[found >= 0]) if (found >= 0).any() else np.zeros(1, np.int64)
        mean = rows[rows > 0].mean() if rows.any() else 0.0
        for key in np.flatnonzero(rows > max(MIN_HEAVY_ROWS, MIN_HEAVY_ROWS * mean)):
            heavy.append({"source": source, "rows": int(rows[key]), "first_row": int(np.argmax(found == key))})
    heavy.sort(key=lambda entry: -entry["rows"])
    return {"null_keys": {s: int((found < 0).sum()) for s, found in groups.items()}, "heavy_keys": heavy[:100]}


def pair_equal_keys(groups: Mapping[str, Integers], one_to_one: bool) -> tuple[pd.DataFrame, int]:
    """Link each record to the first one with the same key, by the order of the sources.

    Args:
        groups: By source, each record's key number, negative where null.
        one_to_one: Whether a key of several records of a source joins none of them; otherwise it joins all.

    Returns:
        The pairs (``source_a``, ``row_a``, ``source_b``, ``row_b``, ``probability`` 1), and the number of records left
        out because of an ambiguous key.
    """
    every = pd.DataFrame(
        {
            "source": np.repeat(np.arange(len(groups)), [len(found) for found in groups.values()]),
            "row": np.concatenate([np.arange(len(found)) for found in groups.values()]),
            "key": np.concatenate(list(groups.values())),
        }
    )
    every = every[every["key"] >= 0]
    left_out = 0
    if one_to_one:
        twice = every["key"].isin(every.loc[every.duplicated(["source", "key"]), "key"])
        left_out = int(twice.sum())
        every = every[~twice]
    first = every.drop_duplicates("key")
    joined = first.merge(every, on="key", suffixes=("_a", "_b"))
    joined = joined[(joined["source_a"] != joined["source_b"]) | (joined["row_a"] != joined["row_b"])]
    joined = joined.sort_values(["source_a", "row_a", "source_b", "row_b"])
    names = np.array(list(groups), object)
    return pd.DataFrame(
        {
            "source_a": names[joined["source_a"].to_numpy(int)],
            "row_a": joined["row_a"].to_numpy(np.int64),
            "source_b": names[joined["source_b"].to_numpy(int)],
            "row_b": joined["row_b"].to_numpy(np.int64),
            "probability": 1.0,
        }
    ), left_out
