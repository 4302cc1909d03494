"""Rules between the tokens of two slots that hold in every row: functional dependencies and excluded pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Arrays, Bools, Floats, Integers, Tokens, check_numbers
from tabsynth.relations import functional_dependencies
from tabsynth.relations.categories.excluded_pairs import ExcludedPairs, discover_excluded_pairs
from tabsynth.relations.functional_dependencies import FunctionalDependency

TokenRule = FunctionalDependency | ExcludedPairs

MAX_SWEEPS = 3
"""Rounds of repairs: a repair may violate a rule that was repaired before."""


def discover_token_rules(
    tokens: Tokens,
    sizes: Sequence[int],
    open_: Sequence[Sequence[int] | None],
    missing: Sequence[int | None],
    n_ordered: Sequence[int],
    persons: Integers | None = None,
) -> tuple[TokenRule, ...]:
    """Find the functional dependencies and the excluded pairs that hold in all rows.

    Args:
        tokens: Shape (rows, slots), -1 where a row does not have the column.
        sizes: Number of tokens of each slot.
        open_: For each slot the pooled tokens, after which anything may follow; None excludes the slot.
        missing: The MISSING token of each slot.
        n_ordered: Number of ordered tokens of each slot.
        persons: Person of each row, shape (rows,); None if each row is its own person.
    """
    functions = functional_dependencies.discover(tokens, sizes, open_, missing)
    pairs = discover_excluded_pairs(tokens, sizes, open_, n_ordered, persons)
    return (*functions, *_not_implied(functions, pairs))


def _not_implied(functions: Sequence[FunctionalDependency], every: Iterator[ExcludedPairs]) -> Iterator[ExcludedPairs]:
    """Yield the excluded pairs of which functional dependencies imply a part only."""
    tables = {function.slots: function.table for function in functions}
    for own in every:
        left = own.pairs.copy()
        for slots, pairs in ((own.slots, left), (own.slots[::-1], left.T)):
            if slots in tables:
                pairs[tables[slots] >= 0] = False
        if left.any():
            yield own


def restrict(rules: Sequence[TokenRule], tokens: npt.NDArray[Any]) -> tuple[TokenRule, ...]:
    """Return the rules without the tokens that some of more rows contradict.

    Args:
        rules: Rules of other rows.
        tokens: Shape (rows, slots), -1 where a row does not have the column.
    """
    kept = (rule.without(tokens) for rule in rules)
    return tuple(rule for rule in kept if rule is not None)


def hold(tokens: npt.NDArray[Any], rules: Sequence[TokenRule]) -> Bools:
    """Return the rows in which every rule holds, shape (rows,); -1 is any token."""
    good = np.ones(len(tokens), bool)
    for rule in rules:
        good &= ~rule.violated(tokens)
    return good


def rules_state(rules: Sequence[TokenRule]) -> tuple[list[list[int]], Arrays]:
    """Return plain data and arrays for ``rules_from_state``."""
    plain: list[list[int]] = []
    arrays: Arrays = {}
    for i, rule in enumerate(rules):
        if isinstance(rule, FunctionalDependency):
            plain.append([*rule.slots, rule.gap])
            arrays[f"function.{i}"] = rule.table
        else:
            plain.append([*rule.slots])
            arrays[f"function.{i}"] = rule.pairs.astype(np.uint8)
    return plain, arrays


def rules_from_state(plain: Sequence[Sequence[int]], arrays: Arrays, sizes: Sequence[int]) -> tuple[TokenRule, ...]:
    """Rebuild rules from their state: excluded pairs have a matrix; files of earlier versions state no gap.

    Raises:
        ValueError: They are not those of slots of these sizes.
    """
    out: list[TokenRule] = []
    for i, (one, other, *gap) in enumerate(plain):
        table, slots = arrays[f"function.{i}"], (int(one), int(other))
        if slots[0] == slots[1] or not all(0 <= at < len(sizes) for at in slots):
            raise ValueError("a rule between tokens is one of other columns")
        first, most = sizes[slots[0]], sizes[slots[1]] - 1
        if table.ndim == 2:
            check_numbers(table, (first, most + 1), "excluded pairs", low=0, high=1, whole=True)
            out.append(ExcludedPairs(*slots, table.astype(bool)))
        else:
            check_numbers(table, (first,), "a functional dependency", low=-1, high=most, whole=True)
            function = FunctionalDependency(*slots, table, int(*gap or [-1]))
            if not -1 <= function.gap <= most:
                raise ValueError("a functional dependency is one of other columns")
            out.append(function)
    return tuple(out)


def describe(rules: Sequence[TokenRule], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rules for the model card, given the column of each slot."""
    return [rule.describe(columns) for rule in rules]


def repair(
    tokens: Tokens,
    fixed: npt.NDArray[np.bool_],
    rules: Sequence[TokenRule],
    shares: Sequence[Floats],
    rng: np.random.Generator,
) -> Tokens:
    """Repair tokens so that every rule holds.

    Args:
        tokens: Sampled tokens, shape (rows, slots).
        fixed: Tokens that must not change, shape (rows, slots). If the dependent token of a functional dependency is
            fixed, a determinant that leads to it is sampled instead.
        rules: The rules, functional dependencies first, those whose determinants have most tokens first.
        shares: Target share of each token of each slot, from which tokens are sampled.
        rng: Random generator.
    """
    out, held = tokens.copy(), fixed.copy()
    for _ in range(MAX_SWEEPS):
        for rule in rules:
            if isinstance(rule, FunctionalDependency):
                rule.repair(out, held, shares, rng)
            else:
                _separate(rule, out, fixed, rules, shares, rng)
        if hold(out, rules).all():
            break
    return out


def _separate(
    pairs: ExcludedPairs,
    out: Tokens,
    fixed: npt.NDArray[np.bool_],
    rules: Sequence[TokenRule],
    shares: Sequence[Floats],
    rng: np.random.Generator,
) -> None:
    """Sample, in place, a token that no rule excludes in each row with an excluded pair: of the smaller slot first."""
    rows = np.flatnonzero(pairs.violated(out))
    for slot in sorted(pairs.slots, key=lambda one: len(shares[one])):
        rows = rows[pairs.violated(out[rows])]
        own = rows[~fixed[rows, slot]]
        if not len(own):
            continue
        chances = np.tile(shares[slot], (len(own), 1))
        for rule in rules:
            if slot in rule.slots:
                chances[rule.excluded(slot, out[own], len(shares[slot]))] = 0
        total = chances.sum(axis=1)
        drawn = (chances.cumsum(axis=1) <= (rng.random(len(own)) * total)[:, None]).sum(axis=1)
        out[own[total > 0], slot] = drawn[total > 0]
