"""Size of the masked network and length of its fit, by one rule from the table's size; no search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.training.networks.layout import Layout

MAX_CYCLE_WORK = 1.5e9
"""Most tokens times rows times passes of a fit that goes on for further cycles, so that it stays within minutes."""

MIN_DEEP_ROWS = 20_000
"""From so many rows on there can be more to learn than two blocks hold; wide vocabularies take the time elsewhere."""

MIN_CROSS_EPOCHS = 50
"""Passes over a table that has a cross, whose embeddings are met by few rows each."""

MAX_DEEP_PAIR_SHARE = 0.2
"""Where pairs tell less than this share of the entropy, what is to be learned takes many columns at once: a third block
is worth its time. Adult, whose pairs tell a third, gains nothing by it; hourly weather, with a seventh, does."""

MAX_SMALL_ROWS = 3000
"""Tables of fewer rows get a smaller, more strongly regularised network."""

MAX_DECAY_ROWS = 750
"""Up to so many rows the weights decay at the rate of one. On 300 to 600 rows of credit tables this costs nothing in
held-out likelihood against a half, and rows that are drawn lie less close to training rows."""


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """What the rule decides.

    Attributes:
        width: Width of the residual stream.
        blocks: Number of residual blocks.
        dropout: Share of inner units dropped.
        skip: Whether observed tokens also act on the logits directly.
        smooth: How strongly tokens on a line are held to slow waves of their quantile, from 0 to 1.
        batch: Rows a step.
        rate: Peak learning rate.
        decay: Weight decay.
        epochs: Passes over the training rows in a cycle.
        cycles: Most cycles; more than one only where the first leaves something to learn.
    """

    width: int
    blocks: int
    dropout: float
    skip: bool
    smooth: float
    batch: int
    rate: float
    decay: float
    epochs: int
    cycles: int = 1

    @classmethod
    def of(cls, rows: int, layout: Layout, explained_entropy_share: float, *, crossed: bool = False) -> Sizing:
        """The rule: from the rows, the learned slots, the share of their entropy that pairs tell, and a cross."""
        small = rows < MAX_SMALL_ROWS
        batch = int(np.clip(rows // (8 if small else 16), 16, 512)) if rows < 60_000 else 1024
        deep = (
            rows >= MIN_DEEP_ROWS
            and layout.total <= 2000
            and explained_entropy_share < MAX_DEEP_PAIR_SHARE
            and not crossed
        )
        passes = int(np.clip((30 if layout.total > 2000 else 15) * (32_000 / rows) ** 0.35, 14, 30))
        passes = max(passes, MIN_CROSS_EPOCHS) if crossed else passes
        return cls(
            width=96 if small else 256 if deep or layout.total > 2000 else 192 if crossed else 128,
            blocks=1 if small else 3 if deep else 2,
            dropout=0.2 if small or layout.total > 2000 else 0.1,
            skip=not small,
            smooth=float(np.clip(1 - rows / 25_000, 0.0, 1.0)),
            batch=batch,
            rate=3e-3 if batch > 512 else 2e-3,
            decay=float(np.clip(MAX_DECAY_ROWS / rows, 0.5, 1.0)) if small else 0.01,
            epochs=100 if small else passes,
            cycles=1 if small else int(np.clip(MAX_CYCLE_WORK / (rows * passes * layout.total), 1, 3)),
        )
