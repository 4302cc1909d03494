"""Fit and sample one child table: its history network, the vocabulary its own children read, and its dates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from tabsynth.common.arrays import Floats, Integers
from tabsynth.common.progress import Progress
from tabsynth.synthesizers.relational.gaps import LEFT_ROWS, N_RATIOS
from tabsynth.synthesizers.relational.history import GAP, History, Siblings, prepare
from tabsynth.synthesizers.relational.network import HistoryNetwork
from tabsynth.synthesizers.relational.plan import read_plan
from tabsynth.synthesizers.relational.stepper import Drawn, draw_histories
from tabsynth.synthesizers.relational.tables import TrainingTable, history_bounds
from tabsynth.synthesizers.relational.timeline import Timeline
from tabsynth.synthesizers.relational.training import train_history

WIDTH, MEMORY, DROPOUT = 160, 32, 0.25

CALIBRATION_ROUNDS, DAMPING, MAX_STEP = 2, 0.7, 1.0
"""Simulations by which token shares are corrected, the share of a log-ratio that is applied, and its bound."""


@dataclass(frozen=True, eq=False)
class ParentFeatures:
    """What a child's network reads of its parents.

    Attributes:
        tokens: Shape (parents, features).
        sizes: Number of tokens of each feature.
    """

    tokens: Integers
    sizes: list[int]


def fit_history(
    name: str,
    part: TrainingTable,
    above: TrainingTable,
    features: ParentFeatures,
    *,
    epochs: int | None,
    min_group: int,
    seed: int,
    progress: bool | None,
    callbacks: tuple[Callable[[Progress], None], ...],
) -> History:
    """Learn a child table.

    Args:
        name: Its name.
        part: Its rows.
        above: The parent's rows.
        features: What is read of each parent.
        epochs: Passes; by default from the number of rows.
        min_group: The floor on roots.
        seed: Seed of the fit.
        progress: Whether to show a bar.
        callbacks: Called after every pass.
    """
    rows = part.rows
    assert rows is not None
    starts = np.append(np.flatnonzero(np.diff(rows, prepend=-1)), len(rows)).astype(np.int64)
    bounds = history_bounds(part.timeline, above.frame, above.schema)
    timeline = part.timeline
    codec, relations, order, allowed, running, siblings = prepare(
        part.learned,
        part.learned_schema,
        part.times,
        bounds[0][rows],
        starts,
        features.tokens[rows],
        features.sizes,
        part.roots,
        0.0 if timeline is None else timeline.window[0],
        None if timeline is None else timeline.axis.seconds,
        min_group=min_group,
    )
    network = HistoryNetwork(
        [codec.slots[i].size for i in order],
        [*features.sizes, *running.early_sizes],
        running.late_sizes,
        width=WIDTH,
        memory=MEMORY,
        dropout=DROPOUT,
        generator=torch.Generator().manual_seed(seed),
    )
    if order:
        train_history(network, siblings, epochs=epochs, seed=seed, name=name, progress=progress, callbacks=callbacks)
    bias = [np.zeros(codec.slots[i].size, np.float32) for i in order]
    ratio_bias = np.zeros((len(LEFT_ROWS), N_RATIOS), np.float32)
    history = History(codec, relations, order, allowed, running, features.sizes, network.eval(), bias, ratio_bias, siblings.longest)
    _calibrate(history, name, part, above, features, bounds, siblings, seed)
    return history


def sample_history(
    history: History,
    name: str,
    timeline: Timeline | None,
    parent: pd.DataFrame,
    bounds: tuple[Floats, Floats],
    features: Integers,
    rng: np.random.Generator,
) -> tuple[Drawn, pd.DataFrame]:
    """Draw the children of parents.

    Args:
        history: The child's model.
        name: Its name.
        timeline: How its times are expressed, None without order.
        parent: The parents as they are learned, with their plan.
        bounds: Origin and end of each parent's history.
        features: What is read of each parent, shape (parents, features).
        rng: Source of random numbers.

    Returns:
        The drawn tokens and times, and the rows as they are learned.
    """
    counts, first, last = read_plan(parent, name, timeline, bounds)
    drawn = draw_histories(history, features, counts, bounds[0], first, last, rng)
    slots = history.codec.slots
    only = [int(np.argmax(history.codec.coders[slot.column].counts)) if slot.digit is None else 0 for slot in slots]
    tokens = np.tile(np.array(only, np.int32), (len(drawn.parents), 1))
    tokens[:, history.order] = drawn.tokens
    rows = history.relations.decode(history.codec, tokens, rng)
    return drawn, rows.drop(columns=GAP, errors="ignore")


def _calibrate(
    history: History,
    name: str,
    part: TrainingTable,
    above: TrainingTable,
    features: ParentFeatures,
    bounds: tuple[Floats, Floats],
    siblings: Siblings,
    seed: int,
) -> None:
    """Correct each slot's logits so that, under the training parents, its tokens get their training shares."""
    counts, first, last = read_plan(above.learned, name, part.timeline, bounds)
    wanted = _shares(history, siblings.tokens, siblings.known)
    free = ~siblings.known[:, 0] if history.ordered else np.zeros(len(siblings.tokens), bool)
    if history.ordered:
        own = np.take_along_axis(siblings.ratios, siblings.tokens[:, :1], 1)[:, 0]
        ratios = _ratio_shares(own[free], siblings.left[free])
    for number in range(CALIBRATION_ROUNDS):
        rng = np.random.default_rng([seed, number])
        drawn = draw_histories(history, features.tokens, counts, bounds[0], first, last, rng)
        found = _shares(history, drawn.tokens, siblings.known)  # the same parents: rows are determined alike
        for slot, (one, other) in enumerate(zip(wanted, found, strict=True)):
            floor = 2.0 / max(len(drawn.tokens), 1)
            history.bias[slot] += _correction(one, other, floor)
        if history.ordered:
            drawn_ratios = _ratio_shares(drawn.ratios[free], siblings.left[free])
            rows = np.bincount(siblings.left[free], minlength=len(LEFT_ROWS))
            for number, count in enumerate(rows):
                if count:
                    history.ratio_bias[number] += _correction(ratios[number], drawn_ratios[number], 2.0 / count)


def _correction(wanted: Floats, found: Floats, floor: float) -> npt.NDArray[np.float32]:
    """Damped log-ratio of shares."""
    step = DAMPING * np.log((wanted + floor) / (found + floor))
    return np.clip(step, -MAX_STEP, MAX_STEP).astype(np.float32)


def _ratio_shares(ratios: Integers, left: Integers) -> Floats:
    """Share of each ratio among the rows of each class of rows left, shape (classes, ratios)."""
    counts = np.zeros((len(LEFT_ROWS), N_RATIOS))
    np.add.at(counts, (left, ratios), 1)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def _shares(history: History, tokens: Integers, known: npt.NDArray[np.bool_]) -> list[Floats]:
    """Share of each token of each slot among the rows that are drawn."""
    out = []
    for slot, size in enumerate(history.sizes):
        counts = np.bincount(tokens[~known[:, slot], slot], minlength=size)
        out.append(counts / max(counts.sum(), 1))
    return out
