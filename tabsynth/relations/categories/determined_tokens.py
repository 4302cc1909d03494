"""Tokens that functional dependencies allow while rows are sampled slot by slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Bools, Integers
from tabsynth.relations.functional_dependencies import MAX_SWEEPS, FunctionalDependency, hold, repair


def excluded_tokens(
    functions: Sequence[FunctionalDependency], slot: int, tokens: npt.NDArray[Any], size: int
) -> Bools | None:
    """Return the tokens of a slot that would violate a dependency on earlier slots, shape (n, size); None if none can.

    Args:
        functions: The dependencies between slots, which are sampled in their order.
        slot: The slot that is sampled next.
        tokens: The tokens so far, shape (n, slots).
        size: Number of tokens of the slot.
    """
    out = None
    for function in functions:
        if function.dependent == slot and function.determinant < slot:
            wanted = function.table[tokens[:, function.determinant]][:, None]
            choice = np.arange(size)
            own = (wanted >= 0) & (choice != wanted) & ((choice != function.gap) | (function.gap < 0))
        elif function.determinant == slot and function.dependent < slot:
            effect = tokens[:, function.dependent][:, None]
            own = (function.table >= 0) & (function.table != effect) & (effect != function.gap)
        else:
            continue
        out = own if out is None else out | own
    return out


def repair_violations(
    functions: Sequence[FunctionalDependency], tokens: Integers, allowed: Sequence[Bools], rng: np.random.Generator
) -> None:
    """Repair, in place, the rows in which earlier slots demand different tokens of a later one.

    Args:
        functions: The dependencies.
        tokens: Shape (n, slots).
        allowed: Tokens that each slot may have.
        rng: Random generator.
    """
    if functions and not (good := hold(tokens.astype(np.int32), functions)).all():
        own, free = tokens[~good].astype(np.int32), np.zeros(((~good).sum(), tokens.shape[1]), bool)
        tokens[~good] = repair(own, free, functions, [one.astype(np.float64) for one in allowed], rng)


def propagate(functions: Sequence[FunctionalDependency], allowed: Sequence[Bools]) -> list[Bools]:
    """Return the allowed tokens of each slot without those that only lead to tokens that are not allowed."""
    out = list(allowed)
    for _ in range(MAX_SWEEPS):
        for function in functions:
            effects = out[function.dependent]
            possible = (function.table < 0) | effects[function.table]
            possible |= function.gap >= 0 and bool(effects[function.gap])
            kept = out[function.determinant] & possible
            if kept.any():
                out[function.determinant] = kept
    return out
