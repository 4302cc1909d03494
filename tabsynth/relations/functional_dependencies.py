"""Functional dependencies between categories, such as city -> country; they may be limited to single values.

Networks violate such dependencies in a few rows in a thousand. The tokens of these rows are repaired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Bools, Floats, Integers, Tokens
from tabsynth.relations.order_evidence import MAX_SCALE_TOKENS, extrapolated_rates

MAX_SCAN_ROWS = 2500
"""Maximum rows on which candidates are searched; all rows then confirm them."""

MIN_ROWS = 50
"""Minimum rows of a table, and of a missing value that decides another column."""

MIN_IMPLICATION_ROWS = 60
"""Minimum rows of a value that determines another column while other values do not."""

MIN_RIVAL_ROWS = 20
"""Minimum rows of a value whose rate serves as an estimate of the rate by chance."""

SINGLE_RIVAL_SHARE = 0.4
"""Share of other tokens by chance, relative to that of a single rival, which cannot be extrapolated."""

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

    @property
    def slots(self) -> tuple[int, int]:
        """Both slots."""
        return self.determinant, self.dependent

    def violated(self, tokens: npt.NDArray[Any]) -> Bools:
        """Return the rows that violate the dependency, shape (rows,); -1 is any token."""
        determinant, dependent = tokens[:, self.determinant], tokens[:, self.dependent]
        expected = np.where(determinant >= 0, self.table[determinant], -1)
        return np.asarray((expected >= 0) & (dependent >= 0) & (dependent != self.gap) & (expected != dependent))

    def excluded(self, slot: int, tokens: npt.NDArray[Any], size: int) -> Bools:
        """Return the tokens of one of the slots that would violate the dependency, shape (rows, size)."""
        if slot == self.dependent:
            wanted = self.table[tokens[:, self.determinant]][:, None]
            choice = np.arange(size)
            return np.asarray((wanted >= 0) & (choice != wanted) & ((choice != self.gap) | (self.gap < 0)))
        effect = tokens[:, self.dependent][:, None]
        return np.asarray((self.table >= 0) & (self.table != effect) & (effect != self.gap))

    def without(self, tokens: npt.NDArray[Any]) -> Self | None:
        """Return the dependency without the tokens that some rows contradict, None if nothing is left."""
        cause, effect = (tokens[:, slot].astype(np.int64) for slot in self.slots)
        here = (cause >= 0) & (effect >= 0) & (effect != self.gap)
        wanted = self.table[cause[here]]
        table = self.table.copy()
        table[cause[here][(wanted >= 0) & (wanted != effect[here])]] = -1
        return replace(self, table=table) if (table >= 0).any() else None

    def narrow(self, allowed: list[Bools]) -> None:
        """Remove, in place, allowed tokens of the determinant that only lead to tokens that are not allowed."""
        effects = allowed[self.dependent]
        possible = (self.table < 0) | effects[self.table]
        possible |= self.gap >= 0 and bool(effects[self.gap])
        kept = allowed[self.determinant] & possible
        if kept.any():
            allowed[self.determinant] = kept

    def describe(self, columns: Sequence[str]) -> dict[str, Any]:
        """Return the dependency for the model card, given the column of each slot."""
        return {
            "rule": f"{columns[self.determinant]} decides {columns[self.dependent]}",
            "values": f"{int((self.table >= 0).sum())} of {len(self.table)}",
        }

    def repair(
        self,
        out: Tokens,
        fixed: npt.NDArray[np.bool_],
        shares: Sequence[Floats],
        rng: np.random.Generator,
    ) -> None:
        """Repair tokens in place; see ``token_rules.repair``.

        Repaired tokens are fixed from then on: if another dependency contradicts the repair, its determinant changes.
        """
        cause, effect = out[:, self.determinant], out[:, self.dependent]
        wanted, off = self.table[cause], self.violated(out)
        free = off & ~fixed[:, self.dependent] & (shares[self.dependent][wanted] > 0)
        out[free, self.dependent] = wanted[free]
        fixed[free, self.dependent] = True
        left = off & fixed[:, self.dependent] & ~fixed[:, self.determinant]
        for token in np.unique(effect[left]):
            rows = np.flatnonzero(left & (effect == token))
            chances = shares[self.determinant] * ((self.table == token) | (self.table < 0))
            if chances.sum() > 0:
                out[rows, self.determinant] = rng.choice(len(chances), len(rows), p=chances / chances.sum())


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
        scaled = size_of_determinant <= MAX_SCALE_TOKENS
        rival = _rival_rates(block[:, some], most[:, some], single[:, some], start, size[:, some], scaled)
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


def _rival_rates(block: Tokens, most: Tokens, single: Bools, start: Integers, size: Integers, scaled: bool) -> Floats:
    """Return the largest rate of each dependent token among determinants that do not decide the slot.

    If two columns are merely correlated, that rate is close to 1, and the dependency is no evidence of a rule. Distant
    steps of one scale rarely have different tokens: with ``scaled``, the largest two rates are extrapolated.
    """
    out = np.zeros(most.shape)
    for at in range(block.shape[1]):
        for token in np.unique(most[single[:, at], at]):
            count, own = (
                np.add.reduceat(block[:, at] == token, start).astype(np.float64),
                size[:, at].astype(np.float64),
            )
            rivals = ~single[:, at] & (own >= MIN_RIVAL_ROWS) & (count > 0)
            rate = (count / np.maximum(own, 1))[rivals].max(initial=0.0)
            if scaled and rivals.sum() > 1:
                rate = 1 - extrapolated_rates((own - count)[:, None], own, rivals[:, None])[0]
            elif scaled:
                rate = 1 - SINGLE_RIVAL_SHARE * (1 - rate)
            out[single[:, at] & (most[:, at] == token), at] = rate
    return out
