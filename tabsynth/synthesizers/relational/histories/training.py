"""Training of a history network: batches of whole histories, averaged weights, best pass on held-out parents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from tabsynth.common.arrays import Integers
from tabsynth.common.progress import Progress, progress_bar
from tabsynth.synthesizers.relational.histories.history_loss import history_loss
from tabsynth.synthesizers.relational.histories.network import HistoryBatch, HistoryNetwork
from tabsynth.synthesizers.relational.histories.training_rows import Siblings
from tabsynth.training.training_state import TrainingConfig, TrainingState

BATCH_ROWS = 256
"""Approximate number of child rows in a batch; a history is never split."""

HELD_OUT = 0.1
"""Share of parents that are held out for validation."""

MIN_STEPS, MIN_EPOCHS, MAX_EPOCHS = 600, 7, 40
"""Number of steps up to which small tables get more epochs, and bounds on the number of epochs."""

RATE, AVERAGE = 3e-3, 0.995
"""Peak learning rate, and decay of the exponential average of weights."""


def epochs_for(rows: int) -> int:
    """Return the number of epochs for a child table with this number of rows."""
    return int(np.clip(math.ceil(MIN_STEPS * BATCH_ROWS / max(rows, 1)), MIN_EPOCHS, MAX_EPOCHS))


def train_history(
    network: HistoryNetwork,
    siblings: Siblings,
    *,
    epochs: int | None,
    seed: int,
    name: str,
    progress: bool | None,
    callbacks: tuple[Callable[[Progress], None], ...] = (),
) -> float:
    """Train a network in place.

    Args:
        network: Its weights are replaced by the averaged ones of the best pass.
        siblings: Training rows.
        epochs: Passes; by default from the number of rows.
        seed: Seed of batches and dropout.
        name: Name of the table, for the progress bar.
        progress: Whether to show a bar.
        callbacks: Called after every pass.

    Returns:
        Cross-entropy of held-out rows in nats per row.
    """
    rng = np.random.default_rng(seed)
    lengths = np.diff(siblings.starts)
    held = rng.permutation(len(lengths)) < max(round(HELD_OUT * len(lengths)), 1)
    training, validation = np.flatnonzero(~held), np.flatnonzero(held)
    if not len(training):
        training = validation
    passes = epochs_for(len(siblings.tokens)) if epochs is None else epochs
    steps = len(list(_batches(training, lengths, np.random.default_rng(seed)))) + 1  # about as many in each pass
    config = TrainingConfig(
        steps=passes * steps,
        eval_every=steps,
        batch=BATCH_ROWS,
        rate=RATE,
        decay=0.05,
        average=AVERAGE,
        warmup=0.1,
        beta2=0.99,
    )
    state, noise = TrainingState(network, config), torch.Generator().manual_seed(seed)
    with progress_bar(passes, f"fitting {name}", "pass", progress) as shown:
        for number in range(passes):
            total, seen = 0.0, 0
            for parents in _batches(training, lengths, rng):
                batch = _batch(siblings, parents)
                total, seen = total + float(history_loss(network, batch, noise)), seen + len(batch.tokens)
                state.advance()
            score = state.evaluate(lambda: _validation_loss(network, siblings, validation, lengths))
            shown.update()
            shown.set_postfix(loss=f"{total / max(seen, 1):.3f}", validation=f"{score:.3f}")
            for callback in callbacks:
                callback(Progress(number + 1, passes, total / max(seen, 1), score, 0.0))
    state.finish()
    return float(state.best_score or math.inf)


def _batches(parents: Integers, lengths: Integers, rng: np.random.Generator) -> Iterator[Integers]:
    """Yield batches of parents with similar numbers of children, about BATCH_ROWS rows each, in random order."""
    noisy = np.log(lengths[parents]) + 0.2 * rng.standard_normal(len(parents))
    order = parents[np.argsort(noisy)]
    ends = np.cumsum(lengths[order])
    groups = np.split(order, np.flatnonzero(np.diff(ends // BATCH_ROWS)) + 1)
    for i in rng.permutation(len(groups)):
        yield groups[i]


def _batch(siblings: Siblings, parents: Integers) -> HistoryBatch:
    """Return the children of some parents."""
    first, lengths = siblings.starts[parents], siblings.starts[parents + 1] - siblings.starts[parents]
    before = np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows = np.arange(int(lengths.sum())) - before + np.repeat(first, lengths)
    parts = (
        siblings.context,
        siblings.late,
        siblings.previous,
        siblings.tokens,
        siblings.known,
        siblings.ratios,
        siblings.precedents,
        siblings.after,
        siblings.reached,
    )
    return HistoryBatch([part[rows] for part in parts], lengths)


@torch.no_grad()
def _validation_loss(network: HistoryNetwork, siblings: Siblings, parents: Integers, lengths: Integers) -> float:
    """Return the cross-entropy of held-out rows in nats per row."""
    total, rows = 0.0, 0
    for own in _batches(parents, lengths, np.random.default_rng(0)):
        batch = _batch(siblings, own)
        total, rows = total + float(network.losses(batch).sum()), rows + len(batch.tokens)
    return total / max(rows, 1)
