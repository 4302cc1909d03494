"""Tokens from distributions: by inverting the cumulative distribution, with uniforms that are dealt evenly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Integers, Tokens

CHUNK = 1 << 14
"""Rows whose chances are held at a time."""


def even(group: Integers, rng: np.random.Generator, stratify: bool) -> Floats:
    """Uniforms, shape (n,); those of a group fill [0, 1) evenly."""
    n = len(group)
    if not stratify:
        return rng.random(n)
    counts = np.bincount(group)
    first = np.cumsum(counts) - counts
    order = np.lexsort((rng.random(n), group))
    rank = np.empty(n)
    rank[order] = np.arange(n) - first[group[order]]
    return np.asarray((rank + rng.random(n)) / counts[group])


def chances_by(log_likelihood: Callable[[Tokens], Floats], tokens: Tokens, column: int, size: int) -> Floats:
    """The distribution of a column given the known tokens of rows, shape (n, size), by trying each of its tokens."""
    asked = tokens.copy()
    logs = np.empty((len(tokens), size))
    for token in range(size):
        asked[:, column] = token
        logs[:, token] = log_likelihood(asked)
    raised = np.exp(logs - logs.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))


def within(chances: npt.NDArray[np.floating], share: Floats) -> Floats:
    """Chances times the allowed share of each token; where nothing would be left, the shares alone."""
    out = chances * share
    return np.asarray(np.where(out.sum(1, keepdims=True) > 0, out, share))


def inverse(chances: Floats, row: Integers, uniform: Floats) -> Tokens:
    """Tokens by inverting the distribution of each row's component, shape (n,)."""
    size = chances.shape[1]
    cumulative = np.cumsum(chances, 1)
    total = cumulative[:, -1:]
    # All distributions lie one behind the other on one line, a unit each.
    line = np.where(total > 0, cumulative / np.maximum(total, 1e-300), np.arange(1, size + 1) / size)
    at = np.searchsorted((line + np.arange(len(chances))[:, None]).ravel(), row + uniform, side="right") - row * size
    last = (size - 1 - np.argmax(chances[:, ::-1] > 0, 1))[row]
    return np.asarray(np.clip(at, 0, last), np.int32)


def inverse_rows(chances: npt.NDArray[np.floating], uniform: Floats) -> Tokens:
    """Tokens by inverting a distribution for each row, shape (n,)."""
    cumulative = np.cumsum(chances.astype(np.float64), 1)
    cumulative = np.where(cumulative[:, -1:] > 0, cumulative, np.arange(1.0, cumulative.shape[1] + 1))
    last = cumulative.shape[1] - 1 - np.argmax(chances[:, ::-1] > 0, 1)
    below = (cumulative <= (uniform * cumulative[:, -1])[:, None]).sum(1)
    return np.asarray(np.minimum(below, last), np.int32)
