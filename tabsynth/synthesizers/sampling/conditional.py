"""Conditional sampling: filter an unconditional sample if the condition is common, sample conditionally if it is rare.

A plain sample follows the order that a network learned best, and is calibrated. What it draws with the conditions first
is further from the truth: on Adult given sex, race or income 1.6 to 2.3 times the sampling error of the real rows.
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
"""Share of a plain sample that must meet the condition, unless few rows are wanted; else picking costs too much."""

MAX_TRAINING_SIZES = 2
"""Plain samples of the training table's size that may be drawn however few rows meet the condition: as many rows as
meet it there take about one, and how few do is only known to a third from a glance at a thousand."""

TRIAL_ROWS = 64, 1000
"""Fewest and most rows by which that share is found."""

MAX_CHUNK_ROWS = 1 << 18
"""Most plain rows that are drawn together."""

MAX_TRIES = 50
"""How often more plain rows are drawn before conditional draws make up what is lacking."""


class Drawing(Protocol):
    """Draws the tokens that are -1, within limits, shape (rows, slots)."""

    def __call__(
        self, fixed: Tokens, limits: list[Floats | None], draw: SampleContext, *, calibrate: bool, stratify: bool
    ) -> Tokens:
        """The filled tokens."""


def sample_conditionally(
    drawing: Drawing,
    budget: int,
    fixed: Tokens,
    limits: list[Floats | None],
    draw: SampleContext,
    *,
    calibrate: bool,
    stratify: bool,
) -> Tokens:
    """Draw the tokens that are -1 in ``fixed`` within the limits, shape (rows, slots).

    Args:
        drawing: Draws rows, plain or conditional ones.
        budget: So many plain rows may be drawn however few meet the condition.
        fixed: Tokens, -1 where free; only where all rows fix the same are rows picked from a plain sample.
        limits: The allowed share of each token of a slot, None where unrestricted.
        draw: Where random numbers come from, and whether to show a bar.
        calibrate: Pull a plain sample to the training marginals.
        stratify: Stratify the uniforms over similar rows.
    """
    rows = len(fixed)
    if not (fixed >= 0).any() and all(limit is None for limit in limits):
        return drawing(fixed, limits, draw, calibrate=calibrate, stratify=stratify)
    picked: list[Tokens] = []
    lacking, few = rows, False
    if not (fixed != fixed[0]).any():
        quiet, seen, pool = replace(draw, progress=False), 0, int(np.clip(4 * rows, *TRIAL_ROWS))
        with progress_bar(rows, "sample", "row", draw.progress) as shown:
            for _ in range(MAX_TRIES):
                nothing = np.full((pool, fixed.shape[1]), -1, fixed.dtype)
                plain = drawing(nothing, [None] * len(limits), quiet, calibrate=calibrate, stratify=stratify)
                picked.append(plain[matches(plain, fixed[0], limits, draw.rng)])
                seen, lacking = seen + pool, lacking - len(picked[-1])
                share = (rows - lacking) / seen
                few = lacking > 0 and share < MIN_MATCH_SHARE and share * budget < rows
                if lacking <= 0 or few:
                    break
                shown.update(len(picked[-1]))
                pool = min(math.ceil(1.1 * lacking / share) + TRIAL_ROWS[0], MAX_CHUNK_ROWS)
        if few:
            picked, lacking = [], rows
    if lacking > 0:
        rest = fixed[:lacking] if picked else fixed
        picked.append(drawing(rest, limits, draw, calibrate=False, stratify=stratify))
    joined = np.concatenate(picked)
    return joined if len(picked) == 1 and len(joined) == rows else joined[draw.rng.permutation(len(joined))[:rows]]


def matches(
    tokens: Tokens, fixed: Tokens, limits: Sequence[Floats | None], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Which plain rows meet a condition, shape (rows,); tokens of which a share is allowed meet it by that chance."""
    out = ((fixed < 0) | (tokens == fixed)).all(axis=1)
    for slot, limit in enumerate(limits):
        low = limits[slot + 1] if slot + 1 < len(limits) else None
        if limit is None or (limit.ndim == 1 and low is not None and low.ndim == 2):
            continue  # nothing is asked, or a high digit, of which the low one's shares say all
        share = limit[tokens[:, slot]] if limit.ndim == 1 else limit[tokens[:, slot - 1], tokens[:, slot]]
        out &= rng.random(len(tokens)) < share
    return np.asarray(out)
