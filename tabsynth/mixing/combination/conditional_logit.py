"""Conditional logit of donor choice, fitted to a small linked sample.

It models the dependence between columns of two tables beyond their common columns. A donor's odds for a row are
log-linear in pairs of their classes (McFadden, "Conditional logit analysis of qualitative choice behavior", 1974): in
the sample, the true partner is the choice among donors that are sampled by the common columns. Cross-validation sets
the shrinkage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from tabsynth.common.arrays import Floats, Integers
from tabsynth.mixing.combination.frechet_bounds import to_classes

PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
"""Candidate penalties, strongest first."""

N_FOLDS = 3
N_BINS = 8
MAX_ROUNDS, STEP_SIZE, TOLERANCE = 50, 0.7, 1e-3
"""Iterations, damping and tolerance of the calibration."""

MAX_SCALE = 3.0
"""Maximum factor that undoes shrinkage."""

MAX_CHOICES = 60
"""Alternatives of each true partner."""


@dataclass(frozen=True, eq=False)
class DonorOdds:
    """Log odds of a donor for a row: the sum of ``weights[y, z]`` over the row's classes y and donor's classes z.

    Attributes:
        weights: Shape (classes of all columns of the rows, classes of all columns of the donors).
        rows: The classes of each row, shape (rows, their columns).
        donors: The classes of each donor, shape (donors, their columns).
        penalty: The cross-validated penalty.
    """

    weights: Floats
    rows: Integers
    donors: Integers
    penalty: float

    def of(self, rows: slice, picked: Integers) -> Floats:
        """Return the odds of each picked donor relative to the common columns alone, shape of ``picked``."""
        scores = _scores(self.weights, self.rows[rows], self.donors[picked])
        return np.asarray(np.exp(scores - scores.max(axis=1, keepdims=True)), np.float64)


def fit_odds(
    linked: tuple[pd.DataFrame, pd.DataFrame], rows: pd.DataFrame, donors: pd.DataFrame, picked: Integers, seed: int
) -> DonorOdds:
    """Fit the odds to a linked sample.

    Args:
        linked: The sample's columns of the first table, and of the second.
        rows: The columns that only the first table has.
        donors: The columns that only the second table has.
        picked: Donors of each sample row by the common columns alone, shape (sample, choices).
        seed: Seed of the folds.
    """
    (y, row_classes), row_offsets = _encode([linked[0], rows])
    (z, donor_classes), donor_offsets = _encode([linked[1], donors])
    shape = (row_offsets[-1], donor_offsets[-1])
    choices = np.concatenate([z[:, None, :], donor_classes[picked[:, :MAX_CHOICES]]], axis=1)  # the true partner first
    fold = np.random.default_rng(seed).permutation(len(y)) % N_FOLDS
    losses = np.zeros((len(PENALTIES), len(y)))
    for out in range(N_FOLDS):
        weights = np.zeros(shape)
        for i, penalty in enumerate(PENALTIES):
            weights = _fit(y[fold != out], choices[fold != out], weights, penalty)
            losses[i, fold == out] = _losses(weights, y[fold == out], choices[fold == out])
    # The weakest penalty within a standard error of the best: shrinkage hides association.
    worse = losses - losses[losses.sum(axis=1).argmin()]
    best = int(np.flatnonzero(worse.sum(axis=1) <= worse.std(axis=1) * np.sqrt(len(y))).max())
    weights = _fit(y, choices, np.zeros(shape), PENALTIES[best])
    weights = _undo_shrinkage(weights, y, choices, row_offsets, donor_offsets)
    return DonorOdds(weights, row_classes, donor_classes, PENALTIES[best])


def calibrate_odds(odds: DonorOdds, rows: slice, picked: Integers) -> DonorOdds:
    """Calibrate odds so that the classes of sampled donors have the shares of all donors.

    Args:
        odds: The fitted odds.
        rows: Rows to calibrate on.
        picked: Donors of those rows by the common columns alone, shape (rows, choices).
    """
    weights = odds.weights.copy()
    z = odds.donors[picked]
    n, count, columns = z.shape
    wanted = np.bincount(z.ravel(), minlength=weights.shape[1]) / (n * count)
    first = np.unique(odds.rows[:, 0])  # each row has exactly one class of a column
    for _ in range(MAX_ROUNDS):
        scores = _scores(weights, odds.rows[rows], z)
        share = _choice_shares(scores)[0] / n
        now = np.bincount(z.ravel(), np.repeat(share.ravel(), columns), minlength=weights.shape[1])
        step = np.log(np.divide(wanted, now, out=np.ones_like(now), where=(now > 0) & (wanted > 0)))
        weights[first] += STEP_SIZE * step
        if np.abs(step).max() < TOLERANCE:
            break
    return DonorOdds(weights, odds.rows, odds.donors, odds.penalty)


def _undo_shrinkage(weights: Floats, y: Integers, choices: Integers, across: list[int], down: list[int]) -> Floats:
    """Scale weights to the sample's association, which shrinkage reduces.

    Each pair of columns is scaled until donors that are sampled for the linked rows have their mean square contingency,
    bias-corrected (Bergsma, "A bias-correction for Cramér's V and Tschuprow's T",
    Journal of the Korean Statistical Society 42, 2013, equation 8). Pairs without association are unchanged.
    """
    donors = choices[:, 1:]
    observed = _joint_shares(y, choices[:, :1], np.ones((len(y), 1)), weights.shape)
    out = weights.copy()
    scale = np.ones((len(across) - 1, len(down) - 1))
    for _ in range(MAX_ROUNDS):
        scores = _scores(out, y, donors)
        drawn = _joint_shares(y, donors, _choice_shares(scores)[0], weights.shape)
        for i, j in np.ndindex(scale.shape):
            block = np.s_[across[i] : across[i + 1], down[j] : down[j + 1]]
            free = (across[i + 1] - across[i] - 1) * (down[j + 1] - down[j] - 1)
            wanted, now = _contingency(observed[block]) - free / (len(y) - 1), _contingency(drawn[block])
            if wanted > 0 and now > 0:
                scale[i, j] = np.clip(scale[i, j] * (wanted / now) ** (STEP_SIZE / 2), 1 / MAX_SCALE, MAX_SCALE)
            out[block] = weights[block] * scale[i, j]
    return out


def _joint_shares(y: Integers, z: Integers, share: Floats, shape: tuple[int, ...]) -> Floats:
    """Return the joint shares of the rows' and donors' classes, over all pairs of columns."""
    start = np.arange(len(y))[:, None] * shape[1]
    of_row = np.zeros(len(y) * shape[1])
    for k in range(z.shape[2]):
        of_row += np.bincount((start + z[:, :, k]).ravel(), share.ravel(), minlength=len(of_row))
    indicators = np.zeros((shape[0], len(y)))
    np.put_along_axis(indicators, y.T, 1.0, axis=0)  # the columns of y have classes of their own
    return np.asarray(indicators @ of_row.reshape(len(y), shape[1]) / len(y), np.float64)


def _contingency(table: Floats) -> float:
    """Return Pearson's mean square contingency."""
    free = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True)
    return float(np.divide((table - free) ** 2, free, out=np.zeros_like(free), where=free > 0).sum())


