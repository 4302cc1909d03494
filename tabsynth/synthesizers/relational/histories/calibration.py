"""Correction of a history network's logits by simulating histories for the training parents."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tabsynth.common.arrays import Bools, Floats, Integers
from tabsynth.synthesizers.relational.histories.gaps import LEFT_ROWS, N_RATIOS
from tabsynth.synthesizers.relational.histories.history import History
from tabsynth.synthesizers.relational.histories.running_slots import N_AFTER
from tabsynth.synthesizers.relational.histories.sampling import draw_histories
from tabsynth.synthesizers.relational.histories.training_rows import Siblings
from tabsynth.synthesizers.relational.occurrences.earlier_numbers import N_DISTANCES, earlier_rows
from tabsynth.synthesizers.relational.occurrences.novelty import novelty_correction

CALIBRATION_ROUNDS, TOTAL_ROUNDS, DAMPING, MAX_STEP = 2, 8, 0.7, 1.0
"""Number of simulations, larger with running totals, which accumulate errors; share of a log-ratio that is applied, and
its bound."""

PRIOR_ROWS = 5.0
"""Pseudo-rows of each token, with the share of repeated tokens among all training rows."""


def calibrate(
    history: History,
    siblings: Siblings,
    parent_tokens: Integers,
    bounds: tuple[Floats, Floats],
    plan: tuple[Integers, Floats, Floats],
    planned: Floats,
    ends: tuple[Floats, Floats],
    seed: int,
) -> None:
    """Correct the logits so that histories sampled for the training parents have the training shares of tokens.

    Args:
        history: The fitted model; its corrections are updated in place.
        siblings: Training rows.
        parent_tokens: Tokens of each training parent and its parents, shape (parents, features).
        bounds: Origin and end of each history, shape (parents,) each.
        plan: Number of children of each parent, and the times of its first and last child, shape (parents,) each.
        planned: Number of its children of each class of the plan, shape (parents, classes).
        ends: Initial and final value of each parent's running totals, shape (parents, totals) each.
        seed: Seed of the simulations.
    """
    free = ~siblings.known[:, 0] if history.has_gaps else np.zeros(len(siblings.tokens), bool)
    left = siblings.left[free]
    wanted = _shares(history, siblings.tokens, siblings.known)
    first = np.zeros(len(siblings.tokens), bool)
    first[siblings.starts[:-1]] = True
    if history.has_gaps:
        own = np.take_along_axis(siblings.ratios, siblings.tokens[:, :1], 1)[free, 0]
        wanted_ratios = _ratio_shares(own.astype(np.int64), left)
    for number in range(TOTAL_ROUNDS if history.totals.deciding else CALIBRATION_ROUNDS):
        noise = np.random.default_rng([seed, number])
        drawn = draw_histories(history, parent_tokens, bounds, plan, planned, noise, ends)
        found = _shares(history, drawn.tokens, siblings.known)  # the parents are the same, so the same slots are known
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
        for slot, bias in history.distance_bias.items():
            one, other = (_distance_shares(history, slot, rows, siblings) for rows in (siblings.tokens, drawn.tokens))
            bias += _correction(one, other, 2.0 / max(len(drawn.tokens), 1))
        for slot, number in history.totals.deciding.items():
            bins = (history.totals.bins_of(number, rows) for rows in (siblings.tokens, drawn.tokens))
            one, other = (np.bincount(own, minlength=N_AFTER) / max(len(own), 1) for own in bins)
            history.after_bias[slot] += _correction(one, other, 2.0 / max(len(drawn.tokens), 1))
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
        found: Sampled tokens under the same parents, shape (n,).
        free: Rows in which the slot is sampled.
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
        prior = np.clip(stayed / seen, 1e-4, 1 - 1e-4)  # the prior of the sampled rows
    return np.asarray(np.clip(DAMPING * np.log(odds[0] / odds[1]), -MAX_STEP, MAX_STEP), np.float32)


def _distance_shares(history: History, slot: int, tokens: Integers, siblings: Siblings) -> Floats:
    """Return the share of each class of distances from earlier numbers among the rows that have one."""
    _, one, _ = history.network.earlier[slot]
    before = earlier_rows(one, tokens, siblings.row_class, siblings.starts)
    rows = np.flatnonzero((before >= 0) & ~siblings.known[:, slot])
    counts = np.bincount(one.classes[tokens[before[rows], slot], tokens[rows, slot]], minlength=N_DISTANCES)
    return np.asarray(counts / max(counts.sum(), 1))


def _ratio_shares(ratios: Integers, left: Integers) -> Floats:
    """Return the share of each ratio among the rows of each class of remaining rows, shape (classes, ratios)."""
    counts = np.zeros((len(LEFT_ROWS), N_RATIOS))
    np.add.at(counts, (left, ratios), 1)
    return np.asarray(counts / np.maximum(counts.sum(1, keepdims=True), 1))


def _shares(history: History, tokens: Integers, known: Bools) -> list[Floats]:
    """Return the share of each token of each slot among the rows in which it is sampled."""
    out = []
    for slot, size in enumerate(history.sizes):
        counts = np.bincount(tokens[~known[:, slot], slot], minlength=size)
        out.append(counts / max(counts.sum(), 1))
    return out
