"""Conditional sampling: filter an unconditional sample if the condition is common, sample conditionally if it is rare.

An unconditional sample follows the network's preferred order and is calibrated; conditional sampling, which fixes the
restricted slots first, is less accurate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Floats, Tokens
from tabsynth.common.progress import progress_bar
from tabsynth.synthesizers.options import SampleContext

MIN_MATCH_SHARE = 0.05
"""Minimum share of an unconditional sample that meets the condition, for filtering of large samples."""

MAX_TRAINING_SIZES = 2
"""Maximum number of unconditional samples of the training table's size for a condition."""

TRIAL_ROWS = 64, 1000
"""Minimum and maximum rows for estimating that share."""

MAX_CHUNK_ROWS = 1 << 18
"""Maximum unconditional rows sampled at once."""

MAX_TRIES = 50
"""Maximum further unconditional samples before the rest is sampled conditionally."""


class Drawing(Protocol):
    """Samples the tokens that are -1, within limits, shape (rows, slots)."""

    def __call__(self, fixed: Tokens, limits: list[Floats | None], draw: SampleContext, /) -> Tokens:
        """Return the filled tokens."""


def sample_conditionally(
    drawing: Drawing, budget: int, fixed: Tokens, limits: list[Floats | None], draw: SampleContext
) -> Tokens:
    """Sample the tokens that are -1 in ``fixed`` within the limits, shape (rows, slots).

    Args:
        drawing: Samples rows, unconditionally or conditionally.
        budget: Maximum number of unconditional rows for a condition.
        fixed: Tokens, -1 where free; filtering applies only if all rows have the same fixed tokens.
        limits: The allowed share of each token of a slot, None where unrestricted.
        draw: The sampling context; rows that are sampled under the condition are not calibrated.
    """
    rows = len(fixed)
    if not (fixed >= 0).any() and all(limit is None for limit in limits):
        return drawing(fixed, limits, draw)
    picked: list[Tokens] = []
    missing, few = rows, False
    if not (fixed != fixed[0]).any():
        quiet, seen, pool = replace(draw, progress=False), 0, int(np.clip(4 * rows, *TRIAL_ROWS))
        with progress_bar(rows, "sample", "row", draw.progress) as shown:
            for _ in range(MAX_TRIES):
                nothing = np.full((pool, fixed.shape[1]), -1, fixed.dtype)
                plain = drawing(nothing, [None] * len(limits), quiet)
                picked.append(plain[matches(plain, fixed[0], limits, draw.rng)])
                seen, missing = seen + pool, missing - len(picked[-1])
                share = (rows - missing) / seen
                few = missing > 0 and share < MIN_MATCH_SHARE and share * budget < rows
                if missing <= 0 or few:
                    break
                shown.update(len(picked[-1]))
                pool = min(math.ceil(1.1 * missing / share) + TRIAL_ROWS[0], MAX_CHUNK_ROWS)
        if few:
            picked, missing = [], rows
    if missing > 0:
        rest = fixed[:missing] if picked else fixed
        picked.append(drawing(rest, limits, replace(draw, calibrate=False)))
    joined = np.concatenate(picked)
    return joined if len(picked) == 1 and len(joined) == rows else joined[draw.rng.permutation(len(joined))[:rows]]


def matches(
    tokens: Tokens, fixed: Tokens, limits: Sequence[Floats | None], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return which rows meet a condition, shape (rows,); partially allowed tokens meet it with that probability."""
    out = ((fixed < 0) | (tokens == fixed)).all(axis=1)
    for slot, limit in enumerate(limits):
        low = limits[slot + 1] if slot + 1 < len(limits) else None
        if limit is None or (limit.ndim == 1 and low is not None and low.ndim == 2):
            continue  # unrestricted, or a high digit, which the shares of its low digit cover
        share = limit[tokens[:, slot]] if limit.ndim == 1 else limit[tokens[:, slot - 1], tokens[:, slot]]
        out &= rng.random(len(tokens)) < share
    return np.asarray(out)
