"""Training of a history network: batches of whole histories, averaged weights, best pass on held-out parents."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from tabsynth.common.arrays import Integers
from tabsynth.common.progress import Progress, progress_bar
from tabsynth.synthesizers.relational.history import Siblings
from tabsynth.synthesizers.relational.network import HistoryNetwork
from tabsynth.training.precision import product_autocast

BATCH_ROWS = 1024
"""About how many child rows a step holds; one history is never divided."""

HELD_OUT = 0.1
"""Share of parents by which the best pass is chosen."""

MIN_STEPS, MAX_EPOCHS = 1500, 40
"""Small tables get more passes, until they have this many steps or passes."""

DECAY = 0.995
"""Of the exponential average of weights, for each step."""


def epochs_for(rows: int) -> int:
    """Passes over a child table of so many rows."""
    return int(np.clip(math.ceil(MIN_STEPS * BATCH_ROWS / max(rows, 1)), 12, MAX_EPOCHS))


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
        name: Of the table, for the progress bar.
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
    steps = passes * len(list(_batches(training, lengths, np.random.default_rng(seed))))
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=3e-3, total_steps=steps + passes * 2 + 8, pct_start=0.1, anneal_strategy="cos"
    )
    averaged = copy.deepcopy(network)
    best, best_state, step = math.inf, copy.deepcopy(network.state_dict()), 0
    noise = torch.Generator().manual_seed(seed)
    with progress_bar(passes, f"fitting {name}", "pass", progress) as shown:
        for number in range(passes):
            total, seen = 0.0, 0
            for batch in _batches(training, lengths, rng):
                loss, rows = _loss(network, siblings, batch, noise)
                optimiser.zero_grad()
                torch.autograd.backward(loss / rows)
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                step += 1
                _average(averaged, network, min(DECAY, step / (step + 10)))
                total, seen = total + float(loss.detach()), seen + rows
            score = _validation_loss(averaged, siblings, validation, lengths)
            if score < best:
                best, best_state = score, copy.deepcopy(averaged.state_dict())
            shown.update()
            shown.set_postfix(loss=f"{total / max(seen, 1):.3f}", validation=f"{score:.3f}")
            for callback in callbacks:
                callback(Progress(number + 1, passes, total / max(seen, 1), score, 0.0))
    network.load_state_dict(best_state)
    return best


def _batches(parents: Integers, lengths: Integers, rng: np.random.Generator) -> Iterator[Integers]:
    """Parents of about equal lengths, in batches of about BATCH_ROWS rows, in random order."""
    noisy = np.log(lengths[parents]) + 0.2 * rng.standard_normal(len(parents))
    order = parents[np.argsort(noisy)]
    ends = np.cumsum(lengths[order])
    groups = np.split(order, np.flatnonzero(np.diff(ends // BATCH_ROWS)) + 1)
    for i in rng.permutation(len(groups)):
        yield groups[i]


def _loss(
    network: HistoryNetwork, siblings: Siblings, parents: Integers, noise: torch.Generator | None = None
) -> tuple[Tensor, int]:
    """Summed cross-entropy of some parents' children, and how many they are."""
    first, last = siblings.starts[parents], siblings.starts[parents + 1]
    lengths = last - first
    places = np.arange(int(lengths.max()))[None, :]
    inside = places < lengths[:, None]
    rows = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
    numbers = np.full(inside.shape, -1, np.int64)
    numbers[inside] = np.arange(len(rows))
    parts = (siblings.context, siblings.late, siblings.previous, siblings.tokens, siblings.known)
    context, late, previous, tokens, known = (torch.from_numpy(part[rows]) for part in parts)
    with product_autocast(torch.device("cpu")):
        losses = network.losses(context, late, previous, tokens, known, torch.from_numpy(numbers), noise)
    return losses.sum(), len(rows)


@torch.no_grad()
def _validation_loss(network: HistoryNetwork, siblings: Siblings, parents: Integers, lengths: Integers) -> float:
    """Cross-entropy of held-out rows in nats per row."""
    total, rows = 0.0, 0
    for batch in _batches(parents, lengths, np.random.default_rng(0)):
        loss, count = _loss(network, siblings, batch)
        total, rows = total + float(loss), rows + count
    return total / max(rows, 1)


@torch.no_grad()
def _average(averaged: HistoryNetwork, network: HistoryNetwork, keep: float) -> None:
    """One step of the exponential average of weights."""
    for mean, weight in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(weight, 1 - keep)
