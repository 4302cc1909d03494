"""Functional dependencies between categories, such as city -> country; they may be limited to single values.

Networks violate such dependencies in a few rows in a thousand. The tokens of these rows are repaired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Arrays, Bools, Floats, Integers, Tokens

MAX_SCAN_ROWS = 2500
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MIN_ROWS = 50
"""Minimum rows of a table, and of a missing value that decides another column."""

MIN_IMPLICATION_ROWS = 60
"""Minimum rows of a value that determines another column while other values do not."""

MIN_RIVAL_ROWS = 20
"""Minimum rows of a value whose rate serves as an estimate of the rate by chance."""

MAX_SWEEPS = 3
"""Rounds of repairs: a repair may violate a dependency that was repaired before."""

MIN_EVIDENCE_ROWS = 12.0
"""Minimum number of rows that would violate an accepted dependency by chance."""


@dataclass(frozen=True, eq=False)
class FunctionalDependency:
    """A slot whose token is a function of another slot's, at least for some tokens.

    Attributes:
        determinant, dependent: The two slots.
        table: The dependent token of each token of the determinant, -1 where any may follow, shape (its size,).
        gap: The MISSING token of the dependent slot if it may occur in place of the decided one, else -1.
    """

    determinant: int
    dependent: int
    table: npt.NDArray[np.int32]
    gap: int = -1


def discover(
    tokens: Tokens,
    sizes: Sequence[int],
    open_: Sequence[Sequence[int] | None],
    missing: Sequence[int | None] | None = None,
) -> tuple[FunctionalDependency, ...]:
    """Find the functional dependencies that hold in all rows, determinants with most tokens first.

    Args:
        tokens: Shape (rows, slots), -1 where a row does not have the column.
        sizes: Number of tokens of each slot.
        open_: For each slot the pooled tokens, after which anything may follow; None excludes the slot.
        missing: The MISSING token of each slot.
    """
    if len(tokens) < MIN_ROWS:
        return ()
    scan = tokens[:: max(1, len(tokens) // MAX_SCAN_ROWS)]
    used = [i for i in range(len(sizes)) if open_[i] is not None and len(np.unique(scan[:, i])) > 1]
    shares = {i: np.bincount(tokens[tokens[:, i] >= 0, i], minlength=sizes[i]) / len(tokens) for i in used}
    gaps = _gap_tokens(tokens, used, missing)
    without_gaps = [(tokens, scan, shares)]
    if gaps:  # a decided value may be missing in some rows: gaps count as rows without the dependent
        hidden = tokens.copy()
        for slot, gap in gaps.items():
            hidden[tokens[:, slot] == gap, slot] = -1
        own = {i: np.bincount(hidden[hidden[:, i] >= 0, i], minlength=sizes[i]) for i in gaps}
        present = {i: counts / max(counts.sum(), 1) for i, counts in own.items()}
        without_gaps.append((hidden, hidden[:: max(1, len(tokens) // MAX_SCAN_ROWS)], present))
    dependencies: list[FunctionalDependency] = []
    for determinant in sorted(used, key=lambda i: -sizes[i]):
        own_gap = None if missing is None else missing[determinant]
        left = [i for i in used if i != determinant]
        for dependents, part, own_shares in without_gaps:
            left = [i for i in left if i in own_shares]
            facts = (sizes[determinant], open_[determinant] or (), own_shares, own_gap)
            tables = _tables(scan[:, determinant], part, left, *facts, len(scan) / len(tokens))
            candidates = [dependent for dependent, table in zip(left, tables, strict=True) if table is not None]
            confirmed = _tables(tokens[:, determinant], dependents, candidates, *facts, 1.0)
            for dependent, table in zip(candidates, confirmed, strict=True):
                if table is not None:
                    gap = -1 if dependents is tokens else gaps[dependent]
                    dependencies.append(FunctionalDependency(determinant, dependent, table, gap))
                    left.remove(dependent)
    return tuple(dependencies)


def _gap_tokens(tokens: Tokens, used: Sequence[int], missing: Sequence[int | None] | None) -> dict[int, int]:
    """Return the MISSING token of each slot in which it occurs beside two other tokens."""
    out = {}
    for slot in used:
        gap = None if missing is None else missing[slot]
        if gap is not None and (tokens[:, slot] == gap).any() and len(np.unique(tokens[:, slot])) > 2:
            out[slot] = gap
    return out


def _tables(
    determinants: Tokens,
    tokens: Tokens,
    dependents: Sequence[int],
    size_of_determinant: int,
    pooled: Sequence[int],
    shares: Mapping[int, Floats],
    missing: int | None,
    sample: float,
) -> list[npt.NDArray[np.int32] | None]:
    """Return the table of each dependent slot, None if no token of the determinant decides it with enough evidence."""
    order = np.argsort(determinants, kind="stable")
    order = order[np.searchsorted(determinants[order], 0) :]
    known, start = np.unique(determinants[order], return_index=True)
    if not len(known) or not len(dependents):
        return [None] * len(dependents)
    block = tokens[np.ix_(order, np.array(dependents))]
    most = np.maximum.reduceat(block, start, axis=0)
    least = np.minimum.reduceat(np.where(block < 0, np.iinfo(np.int32).max, block), start, axis=0)
    size = np.add.reduceat(block >= 0, start, axis=0)
    open_ = np.isin(known, list(pooled))[:, None]
    single = (most == least) & (most >= 0) & ~open_
    follows = np.stack([shares[i][np.clip(most[:, at], 0, None)] for at, i in enumerate(dependents)], axis=1)
    expected = (size - 1) * (1 - follows)
    absent = (known == missing)[:, None]  # after a missing value anything may follow
    complete = (single | open_ | absent | (most < 0)).all(axis=0)
    least_rows = np.where(absent, MIN_ROWS, MIN_IMPLICATION_ROWS)
    # By chance a sample may contain half of the expected evidence.
    needed = sample / 2 if sample < 1 else 1.0
    strong = single & (size >= least_rows * needed) & (size * (1 - follows) >= MIN_EVIDENCE_ROWS * needed)
    some = np.flatnonzero(strong.any(axis=0) & ~complete)
    if len(some):
        rival = _rival_rates(block[:, some], most[:, some], single[:, some], start, size[:, some])
        strong[:, some] &= size[:, some] * (1 - rival) >= MIN_EVIDENCE_ROWS * needed
    out: list[npt.NDArray[np.int32] | None] = []
    for at in range(len(dependents)):
        if not complete[at] and not strong[:, at].any():
            out.append(None)
            continue
        deciding = single[:, at] if complete[at] else strong[:, at]
        varied = len(np.unique(most[deciding, at])) > 1 or not complete[at]
        enough = expected[deciding, at].sum() >= MIN_EVIDENCE_ROWS * needed
        if not deciding.any() or not varied or not enough:
            out.append(None)
            continue
        table = np.full(size_of_determinant, -1, np.int32)
        table[known[deciding]] = most[deciding, at]
        out.append(table)
    return out


def _rival_rates(block: Tokens, most: Tokens, single: Bools, start: Integers, size: Integers) -> Floats:
    """Return the largest rate of each dependent token among determinants that do not decide the slot.

    If two columns are merely correlated, that rate is close to 1, and the dependency is no evidence of a rule.
    """
    out = np.zeros(most.shape)
    for at in range(block.shape[1]):
        for token in np.unique(most[single[:, at], at]):
            rate = np.add.reduceat(block[:, at] == token, start) / np.maximum(size[:, at], 1)
            others = rate[~single[:, at] & (size[:, at] >= MIN_RIVAL_ROWS)]
            out[single[:, at] & (most[:, at] == token), at] = others.max(initial=0.0)
    return out


def restrict(functions: Sequence[FunctionalDependency], tokens: npt.NDArray[Any]) -> tuple[FunctionalDependency, ...]:
    """Return the dependencies without the tokens that some of more rows contradict.

    Args:
        functions: Dependencies of other rows.
        tokens: Shape (rows, slots), -1 where a row does not have the column.
    """
    out = []
    for function in functions:
        cause, effect = (tokens[:, slot].astype(np.int64) for slot in (function.determinant, function.dependent))
        here = (cause >= 0) & (effect >= 0) & (effect != function.gap)
        wanted = function.table[cause[here]]
        table = function.table.copy()
        table[cause[here][(wanted >= 0) & (wanted != effect[here])]] = -1
        if (table >= 0).any():
            out.append(replace(function, table=table))
    return tuple(out)


def hold(tokens: Tokens, functions: Sequence[FunctionalDependency]) -> Bools:
    """Return the rows in which every dependency holds, shape (rows,); -1 is any token."""
    good = np.ones(len(tokens), bool)
    for function in functions:
        determinant, dependent = tokens[:, function.determinant], tokens[:, function.dependent]
        expected = np.where(determinant >= 0, function.table[determinant], -1)
        good &= (expected < 0) | (dependent < 0) | (dependent == function.gap) | (expected == dependent)
    return good


def dependencies_state(functions: Sequence[FunctionalDependency]) -> tuple[list[list[int]], Arrays]:
    """Return plain data and arrays for ``dependencies_from_state``."""
    plain = [[one.determinant, one.dependent, one.gap] for one in functions]
    return plain, {f"function.{i}": one.table for i, one in enumerate(functions)}


def dependencies_from_state(plain: Sequence[Sequence[int]], arrays: Arrays) -> tuple[FunctionalDependency, ...]:
    """Rebuild dependencies from their state; files of earlier versions state no gap."""
    return tuple(
        FunctionalDependency(int(a), int(b), arrays[f"function.{i}"], int(*gap or [-1]))
        for i, (a, b, *gap) in enumerate(plain)
    )


def describe(functions: Sequence[FunctionalDependency], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the dependencies for the model card, given the column of each slot."""
    return [
        {
            "rule": f"{columns[function.determinant]} decides {columns[function.dependent]}",
            "values": f"{int((function.table >= 0).sum())} of {len(function.table)}",
        }
        for function in functions
    ]


