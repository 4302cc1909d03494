"""Likelihood-ratio attack with shadow models on the records most at risk.

Carlini, Chien, Nasr, Song, Terzis and Tramer, "Membership inference attacks from first principles" (LiRA), IEEE S&P
2022. Models are fitted with and without each record, by a fair coin for each; how near the record lies to each
synthetic table is a normal variable with one mean where the record was in and another where it was not. Every table is
attacked in turn with what all others teach. If the tables do not depend on who was in, the coins may be tossed again:
that is the test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from tabsynth.common.arrays import Floats
from tabsynth.errors import DataError, SchemaError
from tabsynth.evaluation.stats.auc import delong_auc
from tabsynth.evaluation.stats.encoded_table import EncodedTable, encode_tables
from tabsynth.privacy.attacks.attack_result import Finding
from tabsynth.privacy.attacks.nearest_neighbours import DistanceSpace, find_nearest
from tabsynth.privacy.attacks.singling_out import permutation_p_value
from tabsynth.schema.schema import Schema

Fit = Callable[[pd.DataFrame, int], pd.DataFrame]
"""Fits a model to a frame with a seed and gives the synthetic frame."""

N_SHADOW_MODELS = 24
N_RECORDS = 10
N_PERMUTATIONS = 999


def attack_with_shadow_models(
    fit: Fit,
    train: pd.DataFrame,
    schema: Schema,
    rows: Sequence[int],
    seed: int,
    step: Callable[[], object] = lambda: None,
) -> tuple[list[Finding], dict[str, Any]]:
    """Attack records through models with and without them.

    Args:
        fit: Called ``N_SHADOW_MODELS`` times, on tables of the training table's size less some of ``rows``.
        train: The training rows.
        schema: Their schema.
        rows: Row numbers of the records in ``train``.
        seed: Fixes every draw; the i-th model gets the seed ``seed + i``.
        step: Called after each model.

    Returns:
        The finding, and what it could have seen.

    Raises:
        DataError: ``fit`` gives no frame, or an empty one.
        SchemaError: ``fit`` gives other columns.
    """
    rng = np.random.default_rng([seed, 7])
    chosen = np.asarray(rows, dtype=np.int64)
    inside = np.zeros((N_SHADOW_MODELS, len(chosen)), dtype=bool)
    for j in range(len(chosen)):
        inside[rng.permutation(N_SHADOW_MODELS)[: N_SHADOW_MODELS // 2], j] = True
    rest = np.setdiff1d(np.arange(len(train)), chosen)
    near = np.empty(inside.shape)
    for i in range(N_SHADOW_MODELS):
        learned = train.iloc[rng.permutation(np.concatenate([rest, chosen[inside[i]]]))].reset_index(drop=True)
        released = _check_output(fit(learned, seed + i), train)
        near[i] = _score_nearness(train, released, chosen, schema)
        step()
    observed = _separation(near, inside)
    tossed = np.array([_separation(near, _permute_coins(inside, rng)) for _ in range(N_PERMUTATIONS)])
    score = _compute_likelihood_ratios(near, inside)
    auc, interval = delong_auc(inside.ravel(), score.ravel())
    least = float(norm.cdf((norm.isf(0.001) + norm.isf(0.2)) * (4 / (N_SHADOW_MODELS * len(chosen))) ** 0.5 / 2**0.5))
    finding = Finding(
        name="shadow_auc",
        group="shadow",
        attack="Shadow models",
        records="exposed",
        title=f"Shadow models, {len(chosen)} most exposed records",
        value=auc,
        interval=interval,
        floor=0.5,
        p=permutation_p_value(observed, tossed),
        unit="AUC",
        description="How well who can fit the model distinguishes a learned record from the same record left out.",
        method=f"{N_SHADOW_MODELS} fits, each record in half of them (Carlini et al., 2022); DeLong interval; test by "
        f"tossing the coins again {N_PERMUTATIONS} times. An AUC of {least:.2f} would have been found with "
        "probability 0.8 (at p = 0.001).",
    )
    return [finding], {"shadows": N_SHADOW_MODELS, "records": len(chosen), "least_auc": least, "power": 0.8}


def _check_output(released: object, train: pd.DataFrame) -> pd.DataFrame:
    if not isinstance(released, pd.DataFrame):
        raise DataError(f"fit(frame, seed) must give the synthetic frame, not {type(released).__name__}")
    if not len(released):
        raise DataError("fit(frame, seed) gave a frame without rows")
    if set(released.columns) != set(train.columns):
        raise SchemaError("fit(frame, seed) gave other columns than the training table's; align them")
    return released[list(train.columns)].reset_index(drop=True)


def _score_nearness(train: pd.DataFrame, released: pd.DataFrame, chosen: np.ndarray, schema: Schema) -> Floats:
    """Minus the log distance of each record to its nearest synthetic row, shape (r,)."""
    real, synthetic = encode_tables([train, released], schema)
    space = DistanceSpace.of(real)
    records: EncodedTable = real.take(chosen)
    distance = find_nearest(space.points(records), space.points(synthetic), 1)[0][:, 0]
    return np.asarray(-np.log(distance + 1e-3))


def _separation(near: Floats, inside: np.ndarray) -> float:
    """Return the mean over the records of the standardised difference between in and out."""
    spread = near.std(axis=0)
    gap = (near * inside).sum(axis=0) / inside.sum(axis=0) - (near * ~inside).sum(axis=0) / (~inside).sum(axis=0)
    return float((gap / np.where(spread > 0, spread, 1.0)).mean())


def _permute_coins(inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the same coins in another order, for each record by itself."""
    out: np.ndarray = rng.permuted(inside, axis=0)
    return out


def _compute_likelihood_ratios(near: Floats, inside: np.ndarray) -> Floats:
    """Log likelihood ratio of in against out for each model and record, from all other models, shape (s, r)."""
    out = np.empty(near.shape)
    for i in range(len(near)):
        others = np.arange(len(near)) != i
        values, mask = near[others], inside[others]
        means = [(values * m).sum(axis=0) / m.sum(axis=0) for m in (mask, ~mask)]
        residual = values - np.where(mask, means[0], means[1])
        variance = np.maximum((residual**2).sum(axis=0) / (len(values) - 2), 1e-12)
        out[i] = ((near[i] - means[1]) ** 2 - (near[i] - means[0]) ** 2) / (2 * variance)
    return out
