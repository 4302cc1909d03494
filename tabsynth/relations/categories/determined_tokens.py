"""Tokens that rules between slots allow while rows are sampled slot by slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Bools, Integers
from tabsynth.relations.categories.token_rules import MAX_SWEEPS, TokenRule, hold, repair


def excluded_tokens(rules: Sequence[TokenRule], slot: int, tokens: npt.NDArray[Any], size: int) -> Bools | None:
    """Return the tokens of a slot that would violate a rule with earlier slots, shape (n, size); None if none can.

    Args:
        rules: The rules between slots, which are sampled in their order.
        slot: The slot that is sampled next.
        tokens: The tokens so far, shape (n, slots).
        size: Number of tokens of the slot.
    """
    out = None
    for rule in rules:
        if slot == max(rule.slots):
            own = rule.excluded(slot, tokens, size)
            out = own if out is None else out | own
    return out


def repair_violations(
    rules: Sequence[TokenRule], tokens: Integers, allowed: Sequence[Bools], rng: np.random.Generator
) -> None:
    """Repair, in place, the rows in which earlier slots demand different tokens of a later one.

    Args:
        rules: The rules.
        tokens: Shape (n, slots).
        allowed: Tokens that each slot may have.
        rng: Random generator.
    """
    if rules and not (good := hold(tokens, rules)).all():
        own, free = tokens[~good].astype(np.int32), np.zeros(((~good).sum(), tokens.shape[1]), bool)
        tokens[~good] = repair(own, free, rules, [one.astype(np.float64) for one in allowed], rng)


def propagate(rules: Sequence[TokenRule], allowed: Sequence[Bools]) -> list[Bools]:
    """Return the allowed tokens of each slot without those that only lead to tokens that are not allowed."""
    out = list(allowed)
    for _ in range(MAX_SWEEPS):
        for rule in rules:
            rule.narrow(out)
    return out
