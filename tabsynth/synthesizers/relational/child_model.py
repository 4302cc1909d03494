"""Fit and sample one child table: its history network, the vocabulary its own children read, and its dates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.common.progress import Progress
from tabsynth.data.table import Table
from tabsynth.relations.declared.rule_set import RuleSet
from tabsynth.relations.linked.running_totals import RunningTotal
from tabsynth.synthesizers.relational.histories.conditions import decode_rows, restrict
from tabsynth.synthesizers.relational.histories.gaps import LEFT_ROWS, N_RATIOS
from tabsynth.synthesizers.relational.histories.history import GAP, History
from tabsynth.synthesizers.relational.histories.network import HistoryNetwork
from tabsynth.synthesizers.relational.histories.stepper import Drawn, draw_histories
from tabsynth.synthesizers.relational.histories.training import train_history
from tabsynth.synthesizers.relational.histories.training_rows import Siblings, prepare
from tabsynth.synthesizers.relational.occurrences.novelty import novelty_correction
from tabsynth.synthesizers.relational.orphans import Orphans
from tabsynth.synthesizers.relational.plan import add_orphans, read_class_totals, read_ends, read_plan
from tabsynth.synthesizers.relational.tables import TrainingTable, history_bounds, with_orphan_bounds
from tabsynth.synthesizers.relational.timeline import Timeline

WIDTH, MEMORY, DROPOUT = 128, 24, 0.3

CALIBRATION_ROUNDS, DAMPING, MAX_STEP = 2, 0.7, 1.0
"""Simulations by which token shares are corrected, the share of a log-ratio that is applied, and its bound."""

PRIOR_ROWS = 5.0
"""Rows with the training rows' share of repeated tokens that are added to those of each token."""


@dataclass(frozen=True, eq=False)
class ParentFeatures:
    """Features of the parents that a child's network reads.

    Attributes:
        tokens: Shape (parents, features).
        sizes: Number of tokens of each feature.
    """

    tokens: Integers
    sizes: list[int]

    def with_unknown(self, rows: int) -> ParentFeatures:
        """Return the features with those of unknown parents, whose tokens are missing, after the last."""
        missing = np.tile(np.array(self.sizes, np.int64) - 1, (rows, 1))
        return ParentFeatures(np.concatenate([self.tokens, missing.reshape(rows, len(self.sizes))]), self.sizes)