def _encode(frames: list[pd.DataFrame]) -> tuple[list[Integers], list[int]]:
    """Return the classes of each frame's columns, numbered over all columns, and the offsets of the columns."""
    parts, start = [], [0]
    for name in frames[0].columns:
        codes_by_frame, names = to_classes([frame[name] for frame in frames], N_BINS)
        parts.append([codes + start[-1] for codes in codes_by_frame])
        start.append(start[-1] + len(names))
    return [np.column_stack([part[i] for part in parts]) for i in range(len(frames))], start


def _scores(weights: Floats, y: Integers, z: Integers) -> Floats:
    """Return log odds of rows y, shape (n, p), for donors z, shape (n, choices, q)."""
    of_row = weights[y].sum(axis=1)
    start = np.arange(len(y))[:, None] * of_row.shape[1]
    out = np.zeros(z.shape[:2])
    for k in range(z.shape[2]):
        out += of_row.take(start + z[:, :, k])
    return out


def _choice_shares(scores: Floats) -> tuple[Floats, Floats]:
    """Return the shares of each row's choices, and the logarithm of their normaliser."""
    largest = scores.max(axis=1, keepdims=True)
    odds = np.exp(scores - largest)
    total = odds.sum(axis=1, keepdims=True)
    return odds / total, (largest + np.log(total))[:, 0]


def _loss(weights: Floats, y: Integers, choices: Integers) -> tuple[float, Floats]:
    """Return the negative log likelihood of the true partners (first choices), and its gradient."""
    scores = _scores(weights, y, choices)
    residual, norm = _choice_shares(scores)
    residual[:, 0] -= 1
    return float((norm - scores[:, 0]).sum()), _joint_shares(y, choices, residual, weights.shape) * len(y)


def _losses(weights: Floats, y: Integers, choices: Integers) -> Floats:
    """Return the negative log likelihood of each true partner (first choice)."""
    scores = _scores(weights, y, choices)
    return _choice_shares(scores)[1] - scores[:, 0]


def _fit(y: Integers, choices: Integers, start: Floats, penalty: float) -> Floats:
    """Return the penalised maximum likelihood weights."""

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(start.shape)
        loss, gradient = _loss(weights, y, choices)
        return loss + penalty / 2 * float((weights**2).sum()), (gradient + penalty * weights).ravel()

    result = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 60})
    return np.asarray(result.x, np.float64).reshape(start.shape)
