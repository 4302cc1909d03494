"""Size of the masked network and number of epochs, by a rule on the size of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabsynth.training.loop import validation_interval
from tabsynth.training.networks.layout import Layout
from tabsynth.training.training_state import TrainingConfig

MAX_CYCLE_WORK = 1.5e9
"""Maximum tokens times rows times epochs of a fit with more than one cycle."""

MAX_ROW_VISITS = 30_000_000
"""Maximum rows on which a network is trained in a cycle of a fit to files, unless the epochs are given."""

MIN_DEEP_ROWS = 20_000
"""Minimum rows for a third block."""

MIN_CROSS_EPOCHS = 50
"""Epochs for tables with a feature cross, whose embeddings occur in few rows each."""

MAX_DEEP_PAIR_SHARE = 0.2
"""If pairs explain less than this share of the entropy, dependences involve many columns, and a third block helps."""

MAX_SMALL_ROWS = 3000
"""Tables with fewer rows get a smaller, more strongly regularised network."""

MAX_DECAY_ROWS = 750
"""Maximum rows for a weight decay of 1: at equal likelihood, synthetic rows are then less close to training rows."""


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """Sizes and training parameters.

    Attributes:
        width: Width of the residual stream.
        blocks: Number of residual blocks.
        dropout: Dropout rate of the inner units.
        skip: Whether observed tokens also act on the logits directly.
        smooth: Strength of the smoothness prior on the embeddings of ordered tokens, from 0 to 1.
        batch: Rows per step.
        rate: Peak learning rate.
        decay: Weight decay.
        epochs: Epochs of a cycle.
        cycles: Maximum cycles.
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
        """Choose the sizes from rows, slots, the share of entropy that pairs explain, and a feature cross."""
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

    def training_config(
        self, rows: int, epochs: int | None, lr_multipliers: dict[str, float], *, in_files: bool = False
    ) -> TrainingConfig:
        """Return length and learning rate of a fit to so many training rows.

        Args:
            rows: The training rows.
            epochs: Epochs of a cycle; by default those of the rule, in files with ``MAX_ROW_VISITS`` rows at most.
            lr_multipliers: Learning rate factors of parameters by the prefix of their names.
            in_files: Whether the rows are in files.
        """
        steps_per_epoch = max(rows // self.batch, 1)
        steps = (epochs or self.epochs) * steps_per_epoch
        return TrainingConfig(
            steps=min(steps, MAX_ROW_VISITS // self.batch) if in_files and epochs is None else steps,
            eval_every=validation_interval(steps_per_epoch),
            batch=self.batch,
            rate=self.rate,
            decay=self.decay,
            cycles=self.cycles,
            lr_multipliers=lr_multipliers,
        )