def fit_history(
    name: str,
    part: TrainingTable,
    above: TrainingTable,
    features: ParentFeatures,
    *,
    totals: Sequence[RunningTotal] = (),
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
        features: Features of each parent.
        totals: Running totals of its columns.
        epochs: Passes; by default from the number of rows.
        min_group: The floor on roots.
        seed: Seed of the fit.
        progress: Whether to show a bar.
        callbacks: Called after every pass.
    """
    rows = part.rows
    assert rows is not None
    starts = np.append(np.flatnonzero(np.diff(rows, prepend=-1)), len(rows)).astype(np.int64)
    timeline = part.timeline
    bounds = with_orphan_bounds(history_bounds(timeline, above.frame, above.schema), timeline, part.orphans)
    features = features.with_unknown(part.orphans)
    counts = np.bincount(rows, minlength=len(above.learned))[: len(above.learned)]
    planned = read_class_totals(above.learned, counts, part.classes, part.orphans)
    rules = RuleSet.of(part.learned_schema)
    table = rules.training_table(Table(part.learned, part.learned_schema))
    codec, relations, order, allowed, running, slots, siblings = prepare(
        table.frame,
        table.schema,
        part.times,
        bounds[0][rows],
        starts,
        features.tokens[rows],
        features.sizes,
        part.roots,
        part.classes,
        planned[np.unique(rows)],
        0.0 if timeline is None else timeline.window[0],
        None if timeline is None else timeline.axis.seconds,
        0.0 if timeline is None else timeline.step,
        totals,
        read_ends(above.learned, name, totals, part.orphans)[0][rows],
        min_group=min_group,
    )
    network = HistoryNetwork(
        [codec.slots[i].size for i in order],
        [*features.sizes, *running.early_sizes, *slots.sizes],
        running.late_sizes,
        siblings.class_slot,
        width=WIDTH,
        memory=MEMORY,
        dropout=DROPOUT,
        generator=torch.Generator().manual_seed(seed),
    )
    if order:
        train_history(network, siblings, epochs=epochs, seed=seed, name=name, progress=progress, callbacks=callbacks)
    bias = [np.zeros(codec.slots[i].size, np.float32) for i in order]
    stay_bias, new_bias = [one.copy() for one in bias], [one.copy() for one in bias]
    ratio_bias = np.zeros((len(LEFT_ROWS), N_RATIOS), np.float32)
    history = History(
        codec,
        relations,
        rules,
        order,
        allowed,
        running,
        features.sizes,
        network.eval(),
        bias,
        stay_bias,
        new_bias,
        ratio_bias,
        siblings.longest,
        slots,
    )
    _calibrate(history, name, part, above, features, bounds, siblings, seed)
    return history


def sample_history(
    history: History,
    name: str,
    timeline: Timeline | None,
    parent: pd.DataFrame,
    bounds: tuple[Floats, Floats],
    features: ParentFeatures,
    orphans: Orphans,
    rng: np.random.Generator,
    given: Mapping[str, Any] | None = None,
) -> tuple[Drawn, pd.DataFrame, ParentFeatures]:
    """Draw the children of parents, and rows without a parent.

    Args:
        history: The child's model.
        name: Its name.
        timeline: How its times are expressed, None without order.
        parent: The parents as they are learned, with their plan.
        bounds: Origin and end of each parent's history.
        features: Features of each parent.
        orphans: Number and times of rows without a parent.
        rng: Random generator.
        given: Conditions that every row must meet.

    Returns:
        The drawn tokens and times, the rows as they are learned, and what they read of their parents; rows without a
        parent have the numbers after the last parent's.
    """
    plan = read_plan(parent, name, timeline, bounds)
    alone = orphans.draw(int(plan[0].sum()), rng)
    bounds = with_orphan_bounds(bounds, timeline, len(alone))
    features = features.with_unknown(len(alone))
    ends = read_ends(parent, name, history.totals.totals, len(alone))
    planned = read_class_totals(parent, plan[0], history.running.classes.columns, len(alone))
    plan = add_orphans(plan, alone)
    drawn = draw_histories(restrict(history, given), features.tokens, bounds, plan, planned, rng, ends)
    slots = history.codec.slots
    only = [int(np.argmax(history.codec.coders[slot.column].counts)) if slot.digit is None else 0 for slot in slots]
    tokens = np.tile(np.array(only, np.int32), (len(drawn.parents), 1))
    tokens[:, history.order] = drawn.tokens
    rows = decode_rows(history.codec, history.relations, history.rules, tokens, given, rng)
    return drawn, rows.drop(columns=GAP, errors="ignore"), features


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
    parents = len(above.learned)
    plan = read_plan(above.learned, name, part.timeline, (bounds[0][:parents], bounds[1][:parents]))
    plan = add_orphans(plan, np.zeros(part.orphans) if part.times is None else part.times[part.linked :])
    ends = read_ends(above.learned, name, history.totals.totals, part.orphans)
    planned = read_class_totals(above.learned, plan[0][:parents], part.classes, part.orphans)
    free = ~siblings.known[:, 0] if history.has_gaps else np.zeros(len(siblings.tokens), bool)
    left = siblings.left[free]
    wanted = _shares(history, siblings.tokens, siblings.known)
    first = np.zeros(len(siblings.tokens), bool)
    first[siblings.starts[:-1]] = True
    if history.has_gaps:
        own = np.take_along_axis(siblings.ratios, siblings.tokens[:, :1], 1)[free, 0]
        wanted_ratios = _ratio_shares(own.astype(np.int64), left)
    for number in range(CALIBRATION_ROUNDS):
        noise = np.random.default_rng([seed, number])
        drawn = draw_histories(history, features.tokens, bounds, plan, planned, noise, ends)
        found = _shares(history, drawn.tokens, siblings.known)  # the same parents: rows are determined alike
        for slot, (one, other) in enumerate(zip(wanted, found, strict=True)):
            history.bias[slot] += _correction(one, other, 2.0 / max(len(drawn.tokens), 1))
            history.stay_bias[slot] += _stay_correction(
                siblings.tokens[:, slot], drawn.tokens[:, slot], ~siblings.known[:, slot], ~first, history.sizes[slot]
            )
        for slot in history.categories:
            history.new_bias[slot] += novelty_correction(
                siblings.tokens[:, slot],
                drawn.tokens[:, slot],
                history.sizes[slot],
                siblings.starts,
                damping=DAMPING,
                most=MAX_STEP,
            )
        if history.has_gaps:
            found_ratios = _ratio_shares(drawn.ratios[free], left)
            for group, rows in enumerate(np.bincount(left, minlength=len(LEFT_ROWS)).tolist()):
                if rows:
                    history.ratio_bias[group] += _correction(wanted_ratios[group], found_ratios[group], 2.0 / rows)


def _correction(wanted: Floats, found: Floats, floor: float) -> npt.NDArray[np.float32]:
    """Return the damped log-ratio of shares."""
    step = DAMPING * np.log((wanted + floor) / (found + floor))
    return np.asarray(np.clip(step, -MAX_STEP, MAX_STEP), np.float32)


def _stay_correction(
    wanted: Integers, found: Integers, free: Bools, later: Bools, size: int
) -> npt.NDArray[np.float32]:
    """Return the damped log-ratio of the odds that a token is repeated by the next sibling, by token, shape (size,).

    Args:
        wanted: Training tokens of one slot, shape (n,).
        found: Drawn tokens under the same parents, shape (n,).
        free: Rows in which the slot is drawn.
        later: Rows that have an earlier sibling.
        size: Number of tokens.
    """
    rows, odds = np.flatnonzero(free & later), []
    share = (wanted[rows] == wanted[rows - 1]).mean() if len(rows) else 0.5
    prior = np.full(size, np.clip(share, 0.01, 0.99))
    for tokens in (wanted, found):
        before = tokens[rows - 1]
        seen = np.bincount(before, minlength=size) + PRIOR_ROWS
        stayed = np.bincount(before[tokens[rows] == before], minlength=size) + PRIOR_ROWS * prior
        odds.append(stayed / (seen - stayed + 1e-9))
        prior = np.clip(stayed / seen, 1e-4, 1 - 1e-4)  # rare tokens of the drawn rows have the training rows' odds
    return np.asarray(np.clip(DAMPING * np.log(odds[0] / odds[1]), -MAX_STEP, MAX_STEP), np.float32)


def _ratio_shares(ratios: Integers, left: Integers) -> Floats:
    """Return the share of each ratio among the rows of each class of remaining rows, shape (classes, ratios)."""
    counts = np.zeros((len(LEFT_ROWS), N_RATIOS))
    np.add.at(counts, (left, ratios), 1)
    return np.asarray(counts / np.maximum(counts.sum(1, keepdims=True), 1))


def _shares(history: History, tokens: Integers, known: npt.NDArray[np.bool_]) -> list[Floats]:
    """Return the share of each token of each slot among the rows that are drawn."""
    out = []
    for slot, size in enumerate(history.sizes):
        counts = np.bincount(tokens[~known[:, slot], slot], minlength=size)
        out.append(counts / max(counts.sum(), 1))
    return out
