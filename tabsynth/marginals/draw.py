"""Rows drawn from a mixture: a component for each row given what is known of it, then every free column by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tabsynth.line_coder import Floats, Tokens
from tabsynth.marginals.mixture import CHUNK, Mixture

Integers = npt.NDArray[np.int64]


def draw_tokens(
    mixture: Mixture,
    fixed: Tokens,
    allowed: Sequence[Floats | None],
    rng: np.random.Generator,
    *,
    stratify: bool = True,
) -> Tokens:
    """Draw the tokens that are -1, exactly given those that are not.

    Args:
        mixture: The model.
        fixed: Shape (rows, columns), -1 where a token is free.
        allowed: The allowed share of each token of a column, None where all are. Two-dimensional where it depends on
            the token of the column before, which is drawn first.
        rng: Where random numbers come from.
        stratify: Deal random numbers evenly over the rows, and over the rows of each component.
    """
    out = fixed.copy()
    if not len(fixed):
        return out
    component = _components(mixture, fixed, allowed, rng, stratify)
    order = np.argsort(component, kind="stable")
    for column, part in enumerate(mixture.parts):
        rows = order[fixed[order, column] < 0]
        share = allowed[column]
        if not len(rows):
            continue
        if share is not None and share.ndim == 2:
            chances = part[component[rows]] * share[out[rows, column - 1]]
            out[rows, column] = _inverse_rows(chances, rng.random(len(rows)))
        else:
            chances = part.astype(np.float64) if share is None else part * share
            out[rows, column] = _inverse(chances, component[rows], _even(component[rows], rng, stratify))
    return out


def _components(
    mixture: Mixture, fixed: Tokens, allowed: Sequence[Floats | None], rng: np.random.Generator, stratify: bool
) -> Integers:
    """A component for each row, given its fixed tokens and the limits."""
    one = [None if share is None or share.ndim == 2 else share for share in allowed]
    same = not (fixed >= 0).any()
    uniform = _even(np.zeros(len(fixed), np.int64), rng, stratify)
    out = np.empty(len(fixed), np.int64)
    for begin in range(0, len(fixed), len(fixed) if same else CHUNK):
        part = slice(begin, len(fixed) if same else begin + CHUNK)
        joint = mixture.log_prob(fixed[:1] if same else fixed[part], one)
        chances = np.exp(joint - joint.max(1, keepdims=True))
        if same:
            out[part] = _inverse(chances, np.zeros(len(fixed), np.int64), uniform)
        else:
            out[part] = _inverse_rows(chances, uniform[part])
    return out


def _even(group: Integers, rng: np.random.Generator, stratify: bool) -> Floats:
    """Uniforms, shape (n,); those of a group fill [0, 1) evenly. Groups stand together."""
    n = len(group)
    if not stratify:
        return rng.random(n)
    counts = np.bincount(group)
    first = np.cumsum(counts) - counts
    rank = np.empty(n)
    rank[np.lexsort((rng.random(n), group))] = np.arange(n) - first[group]
    return np.asarray((rank + rng.random(n)) / counts[group])


def _inverse(chances: Floats, row: Integers, uniform: Floats) -> Tokens:
    """Tokens by inverting the distribution of each row's component, shape (n,)."""
    size = chances.shape[1]
    cumulative = np.cumsum(chances, 1)
    total = cumulative[:, -1:]
    # All distributions lie one behind the other on one line, a unit each.
    line = np.where(total > 0, cumulative / np.maximum(total, 1e-300), np.arange(1, size + 1) / size)
    at = np.searchsorted((line + np.arange(len(chances))[:, None]).ravel(), row + uniform, side="right") - row * size
    last = (size - 1 - np.argmax(chances[:, ::-1] > 0, 1))[row]
    return np.asarray(np.clip(at, 0, last), np.int32)


def _inverse_rows(chances: npt.NDArray[np.floating], uniform: Floats) -> Tokens:
    """Tokens by inverting a distribution for each row, shape (n,)."""
    cumulative = np.cumsum(chances.astype(np.float64), 1)
    cumulative = np.where(cumulative[:, -1:] > 0, cumulative, np.arange(1.0, cumulative.shape[1] + 1))
    last = cumulative.shape[1] - 1 - np.argmax(chances[:, ::-1] > 0, 1)
    below = (cumulative <= (uniform * cumulative[:, -1])[:, None]).sum(1)
    return np.asarray(np.minimum(below, last), np.int32)