def repair(
    tokens: Tokens,
    fixed: npt.NDArray[np.bool_],
    functions: Sequence[FunctionalDependency],
    shares: Sequence[Floats],
    rng: np.random.Generator,
) -> Tokens:
    """Repair tokens so that every functional dependency holds.

    Args:
        tokens: Sampled tokens, shape (rows, slots).
        fixed: Tokens that must not change, shape (rows, slots). If the dependent token is fixed, a determinant that
            leads to it is sampled instead.
        functions: The dependencies, determinants with most tokens first.
        shares: Target share of each token of each slot, from which determinants are sampled.
        rng: Random generator.
    """
    out, fixed = tokens.copy(), fixed.copy()
    for _ in range(MAX_SWEEPS):
        _sweep(out, fixed, functions, shares, rng)
        if hold(out, functions).all():
            break
    return out


def _sweep(
    out: Tokens,
    fixed: npt.NDArray[np.bool_],
    functions: Sequence[FunctionalDependency],
    shares: Sequence[Floats],
    rng: np.random.Generator,
) -> None:
    """Repair tokens by each dependency in turn, in place.

    Repaired tokens are fixed from then on: if another dependency contradicts the repair, its determinant changes.
    """
    for function in functions:
        cause, effect = out[:, function.determinant], out[:, function.dependent]
        wanted = function.table[cause]
        off = (wanted >= 0) & (wanted != effect) & ((effect != function.gap) | (function.gap < 0))
        free = off & ~fixed[:, function.dependent] & (shares[function.dependent][wanted] > 0)
        out[free, function.dependent] = wanted[free]
        fixed[free, function.dependent] = True
        for token, rows in _rows_by_token(effect, off & fixed[:, function.dependent] & ~fixed[:, function.determinant]):
            chances = shares[function.determinant] * ((function.table == token) | (function.table < 0))
            if chances.sum() > 0:
                out[rows, function.determinant] = rng.choice(len(chances), len(rows), p=chances / chances.sum())


def _rows_by_token(
    tokens: npt.NDArray[np.int32], rows: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield each token with its selected rows."""
    for token in np.unique(tokens[rows]):
        yield int(token), np.flatnonzero(rows & (tokens == token)).astype(np.int64)
